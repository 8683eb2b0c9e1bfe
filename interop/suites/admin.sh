# Admin calls beyond those of the clients' own suites.
clients "$boot" franz-go-admin
$work/venv/bin/python python/librdkafka.py "$boot" librdkafka-delete-records
node "$work/node/kafkajs.js" "$boot" kafkajs-delete-records
java_part java-delete-records java-cluster java-quotas
