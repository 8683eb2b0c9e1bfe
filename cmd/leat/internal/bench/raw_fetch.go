package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawFetch reads everything Passes times. Only the headers of batches are looked at. If there is something to check, a pass
// that is not measured comes first.
func (r *run) rawFetch(ctx context.Context) ([]Measure, error) {
	listed, err := kadm.NewClient(r.cl).ListEndOffsets(ctx, r.topic)
	if err != nil {
		return nil, err
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	if r.Check {
		if _, _, err := r.fetchAll(ctx, "check", ends, &r.read, 1, r.Check); err != nil {
			return nil, err
		}
	}
	var read tally
	m, latency, err := r.fetchAll(ctx, "raw fetch", ends, &read, r.Passes, false)
	if err != nil {
		return nil, err
	}
	measures := m.rates("raw fetch", read.records.Load(), read.bytes.Load())
	return append(measures, latency.measures("raw fetch request")...), nil
}

// fetchAll reads everything so many times on all connections, into a tally.
func (r *run) fetchAll(ctx context.Context, stage string, ends map[int32]int64, into *tally, passes int, check bool) (*meter, *hist, error) {
	total := float64(r.written.records.Load() * int64(passes))
	stop := r.watch(stage, func() (float64, int64) { return float64(into.records.Load()) / max(total, 1), into.records.Load() })
	defer stop()
	var latency hist
	var fetchers []*fetcher
	for _, parts := range r.shares(min(r.Consumers, r.Partitions)) {
		c, err := r.dial(ctx, r.leaders[parts[0]])
		if err != nil {
			return nil, nil, err
		}
		defer c.Close()
		fetchers = append(fetchers, &fetcher{run: r, conn: c, parts: parts, latency: &latency, into: into, check: check})
	}
	m := startMeter(r.PIDs)
	var all sync.WaitGroup
	for _, f := range fetchers {
		all.Go(func() {
			for range passes {
				if err := f.pass(ctx, ends); err != nil {
					r.fail(err)
					return
				}
			}
		})
	}
	all.Wait()
	return m, &latency, nil
}

// fetcher reads partitions on one connection, one request after the other.
type fetcher struct {
	*run
	conn    *conn
	parts   []int32
	latency *hist
	into    *tally
	check   bool // the checksums of batches
	request []byte
}

// pass reads the partitions from their start to their end.
func (f *fetcher) pass(ctx context.Context, ends map[int32]int64) error {
	at := map[int32]int64{}
	for _, p := range f.parts {
		if ends[p] > 0 {
			at[p] = 0
		}
	}
	last := time.Now()
	for len(at) > 0 && ctx.Err() == nil {
		got, err := f.fetch(at, ends)
		if err != nil {
			return err
		}
		if got > 0 {
			last = time.Now()
		} else if time.Since(last) > patience {
			return fmt.Errorf("nothing came for %s", patience)
		}
		f.parts = append(f.parts[1:], f.parts[0]) // as a fair client does: what stands first is filled first
	}
	return nil
}

// fetch asks once, and moves at by what came.
func (f *fetcher) fetch(at, ends map[int32]int64) (records int64, err error) {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 12, 500, 1, 50<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = f.topic
	for _, p := range f.parts {
		if offset, ok := at[p]; ok {
			rp := kmsg.NewFetchRequestTopicPartition()
			rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p, offset, 1<<20
			t.Partitions = append(t.Partitions, rp)
		}
	}
	req.Topics = append(req.Topics, t)
	f.request = f.conn.out.AppendRequest(f.request[:0], req, 1)
	began := time.Now()
	if _, err := f.conn.Write(f.request); err != nil {
		return 0, err
	}
	body, err := f.conn.read(true)
	if err != nil {
		return 0, err
	}
	f.latency.add(time.Since(began))
	resp := kmsg.FetchResponse{Version: 12}
	if err := resp.ReadFrom(body); err != nil {
		return 0, err
	}
	f.throttle.add(time.Duration(resp.ThrottleMillis) * time.Millisecond)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return 0, err
			}
			n, err := f.batches(p.RecordBatches, p.Partition, at, ends)
			if err != nil {
				return 0, err
			}
			records += n
		}
	}
	return records, nil
}

// batches counts batches from what is wanted on; the last one may be cut short.
func (f *fetcher) batches(b []byte, p int32, at, ends map[int32]int64) (records int64, err error) {
	for len(b) >= batch.HeaderLen {
		h, err := batch.ReadHeader(b)
		if errors.Is(err, batch.ErrShort) || err == nil && h.Size() > len(b) {
			return records, nil
		} else if err != nil {
			return records, err
		}
		whole := b[:h.Size()]
		b = b[h.Size():]
		offset, wanted := at[p]
		if !wanted || h.LastOffset() < offset {
			continue
		}
		if f.check && !batch.CheckCRC(whole) {
			return records, fmt.Errorf("partition %d offset %d: the checksum of a batch is wrong", p, h.BaseOffset)
		}
		n := h.LastOffset() + 1 - offset
		records += n
		f.into.records.Add(n)
		f.into.bytes.Add(int64(len(whole)))
		if at[p] = h.LastOffset() + 1; at[p] >= ends[p] {
			delete(at, p)
		}
	}
	return records, nil
}
