package doctor

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leatstream/leat/internal/obs"
)

// Machine is what the checks of a machine read. A test has its own.
type Machine struct {
	Root        string // of /proc and /sys
	Descriptors uint64 // that a process may have open at most
}

// disk is where a directory is.
type disk struct {
	kind               string // of file system; "" if not known
	total, free        uint64 // bytes
	inodes, inodesFree uint64 // 0 inodes: without limit
}

// Check looks at limits and settings of the machine.
func (r *Report) Check(m Machine) {
	r.looked("this machine: descriptors, memory, kernel settings")
	if m.Descriptors < 4096 {
		r.add(Warn, "this machine", fmt.Sprintf("a process may open %d files at most", m.Descriptors),
			"each connection and each file that is read takes one; without any, connections wait and appends fail",
			"raise it: `ulimit -n 65536`, LimitNOFILE=65536 in a systemd unit, nofile in docker's ulimits")
	}
	limit := obs.MemoryLimit(m.Root)
	if limit < 256<<20 {
		r.add(Warn, "this machine", fmt.Sprintf("the memory of this process is limited to %s", size(limit)),
			"an idle broker takes 30 MiB, requests under way a quarter of the limit, and the rest is the page cache from which consumers are served",
			"give it 512 MiB or more")
	}
	if n, ok := m.number("proc/sys/net/core/somaxconn"); ok && n < 1024 {
		r.add(Warn, "net.core.somaxconn", fmt.Sprintf("%d connections may wait to be accepted", n),
			"when many clients come back at once, after a restart, some are refused", "sysctl -w net.core.somaxconn=4096")
	}
	if text, ok := m.text("sys/kernel/mm/transparent_hugepage/enabled"); ok && strings.Contains(text, "[always]") {
		r.add(Note, "transparent_hugepage", "the kernel makes huge pages of any memory", "a process seems to need more than it uses",
			"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled")
	}
}

func (m *Machine) text(name string) (string, bool) {
	b, err := os.ReadFile(filepath.Join(m.Root, name))
	return strings.TrimSpace(string(b)), err == nil
}

func (m *Machine) number(name string) (int64, bool) {
	text, ok := m.text(name)
	n, err := strconv.ParseInt(text, 10, 64)
	return n, ok && err == nil
}

// forgetful are file systems that do not keep what was synced, or not as a disk does.
var forgetful = map[string]struct {
	level   Level
	why, do string
}{
	"tmpfs":   {Bad, "it is memory: a restart of the machine takes everything, acknowledged or not", "name a directory on a disk with --data DIR"},
	"ramfs":   {Bad, "it is memory: a restart of the machine takes everything, acknowledged or not", "name a directory on a disk with --data DIR"},
	"overlay": {Warn, "it goes with its container", "mount a volume for the data directory"},
	"nfs":     {Warn, "a lost connection to its server blocks the broker, and locks may not hold", "use a disk of this machine"},
	"cifs":    {Warn, "a lost connection to its server blocks the broker, and locks may not hold", "use a disk of this machine"},
}

// disk checks the room of a directory and what kind of file system it is on.
func (r *Report) disk(dir string) { r.diskOf(dir, statDisk) }

func (r *Report) diskOf(dir string, stat func(string) (disk, error)) {
	d, err := stat(dir)
	if err != nil {
		return // a kind of machine that does not tell
	}
	if f, ok := forgetful[d.kind]; ok {
		r.add(f.level, dir, fmt.Sprintf("the data directory is on a %s", d.kind), f.why, f.do)
	}
	full := "producers get KAFKA_STORAGE_ERROR when it is full, until there is room again; nothing that was acknowledged is lost"
	more := "make room: lower retention.ms or retention.bytes of large topics, or give it a larger disk"
	switch share := float64(d.free) / math.Max(float64(d.total), 1); {
	case d.free < 64<<20:
		r.add(Bad, dir, fmt.Sprintf("the disk is full: %s free", size(int64(d.free))), full, more)
	case share < 0.05 || d.free < 1<<30:
		r.add(Warn, dir, fmt.Sprintf("the disk is nearly full: %s of %s free", size(int64(d.free)), size(int64(d.total))), full, more)
	}
	if d.inodes > 0 && d.inodesFree < 1000 {
		r.add(Bad, dir, fmt.Sprintf("the disk has room for %d more files", d.inodesFree), full, more)
	}
}
