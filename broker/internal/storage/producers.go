package storage

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/leatstream/leat/internal/batch"
)

// What a producer's batch or a transaction's end can violate (KIP-98, KIP-360, KIP-890, KIP-1228).
var (
	ErrSequence          = errors.New("out of order sequence number")
	ErrProducerEpoch     = errors.New("the producer's epoch is older than the newest known")
	ErrTxnState          = errors.New("not allowed in this state of the producer's transaction")
	ErrCoordinatorFenced = errors.New("the coordinator's epoch is older than the newest known")
)

// remembered is how many of a producer's last batches are known, so that a repeated one is answered as the first time.
const remembered = 5

// Producer is what a log knows about a producer.
type Producer struct {
	ID               int64
	Epoch            int16
	CoordinatorEpoch int32 // of the last marker; -1: none
	TxnStart         int64 // first offset of the open transaction; -1: none is open
	LastSeen         int64 // when it last wrote, ms since 1970 by the broker's clock

	lastMarker int64 // offset of the last marker since the log was opened; -1: none
	sent       [remembered]sent
	n          int // of sent, oldest first
}

// sent is a batch of a producer.
type sent struct {
	first, last int32 // sequences
	base        int64
	delta       int32 // last offset - base
	time        int64 // max timestamp
}

// LastSequence is that of the producer's last record in its epoch; -1: it wrote none.
func (p *Producer) LastSequence() int32 {
	if p.n == 0 {
		return -1
	}
	return p.sent[p.n-1].last
}

// Aborted is a transaction whose records nobody who reads committed may see.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
	LastOffset  int64 // of the marker
	stable      int64 // last stable offset when it ended: no transaction that ended later began before
}

// open is a transaction that has not ended, or whose end may not be durable yet.
type open struct {
	producer    int64
	first, last int64 // last: of the marker
}

// producers is the state of all producers of a log, a function of its batches. The log's mutex guards it.
type producers struct {
	known    map[int64]*Producer
	open     []open // by first offset
	finished []open // with a marker that may not be below the high watermark yet
	pruned   int    // size of known after the last time old ones were dropped
}

func newProducers() producers { return producers{known: map[int64]*Producer{}} }

// origin is who gave a batch to the log.
type origin int8

const (
	fromClient origin = iota
	fromSelf          // the broker's own records: no sequences
)

// check tells whether a batch may follow, before it is written. A repeated batch is returned as it was sent first. since
// is where the log ended when the transaction's coordinator was asked whether the batch belongs to it; -1: it was not.
func (ps *producers) check(h *batch.Header, from origin, since int64) (*sent, error) {
	if h.ProducerID < 0 {
		if h.Transactional() {
			return nil, fmt.Errorf("%w: a transactional batch without a producer id", ErrTxnState)
		}
		return nil, nil
	}
	p := ps.known[h.ProducerID]
	if p == nil {
		if from == fromClient && h.Transactional() && since < 0 {
			return nil, fmt.Errorf("%w: the partition is not part of producer %d's transaction", ErrTxnState, h.ProducerID)
		}
		return nil, nil
	}
	if from == fromClient {
		if again := p.repeated(h); again != nil {
			return again, nil
		}
	}
	if h.ProducerEpoch < p.Epoch {
		return nil, fmt.Errorf("%w: producer %d has epoch %d, not %d", ErrProducerEpoch, p.ID, p.Epoch, h.ProducerEpoch)
	}
	if from == fromClient {
		if err := p.follows(h); err != nil {
			return nil, err
		}
	}
	switch {
	case h.Transactional() && p.TxnStart < 0 && from == fromClient && (since < 0 || p.lastMarker >= since):
		return nil, fmt.Errorf("%w: the partition is not part of producer %d's transaction", ErrTxnState, p.ID)
	case !h.Transactional() && p.TxnStart >= 0:
		return nil, fmt.Errorf("%w: producer %d has an open transaction", ErrTxnState, p.ID)
	}
	return nil, nil
}

// repeated finds the batch that h sends again.
func (p *Producer) repeated(h *batch.Header) *sent {
	if h.ProducerEpoch != p.Epoch {
		return nil
	}
	for i := range p.sent[:p.n] {
		s := &p.sent[i]
		if s.first == h.BaseSequence && s.last == lastSequence(h) {
			return s
		}
	}
	return nil
}

// follows checks the sequence. The first batch of a producer that is unknown here may have any.
func (p *Producer) follows(h *batch.Header) error {
	want := int32(0)
	if h.ProducerEpoch == p.Epoch {
		want = nextSequence(p.LastSequence())
	}
	if h.BaseSequence != want {
		return fmt.Errorf("%w: producer %d in epoch %d goes on with sequence %d, not %d", ErrSequence, p.ID, h.ProducerEpoch, want, h.BaseSequence)
	}
	return nil
}

// nextSequence counts up to the largest int32 and then begins again at 0.
func nextSequence(s int32) int32 {
	if s == math.MaxInt32 {
		return 0
	}
	return s + 1
}

func lastSequence(h *batch.Header) int32 {
	return int32((int64(h.BaseSequence) + int64(h.LastOffsetDelta)) & math.MaxInt32)
}

// add notes a batch that is in the log now.
func (ps *producers) add(h *batch.Header, now int64) {
	if h.ProducerID < 0 || h.Control() {
		return
	}
	p := ps.producer(h.ProducerID, h.ProducerEpoch)
	p.LastSeen = now
	if h.BaseSequence >= 0 {
		if p.n == remembered {
			copy(p.sent[:], p.sent[1:])
			p.n--
		}
		p.sent[p.n] = sent{h.BaseSequence, lastSequence(h), h.BaseOffset, h.LastOffsetDelta, h.MaxTimestamp}
		p.n++
	}
	if h.Transactional() && p.TxnStart < 0 {
		p.TxnStart = h.BaseOffset
		ps.open = append(ps.open, open{producer: p.ID, first: h.BaseOffset})
	}
}

// producer finds or makes the entry of a producer and moves it to epoch, in which it has sent nothing yet.
func (ps *producers) producer(id int64, epoch int16) *Producer {
	p := ps.known[id]
	if p == nil {
		p = &Producer{ID: id, Epoch: epoch, CoordinatorEpoch: -1, TxnStart: -1, lastMarker: -1}
		ps.known[id] = p
	}
	if p.Epoch != epoch {
		p.Epoch, p.n = epoch, 0
	}
	return p
}

// checkMarker tells whether a transaction may end so. done: it has already.
func (ps *producers) checkMarker(m batch.Marker, version int16) (done bool, err error) {
	p := ps.known[m.ProducerID]
	if p == nil {
		return false, nil
	}
	switch {
	case m.ProducerEpoch < p.Epoch:
		return false, fmt.Errorf("%w: producer %d has epoch %d, the marker %d", ErrProducerEpoch, p.ID, p.Epoch, m.ProducerEpoch)
	case m.CoordinatorEpoch < p.CoordinatorEpoch:
		return false, fmt.Errorf("%w: %d, the newest is %d", ErrCoordinatorFenced, m.CoordinatorEpoch, p.CoordinatorEpoch)
	case version >= 2 && m.ProducerEpoch == p.Epoch:
		// The end of a transaction has an epoch of its own (KIP-1228): one that came late is not the end of the next.
		if p.TxnStart >= 0 {
			return false, fmt.Errorf("%w: the transaction of producer %d was begun in epoch %d, which the marker should exceed", ErrProducerEpoch, p.ID, p.Epoch)
		}
		return p.CoordinatorEpoch >= 0, nil
	}
	return false, nil
}

// end notes a marker that is in the log at offset, and returns what it ended, if that was aborted.
func (ps *producers) end(m batch.Marker, offset, now int64) (Aborted, bool) {
	p := ps.producer(m.ProducerID, m.ProducerEpoch)
	p.CoordinatorEpoch, p.lastMarker, p.LastSeen = m.CoordinatorEpoch, offset, now
	first := p.TxnStart
	if first < 0 {
		return Aborted{}, false // a transaction without records here
	}
	p.TxnStart = -1
	ps.open = slices.DeleteFunc(ps.open, func(o open) bool { return o.producer == p.ID })
	ps.finished = append(ps.finished, open{p.ID, first, offset})
	stable := offset + 1
	if len(ps.open) > 0 {
		stable = ps.open[0].first
	}
	return Aborted{p.ID, first, offset, stable}, !m.Commit
}

// stable is the last stable offset: everything below it is decided, and so it stays.
func (ps *producers) stable(high int64) int64 {
	if len(ps.open) > 0 {
		high = min(high, ps.open[0].first)
	}
	return high
}

// lastStable is stable, where a transaction whose marker is not below the high watermark is still undecided.
func (ps *producers) lastStable(high int64) int64 {
	ps.finished = slices.DeleteFunc(ps.finished, func(o open) bool { return o.last < high })
	at := ps.stable(high)
	for _, o := range ps.finished {
		at = min(at, o.first)
	}
	return at
}

// expire drops producers without an open transaction that have not written for as long as expiry; 0: none.
func (ps *producers) expire(now time.Time, expiry time.Duration) {
	if expiry == 0 {
		return
	}
	before := now.Add(-expiry).UnixMilli()
	for id, p := range ps.known {
		if p.TxnStart < 0 && p.LastSeen < before {
			delete(ps.known, id)
		}
	}
	ps.pruned = len(ps.known)
}

// The form in index files: docs/formats/segment.md.
const (
	producerFixed = 8 + 2 + 4 + 8 + 8 + 1
	producerSent  = 4 + 4 + 8 + 4 + 8
)

func (ps *producers) encode() []byte {
	be := binary.BigEndian
	b := make([]byte, 0, len(ps.known)*(producerFixed+remembered*producerSent))
	for _, p := range ps.known {
		b = be.AppendUint64(b, uint64(p.ID))
		b = be.AppendUint16(b, uint16(p.Epoch))
		b = be.AppendUint32(b, uint32(p.CoordinatorEpoch))
		b = be.AppendUint64(b, uint64(p.TxnStart))
		b = be.AppendUint64(b, uint64(p.LastSeen))
		b = append(b, byte(p.n))
		for _, s := range p.sent[:p.n] {
			b = be.AppendUint32(b, uint32(s.first))
			b = be.AppendUint32(b, uint32(s.last))
			b = be.AppendUint64(b, uint64(s.base))
			b = be.AppendUint32(b, uint32(s.delta))
			b = be.AppendUint64(b, uint64(s.time))
		}
	}
	return b
}

// decodeProducers reads what encode wrote. The bytes come from a file whose checksum was right.
func decodeProducers(b []byte) (producers, error) {
	be := binary.BigEndian
	ps := newProducers()
	for len(b) > 0 {
		if len(b) < producerFixed {
			return ps, errIndex
		}
		p := &Producer{
			ID: int64(be.Uint64(b)), Epoch: int16(be.Uint16(b[8:])), CoordinatorEpoch: int32(be.Uint32(b[10:])),
			TxnStart: int64(be.Uint64(b[14:])), LastSeen: int64(be.Uint64(b[22:])), n: int(b[30]), lastMarker: -1,
		}
		b = b[producerFixed:]
		if p.n > remembered || len(b) < p.n*producerSent {
			return ps, errIndex
		}
		for i := range p.n {
			p.sent[i] = sent{int32(be.Uint32(b)), int32(be.Uint32(b[4:])), int64(be.Uint64(b[8:])), int32(be.Uint32(b[16:])), int64(be.Uint64(b[20:]))}
			b = b[producerSent:]
		}
		ps.known[p.ID] = p
		if p.TxnStart >= 0 {
			ps.open = append(ps.open, open{producer: p.ID, first: p.TxnStart})
		}
	}
	slices.SortFunc(ps.open, func(a, b open) int { return cmp.Compare(a.first, b.first) })
	return ps, nil
}

// pruneAt is from how many producers on those that expired are looked for, whenever their number has doubled.
const pruneAt = 1000

// prune drops expired producers now and then, so that their number is bounded by those of one expiry.
func (ps *producers) prune(now time.Time, expiry time.Duration) {
	if len(ps.known) >= max(pruneAt, 2*ps.pruned) {
		ps.expire(now, expiry)
	}
}
