# KIP-848, the new protocol of consumer groups, by the clients that have it.
clients "$boot" franz-go-next
node "$work/node/platformatic.js" "$boot" platformatic-next
$work/venv/bin/python python/librdkafka.py "$boot" librdkafka-next
java_part java-next
