# The clients of other languages. Each part checks counts, keys, headers, times, order, and that a second member goes on where the first committed.
clients "$boot" franz-go sarama kafka-go
for part in "kafkajs kafkajs kafkajs-admin" "platformatic platformatic platformatic-admin"; do
  read -r file parts <<<"$part"
  # shellcheck disable=SC2086
  node "$work/node/$file.js" "$boot" $parts
done
python=$work/venv/bin/python
$python python/librdkafka.py "$boot" librdkafka librdkafka-admin
$python python/kafkapython.py "$boot" kafka-python kafka-python-admin
$python python/aio.py "$boot" aiokafka aiokafka-admin
