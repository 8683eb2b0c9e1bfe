# kafka-topics, -configs, -get-offsets, -delete-records, the console tools, -dump-log.
b="--bootstrap-server $boot"
kafka-topics $b --create --topic tools-a --partitions 2 --replication-factor 1 --config retention.ms=600000 >/dev/null
kafka-topics $b --create --topic tools-a --partitions 2 --if-not-exists >/dev/null
has "create twice is refused" "Topic 'tools-a' already exists" "$(kafka-topics $b --create --topic tools-a 2>&1 || true)"
kafka-topics $b --create --topic tools-placed --replica-assignment "$(kafka-topics $b --describe --topic tools-a | awk '/Leader:/{print $6; exit}')" >/dev/null
kafka-topics $b --alter --topic tools-a --partitions 3
described=$(kafka-topics $b --describe --topic tools-a)
has "describe counts" 'PartitionCount: 3.ReplicationFactor: 1.Configs: .*retention.ms=600000' "$described"
same "describe has a line for each partition" 3 "$(grep -c 'Isr: [0-9]' <<<"$described")"
same "describe finds nothing wrong" "" "$(kafka-topics $b --describe --under-replicated-partitions; kafka-topics $b --describe --unavailable-partitions; kafka-topics $b --describe --under-min-isr-partitions; kafka-topics $b --describe --at-min-isr-partitions | grep -v . || true)"
has "overrides" 'tools-a' "$(kafka-topics $b --describe --topics-with-overrides)"
has "list" '^tools-a$' "$(kafka-topics $b --list --exclude-internal)"

kafka-configs $b --alter --entity-type topics --entity-name tools-a --add-config segment.ms=700000,cleanup.policy=[compact,delete] >/dev/null
has "topic configuration" 'segment.ms=700000 .*DYNAMIC_TOPIC_CONFIG' "$(kafka-configs $b --describe --entity-type topics --entity-name tools-a)"
has "list values" 'cleanup.policy=compact,delete' "$(kafka-configs $b --describe --entity-type topics --entity-name tools-a)"
kafka-configs $b --alter --entity-type topics --entity-name tools-a --delete-config segment.ms,cleanup.policy >/dev/null
same "deleted topic configuration" 0 "$(kafka-configs $b --describe --entity-type topics --entity-name tools-a | grep -c segment.ms || true)"
has "all of a topic's configurations" 'max.message.bytes=[0-9]+ .*DEFAULT_CONFIG' "$(kafka-configs $b --describe --all --entity-type topics --entity-name tools-a)"
has "a wrong value is refused" 'InvalidConfigurationException|Invalid value' "$(kafka-configs $b --alter --entity-type topics --entity-name tools-a --add-config retention.ms=soon 2>&1 || true)"

node=$(kafka-broker-api-versions $b | sed -n 's/.*(id: \([0-9]*\) .*/\1/p' | head -1)
kafka-configs $b --alter --entity-type brokers --entity-name "$node" --add-config message.max.bytes=2000000 >/dev/null
has "broker configuration" 'message.max.bytes=2000000 ' "$(kafka-configs $b --describe --entity-type brokers --entity-name "$node")"
kafka-configs $b --alter --entity-type brokers --entity-default --add-config log.retention.ms=900000000 >/dev/null
has "default of all brokers" 'log.retention.ms=900000000' "$(kafka-configs $b --describe --entity-type brokers --entity-default)"
kafka-configs $b --alter --entity-type brokers --entity-default --delete-config log.retention.ms >/dev/null
kafka-configs $b --alter --entity-type brokers --entity-name "$node" --delete-config message.max.bytes >/dev/null
has "all of a broker's configurations" 'num.partitions=' "$(kafka-configs $b --describe --all --entity-type brokers --entity-name "$node")"

seq 1 50 | awk '{print "k" $1 "\t" "n:" $1 "\t" $1}' >"$work/keyed"
awk -F'\t' '{print $2 "\t" $1 "\t" $3}' "$work/keyed" | kafka-console-producer $b --topic tools-a --reader-property parse.key=true --reader-property parse.headers=true --reader-property headers.delimiter=$'\t' --reader-property key.separator=$'\t'
same "keys and headers" "$(awk -F'\t' '{print "n:" $3 "\tk" $1 "\t" $3}' <(awk -F'\t' '{print $3 "\t\t" $3}' "$work/keyed") | sort)" "$(kafka-console-consumer $b --topic tools-a --from-beginning --max-messages 50 --timeout-ms 20000 --formatter-property print.key=true --formatter-property print.headers=true 2>/dev/null | sort)"
same "ends add up" 50 "$(kafka-get-offsets $b --topic tools-a | awk -F: '{n += $3} END {print n}')"
same "starts" 0 "$(kafka-get-offsets $b --topic tools-a --time earliest | awk -F: '{n += $3} END {print n}')"
has "newest time" 'tools-a:[0-9]:[0-9]+' "$(kafka-get-offsets $b --topic tools-a --time max-timestamp)"
same "by time, nothing is that new" 0 "$(kafka-get-offsets $b --topic tools-a --time 32503680000000 | awk -F: '$3 > 0' | wc -l)"
same "one partition" 1 "$(kafka-get-offsets $b --topic-partitions tools-a:1 | wc -l)"

echo '{"version": 1, "partitions": [{"topic": "tools-a", "partition": 0, "offset": 5}]}' >"$work/delete.json"
has "delete records" 'partition: tools-a-0.low_watermark: 5' "$(kafka-delete-records $b --offset-json-file "$work/delete.json")"
same "start after it" tools-a:0:5 "$(kafka-get-offsets $b --topic-partitions tools-a:0 --time earliest)"
same "they are gone" 45 "$(read_all tools-a 45 | wc -l)"

if [ -n "$server" ]; then
  log=$(grep -rls --include=00000000000000000000.log k50 "$work/data/" | head -1 || true)
  has "dump-log understands our segments" 'key: k[0-9]+ payload: [0-9]+' "$(kafka-dump-log --files "$log" --print-data-log --deep-iteration)"
fi
kafka-topics $b --delete --topic 'tools-(a|placed)'
eventually sh -c "! kafka-topics $b --list | grep -q tools-a"
