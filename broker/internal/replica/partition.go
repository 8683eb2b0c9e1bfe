package replica

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/internal/storage"
)

// What a caller can do something about. Errors of storage pass through.
var (
	ErrGone        = errors.New("the partition was deleted")
	ErrOutOfRange  = storage.ErrOffsetOutOfRange
	ErrEpochOld    = errors.New("the leader epoch asked for is older than the partition's")
	ErrEpochFuture = errors.New("the leader epoch asked for is not known here yet")
)

// Config is what a partition is told by its topic.
type Config struct {
	Log             storage.LogConfig
	MaxMessageBytes int           // largest batch
	Durable         bool          // acks=all waits for the disk (flush.messages=1)
	LogAppendTime   bool          // the broker's clock replaces the producer's
	TimestampAfter  time.Duration // how far a record may be ahead of the clock; 0: any
	Compacted       bool          // records need keys
	Deletable       bool          // records may be deleted by age, size and request
	Retention       storage.Retention
}

// Waiter is told that a partition has news: a higher high watermark, or that it is gone.
// It is called often and with no lock held, and must not block.
type Waiter interface{ PartitionChanged() }

// Partition is the local copy of one partition, which leads.
type Partition struct {
	log   *storage.Log
	epoch int32
	cfg   atomic.Pointer[Config]

	high atomic.Int64 // high watermark; -1 until the log was looked at

	mu      sync.Mutex
	gone    bool
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

// StartOffset is the offset of the first record.
func (p *Partition) StartOffset() (int64, error) { return p.log.StartOffset() }

// EndOffset is the offset that the next record gets.
func (p *Partition) EndOffset() (int64, error) { return p.log.EndOffset() }

// Size is what the partition's records take on disk, in bytes.
func (p *Partition) Size() (int64, error) {
	size, err := p.log.Size()
	return size, p.wrap(err)
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

// Append checks one batch of a producer, writes it, and calls done once: for acks=all (-1) when it is durable and
// visible, else when it is written. It may call done before it returns.
func (p *Partition) Append(batch []byte, acks int16, now time.Time, done func(Result, error)) {
	cfg := p.cfg.Load()
	if err := check(batch, cfg, now); err != nil {
		done(Result{}, err)
		return
	}
	res := Result{LogAppendTime: -1}
	if cfg.LogAppendTime {
		res.LogAppendTime = now.UnixMilli()
		stampTime(batch, res.LogAppendTime)
	}
	p.append(batch, acks, now, cfg.Durable, res, done)
}

// AppendOwn is Append for records of the broker itself: no check, always durable before done.
func (p *Partition) AppendOwn(batch []byte, now time.Time, done func(Result, error)) {
	p.append(batch, -1, now, true, Result{LogAppendTime: -1}, done)
}

func (p *Partition) append(batch []byte, acks int16, now time.Time, durable bool, res Result, done func(Result, error)) {
	if _, err := p.HighWatermark(); err != nil { // what is there must be known before something is added
		done(res, p.wrap(err))
		return
	}
	at, err := p.log.Append(batch, p.epoch, now)
	if err != nil {
		done(res, p.wrap(err))
		return
	}
	res.BaseOffset = at.BaseOffset
	if res.StartOffset, err = p.log.StartOffset(); err != nil {
		done(res, p.wrap(err))
		return
	}
	if !durable {
		p.advance(at.NextOffset)
		done(res, nil)
		return
	}
	if acks != -1 {
		done(res, nil)
		p.log.WhenDurable(at.NextOffset, func(err error) {
			if err == nil {
				p.advance(at.NextOffset)
			}
		})
		return
	}
	p.log.WhenDurable(at.NextOffset, func(err error) {
		if err == nil {
			p.advance(at.NextOffset)
		}
		done(res, p.wrap(err))
	})
}

// wrap tells a deletion from a failure.
func (p *Partition) wrap(err error) error {
	if errors.Is(err, storage.ErrClosed) {
		return ErrGone
	}
	return err
}

// advance moves the high watermark and tells who waits for it.
func (p *Partition) advance(to int64) {
	for {
		hw := p.high.Load()
		if hw >= to {
			return
		}
		if p.high.CompareAndSwap(hw, to) {
			break
		}
	}
	p.notify()
}

func (p *Partition) notify() {
	p.mu.Lock()
	if len(p.waiters) == 0 {
		p.mu.Unlock()
		return
	}
	waiters := make([]Waiter, 0, len(p.waiters))
	for w := range p.waiters {
		waiters = append(waiters, w)
	}
	p.mu.Unlock()
	for _, w := range waiters {
		w.PartitionChanged()
	}
}

// Subscribe has w told of news until Unsubscribe.
func (p *Partition) Subscribe(w Waiter) {
	p.mu.Lock()
	gone := p.gone
	p.waiters[w] = struct{}{}
	p.mu.Unlock()
	if gone {
		w.PartitionChanged()
	}
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
	StartOffset   int64
}

// Read finds committed batches from the one that contains offset on: at most max bytes, but the first batch whole if
// minOne. The caller releases the chunk. ErrOutOfRange comes with the watermark and the start.
func (p *Partition) Read(offset int64, max int, minOne bool) (Read, error) {
	hw, err := p.HighWatermark()
	if err != nil {
		return Read{}, p.wrap(err)
	}
	out := Read{HighWatermark: hw}
	if out.StartOffset, err = p.log.StartOffset(); err != nil {
		return out, p.wrap(err)
	}
	if offset > hw {
		end, err := p.log.EndOffset()
		if err != nil {
			return out, p.wrap(err)
		}
		if offset > end {
			return out, ErrOutOfRange
		}
		return out, nil
	}
	out.Chunk, err = p.log.Read(offset, max, hw, minOne)
	return out, p.wrap(err)
}

// OffsetForTime finds the first committed record at or after ts, ms since 1970. -1, -1: none.
func (p *Partition) OffsetForTime(ts int64) (offset, at int64, err error) {
	hw, err := p.HighWatermark()
	if err != nil {
		return -1, -1, err
	}
	return p.log.OffsetForTime(ts, hw)
}

// MaxTime finds the committed record with the largest timestamp (KIP-734). -1, -1: none.
func (p *Partition) MaxTime() (offset, at int64, err error) {
	hw, err := p.HighWatermark()
	if err != nil {
		return -1, -1, err
	}
	return p.log.MaxTime(hw)
}

// delete removes the files and tells who waits.
func (p *Partition) delete() error {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	err := p.log.Delete()
	p.notify()
	return err
}
