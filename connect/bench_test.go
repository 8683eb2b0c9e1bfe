package connect

import "testing"

// BenchmarkFileToTopic reads CSV by key into three partitions: process start, broker and durability included.
func BenchmarkFileToTopic(b *testing.B) {
	const rows = 300_000
	csv := flights(0, rows)
	for b.Loop() {
		w := newWorld(b)
		w.topic("flights", 3)
		w.write("in-1.csv", csv)
		r := w.start("source: flights\nplugin: file\nconfig: {path: '${dir}/in-*.csv'}\nto: {topic: flights, key: value.tailnum}\n")
		r.wait("flights", "source drained", drained)
		if n := w.count("flights"); n != rows {
			b.Fatalf("%d of %d rows", n, rows)
		}
		_ = r.stop()
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "records/s")
}
