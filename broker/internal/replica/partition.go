package replica

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/leatstream/leat/internal/batch"
)

// What a caller can do something about. Errors of storage pass through.
var (
	ErrGone              = storage.ErrDeleted
	ErrOutOfRange        = storage.ErrOffsetOutOfRange
	ErrEpochOld          = errors.New("the leader epoch asked for is older than the partition's")
	ErrEpochFuture       = errors.New("the leader epoch asked for is not known here yet")
	ErrSequence          = storage.ErrSequence
	ErrProducerEpoch     = storage.ErrProducerEpoch
	ErrTxnState          = storage.ErrTxnState
	ErrCoordinatorFenced = storage.ErrCoordinatorFenced
)

// Config is what a partition is told by its topic.
type Config struct {
	Log             storage.LogConfig
	MaxMessageBytes int           // largest batch
	MaxDecompressed int           // the same before compression; 0: 64 times as much
	Compression     *Compression  // of batches in the log; nil: what the producer chose
	Durable         bool          // acks=all waits for the disk (flush.messages=1)
	FlushMessages   int64         // else: after how many records the disk is asked for; 0: never
	FlushAge        time.Duration // and after how long; 0: never
	LogAppendTime   bool          // the broker's clock replaces the producer's
	TimestampBefore time.Duration // how far a record may be behind the clock; 0: any
	TimestampAfter  time.Duration // how far a record may be ahead of the clock; 0: any
	Compacted       bool          // records need keys
	Deletable       bool          // records may be deleted by age, size and request
	Retention       storage.Retention
	Compaction      storage.Compaction // without what the node has for all partitions
}

// Waiter is told that a partition has news: a higher high watermark, or that it is gone. It may use what it is told at once,
// on the goroutine that tells, but must not block. No lock is held, and others are told meanwhile.
type Waiter interface{ PartitionChanged() }

// Partition is the local copy of one partition, which leads.
type Partition struct {
	log   *storage.Log
	epoch int32
	cfg   atomic.Pointer[Config]

	high atomic.Int64 // high watermark; -1 until the log was looked at

	traffic Traffic

	news atomic.Int64 // how often there was some

	mu      sync.Mutex
	gone    bool
	flush   flushing
	waiters map[Waiter]struct{}
}

func newPartition(log *storage.Log, epoch int32, cfg Config) *Partition {
	p := &Partition{log: log, epoch: epoch, waiters: map[Waiter]struct{}{}}
	p.cfg.Store(&cfg)
	p.high.Store(-1)
	return p
}

// Configure changes the partition's settings from the next batch on.
func (p *Partition) Configure(cfg Config) {
	p.cfg.Store(&cfg)
	p.log.Configure(cfg.Log)
}

// LeaderEpoch is the epoch in which this node leads the partition.
func (p *Partition) LeaderEpoch() int32 { return p.epoch }

// CheckEpoch compares the epoch that a client believes in with the partition's. -1 asks nothing.
func (p *Partition) CheckEpoch(epoch int32) error {
	switch {
	case epoch == -1 || epoch == p.epoch:
		return nil
	case epoch < p.epoch:
		return ErrEpochOld
	default:
		return ErrEpochFuture
	}
}

// HighWatermark is the offset below which consumers may read.
func (p *Partition) HighWatermark() (int64, error) {
	if hw := p.high.Load(); hw >= 0 {
		return hw, nil
	}
	end, err := p.log.DurableOffset()
	if err != nil {
		return 0, err
	}
	p.high.CompareAndSwap(-1, end)
	return p.high.Load(), nil
}

// Settle waits until the high watermark covers what is written now, or the disk has failed: a producer that was answered
// before its records were durable (acks=1) counts on them when it asks where the partition ends.
func (p *Partition) Settle() {
	hw, err := p.HighWatermark()
	if err != nil || !p.cfg.Load().Durable {
		return
	}
	end, err := p.log.EndOffset()
	if err != nil || end <= hw {
		return
	}
	settled := make(chan struct{})
	p.log.WhenDurable(end, func(err error) {
		if err == nil {
			p.advance(end)
		}
		close(settled)
	})
	<-settled
}

// StartOffset is the offset of the first record.
func (p *Partition) StartOffset() (int64, error) { return p.log.StartOffset() }

// EndOffset is the offset that the next record gets.
func (p *Partition) EndOffset() (int64, error) { return p.log.EndOffset() }

// Size is what the partition's records take on disk, in bytes.
func (p *Partition) Size() (int64, error) {
	return p.log.Size()
}

// EpochEnd answers OffsetForLeaderEpoch (KIP-101): the largest epoch at or below the one asked for, and its end.
func (p *Partition) EpochEnd(epoch int32) (int32, int64, error) {
	end, err := p.log.EndOffset()
	if err != nil {
		return -1, -1, err
	}
	if epoch == p.epoch {
		return epoch, end, nil // an epoch without records ends where the log does
	}
	return p.log.EpochEnd(epoch)
}

// Result is what an append is answered with.
type Result struct {
	BaseOffset    int64
	LogAppendTime int64 // ms since 1970; -1 where the producer's time counts
	StartOffset   int64
}

// NotAsked is the since of a batch whose transaction's coordinator was not asked about it.
const NotAsked = -1

// Append checks one batch of a producer, writes it, and calls done once: for acks=all (-1) when it is durable and
// visible, else when it is written. It may call done before it returns. A batch that was there already is answered with
// its first offset. since is EndOffset as it was before the coordinator said that the batch is part of a transaction, or
// NotAsked: then the transaction must be open here. If the batch is visible already when it returns, untold is true: who
// called it calls Tell, when all that belongs together is appended.
func (p *Partition) Append(raw []byte, acks int16, since int64, now time.Time, done func(Result, error)) (untold bool) {
	cfg := p.cfg.Load()
	received := len(raw)
	raw, shop, err := prepare(raw, cfg, now)
	if err != nil {
		done(Result{}, err)
		return false
	}
	if shop != nil {
		defer shop.giveBack()
	}
	res := Result{LogAppendTime: -1}
	if cfg.LogAppendTime {
		res.LogAppendTime = now.UnixMilli()
	}
	return p.append(acks, cfg.Durable, res, done, func() (storage.Appended, error) {
		at, err := p.log.AppendClient(raw, p.epoch, since, now)
		if err == nil && !at.Repeated {
			p.traffic.ReceivedBytes.Add(int64(received))
			p.traffic.ReceivedRecords.Add(at.NextOffset - at.BaseOffset)
		}
		return at, err
	})
}

// AppendOwn is Append for records of the broker itself: no check, always durable before done. A transactional batch has a
// producer's id and epoch but no sequence, and opens that producer's transaction.
func (p *Partition) AppendOwn(raw []byte, now time.Time, done func(Result, error)) {
	p.append(-1, true, Result{LogAppendTime: -1}, done, func() (storage.Appended, error) {
		return p.log.Append(raw, p.epoch, now)
	})
}

// Marker is how a transaction ends. Version 2 says that its epoch is one above that of the transaction (KIP-1228).
type Marker struct {
	ProducerID       int64
	ProducerEpoch    int16
	Commit           bool
	CoordinatorEpoch int32
	Version          int16
}

// AppendMarker ends a producer's transaction here; done is called once, when that is durable.
func (p *Partition) AppendMarker(m Marker, now time.Time, done func(Result, error)) {
	p.append(-1, true, Result{LogAppendTime: -1}, done, func() (storage.Appended, error) {
		return p.log.AppendMarker(batch.Marker{
			ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, Commit: m.Commit, CoordinatorEpoch: m.CoordinatorEpoch,
		}, m.Version, p.epoch, now)
	})
}

func (p *Partition) append(acks int16, durable bool, res Result, done func(Result, error), write func() (storage.Appended, error)) (untold bool) {
	if _, err := p.HighWatermark(); err != nil { // what is there must be known before something is added
		done(res, err)
		return false
	}
	at, err := write()
	if err != nil {
		done(res, err)
		return false
	}
	res.BaseOffset = at.BaseOffset
	if at.Repeated && res.LogAppendTime >= 0 {
		res.LogAppendTime = at.Time
	}
	if res.StartOffset, err = p.log.StartOffset(); err != nil {
		done(res, err)
		return false
	}
	if !durable {
		p.written(at.NextOffset-at.BaseOffset, at.NextOffset)
		untold = p.raise(at.NextOffset)
		done(res, nil)
		return untold
	}
	if acks != -1 {
		done(res, nil)
	}
	p.log.WhenDurable(at.NextOffset, func(err error) {
		if err == nil {
			p.advance(at.NextOffset)
		}
		if acks == -1 {
			done(res, err)
		}
	})
	return false
}

// InTransaction tells whether a producer has an open transaction here, in this epoch. A log that cannot be read has none:
// the append that follows says why.
func (p *Partition) InTransaction(producerID int64, epoch int16) bool {
	in, err := p.log.InTransaction(producerID, epoch)
	return err == nil && in
}

// MayBegin refuses a first batch of a producer whose sequence says that others went before it: they failed, and come again.
func (p *Partition) MayBegin(producerID int64, sequence int32) error {
	if sequence <= 0 { // that one below 0 is none, Append says
		return nil
	}
	if known, err := p.log.Knows(producerID); err != nil || known {
		return err
	}
	return fmt.Errorf("%w: producer %d begins with sequence %d, not 0", ErrSequence, producerID, sequence)
}

// Producers lists the producers that the partition knows, by id.
func (p *Partition) Producers(now time.Time) ([]storage.Producer, error) {
	return p.log.Producers(now)
}

// LastStableOffset is the offset below which consumers that read committed may read.
func (p *Partition) LastStableOffset() (int64, error) {
	hw, err := p.HighWatermark()
	if err != nil {
		return 0, err
	}
	return p.log.LastStableOffset(hw)
}

// advance moves the high watermark and tells who waits for it.
func (p *Partition) advance(to int64) {
	if p.raise(to) {
		p.tellLater()
	}
}

// raise moves the high watermark, and says whether that is news, which then is to be told.
func (p *Partition) raise(to int64) bool {
	for {
		hw := p.high.Load()
		if hw >= to {
			return false
		}
		if p.high.CompareAndSwap(hw, to) {
			return true
		}
	}
}

// Tell tells who waits for the partition that there is news: one of them on this goroutine, which spares the wake-up of
// another, and the others on goroutines of their own.
func (p *Partition) Tell() {
	if one := p.tell(true); one != nil {
		one.PartitionChanged()
	}
}

// tellLater is Tell where others wait for this goroutine, such as that which syncs the log.
func (p *Partition) tellLater() { p.tell(false) }

// tell starts a goroutine for everybody who waits, but for one if the caller tells that one itself.
func (p *Partition) tell(self bool) (one Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.news.Add(1)
	for w := range p.waiters {
		if self && one == nil {
			one = w
			continue
		}
		go w.PartitionChanged()
	}
	return one
}

// Subscribe has w told of news until Unsubscribe. known is the news that w has read; missed says that there was more since.
func (p *Partition) Subscribe(w Waiter, known int64) (missed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiters[w] = struct{}{}
	return p.news.Load() != known
}

// Unsubscribe ends what Subscribe began.
func (p *Partition) Unsubscribe(w Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiters, w)
}

// Read is what a fetch gets from one partition.
type Read struct {
	Chunk         storage.Chunk
	HighWatermark int64
	LastStable    int64
	StartOffset   int64
	News          int64             // for Subscribe
	Aborted       []storage.Aborted // transactions with records in Chunk that were aborted, if committed was asked for
}

// Read finds batches below the high watermark from the one that contains offset on: at most max bytes, but the first
// batch whole if minOne. committed: nothing beyond the last stable offset, and with the list of what was aborted. The
// caller releases the chunk. ErrOutOfRange comes with the watermark and the start.
func (p *Partition) Read(offset int64, max int, minOne, committed bool) (Read, error) {
	news := p.news.Load() // before what it is about
	hw, err := p.HighWatermark()
	if err != nil {
		return Read{HighWatermark: -1, LastStable: -1, StartOffset: -1}, err
	}
	out := Read{HighWatermark: hw, LastStable: -1, StartOffset: -1, News: news}
	if out.LastStable, err = p.log.LastStableOffset(hw); err != nil {
		return out, err
	}
	if out.StartOffset, err = p.log.StartOffset(); err != nil {
		return out, err
	}
	limit := hw
	if committed {
		limit = out.LastStable
	}
	if offset > limit {
		end, err := p.log.EndOffset()
		if err != nil {
			return out, err
		}
		if offset > end {
			return out, ErrOutOfRange
		}
		return out, nil
	}
	if out.Chunk, err = p.log.Read(offset, max, limit, minOne); err != nil || !committed || out.Chunk.Len == 0 {
		return out, err
	}
	if out.Aborted, err = p.log.Aborted(offset, out.Chunk.Next); err != nil {
		out.Chunk.Release()
		out.Chunk = storage.Chunk{}
	}
	return out, err
}

// OffsetForTime finds the first record at or after ts, ms since 1970, that consumers may read. -1, -1: none.
func (p *Partition) OffsetForTime(ts int64, committed bool) (offset, at int64, err error) {
	limit, err := p.readable(committed)
	if err != nil {
		return -1, -1, err
	}
	return p.log.OffsetForTime(ts, limit)
}

// MaxTime finds the record with the largest timestamp that consumers may read (KIP-734). -1, -1: none.
func (p *Partition) MaxTime(committed bool) (offset, at int64, err error) {
	limit, err := p.readable(committed)
	if err != nil {
		return -1, -1, err
	}
	return p.log.MaxTime(limit)
}

// readable is the offset below which consumers may read.
func (p *Partition) readable(committed bool) (int64, error) {
	if committed {
		return p.LastStableOffset()
	}
	return p.HighWatermark()
}

// delete removes the files and tells who waits.
func (p *Partition) delete() error {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	err := p.log.Delete()
	p.tellLater()
	return err
}
