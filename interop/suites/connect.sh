# A stock Kafka Connect worker in distributed mode: a file source exactly once, and a file sink, over a killed worker.
b="--bootstrap-server $boot"
rest=http://127.0.0.1:18083
cat >"$work/worker.properties" <<P
bootstrap.servers=$boot
group.id=interop-connect
config.storage.topic=connect-configs
offset.storage.topic=connect-offsets
status.storage.topic=connect-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
offset.storage.partitions=5
status.storage.replication.factor=1
exactly.once.source.support=enabled
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.flush.interval.ms=500
session.timeout.ms=6000
heartbeat.interval.ms=500
scheduled.rebalance.max.delay.ms=1000
consumer.session.timeout.ms=6000
consumer.heartbeat.interval.ms=500
plugin.discovery=service_load
listeners=$rest
P
worker() { connect-distributed "$work/worker.properties" >>"$work/connect.log" 2>&1 & worker=$!; }
alive() { kill -0 "$worker" 2>/dev/null || fail "$(tail -30 "$work/connect.log")"; }
connector() { # name, configuration as JSON; a worker that rebalances answers 409
  eventually curl -sSf -o /dev/null -X PUT -H 'Content-Type: application/json' "$rest/connectors/$1/config" -d "$2"
}
state() { alive; curl -sf "$rest/connectors/$1/status" 2>/dev/null | grep -o '"state":"[A-Z]*"' | tr '\n' ' '; }
runs() { [ "$(state "$1")" = '"state":"RUNNING" "state":"RUNNING" ' ]; }
answers() { alive; curl -sf "$rest/connectors" >/dev/null 2>&1; }
copied() { cmp -s "$work/in.txt" "$work/out.txt"; }

seq 1 3000 | sed 's/^/line /' >"$work/in.txt"
topic connect-lines 1
worker
eventually answers
connector source "{\"connector.class\":\"org.apache.kafka.connect.file.FileStreamSourceConnector\",\"tasks.max\":\"1\",\"file\":\"$work/in.txt\",\"topic\":\"connect-lines\",\"exactly.once.support\":\"required\",\"transaction.boundary\":\"poll\"}"
connector sink "{\"connector.class\":\"org.apache.kafka.connect.file.FileStreamSinkConnector\",\"tasks.max\":\"1\",\"file\":\"$work/out.txt\",\"topics\":\"connect-lines\",\"consumer.override.isolation.level\":\"read_committed\"}"
eventually runs source
eventually runs sink
eventually copied
same "file to topic to file" 3000 "$(wc -l <"$work/out.txt")"
has "the source's offset is kept" '"position":[0-9]+' "$(curl -sf "$rest/connectors/source/offsets")"
has "the sink's group has committed" 'connect-sink' "$(kafka-consumer-groups $b --list)"

alive; kill -KILL "$worker"; wait "$worker" 2>/dev/null || true
seq 3001 5000 | sed 's/^/line /' >>"$work/in.txt"
worker
eventually answers
eventually runs source
everything() { [ "$(kcat -b "$boot" -C -t connect-lines -o beginning -e -q -X isolation.level=read_committed | wc -l)" -ge 5000 ]; }
eventually everything
same "after a kill each line is there once" "$(cat "$work/in.txt")" "$(kcat -b "$boot" -C -t connect-lines -o beginning -e -q -X isolation.level=read_committed)"
eventually sh -c "sort -u '$work/out.txt' | wc -l | grep -qx 5000"
eventually curl -sSf -o /dev/null -X PUT "$rest/connectors/source/pause"
paused() { [ "$(state source)" = '"state":"PAUSED" "state":"PAUSED" ' ]; }
eventually paused
for c in source sink; do eventually curl -sSf -o /dev/null -X DELETE "$rest/connectors/$c"; done
kill "$worker"; wait "$worker" 2>/dev/null || true
echo "ok: paused and deleted"
