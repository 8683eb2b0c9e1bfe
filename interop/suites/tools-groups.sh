# kafka-consumer-groups with all that it can do, kafka-groups.
b="--bootstrap-server $boot"
topic tools-groups
seq 1 100 | kafka-console-producer $b --topic tools-groups
kafka-console-consumer $b --topic tools-groups --group tools-one --from-beginning --max-messages 100 --timeout-ms 20000 >/dev/null 2>&1
groups="kafka-consumer-groups $b --group tools-one --topic tools-groups"
has "list" '^tools-one$' "$(kafka-consumer-groups $b --list)"
has "list by state" 'tools-one +(Classic +)?Empty' "$(kafka-consumer-groups $b --list --state Empty)"
has "list by type" 'tools-one +Classic' "$(kafka-consumer-groups $b --list --type classic)"
lag() { kafka-consumer-groups $b --describe --group tools-one --offsets 2>/dev/null | awk '/^tools-one/{at += $4; end += $5; lag += $6} END {print at, end, lag}'; }
same "describe: offsets, ends, lag" "100 100 0" "$(lag)"
has "describe: state" 'tools-one +\S+ \([0-9]+\) +(range +)?Empty +0' "$(kafka-consumer-groups $b --describe --group tools-one --state 2>/dev/null | tr -s ' \t' ' ' | sed 's/ - / /')"
reset() { $groups --reset-offsets --execute "$@" >/dev/null; }
has "dry run" 'tools-groups +0 +0' "$($groups --reset-offsets --to-earliest --dry-run)"
same "a dry run changes nothing" "100 100 0" "$(lag)"
reset --to-earliest; same "to earliest" "0 100 100" "$(lag)"
reset --to-latest; same "to latest" "100 100 0" "$(lag)"
reset --shift-by -10; same "shift" "90 100 10" "$(lag)"
reset --to-offset 1; same "to an offset" "1 100 99" "$(lag)"
reset --to-datetime 2020-01-01T00:00:00.000; same "to a time" "0 100 100" "$(lag)"
reset --by-duration PT0S; same "by duration" "100 100 0" "$(lag)"
$groups --reset-offsets --to-earliest --export --dry-run >"$work/reset.csv"
kafka-consumer-groups $b --group tools-one --reset-offsets --from-file "$work/reset.csv" --execute >/dev/null
same "from a file" "0 100 100" "$(lag)"
reset --to-current; same "to current" "0 100 100" "$(lag)"

kafka-console-consumer $b --topic tools-groups --group tools-one >"$work/consumed" 2>/dev/null &
consumer=$!
member() { kafka-consumer-groups $b --describe --group tools-one --members --verbose 2>/dev/null | grep -E 'tools-one.*console-consumer.* 1 +.*tools-groups'; }
eventually member >/dev/null
has "an active group is not reset" "Assignments can only be reset if the group .* is inactive|only be reset if the group" "$($groups --reset-offsets --to-earliest --execute 2>&1 || true)"
has "an active group is not deleted" 'GroupNotEmptyException' "$(kafka-consumer-groups $b --delete --group tools-one 2>&1 || true)"
consumed() { [ "$(wc -l <"$work/consumed")" -ge 100 ]; }
eventually consumed
kill $consumer; wait $consumer 2>/dev/null || true
same "it went on where the offsets were" 100 "$(wc -l <"$work/consumed")"

eventually sh -c "kafka-consumer-groups $b --describe --group tools-one --state 2>/dev/null | grep -q Empty"
has "all groups" 'tools-one' "$(kafka-consumer-groups $b --describe --all-groups 2>/dev/null)"
kafka-consumer-groups $b --delete-offsets --group tools-one --topic tools-groups:0 >/dev/null
same "deleted offset" 0 "$(kafka-consumer-groups $b --describe --group tools-one 2>/dev/null | grep -c '^tools-one' || true)"
has "kafka-groups" 'tools-one +Classic +consumer' "$(kafka-groups $b --list)"
has "kafka-groups by kind" 'tools-one' "$(kafka-groups $b --list --consumer)"
kafka-configs $b --alter --entity-type groups --entity-name tools-one --add-config consumer.session.timeout.ms=50000 >/dev/null
has "a group's configuration" 'consumer.session.timeout.ms=50000' "$(kafka-configs $b --describe --entity-type groups --entity-name tools-one)"
kafka-configs $b --alter --entity-type groups --entity-name tools-one --delete-config consumer.session.timeout.ms >/dev/null
kafka-consumer-groups $b --delete --group tools-one >/dev/null
same "deleted group" 0 "$(kafka-consumer-groups $b --list | grep -c '^tools-one$' || true)"
kafka-topics $b --delete --topic tools-groups
