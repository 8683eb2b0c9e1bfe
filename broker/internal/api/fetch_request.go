package api

import (
	"fmt"
	"slices"
	"time"

	"github.com/leatstream/leat/broker/internal/meta"
)

// fetchRequest is a decoded Fetch request of any version.
type fetchRequest struct {
	version   int16
	replica   int32
	maxWait   time.Duration
	minBytes  int32
	maxBytes  int32
	committed bool // nothing of transactions that are open or were aborted
	session   int32
	epoch     int32
	wanted    []wantedPartition
	forgotten []partitionKey
}

// readCommitted is the isolation level of clients that want nothing of transactions that are open or were aborted.
const readCommitted = 1

// partitionKey names a partition as the request does: by topic name or by topic id.
type partitionKey struct {
	name  string
	id    meta.TopicID
	index int32
}

// wantedPartition is what a client wants of one partition.
type wantedPartition struct {
	partitionKey
	leaderEpoch int32
	offset      int64
	maxBytes    int32

	// What the session sent last.
	high, start int64
	failed      bool
}

func decodeFetch(version int16, body []byte) (*fetchRequest, error) {
	r := reader{b: body, flexible: version >= fetchFlexible}
	f := &fetchRequest{version: version, replica: -1, epoch: -1}
	if version <= 14 {
		f.replica = r.i32()
	}
	f.maxWait = time.Duration(r.i32()) * time.Millisecond
	f.minBytes = r.i32()
	f.maxBytes = r.i32()
	f.committed = r.i8() == readCommitted
	if version >= 7 {
		f.session, f.epoch = r.i32(), r.i32()
	}
	for range r.array(2) {
		name, id := r.topic(version)
		n := r.array(16)
		f.wanted = slices.Grow(f.wanted, n)
		for range n {
			f.wanted = append(f.wanted, r.wanted(version, name, id))
		}
		r.tags(nil)
	}
	if version >= 7 {
		for range r.array(2) {
			name, id := r.topic(version)
			n := r.array(4)
			f.forgotten = slices.Grow(f.forgotten, n)
			for range n {
				f.forgotten = append(f.forgotten, partitionKey{name, id, r.i32()})
			}
			r.tags(nil)
		}
	}
	if version >= 11 {
		r.str() // rack
	}
	r.tags(func(tag int, value *reader) {
		if tag == 1 { // replica state, version 15 on
			f.replica = value.i32()
		}
	})
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: Fetch", ErrMalformed)
	}
	return f, nil
}

func (r *reader) topic(version int16) (name string, id meta.TopicID) {
	if version >= fetchByID {
		return "", r.topicID()
	}
	return r.str(), id
}

func (r *reader) wanted(version int16, name string, id meta.TopicID) wantedPartition {
	w := wantedPartition{partitionKey: partitionKey{name: name, id: id, index: r.i32()}, leaderEpoch: -1, high: -1, start: -1}
	if version >= 9 {
		w.leaderEpoch = r.i32()
	}
	w.offset = r.i64()
	if version >= 12 {
		r.i32() // last fetched epoch: for followers
	}
	if version >= 5 {
		r.i64() // log start offset: for followers
	}
	w.maxBytes = r.i32()
	r.tags(nil)
	return w
}

// fullSession tells whether the request lists everything that the client wants.
func (r *fetchRequest) fullSession() bool { return r.epoch == 0 || r.epoch == -1 }
