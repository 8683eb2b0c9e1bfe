package file

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/connect/sdk/sdktest"
)

// BenchmarkCSV measures rows of the quickstart's kind from a file to the host's side of the process.
func BenchmarkCSV(b *testing.B) {
	path := filepath.Join(b.TempDir(), "in.csv")
	row := "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n"
	const rows = 500_000
	writeFile(b, path, "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s\n"+strings.Repeat(row, rows))
	p := sdktest.Start(b)
	for b.Loop() {
		begin := time.Now()
		run := p.Source(config{"path": path, "follow": false}, sdktest.SourceOptions{Count: true})
		run.WaitCount(rows)
		b.ReportMetric(rows/time.Since(begin).Seconds(), "rows/s")
		run.Stop()
	}
}
