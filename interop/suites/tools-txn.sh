# kafka-transactions and the transactional-message-copier of Kafka's own system tests.
b="--bootstrap-server $boot"
topic tools-txn-in; topic tools-txn-out
kafka-verifiable-producer $b --topic tools-txn-in --max-messages 1000 --acks -1 >/dev/null
copied=$(transactional-message-copier --broker-list "$boot" --input-topic tools-txn-in --input-partition 0 --output-topic tools-txn-out --max-messages 1000 \
  --consumer-group tools-txn --transaction-size 100 --transactional-id tools-txn --enable-random-aborts 2>/dev/null)
has "the copier has nothing left" '"remaining":0' "$copied"
committed() { kafka-console-consumer $b --topic tools-txn-out --from-beginning --isolation-level read_committed --max-messages 1000 --timeout-ms 20000 2>/dev/null; }
same "each record once and in order" "$(seq 0 999)" "$(committed)"
described=$(kafka-transactions $b describe --transactional-id tools-txn)
has "describe" 'tools-txn.*Complete(Commit|Abort)' "$described"
has "list" 'tools-txn' "$(kafka-transactions $b list)"
has "list by pattern" 'tools-txn' "$(kafka-transactions $b list --transactional-id-pattern 'tools-.*')"
has "producers" 'ProducerId' "$(kafka-transactions $b describe-producers --topic tools-txn-out --partition 0)"
same "no transaction hangs" 1 "$(kafka-transactions $b find-hanging --broker-id "$(kafka-cluster list-endpoints $b | awk 'NR > 1 && NF {print $1; exit}')" | wc -l)"

topic tools-txn-open
$work/venv/bin/python python/librdkafka.py "$boot" librdkafka-open 2>/dev/null &
open=$!
written() { [ "$(kafka-get-offsets $b --topic-partitions tools-txn-open:0)" = tools-txn-open:0:5 ]; }
eventually written
has "an open transaction" 'tools-open.*Ongoing' "$(kafka-transactions $b list)"
kafka-transactions $b abort --topic tools-txn-open --partition 0 --start-offset 0 >/dev/null
same "aborted by hand: nothing was committed" "" "$(kcat -b "$boot" -C -t tools-txn-open -o beginning -e -q -X isolation.level=read_committed)"
same "the last stable offset has moved on" tools-txn-open:0:6 "$(kafka-get-offsets $b --topic-partitions tools-txn-open:0)"
kill $open 2>/dev/null || true
wait $open 2>/dev/null || true
