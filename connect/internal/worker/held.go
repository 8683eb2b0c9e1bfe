package worker

import (
	"time"

	"github.com/leatstream/leat/internal/kafka"
)

// heldMax is how many bytes of records may wait behind refused ones before the sink reads no more, of any partition.
const heldMax = 32 << 20

// held is a partition whose first fetch the target refused for now. Other partitions go on meanwhile.
type held struct {
	queue   []*kafka.Fetched // in order; the first was refused, from the offset that comes next
	rewind  bool             // the process drops what comes until it is told that this is the repetition
	attempt int
	due     time.Time
}

// hold keeps what was refused until it is tried again, later and later.
func (s *sinkRun) hold(p partition, f *kafka.Fetched, wait time.Duration) {
	h := s.held[p]
	if h == nil {
		h = &held{queue: []*kafka.Fetched{f}}
		s.held[p] = h
		s.heldBytes += len(f.Batches)
	}
	if wait == 0 {
		wait = min(backoffFirst<<min(h.attempt, 10), backoffMax)
	}
	h.attempt++
	h.rewind, h.due = true, time.Now().Add(wait)
}

// passed takes the first fetch of a held partition off: it is acknowledged.
func (s *sinkRun) passed(p partition) {
	h := s.held[p]
	if h == nil {
		return
	}
	s.heldBytes -= len(h.queue[0].Batches)
	h.queue = h.queue[1:]
	h.rewind, h.attempt, h.due = false, 0, time.Time{}
	if len(h.queue) == 0 {
		delete(s.held, p)
	}
}

// release forgets a partition that is another member's now.
func (s *sinkRun) release(p partition) {
	h := s.held[p]
	if h == nil {
		return
	}
	for _, f := range h.queue {
		s.heldBytes -= len(f.Batches)
	}
	delete(s.held, p)
}

// full tells whether too much waits to read more.
func (s *sinkRun) full() bool {
	s.round.Lock()
	defer s.round.Unlock()
	return s.heldBytes >= heldMax
}

// due is when something is to be tried again; nil: there is nothing.
func (s *sinkRun) due() <-chan time.Time {
	s.round.Lock()
	defer s.round.Unlock()
	if len(s.held) == 0 {
		return nil
	}
	wait := lagEvery // then this is asked again
	for _, h := range s.held {
		wait = min(wait, time.Until(h.due))
	}
	return time.After(wait)
}

// retry gives the first of each held partition that is due.
func (s *sinkRun) retry() error {
	s.round.Lock()
	defer s.round.Unlock()
	open := map[partition]*kafka.Fetched{}
	for p, h := range s.held {
		if time.Now().Before(h.due) {
			continue
		}
		if err := s.give(p, h.queue[0], h.rewind); err != nil {
			return err
		}
		open[p] = h.queue[0]
	}
	return s.finish(open)
}
