package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What every client writes: records of this number, keys key-N, values value-N, a header n=N and a time of its own each.
const (
	records    = 1000
	partitions = 3
	half       = 400 // where a consumer stops, for another one to go on
	patience   = 60 * time.Second
)

var firstTime = time.UnixMilli(1_700_000_000_000)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func key(n int) string    { return "key-" + strconv.Itoa(n) }
func value(n int) string  { return "value-" + strconv.Itoa(n) }
func at(n int) time.Time  { return firstTime.Add(time.Duration(n) * time.Millisecond) }
func number(n int) []byte { return []byte(strconv.Itoa(n)) }
func patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// eventually retries: a change of metadata may be acknowledged before every read shows it.
func eventually(check func() error) error {
	err := check()
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); err = check() {
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// seen checks what consumers get: each record once, unchanged, in the order of its partition.
type seen struct {
	mu   sync.Mutex
	got  map[int]bool
	last map[int32]position
}

type position struct {
	offset int64
	number int
}

func newSeen() *seen { return &seen{got: map[int]bool{}, last: map[int32]position{}} }

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

func (s *seen) add(partition int32, offset int64, k, v, header string, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(strings.TrimPrefix(k, "key-"))
	if err != nil {
		return fmt.Errorf("key %q: %w", k, err)
	}
	switch last, again := s.last[partition]; {
	case v != value(n) || header != strconv.Itoa(n) || !t.Equal(at(n)):
		return fmt.Errorf("record %d of partition %d is key %q, value %q, header %q, time %v", offset, partition, k, v, header, t)
	case s.got[n]:
		return fmt.Errorf("%s came twice, again as %d of partition %d", k, offset, partition)
	case again && (offset <= last.offset || n <= last.number):
		return fmt.Errorf("partition %d: %s at %d after %s at %d", partition, k, offset, key(last.number), last.offset)
	}
	s.got[n] = true
	s.last[partition] = position{offset, n}
	return nil
}

func (s *seen) all() error {
	if s.count() != records {
		return fmt.Errorf("%d records of %d", s.count(), records)
	}
	return nil
}
