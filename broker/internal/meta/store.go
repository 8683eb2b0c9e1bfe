package meta

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// Log makes decisions durable, in one order for the whole cluster. An entry is the encoded records of one decision.
type Log interface {
	// Start hands every entry that is committed to apply, in order, and goes on doing so for those to come.
	Start(apply func(entry [][]byte) error) error
	// Propose adds an entry. When it returns nil the entry is committed and was applied here.
	Propose(ctx context.Context, entry [][]byte) error
}

// Store holds the current image and is the only way to change it.
type Store struct {
	log   Log
	image atomic.Pointer[Image]

	offset atomic.Int64 // of the log, behind what image has

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

// Start replays the log. Subscribers that came before see each image.
func (s *Store) Start() error { return s.log.Start(s.apply) }

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

func (s *Store) apply(entry [][]byte) error {
	records := make([]Record, len(entry))
	for i, b := range entry {
		r, err := Decode(b)
		if err != nil {
			return err
		}
		records[i] = r
	}
	old := s.Image()
	next := old.Apply(records...)
	s.mu.Lock()
	subscribers := s.subscribers
	s.mu.Unlock()
	for _, fn := range subscribers {
		fn(old, next)
	}
	s.image.Store(next)
	s.offset.Add(int64(len(entry)))
	return nil
}
