package connect

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/internal/kafka"
)

// slowSync is a disk whose syncs take a while once it is told so.
type slowSync struct {
	vfs.FS
	wait *atomic.Int64
}

type slowFile struct {
	vfs.File
	wait *atomic.Int64
}

func (f slowFile) pause()          { time.Sleep(time.Duration(f.wait.Load())) }
func (f slowFile) Sync() error     { f.pause(); return f.File.Sync() }
func (f slowFile) SyncData() error { f.pause(); return f.File.SyncData() }
func (f slowFile) SyncTo(n int64) (bool, error) {
	f.pause()
	return f.File.SyncTo(n)
}
func (s slowSync) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return slowFile{f, s.wait}, nil
}
func (s slowSync) Create(n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.file(s.FS.Create(n, c))
}
func (s slowSync) OpenReadWrite(n string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return s.file(s.FS.OpenReadWrite(n, c, o...))
}
func (s slowSync) ReuseForWrite(a, b string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.file(s.FS.ReuseForWrite(a, b, c))
}

// A process is killed while what it sent is in the log but not durable: its successor must not count too early.
func TestKilledWhileTheDiskIsSlowIsExact(t *testing.T) {
	var wait atomic.Int64
	w := &world{t: t, dir: t.TempDir(), log: &logged{}, cluster: brokertest.Start(t, 1, brokertest.FS(func(fs vfs.FS) vfs.FS { return slowSync{vfs.Default, &wait} }))}
	client, err := kafka.New(w.kafka())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w.client = client
	w.topic("flights", 3)
	const rows = 60_000
	w.write("in-1.csv", flights(0, rows))
	r := w.start(quickstart(w, true))
	for i := range 4 {
		old := r.wait("flights", "running", func(s Status) bool { return s.State == "running" && s.PID != 0 })
		want := old.Records + 2000
		if i == 0 {
			want = 3000
		}
		wait.Store(int64(500 * time.Millisecond))
		r.wait("flights", "records on their way", func(s Status) bool { return s.Records >= want || s.Drained })
		_ = syscall.Kill(old.PID, syscall.SIGKILL)
		r.wait("flights", "another process", func(s Status) bool { return s.State == "running" && s.PID != old.PID && s.PID != 0 })
	}
	wait.Store(0)
	r.wait("flights", "source drained", drained)
	_ = r.stop()
	checkTopic(w, rows, rows)
}
