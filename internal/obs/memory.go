package obs

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// KeepMemoryBelowLimit tells the garbage collector what memory the container of this process has, where nobody else did
// (GOMEMLIMIT): nine tenths of it, because not all memory is the collector's. It returns the limit of the container, or
// math.MaxInt64.
func KeepMemoryBelowLimit() int64 {
	limit := MemoryLimit("/")
	if limit < math.MaxInt64 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
	return limit
}

// MemoryLimit is the smallest memory limit of the control groups (version 1 or 2) that this process is in; root is where
// /proc and /sys are. math.MaxInt64: there is none.
func MemoryLimit(root string) int64 {
	limit := int64(math.MaxInt64)
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return limit
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[1] == "":
			limit = min(limit, limitUp(filepath.Join(root, "sys/fs/cgroup"), parts[2], "memory.max"))
		case strings.Contains(","+parts[1]+",", ",memory,"):
			limit = min(limit, limitUp(filepath.Join(root, "sys/fs/cgroup/memory"), parts[2], "memory.limit_in_bytes"))
		}
	}
	return limit
}

// limitUp is the smallest limit of a group and of those above it. Inside of a container the path may be that of the host:
// then only the top is there, which is the container's own.
func limitUp(mount, path, file string) int64 {
	limit := int64(math.MaxInt64)
	for {
		if raw, err := os.ReadFile(filepath.Join(mount, path, file)); err == nil {
			n, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
			if err == nil && n > 0 && n < 1<<60 { // version 1 writes a huge number for none
				limit = min(limit, n)
			}
		}
		if path == "/" || path == "." || path == "" {
			return limit
		}
		path = filepath.Dir(path)
	}
}

// RoomForGarbage is 8 MiB that count as live and are never touched: they take address space, no memory. While the caller
// keeps them, the collector lets as much more garbage gather before it runs. A broker holds a few MiB that live: without, it
// would collect several times a second under load, for milliseconds in which requests wait for their turn. Who has set
// GOGC, or has little memory, gets none.
func RoomForGarbage() []byte {
	const room = 8 << 20
	if os.Getenv("GOGC") != "" || debug.SetMemoryLimit(-1) < 32*room {
		return nil
	}
	return make([]byte, room)
}
