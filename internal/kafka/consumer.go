package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Start says where a group without an offset begins.
type Start struct {
	Latest bool
	Time   time.Time // if set: the first record at or after
}

// ConsumerOptions shape a group consumer.
type ConsumerOptions struct {
	Group  string
	Topics []string
	Start  Start

	// Assigned is called before records of new partitions come. next is the offset that each goes on from.
	Assigned func(ctx context.Context, next map[string]map[int32]int64) error
	// Revoked is called before partitions go to another member, which waits for it. lost: they are gone already.
	Revoked func(ctx context.Context, partitions map[string][]int32, lost bool)
}

// Consumer is a member of a consumer group that hands out whole batches.
type Consumer struct {
	client *Client
	kgo    *kgo.Client
	opts   ConsumerOptions

	ctx     context.Context
	cancel  context.CancelFunc
	fetched chan []Fetched
	fetcher sync.WaitGroup

	mu     sync.Mutex
	places map[topicPartition]*int64 // the offset that is fetched next
	news   chan struct{}             // partitions were assigned
}

// sessionTimeout is how long a member that was killed keeps its partitions from others.
const sessionTimeout = 10 * time.Second

// NewConsumer joins a group.
func (c *Client) NewConsumer(opts ConsumerOptions) (*Consumer, error) {
	k := &Consumer{
		client: c, opts: opts, fetched: make(chan []Fetched, 1), places: map[topicPartition]*int64{}, news: make(chan struct{}, 1),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	own := c.cfg.options()
	if c.cfg.InstanceID != "" {
		own = append(own, kgo.InstanceID(c.cfg.InstanceID))
	}
	cl, err := kgo.NewClient(append(own,
		kgo.SessionTimeout(sessionTimeout), kgo.ConsumerGroup(opts.Group), kgo.ConsumeTopics(opts.Topics...), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.HeartbeatInterval(time.Second), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.OnPartitionsAssigned(k.assigned), kgo.OnPartitionsRevoked(k.revoked), kgo.OnPartitionsLost(k.lost),
	)...)
	if err != nil {
		return nil, err
	}
	cl.PauseFetchTopics(opts.Topics...) // kgo keeps the membership, this package fetches
	k.kgo = cl
	k.fetcher.Go(k.fetchLoop)
	return k, nil
}

// assigned finds out where to begin and starts to fetch.
func (k *Consumer) assigned(ctx context.Context, _ *kgo.Client, parts map[string][]int32) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(k.ctx, cancel)() // Close waits for this
	for attempt := 0; ; attempt++ {
		next, err := k.begin(ctx, parts)
		if err == nil && k.opts.Assigned != nil && len(next) > 0 {
			err = k.opts.Assigned(ctx, next)
		}
		if err == nil {
			k.mu.Lock()
			for topic, ps := range next {
				for p, at := range ps {
					k.places[topicPartition{topic, p}] = &at
				}
			}
			k.mu.Unlock()
			select {
			case k.news <- struct{}{}:
			default:
			}
			return
		}
		k.client.log.Warn("cannot begin with assigned partitions", "group", k.opts.Group, "error", err)
		if backoff(ctx, attempt) != nil || k.ctx.Err() != nil {
			return
		}
	}
}

// begin looks the committed offsets up, or the start where there are none.
func (k *Consumer) begin(ctx context.Context, parts map[string][]int32) (map[string]map[int32]int64, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	committed, err := k.client.adm.FetchOffsets(ctx, k.opts.Group)
	if err != nil {
		return nil, err
	}
	next := map[string]map[int32]int64{}
	for topic, ps := range parts {
		next[topic] = map[int32]int64{}
		for _, p := range ps {
			if o, ok := committed.Lookup(topic, p); ok && o.Err == nil && o.At >= 0 {
				next[topic][p] = o.At
				continue
			}
			if next[topic][p], err = k.start(ctx, topic, p); err != nil {
				return nil, err
			}
		}
	}
	return next, nil
}

func (k *Consumer) start(ctx context.Context, topic string, partition int32) (int64, error) {
	list := k.client.adm.ListStartOffsets
	switch {
	case !k.opts.Start.Time.IsZero():
		offsets, err := k.client.adm.ListOffsetsAfterMilli(ctx, k.opts.Start.Time.UnixMilli(), topic)
		if err != nil {
			return 0, err
		}
		o, _ := offsets.Lookup(topic, partition)
		return o.Offset, o.Err
	case k.opts.Start.Latest:
		list = k.client.adm.ListEndOffsets
	}
	offsets, err := list(ctx, topic)
	if err != nil {
		return 0, err
	}
	o, ok := offsets.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("topic %s: %w", topic, kerr.UnknownTopicOrPartition)
	}
	return o.Offset, o.Err
}

func (k *Consumer) revoked(ctx context.Context, _ *kgo.Client, parts map[string][]int32) {
	k.drop(ctx, parts, false)
}
func (k *Consumer) lost(ctx context.Context, _ *kgo.Client, parts map[string][]int32) {
	k.drop(ctx, parts, true)
}

func (k *Consumer) drop(ctx context.Context, parts map[string][]int32, lost bool) {
	k.mu.Lock()
	for topic, ps := range parts {
		for _, p := range ps {
			delete(k.places, topicPartition{topic, p})
		}
	}
	k.mu.Unlock()
	if k.opts.Revoked != nil && len(parts) > 0 {
		k.opts.Revoked(ctx, parts, lost)
	}
}

// fetchLoop fetches ahead of Poll by one round.
func (k *Consumer) fetchLoop() {
	for attempt := 0; k.ctx.Err() == nil; {
		byLeader, err := k.leaders()
		if len(byLeader) == 0 && err == nil {
			select {
			case <-k.news:
			case <-k.ctx.Done():
			}
			continue
		}
		var got []Fetched
		if err == nil {
			got, err = k.round(byLeader)
		}
		if len(got) > 0 {
			select {
			case k.fetched <- got:
			case <-k.ctx.Done():
			}
		}
		if err == nil {
			attempt = 0
			continue
		}
		if k.ctx.Err() == nil {
			k.client.log.Warn("fetch failed, trying again", "group", k.opts.Group, "error", err)
		}
		_ = backoff(k.ctx, attempt) // its end is the loop's
		attempt++
	}
}

// leaders groups what is wanted by who has it.
func (k *Consumer) leaders() (map[int32][]place, error) {
	k.mu.Lock()
	places := make([]place, 0, len(k.places))
	for at, offset := range k.places {
		places = append(places, place{at, *offset})
	}
	k.mu.Unlock()
	byLeader := map[int32][]place{}
	for _, p := range places {
		leader, _, err := k.client.leader(k.ctx, p.topic, p.partition)
		if err != nil {
			return nil, err
		}
		byLeader[leader] = append(byLeader[leader], p)
	}
	return byLeader, nil
}

// round fetches from every leader at once.
func (k *Consumer) round(byLeader map[int32][]place) ([]Fetched, error) {
	var mu sync.Mutex
	var all []Fetched
	var failed error
	var wait sync.WaitGroup
	for leader, places := range byLeader {
		wait.Go(func() {
			got, errs, err := k.client.fetchFrom(k.ctx, k.kgo, leader, places, fetchWaitMillis)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				k.forget(places)
				failed = errors.Join(failed, err)
				return
			}
			for _, p := range places {
				if err := errs[p.topicPartition]; err != nil {
					failed = errors.Join(failed, k.partitionError(p, err))
				}
			}
			all = append(all, k.accept(got)...)
		})
	}
	wait.Wait()
	return all, failed
}

func (k *Consumer) forget(places []place) {
	for _, p := range places {
		k.client.forget(p.topic)
	}
}

// partitionError makes the next round right: the leader has moved, or the offset is gone from the log.
func (k *Consumer) partitionError(at place, err error) error {
	k.client.forget(at.topic)
	if !errors.Is(err, kerr.OffsetOutOfRange) {
		return fmt.Errorf("%s partition %d: %w", at.topic, at.partition, err)
	}
	start, listErr := k.client.adm.ListStartOffsets(k.ctx, at.topic)
	if listErr != nil {
		return listErr
	}
	o, ok := start.Lookup(at.topic, at.partition)
	k.mu.Lock()
	defer k.mu.Unlock()
	offset := k.places[at.topicPartition]
	if offset == nil || *offset != at.offset {
		return nil // it was another place that is out of range
	}
	if !ok || o.Err != nil || *offset == o.Offset {
		return fmt.Errorf("%s partition %d: %w", at.topic, at.partition, err)
	}
	if *offset < o.Offset {
		k.client.log.Warn("records were deleted before they were read", "group", k.opts.Group, "topic", at.topic, "partition", at.partition,
			"from", *offset, "to", o.Offset)
	} else { // Kafka's clients do this with auto.offset.reset=earliest
		k.client.log.Warn("the log is shorter than what was read, the topic was perhaps made anew: reading it from its start",
			"group", k.opts.Group, "topic", at.topic, "partition", at.partition, "from", *offset, "to", o.Offset)
	}
	*offset = o.Offset
	return nil
}

// accept moves on behind what came, and leaves out partitions that were taken away meanwhile.
func (k *Consumer) accept(got []Fetched) []Fetched {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := got[:0]
	for _, f := range got {
		at := k.places[topicPartition{f.Topic, f.Partition}]
		if at == nil || *at != f.Offset || len(f.Batches) == 0 {
			continue
		}
		*at = f.Next
		f.at = at
		kept = append(kept, f)
	}
	return kept
}

// Poll waits for records.
func (k *Consumer) Poll(ctx context.Context) ([]Fetched, error) {
	for {
		select {
		case got := <-k.fetched:
			if got = k.mine(got); len(got) > 0 {
				return got, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-k.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// mine leaves out what was taken away between fetch and Poll.
func (k *Consumer) mine(got []Fetched) []Fetched {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := got[:0]
	for _, f := range got {
		if k.current(f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// Current tells whether what Poll gave is still wanted: not after its partition was taken away, even if it was given back,
// and not after Seek.
func (k *Consumer) Current(f Fetched) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current(f)
}

func (k *Consumer) current(f Fetched) bool {
	at := k.places[topicPartition{f.Topic, f.Partition}]
	return at != nil && at == f.at
}

// Seek goes back to offset: what was fetched beyond is fetched again.
func (k *Consumer) Seek(topic string, partition int32, offset int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.places[topicPartition{topic, partition}] != nil {
		k.places[topicPartition{topic, partition}] = &offset
	}
}

// Commit stores how far the group has come: the next offset of each partition.
func (k *Consumer) Commit(ctx context.Context, next map[string]map[int32]int64) error {
	return k.CommitNotes(ctx, next, nil)
}

// CommitNotes is Commit with a note beside each offset that has one, which Notes gives back.
func (k *Consumer) CommitNotes(ctx context.Context, next map[string]map[int32]int64, notes map[string]map[int32]string) error {
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				if note, ok := notes[req.Topics[i].Topic][req.Topics[i].Partitions[j].Partition]; ok {
					req.Topics[i].Partitions[j].Metadata = &note
				}
			}
		}
		return nil
	})
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for topic, ps := range next {
		offsets[topic] = map[int32]kgo.EpochOffset{}
		for p, at := range ps {
			offsets[topic][p] = kgo.EpochOffset{Epoch: -1, Offset: at}
		}
	}
	var failed error
	k.kgo.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failed = err
		if resp == nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				failed = errors.Join(failed, kerr.ErrorForCode(p.ErrorCode))
			}
		}
	})
	return failed
}

// Notes are what was committed beside the offsets of a group.
func (c *Client) Notes(ctx context.Context, group string) (map[string]map[int32]string, error) {
	committed, err := c.adm.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	notes := map[string]map[int32]string{}
	committed.Each(func(o kadm.OffsetResponse) {
		if notes[o.Topic] == nil {
			notes[o.Topic] = map[int32]string{}
		}
		notes[o.Topic][o.Partition] = o.Metadata
	})
	return notes, nil
}

// Close leaves the group.
func (k *Consumer) Close() {
	k.cancel()
	k.fetcher.Wait()
	k.kgo.Close()
	if k.client.cfg.InstanceID != "" { // kgo lets static members keep their place; this one says good-bye
		ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
		defer cancel()
		if _, err := k.client.adm.LeaveGroup(ctx, kadm.LeaveGroup(k.opts.Group).InstanceIDs(k.client.cfg.InstanceID)); err != nil {
			k.client.log.Debug("leaving the group failed, its session will end by itself", "group", k.opts.Group, "error", err)
		}
	}
}

// leaveTimeout bounds how long Close waits for the cluster.
const leaveTimeout = 500 * time.Millisecond
