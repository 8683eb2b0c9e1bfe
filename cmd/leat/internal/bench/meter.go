package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// meter takes time, and what processes cost meanwhile.
type meter struct {
	pids  []int
	began time.Time
	cpu   time.Duration
	own   time.Duration
}

func startMeter(pids []int) *meter {
	m := &meter{pids: pids}
	m.cpu, _ = processorTime(pids)
	m.own, _ = processorTime([]int{os.Getpid()})
	m.began = time.Now()
	return m
}

// rates are what happened a second since the start, and, where processes are watched, what it cost them.
func (m *meter) rates(name string, records, size int64) []Measure {
	wall := time.Since(m.began).Seconds()
	out := []Measure{
		{name + " records", "/s", float64(records) / wall, More},
		{name + " data", "MB/s", float64(size) / wall / 1e6, More},
	}
	if own, err := processorTime([]int{os.Getpid()}); err == nil { // as many cores as it has: then the client was the limit
		out = append(out, Measure{name + " client CPU", "cores", (own - m.own).Seconds() / wall, Less})
	}
	return append(out, m.costs(name, wall, size)...)
}

func (m *meter) costs(name string, wall float64, size int64) []Measure {
	if len(m.pids) == 0 {
		return nil
	}
	now, err := processorTime(m.pids)
	if err != nil {
		return nil
	}
	cpu := (now - m.cpu).Seconds()
	out := []Measure{{name + " broker CPU", "cores", cpu / wall, Less}}
	if size > 0 {
		out = append(out, Measure{name + " broker CPU per GB", "s", cpu / (float64(size) / 1e9), Less})
	}
	return append(out, Measure{name + " broker memory", "MiB", resident(m.pids), Less})
}

// ticks a second, in which the kernel tells processor time: the same on every architecture that Go runs on.
const ticks = 100

// processorTime sums the time that processes have spent, in user and in kernel mode.
func processorTime(pids []int) (time.Duration, error) {
	total := time.Duration(0)
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("cannot see process %d: %w", pid, err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 13 {
			return 0, fmt.Errorf("cannot read the state of process %d", pid)
		}
		for _, f := range fields[11:13] {
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, err
			}
			total += time.Duration(n) * time.Second / ticks
		}
	}
	return total, nil
}

// resident sums the memory of processes, in MiB.
func resident(pids []int) float64 {
	total := 0.0
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				n, _ := strconv.ParseFloat(strings.Fields(kib)[0], 64)
				total += n / 1024
			}
		}
	}
	return total
}
