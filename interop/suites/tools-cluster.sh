# The tools about the cluster, which must have an answer with one broker.
b="--bootstrap-server $boot"
topic tools-cluster
seq 1 10 | kafka-console-producer $b --topic tools-cluster
has "cluster id" 'Cluster ID: \S{22}' "$(kafka-cluster cluster-id $b)"
has "endpoints" 'unfenced +broker' "$(kafka-cluster list-endpoints $b)"
has "unregistering a broker that is not there" 'not registered|BrokerIdNotRegistered' "$(kafka-cluster unregister $b --id 77 2>&1 || true)"
node=$(kafka-cluster list-endpoints $b | awk 'NR > 1 && NF {print $1; exit}')
has "API versions" 'ApiVersions\(18\): 0 to [0-9]+ \[usable: [0-9]+\]' "$(kafka-broker-api-versions $b)"
has "features" 'metadata.version.*FinalizedVersionLevel: \S+' "$(kafka-features $b describe)"
has "the level of groups" 'group.version.*FinalizedVersionLevel: 1' "$(kafka-features $b describe)"
has "the level of transactions" 'transaction.version.*FinalizedVersionLevel: 2' "$(kafka-features $b describe)"
has "a level that is there already" 'group.version' "$(kafka-features $b upgrade --feature group.version=1 2>&1 || true)"
has "quorum" "LeaderId: +$node" "$(kafka-metadata-quorum $b describe --status)"
has "quorum's replicas" "^$node.*Leader" "$(kafka-metadata-quorum $b describe --replication)"
dirs=$(kafka-log-dirs $b --describe --topic-list tools-cluster | tail -1)
has "log directories" '"partition":"tools-cluster-0","size":[1-9][0-9]*,"offsetLag":0' "$dirs"
same "elections are not needed" "Valid replica already elected for partitions tools-cluster-0" "$(kafka-leader-election $b --election-type preferred --topic tools-cluster --partition 0)"
kafka-leader-election $b --election-type preferred --all-topic-partitions >/dev/null
kafka-leader-election $b --election-type unclean --all-topic-partitions >/dev/null

echo '{"version": 1, "topics": [{"topic": "tools-cluster"}]}' >"$work/move.json"
kafka-reassign-partitions $b --generate --topics-to-move-json-file "$work/move.json" --broker-list "$node" | tail -1 >"$work/plan.json"
has "plan" "\"topic\":\"tools-cluster\",\"partition\":0,\"replicas\":\[$node\]" "$(cat "$work/plan.json")"
has "reassign" 'Successfully started partition reassignment' "$(kafka-reassign-partitions $b --execute --reassignment-json-file "$work/plan.json")"
has "reassigned" 'Reassignment of partition tools-cluster-0 is completed' "$(kafka-reassign-partitions $b --verify --reassignment-json-file "$work/plan.json")"
has "nothing is being reassigned" 'No partition reassignments found' "$(kafka-reassign-partitions $b --list)"
kafka-reassign-partitions $b --cancel --reassignment-json-file "$work/plan.json" >/dev/null

kafka-configs $b --alter --entity-type clients --entity-name tools --add-config producer_byte_rate=1000000,request_percentage=50 >/dev/null
has "a client's quota" "producer_byte_rate=1000000" "$(kafka-configs $b --describe --entity-type clients --entity-name tools)"
kafka-configs $b --alter --entity-type users --entity-name tools --entity-type clients --entity-default --add-config consumer_byte_rate=2000000 >/dev/null
has "a user's quota" "consumer_byte_rate=2000000" "$(kafka-configs $b --describe --entity-type users --entity-name tools --entity-type clients --entity-default)"
kafka-configs $b --alter --entity-type clients --entity-name tools --delete-config producer_byte_rate,request_percentage >/dev/null
kafka-configs $b --alter --entity-type users --entity-name tools --entity-type clients --entity-default --delete-config consumer_byte_rate >/dev/null
same "no quota" "" "$(kafka-configs $b --describe --entity-type clients --entity-name tools)"
kafka-configs $b --alter --entity-type ips --entity-name 127.0.0.7 --add-config connection_creation_rate=1000 >/dev/null
has "an address's quota" 'connection_creation_rate=1000' "$(kafka-configs $b --describe --entity-type ips --entity-name 127.0.0.7)"
kafka-configs $b --alter --entity-type ips --entity-name 127.0.0.7 --delete-config connection_creation_rate >/dev/null
same "nobody subscribes to client metrics" "" "$(kafka-client-metrics $b --list | grep . || true)"
kafka-topics $b --delete --topic tools-cluster
