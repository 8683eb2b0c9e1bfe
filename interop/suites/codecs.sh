# Every compression through Apache's tools, kcat and leat: each reads what all three wrote.
for codec in none gzip snappy lz4 zstd; do
  t=codec-$codec
  topic "$t"
  seq 1 200 | kafka-console-producer --topic "$t" --bootstrap-server "$boot" --compression-codec "$codec"
  seq 201 400 | kcat -b "$boot" -P -t "$t" -z "$codec" -X enable.idempotence=true
  seq 401 600 | leat produce "$t" -b "$boot" -z "$codec" 2>/dev/null
  same "$codec by Java" "$(seq 1 600)" "$(read_all "$t" 600)"
  same "$codec by kcat" "$(seq 1 600)" "$(kcat -b "$boot" -C -t "$t" -o beginning -e -q)"
  same "$codec by leat" "$(seq 1 600)" "$(leat consume "$t" -e -b "$boot")"
done

# kcat: keys, headers, partitions, a time, a group.
topic kcat 2
seq 1 100 | awk '{print "k" $1 ":" $1}' | kcat -b "$boot" -P -t kcat -p 1 -K: -H n=1
same "kcat's keys and headers" "k1 1 n=1" "$(kcat -b "$boot" -C -t kcat -p 1 -o beginning -c 1 -q -f '%k %s %h\n')"
same "kcat from an offset" "$(seq 91 100)" "$(kcat -b "$boot" -C -t kcat -p 1 -o 90 -e -q)"
same "kcat's last ten" "$(seq 91 100)" "$(kcat -b "$boot" -C -t kcat -p 1 -o -10 -e -q)"
same "kcat by time" "kcat [1] offset 0" "$(kcat -b "$boot" -Q -t kcat:1:1)"
has "kcat lists" 'topic "kcat" with 2 partitions' "$(kcat -b "$boot" -L -t kcat)"
same "kcat in a group" "$(seq 1 100)" "$(timeout 30 kcat -b "$boot" -G kcat-group -c 100 -q -X auto.offset.reset=earliest kcat 2>/dev/null)"
