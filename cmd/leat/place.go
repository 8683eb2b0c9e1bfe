package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
)

const timeHint = "@1767225600000 (ms since 1970), @2026-01-01, @2026-01-01T10:00:00Z, @-1h (an hour ago) or @-7d"

// tooEarly is March 1973 in ms. Who writes a smaller number has written seconds, or a year.
const tooEarly = 100_000_000_000

// parseTime reads what stands behind an @.
func parseTime(s string) (time.Time, bool) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && ms >= 0 {
		return time.UnixMilli(ms), ms == 0 || ms >= tooEarly
	}
	if ago, ok := strings.CutPrefix(s, "-"); ok {
		d, ok := parseAgo(ago)
		return time.Now().Add(-d), ok
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// parseAgo reads a duration of Go, with days before it: 7d, 1d12h, 90m.
func parseAgo(s string) (time.Duration, bool) {
	var days time.Duration
	if n, rest, ok := strings.Cut(s, "d"); ok {
		whole, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return 0, false
		}
		if days, s = time.Duration(whole)*24*time.Hour, rest; s == "" {
			return days, true
		}
	}
	d, err := time.ParseDuration(s)
	return days + d, err == nil && d >= 0
}

// parseTarget reads where a group's offsets, or the start of a topic, go.
func parseTarget(flag, s string) (admin.Target, error) {
	bad := func() (admin.Target, error) {
		return admin.Target{}, usageError("%s %s is not a place in a topic\n  hint: start, end, an offset, +N or -N, %s", flag, s, timeHint)
	}
	switch {
	case s == "start":
		return admin.Target{Kind: admin.ToStart}, nil
	case s == "end":
		return admin.Target{Kind: admin.ToEnd}, nil
	case strings.HasPrefix(s, "@"):
		at, ok := parseTime(s[1:])
		if !ok {
			return bad()
		}
		return admin.Target{Kind: admin.ToTime, At: at}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return bad()
	}
	if s[0] == '+' || s[0] == '-' {
		return admin.Target{Kind: admin.ToShift, N: n}, nil
	}
	return admin.Target{Kind: admin.ToOffset, N: n}, nil
}

// parsePartitions reads TOPIC and TOPIC:0,2 words. A topic without numbers means all of it.
func parsePartitions(flag string, words []string) (admin.Partitions, error) {
	out := admin.Partitions{}
	for _, w := range words {
		topic, list, some := strings.Cut(w, ":")
		if topic == "" {
			return nil, usageError("%s %s: want TOPIC or TOPIC:0,2", flag, w)
		}
		if !some {
			out[topic] = nil
			continue
		}
		for _, n := range strings.Split(list, ",") {
			p, err := strconv.ParseInt(n, 10, 32)
			if err != nil || p < 0 {
				return nil, usageError("%s %s: %q is not a partition\n  hint: %s orders:0,2 means partitions 0 and 2 of topic orders", flag, w, n, flag)
			}
			out[topic] = append(out[topic], int32(p))
		}
	}
	return out, nil
}
