# The tools that measure and verify: each counts what it got.
b="--bootstrap-server $boot"
topic tools-perf 3
has "producer-perf-test" '50000 records sent' "$(kafka-producer-perf-test $b --topic tools-perf --num-records 50000 --record-size 100 --throughput -1 --command-property acks=all)"
same "producer-perf-test wrote" 50000 "$(kafka-get-offsets $b --topic tools-perf | awk -F: '{n += $3} END {print n}')"
same "consumer-perf-test" 50000 "$(kafka-consumer-perf-test $b --topic tools-perf --num-records 50000 --timeout 20000 --hide-header 2>/dev/null | awk -F', ' '{print $5}')"
topic tools-e2e
has "e2e-latency" 'Percentiles: 50th' "$(kafka-e2e-latency $b --topic tools-e2e --num-records 500 --producer-acks all --record-size 100 2>/dev/null)"

topic tools-verifiable 3
same "verifiable-producer" 2000 "$(kafka-verifiable-producer $b --topic tools-verifiable --max-messages 2000 --acks -1 | grep -c producer_send_success)"
for protocol in classic consumer; do
  taken=$(kafka-verifiable-consumer $b --topic tools-verifiable --group-id "tools-verifiable-$protocol" --group-protocol "$protocol" --max-messages 2000 --reset-policy earliest)
  same "verifiable-consumer, $protocol" 2000 "$(python3 -c '
import json, sys
print(sum(e["count"] for e in map(json.loads, sys.stdin) if e["name"] == "records_consumed"))' <<<"$taken")"
  has "verifiable-consumer commits, $protocol" '"name":"offsets_committed".*"success":true|"success":true.*"name":"offsets_committed"' "$taken"
done
kafka-replica-verification --broker-list "$boot" --topics-include tools-verifiable --report-interval-ms 1000 >"$work/verified" 2>&1 &
verifier=$! # it reports until it is stopped
eventually grep -qE 'max lag is 0 for partition tools-verifiable-[0-2]' "$work/verified"
kill $verifier; wait $verifier 2>/dev/null || true
echo "ok: replica-verification"
for t in tools-perf tools-e2e tools-verifiable; do kafka-topics $b --delete --topic $t; done
