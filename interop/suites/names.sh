# leat is Apache's tools when it is called by their names: the same words give the same output and the same exit code.
leat kafka-topics --create --topic names --partitions 2 --config retention.ms=5000000 --bootstrap-server "$boot" >/dev/null
printf 'a:1\nb:2\nc:3\n' | leat kafka-console-producer --topic names --bootstrap-server "$boot" --reader-property parse.key=true --reader-property key.separator=:
leat kafka-console-consumer --topic names --group names-group --from-beginning --max-messages 2 --bootstrap-server "$boot" >/dev/null 2>&1
leat kafka-configs --alter --user names-user --add-config producer_byte_rate=1024,consumer_byte_rate=20971520 --bootstrap-server "$boot" >/dev/null

# What Apache's tools print in the order of a hash table is sorted on both sides.
alike() { # tool arguments…
  local theirs ours
  theirs=$("$@" --bootstrap-server "$boot" 2>/dev/null | sort; exit "${PIPESTATUS[0]}") && theirs+=" exit 0" || theirs+=" exit $?"
  ours=$(leat "$@" --bootstrap-server "$boot" 2>/dev/null | sort; exit "${PIPESTATUS[0]}") && ours+=" exit 0" || ours+=" exit $?"
  same "leat $*" "$theirs" "$ours"
}
alike kafka-topics --list
alike kafka-topics --describe --topic names
alike kafka-topics --describe --at-min-isr-partitions --topic names
alike kafka-topics --describe --topic nobody-made-this
alike kafka-topics --create --topic names
alike kafka-topics --alter --topic names --partitions 2
alike kafka-console-consumer --topic names --from-beginning --max-messages 3 --formatter-property print.key=true --formatter-property print.timestamp=true --formatter-property print.headers=true
alike kafka-consumer-groups --list --state
alike kafka-consumer-groups --describe --group names-group --verbose
alike kafka-consumer-groups --describe --group names-group --members --verbose
alike kafka-consumer-groups --describe --group names-group --state --verbose
alike kafka-consumer-groups --reset-offsets --group names-group --to-earliest --topic names --dry-run
alike kafka-consumer-groups --reset-offsets --group names-group --shift-by -1 --all-topics --export --dry-run
alike kafka-consumer-groups --reset-offsets --group names-group --to-latest
alike kafka-configs --describe --topic names
alike kafka-configs --describe --topic names --all
alike kafka-configs --describe --broker 0 --all
alike kafka-configs --describe --user names-user
alike kafka-configs --describe --entity-type wat
