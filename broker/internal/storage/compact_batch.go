package storage

import (
	"errors"
	"math"

	"github.com/leatstream/leat/internal/batch"
)

// rewrite puts what stays of the next segments into one that takes their place, as many as fit, and returns how many those
// are. A segment of which everything stays is left as it is, and so is a damaged one.
func (p *pass) rewrite(rest []*segment) (int, error) {
	if p.damaged[rest[0]] {
		p.unsure = true
		return 1, nil
	}
	w := &cleanedWriter{pass: p, first: rest[0], x: newIndex(rest[0].base)}
	n := 0
	for n == 0 || n < len(rest) && p.fits(w, rest[n-1], rest[n]) {
		if err := p.fill(rest[n], w); err != nil {
			return 0, errors.Join(err, w.abandon())
		}
		n++
	}
	if err := p.fillUp(w, rest[n-1].x.next); err != nil {
		return 0, errors.Join(err, w.abandon())
	}
	if n == 1 && !w.begun() {
		return n, nil
	}
	return n, w.finish(rest[:n])
}

// fits tells whether the next segment can go into the same new one.
func (p *pass) fits(w *cleanedWriter, last, next *segment) bool {
	return next.base < p.to && !p.damaged[next] && last.x.next == next.base &&
		w.x.size+batch.HeaderLen+next.size() <= p.limit && next.x.next-w.first.base <= math.MaxInt32
}

// fill goes through the batches of a segment and gives those that stay, as they stay, to w.
func (p *pass) fill(s *segment, w *cleanedWriter) (err error) {
	if s != w.first && !w.begun() {
		if err := w.begin(); err != nil {
			return err
		}
	}
	if err := p.hold(s); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.release()) }()
	dropped := map[int64]bool{}
	r := &batchReader{segment: s, pause: p.Pause}
	for {
		raw, h, err := r.next()
		if err != nil {
			return err // it could be read a moment ago
		}
		if raw == nil {
			break
		}
		out, err := p.batch(raw, h)
		if err != nil {
			return err
		}
		if len(out) == 0 {
			w.tail = append(w.tail[:0], raw[:batch.HeaderLen]...)
			dropped[h.BaseOffset] = true
			if holder(h) {
				continue // whether it is needed is seen at the end
			}
		}
		if err := w.batch(out, len(out) == len(raw) && &out[0] == &raw[0]); err != nil {
			return err
		}
		p.index(&w.x, out)
	}
	for _, e := range s.x.epochs { // where epochs began, though the records there may be gone
		if n := len(w.x.epochs); n == 0 || w.x.epochs[n-1].epoch != e.epoch {
			w.x.epochs = append(w.x.epochs, e)
		}
	}
	for _, a := range s.x.aborted {
		if !dropped[a.LastOffset] { // without the marker a consumer would not know where the transaction ends
			w.x.aborted = append(w.x.aborted, a)
		}
	}
	return nil
}

// holder tells whether a batch is there only to hold its offsets.
func holder(h batch.Header) bool { return h.Count == 0 && h.ProducerID < 0 }

// fillUp holds the last offsets of the segments, so that what follows is not taken for what comes after a gap.
func (p *pass) fillUp(w *cleanedWriter, end int64) error {
	if w.x.next == end {
		return nil
	}
	h, err := batch.ReadHeader(w.tail)
	if err != nil {
		return err
	}
	p.out = append(p.out[:0], w.tail...)
	if !holder(h) {
		if p.out, err = batch.Empty(p.out[:0], w.tail, false); err != nil {
			return err
		}
	}
	// A segment that ended with one before, and lost nothing, is as it was.
	same := holder(h) && w.same+int64(len(p.out)) == w.first.size()
	p.index(&w.x, p.out)
	return w.batch(p.out, same)
}

// index notes a batch that stays. Epochs are taken over from the old segments.
func (p *pass) index(x *index, out []byte) {
	if len(out) == 0 {
		return
	}
	h, _ := batch.ReadHeader(out) // it was made or read here
	epochs := x.epochs
	x.add(h.BaseOffset, h.LastOffset(), h.MaxTimestamp, int64(len(out)), h.LeaderEpoch)
	x.epochs = epochs
	if at, ok := h.DeleteHorizon(); ok {
		p.horizon = min(p.horizon, at)
	}
}

// batch returns what stays of a batch: raw itself, another one, or nothing.
func (p *pass) batch(raw []byte, h batch.Header) ([]byte, error) {
	switch {
	case holder(h):
		return nil, nil
	case h.BaseOffset >= p.to:
		return raw, nil
	case h.Control():
		return p.marker(raw, h)
	case h.Transactional():
		p.begun[h.ProducerID] = true
	}
	if p.isAborted(h) {
		return p.without(raw, h)
	}
	return p.records(raw, h)
}

// without drops a batch, or leaves it empty where it holds the last sequence of a producer.
func (p *pass) without(raw []byte, h batch.Header) ([]byte, error) {
	if w, ok := p.last[h.ProducerID]; !ok || h.ProducerID < 0 || w.last != h.LastOffset() {
		return nil, nil
	}
	if h.Count == 0 {
		return raw, nil
	}
	var err error
	p.out, err = batch.Empty(p.out[:0], raw, true)
	return p.out, err
}

// marker keeps the end of a transaction while there are records of it, and for a while after.
func (p *pass) marker(raw []byte, h batch.Header) ([]byte, error) {
	if p.begun[h.ProducerID] || p.unsure {
		delete(p.begun, h.ProducerID)
		return raw, nil
	}
	if _, err := batch.ReadMarker(raw); err != nil {
		return raw, nil //nolint:nilerr // a control batch of another kind is not ours to judge
	}
	w, known := p.last[h.ProducerID]
	at, set := h.DeleteHorizon()
	switch {
	case !set:
		var err error
		p.out, err = batch.Rewrite(p.out[:0], raw, &p.scratch, p.now+p.Tombstones.Milliseconds(), func(*batch.Record) bool { return true })
		return p.out, err
	case p.now < at || known && w.last < 0 && w.epoch == h.ProducerEpoch:
		return raw, nil
	default:
		return nil, nil
	}
}

// records keeps the last record of every key, and tombstones for a while.
func (p *pass) records(raw []byte, h batch.Header) ([]byte, error) {
	at, set := h.DeleteHorizon()
	expired := set && at <= p.now && !p.unsure
	kept, tombstones := 0, false
	p.keep = p.keep[:0]
	err := batch.Walk(raw, batch.Limits{}, &p.scratch, func(r *batch.Record) error {
		last := r.Key != nil && p.keys.get(r.Key) <= h.BaseOffset+int64(r.OffsetDelta)
		keep := last && (r.Value != nil || !expired)
		p.keep = append(p.keep, keep)
		if keep {
			kept++
			tombstones = tombstones || r.Value == nil
		}
		return nil
	})
	if err != nil {
		p.unsure = true
		return raw, nil //nolint:nilerr // what cannot be read is not ours to drop
	}
	horizon := int64(-1)
	if tombstones && !set {
		horizon = p.now + min(p.Tombstones.Milliseconds(), math.MaxInt64-p.now)
	}
	switch {
	case kept == 0:
		return p.without(raw, h)
	case kept == int(h.Count) && horizon < 0:
		return raw, nil
	}
	i := -1
	p.out, err = batch.Rewrite(p.out[:0], raw, &p.scratch, horizon, func(*batch.Record) bool {
		i++
		return p.keep[i]
	})
	return p.out, err
}
