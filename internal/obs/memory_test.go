package obs_test

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/leatstream/leat/internal/obs"
)

func TestMemoryLimit(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no groups":                 {nil, math.MaxInt64},
		"version 2":                 {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1000000\n"}, 1000000},
		"version 2, in a container": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 536870912},
		"version 1": {map[string]string{"proc/self/cgroup": "5:cpu:/\n4:memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2000000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 2000000},
		"version 1, path of the host": {map[string]string{"proc/self/cgroup": "4:memory:/docker/abc\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "3000000\n"}, 3000000},
		"version 1, none":             {map[string]string{"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, math.MaxInt64},
		"nonsense":                    {map[string]string{"proc/self/cgroup": "what\n0::../..\n"}, math.MaxInt64},
	} {
		root := t.TempDir()
		for file, text := range tc.files {
			if err := os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := obs.MemoryLimit(root); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

// TestRoomForGarbage counts collections: a small heap has one for every 4 MiB otherwise.
func TestRoomForGarbage(t *testing.T) {
	t.Setenv("GOGC", "")
	defer runtime.KeepAlive(obs.RoomForGarbage())
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 32 << 10 {
		garbage = make([]byte, 1<<10)
	}
	runtime.ReadMemStats(&after)
	if n := after.NumGC - before.NumGC; n > 5 {
		t.Errorf("32 MiB of garbage were collected %d times", n)
	}
}

var garbage []byte // escapes
