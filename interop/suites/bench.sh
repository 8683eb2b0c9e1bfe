# The comparison with a real Apache Kafka runs and tells what it measured on both; the figures are those of a busy machine.
table=$(./bench --quick --both-durable)
for row in 'raw --connections 1 ' 'raw --connections 6 .*4KiB' 'raw --connections 6 .*16KiB' 'raw --connections 6 .*128KiB' 'produce ' 'consume ' 'e2e --rate 1000 ' 'e2e --rate 10000 '; do
  has "bench $row" "^-- leat bench $row" "$table"
done
same "each of them has ratios" 8 "$(awk '/^-- /{n++; seen = 0} /[0-9] × \((more|less) is better\)/ && !seen {seen = 1; rows++} END {print rows}' <<<"$table")"
