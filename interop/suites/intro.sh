# The commands of every introduction.
kafka-topics --create --topic topic1 --bootstrap-server "$boot" --replication-factor 1 --partitions 1
has "describe" 'PartitionCount: 1' "$(kafka-topics --describe --topic topic1 --bootstrap-server "$boot")"
printf 'one\ntwo\nthree\n' | kafka-console-producer --topic topic1 --bootstrap-server "$boot"
same "everything from the beginning" $'one\ntwo\nthree' "$(read_all topic1 3)"
same "reading removes nothing" $'one\ntwo\nthree' "$(read_all topic1 3)"
same "leat reads what Kafka's tool wrote" $'one\ntwo\nthree' "$(leat consume topic1 -e -b "$boot")"
printf 'four\n' | leat produce topic1 -b "$boot"
same "Kafka's tool reads what leat wrote" $'one\ntwo\nthree\nfour' "$(read_all topic1 4)"
kafka-consumer-groups --bootstrap-server "$boot" --list >/dev/null
has "API versions" 'Produce\(0\)' "$(kafka-broker-api-versions --bootstrap-server "$boot")"
kafka-topics --delete --topic topic1 --bootstrap-server "$boot"
