package meta

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
)

// Log makes decisions durable, in one order for the whole cluster. An entry is the encoded records of one decision.
type Log interface {
	// Start brings m to what the committed entries make of it, and goes on applying those to come.
	Start(m Machine) error
	// Propose adds an entry. When it returns nil the entry is committed and was applied here.
	Propose(ctx context.Context, entry [][]byte) error
}

// Machine is what the entries of a Log are applied to, one after the other: the same wherever that is done.
type Machine interface {
	Apply(entry [][]byte) error
	// Snapshot is the state after the last entry, as encoded records. They are made while they are read, beside further entries.
	Snapshot() iter.Seq[[]byte]
	// Restore makes the state that of a snapshot. offset is of the first record that is not in it.
	Restore(offset int64, records [][]byte) error
}

// Store holds the current image and is the only way to change it.
type Store struct {
	log   Log
	image atomic.Pointer[Image]

	offset atomic.Int64 // of the log, behind what image has

	loading *draft    // what Start has read so far; nil: it is done
	deleted []TopicID // that it saw deleted

	deciding sync.Mutex // one decision at a time: each is made on the image that it changes

	mu          sync.Mutex
	subscribers []func(old, new *Image)
}

// NewStore returns a store whose image is empty until Start.
func NewStore(log Log) *Store {
	s := &Store{log: log}
	s.image.Store(NewImage())
	return s
}

// Start reads the log. Subscribers that came before see the image that it makes, and none of those on the way.
func (s *Store) Start() error {
	s.loading = newDraft(s.Image())
	if err := s.log.Start(s); err != nil {
		return err
	}
	next := s.loading.done()
	s.loading, s.deleted = nil, s.loading.deleted
	s.publish(next)
	return nil
}

// Deleted are the topics that Start saw deleted.
func (s *Store) Deleted() []TopicID { return s.deleted }

// Image is the cluster as it is now.
func (s *Store) Image() *Image { return s.image.Load() }

// Offset is the place in the log that Image has come to.
func (s *Store) Offset() int64 { return s.offset.Load() }

// Subscribe has fn called with every change from now on, in order, before anybody else can see it: who learns of a topic
// finds its partitions open. fn must not propose, and Image is still the old one.
func (s *Store) Subscribe(fn func(old, new *Image)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(s.subscribers, fn)
}

// Propose has decide look at the current image, makes the records that it returns durable, and returns the image
// after them. An error of decide is returned as it is and nothing changes; no records change nothing.
func (s *Store) Propose(ctx context.Context, decide func(*Image) ([]Record, error)) (*Image, error) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	records, err := decide(s.Image())
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return s.Image(), nil
	}
	entry := make([][]byte, len(records))
	for i, r := range records {
		entry[i] = Encode(nil, r)
	}
	if err := s.log.Propose(ctx, entry); err != nil {
		return nil, fmt.Errorf("write the metadata log: %w", err)
	}
	return s.Image(), nil
}

// Apply changes the image by an entry that is committed.
func (s *Store) Apply(entry [][]byte) error {
	records, err := decodeAll(entry)
	if err != nil {
		return err
	}
	if s.loading != nil {
		s.loading.add(records...)
	} else {
		s.publish(s.Image().Apply(records...))
	}
	s.offset.Add(int64(len(entry)))
	return nil
}

// Snapshot encodes the records that make the image as it is now.
func (s *Store) Snapshot() iter.Seq[[]byte] {
	image := s.Image()
	return func(yield func([]byte) bool) {
		var b []byte
		for _, r := range image.Records() {
			if b = Encode(b[:0], r); !yield(b) {
				return
			}
		}
	}
}

// Restore makes the image that of a snapshot.
func (s *Store) Restore(offset int64, encoded [][]byte) error {
	records, err := decodeAll(encoded)
	if err != nil {
		return err
	}
	d := newDraft(NewImage())
	d.add(records...)
	if s.loading != nil {
		s.loading = d
	} else {
		s.publish(d.done())
	}
	s.offset.Store(offset)
	return nil
}

func decodeAll(encoded [][]byte) ([]Record, error) {
	records := make([]Record, len(encoded))
	for i, b := range encoded {
		var err error
		if records[i], err = Decode(b); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// publish makes next the image.
func (s *Store) publish(next *Image) {
	s.mu.Lock()
	subscribers := s.subscribers
	s.mu.Unlock()
	old := s.Image()
	for _, fn := range subscribers {
		fn(old, next)
	}
	s.image.Store(next)
}
