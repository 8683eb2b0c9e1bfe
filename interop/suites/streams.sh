# Kafka Streams with exactly_once_v2, restarted without its state; then its reset tool.
java_part java-streams
eventually sh -c "kafka-consumer-groups --bootstrap-server $boot --describe --group java-streams --state 2>/dev/null | grep -q Empty"
kafka-streams-application-reset --bootstrap-server "$boot" --application-id java-streams --input-topics java-streams-in --to-earliest >"$work/reset" 2>&1 || fail "$(cat "$work/reset")"
same "internal topics are gone" 0 "$(kafka-topics --bootstrap-server "$boot" --list | grep -c '^java-streams-.*-\(changelog\|repartition\)$' || true)"
same "offsets are back at the beginning" 0 "$(kafka-consumer-groups --bootstrap-server "$boot" --describe --group java-streams --offsets 2>/dev/null | awk '/java-streams-in/{n += $4} END {print n}')"
