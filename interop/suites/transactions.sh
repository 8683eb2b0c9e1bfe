# Every client's transactions: each record is aborted once and then committed; read_committed sees it once, offsets are part of it.
clients "$boot" franz-go-txn sarama-txn
node "$work/node/kafkajs.js" "$boot" kafkajs-txn
node "$work/node/platformatic.js" "$boot" platformatic-txn
$work/venv/bin/python python/librdkafka.py "$boot" librdkafka-txn
$work/venv/bin/python python/kafkapython.py "$boot" kafka-python-txn
$work/venv/bin/python python/aio.py "$boot" aiokafka-txn
java_part java-txn java-txn-admin
clients "$boot" everybody-txn
