package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/leatstream/leat/connect/internal/host"
	"github.com/leatstream/leat/connect/internal/spec"
	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"google.golang.org/grpc"
)

type sinkStream = grpc.BidiStreamingClient[proto.SinkMessage, proto.SinkControl]

type partition struct {
	topic string
	index int32
}

func (p partition) proto() *proto.TopicPartition {
	return &proto.TopicPartition{Topic: p.topic, Partition: p.index}
}

// sinkRun is a sink's life in one process.
type sinkRun struct {
	task     *Task
	epoch    int64
	stream   sinkStream
	consumer *kafka.Consumer
	producer *kafka.Producer // dead letters
	letters  *kafka.Batcher
	ctx      context.Context

	round sync.Mutex              // held while the process is spoken to: partitions come and go between rounds
	in    chan *proto.SinkControl // answers
	broke chan struct{}           // closed with err set: the process failed, or is gone
	once  sync.Once
	err   error

	mu        sync.Mutex // of credit
	credit    int64      // batches that may be sent
	creditMem int64      // bytes that may be sent
	credited  chan struct{}

	seq     map[partition]uint64
	barrier uint64
	next    map[partition]int64 // behind what was acknowledged
	ahead   map[partition]int64 // where the target is further than the group's offsets

	assigned bool // at least once

	held      map[partition]*held // what the target refused for now, and what came after it
	heldBytes int
}

// sink runs until stop ends (and then drains), or something breaks.
func (t *Task) sink(stop, life context.Context, p *host.Plugin, epoch int64) error {
	if err := t.inputs(stop); err != nil {
		return err
	}
	s := &sinkRun{task: t, epoch: epoch, ctx: life, in: make(chan *proto.SinkControl, answersMax), broke: make(chan struct{}), credited: make(chan struct{}, 1), seq: map[partition]uint64{}, next: map[partition]int64{}, ahead: map[partition]int64{}, held: map[partition]*held{}}
	if err := t.open(life, p, epoch, nil); err != nil {
		return err
	}
	var err error
	if s.stream, err = p.Sink(life); err != nil {
		return t.died(life, err)
	}
	go s.receive()
	if s.producer, err = t.client.NewProducer(kafka.ProducerOptions{}); err != nil {
		return err
	}
	defer s.producer.Close()
	s.letters = s.producer.NewBatcher(kafka.BatcherOptions{})
	s.round.Lock() // the first assignment waits until there is a consumer
	s.consumer, err = t.client.NewConsumer(kafka.ConsumerOptions{
		Group: "connect-" + t.Spec.Name, Topics: t.Spec.From, Start: kafka.Start{Latest: t.Spec.Latest},
		Assigned: func(_ context.Context, next map[string]map[int32]int64) error {
			err := s.assign(next)
			if err != nil {
				s.fail(err)
			}
			return err
		},
		Revoked: func(_ context.Context, parts map[string][]int32, lost bool) { s.revoke(parts, lost) },
	})
	s.round.Unlock()
	if err != nil {
		return err
	}
	err = s.loop(stop)
	s.consumer.Close()
	return err
}

// inputs waits until the topics are there: whoever writes them may be about to make them.
func (t *Task) inputs(ctx context.Context) error {
	for _, topic := range t.Spec.From {
		waiting := "waiting for topic " + topic
		for {
			_, err := t.client.Partitions(ctx, topic)
			if err == nil {
				t.update(func(s *Status) {
					if s.LastError == waiting {
						s.LastError = ""
					}
				})
				break
			}
			if !errors.Is(err, kerr.UnknownTopicOrPartition) {
				return fmt.Errorf("input: %w", err)
			}
			t.update(func(s *Status) { s.LastError = waiting })
			select {
			case <-time.After(topicEvery):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// topicEvery is how often a topic that is not there is looked for.
const topicEvery = 50 * time.Millisecond

// answersMax is how many answers may wait to be looked at.
const answersMax = 1024

// receive sorts what the process sends: credit and failures at once, answers for who waits for them.
func (s *sinkRun) receive() {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			s.fail(s.task.died(s.ctx, err))
			return
		}
		if m.GetEpoch() != s.epoch {
			continue
		}
		switch body := m.GetBody().(type) {
		case *proto.SinkControl_Credit:
			s.mu.Lock()
			s.credit += int64(body.Credit.GetBatches())
			s.creditMem += body.Credit.GetBytes()
			s.mu.Unlock()
			select {
			case s.credited <- struct{}{}:
			default:
			}
		case *proto.SinkControl_Failure:
			s.fail(s.task.failure(body.Failure))
		default:
			select {
			case s.in <- m:
			case <-s.ctx.Done():
				s.fail(context.Cause(s.ctx))
				return
			}
		}
	}
}

// fail notes the first reason why this process is of no more use.
func (s *sinkRun) fail(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.broke)
	})
}

func (s *sinkRun) send(m *proto.SinkMessage) error {
	m.Epoch = s.epoch
	if err := s.stream.Send(m); err != nil {
		return s.task.died(s.ctx, err)
	}
	return nil
}

// loop hands on what is polled, round by round.
func (s *sinkRun) loop(stop context.Context) error {
	ctx, cancel := context.WithCancelCause(stop)
	defer cancel(nil)
	watch := make(chan struct{})
	defer close(watch)
	polled := make(chan []kafka.Fetched)
	failed := make(chan error, 1)
	go func() {
		for {
			got, err := s.consumer.Poll(ctx)
			if err != nil {
				failed <- err
				return
			}
			select {
			case polled <- got:
			case <-ctx.Done():
				failed <- context.Cause(ctx)
				return
			case <-watch:
				return
			}
		}
	}()
	look := time.NewTicker(lagEvery)
	defer look.Stop()
	for {
		in, due := polled, s.due()
		if s.full() {
			in = nil
		}
		select {
		case <-due:
			if err := s.retry(); err != nil {
				return err
			}
		case got := <-in:
			s.task.update(func(st *Status) { st.Drained = false })
			if err := s.handle(got); err != nil {
				return err
			}
			if !slices.ContainsFunc(got, func(f kafka.Fetched) bool { return f.Next < f.HighWatermark }) {
				s.look() // the end, it seems
			}
		case <-look.C:
			if err := s.settle(); err != nil {
				return err
			}
			s.look()
		case <-s.broke:
			return s.err
		case err := <-failed:
			if stop.Err() != nil {
				return s.drain()
			}
			return err
		}
	}
}

// lagEvery is how often the log's ends are asked for.
const lagEvery = 500 * time.Millisecond

// look tells people how far the sink is behind the log.
func (s *sinkRun) look() {
	ends := map[string][]int64{}
	for _, topic := range s.task.Spec.From {
		e, err := s.task.client.EndOffsets(s.ctx, topic)
		if err != nil {
			return // the next look may be luckier; until then nothing new is said
		}
		ends[topic] = e
	}
	s.round.Lock()
	var lag int64
	for p, next := range s.next {
		if e := ends[p.topic]; int(p.index) < len(e) {
			lag += max(e[p.index]-next, 0)
		}
	}
	idle := s.assigned && lag == 0
	s.round.Unlock()
	s.task.update(func(st *Status) { st.Lag, st.Drained = lag, idle })
}

// await looks at answers until one is what is waited for.
func (s *sinkRun) await(what string, patience time.Duration, want func(*proto.SinkControl) (bool, error)) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		select {
		case m := <-s.in:
			if ok, err := want(m); ok || err != nil {
				return err
			}
		case <-s.broke:
			return s.err
		case <-deadline.C:
			return fmt.Errorf("plugin %s hangs: no %s within %s", s.task.Spec.Plugin, what, patience)
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// spend waits until a batch may be sent, and takes it off the credit.
func (s *sinkRun) spend(cost int64) error {
	deadline := time.NewTimer(ackPatience)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		ok := s.credit > 0 && s.creditMem > 0
		if ok {
			s.credit--
			s.creditMem -= cost
		}
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-s.credited:
		case <-s.broke:
			return s.err
		case <-deadline.C:
			return fmt.Errorf("plugin %s hangs: no credit within %s", s.task.Spec.Plugin, ackPatience)
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// assign tells the process its partitions. One that keeps offsets in its target says where to go on.
func (s *sinkRun) assign(next map[string]map[int32]int64) error {
	s.round.Lock()
	defer s.round.Unlock()
	m := &proto.SinkAssign{}
	for topic, ps := range next {
		for index := range ps {
			m.Partitions = append(m.Partitions, partition{topic, index}.proto())
		}
	}
	if err := s.send(&proto.SinkMessage{Body: &proto.SinkMessage_Assign{Assign: m}}); err != nil {
		return err
	}
	missing := len(m.GetPartitions())
	return s.await("answer to an assignment", ackPatience, func(c *proto.SinkControl) (bool, error) {
		for _, start := range c.GetAssigned().GetStarts() {
			p := partition{start.GetFrom().GetTopic(), start.GetFrom().GetPartition()}
			if _, ok := next[p.topic][p.index]; !ok {
				continue
			}
			missing--
			if at := start.GetNextOffset(); at >= 0 {
				if at > next[p.topic][p.index] {
					s.ahead[p] = at
				}
				next[p.topic][p.index] = at
			}
			s.next[p] = next[p.topic][p.index]
		}
		s.assigned = missing <= 0
		return s.assigned, nil
	})
}

// revoke takes partitions away. Between rounds all that was sent is acknowledged and committed.
func (s *sinkRun) revoke(parts map[string][]int32, lost bool) {
	s.round.Lock()
	defer s.round.Unlock()
	m := &proto.SinkRevoke{DeadlineMs: drainTime.Milliseconds()}
	for topic, ps := range parts {
		for _, index := range ps {
			p := partition{topic, index}
			m.Partitions = append(m.Partitions, p.proto())
			delete(s.next, p)
			delete(s.ahead, p)
			s.release(p)
		}
	}
	if lost || s.ctx.Err() != nil || s.send(&proto.SinkMessage{Body: &proto.SinkMessage_Revoke{Revoke: m}}) != nil {
		return // a process that does not hear it is started anew
	}
	missing := len(m.GetPartitions())
	_ = s.await("answer to a revocation", drainTime, func(c *proto.SinkControl) (bool, error) {
		missing -= len(c.GetRevoked().GetPartitions())
		return missing <= 0, nil
	}) // the partitions go in any case
}

// handle is one round: send, wait until all is acknowledged or refused for now, commit.
func (s *sinkRun) handle(got []kafka.Fetched) error {
	s.round.Lock()
	defer s.round.Unlock()
	open := map[partition]*kafka.Fetched{}
	for i := range got {
		f := &got[i]
		p := partition{f.Topic, f.Partition}
		at, mine := s.next[p]
		if !mine || f.Next <= at {
			continue
		}
		if open[p] != nil { // two fetches of one partition: one after the other
			if err := s.finish(open); err != nil {
				return err
			}
		}
		if h := s.held[p]; h != nil {
			h.queue = append(h.queue, f)
			s.heldBytes += len(f.Batches)
			continue
		}
		if err := s.give(p, f, false); err != nil {
			return err
		}
		open[p] = f
	}
	return s.finish(open)
}

// give sends what is left of f to the process.
func (s *sinkRun) give(p partition, f *kafka.Fetched, again bool) error {
	frame := f.Batches
	for len(frame) > 0 { // leave out batches that are acknowledged
		h, err := batch.ReadHeader(frame)
		if err != nil {
			return err
		}
		if h.LastOffset() >= s.next[p] {
			break
		}
		frame = frame[h.Size():]
	}
	s.seq[p]++
	b := &proto.SinkBatch{Seq: s.seq[p], From: p.proto(), FirstOffset: max(s.next[p], f.Offset), NextOffset: f.Next, Frame: frame, Rewind: again}
	if err := s.spend(b.Cost()); err != nil {
		return err
	}
	return s.send(&proto.SinkMessage{Body: &proto.SinkMessage_Batch{Batch: b}})
}

// finish waits until what is open is acknowledged or refused for now, sees to verdicts, and commits. It empties open.
func (s *sinkRun) finish(open map[partition]*kafka.Fetched) error {
	if len(open) == 0 {
		return nil
	}
	s.barrier++
	if err := s.send(&proto.SinkMessage{Body: &proto.SinkMessage_Flush{Flush: &proto.Flush{Barrier: s.barrier}}}); err != nil {
		return err
	}
	moved := map[string]map[int32]int64{}
	letters := &letters{}
	for len(open) > 0 {
		if err := s.await("acknowledgement", ackPatience, func(c *proto.SinkControl) (bool, error) {
			return s.answer(c.GetAck(), open, moved, letters)
		}); err != nil {
			return err
		}
	}
	if err := letters.wait(s); err != nil {
		return err
	}
	return s.commit(moved)
}

// settle commits what the target was found to have beyond the group's offsets: where the log has nothing more, no round will.
func (s *sinkRun) settle() error {
	s.round.Lock()
	defer s.round.Unlock()
	return s.commit(map[string]map[int32]int64{})
}

// commit stores how far the partitions have come, those that moved and those that the target is ahead in.
func (s *sinkRun) commit(moved map[string]map[int32]int64) error {
	for p, at := range s.ahead {
		if _, ok := moved[p.topic][p.index]; ok {
			continue
		}
		if moved[p.topic] == nil {
			moved[p.topic] = map[int32]int64{}
		}
		moved[p.topic][p.index] = at
	}
	if len(moved) == 0 {
		return nil
	}
	if err := s.consumer.Commit(s.ctx, moved); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	clear(s.ahead)
	return nil
}

// answer takes an acknowledgement. What is done with, for now or for good, leaves open.
func (s *sinkRun) answer(ack *proto.SinkAck, open map[partition]*kafka.Fetched, moved map[string]map[int32]int64, l *letters) (bool, error) {
	p := partition{ack.GetFrom().GetTopic(), ack.GetFrom().GetPartition()}
	f := open[p]
	if ack == nil || f == nil {
		return false, nil
	}
	before, at := s.next[p], ack.GetNextOffset()
	if err := s.checkAck(f, before, ack); err != nil {
		return false, err
	}
	s.task.records.Add(at - before)
	s.next[p] = at
	refused, wait := false, time.Duration(0)
	for _, v := range ack.GetVerdicts() {
		retry, err := s.judge(p, f, v, l)
		if err != nil {
			return false, err
		}
		if retry {
			refused, wait = true, time.Duration(v.GetRetryAfterMs())*time.Millisecond
		}
	}
	if at > before {
		if moved[p.topic] == nil {
			moved[p.topic] = map[int32]int64{}
		}
		moved[p.topic][p.index] = at
	}
	switch {
	case at >= f.Next:
		s.task.bytes.Add(int64(len(f.Batches)))
		s.passed(p)
		delete(open, p)
	case refused:
		s.hold(p, f, wait)
		delete(open, p)
	}
	return true, nil
}

// checkAck holds an ack to what was given: beyond that, records would be passed over that nobody has seen.
func (s *sinkRun) checkAck(f *kafka.Fetched, from int64, ack *proto.SinkAck) error {
	next := ack.GetNextOffset()
	if next < from || next > f.Next {
		return s.task.broke("it acknowledged %s partition %d up to %d, having been given %d to %d", f.Topic, f.Partition, next, from, f.Next)
	}
	for _, v := range ack.GetVerdicts() {
		at := v.GetOffset()
		ok := at >= from && at < next
		if c := v.GetClass(); c == proto.Class_CLASS_TRANSIENT || c == proto.Class_CLASS_FATAL {
			ok = at == next && at < f.Next
		}
		if !ok {
			return s.task.broke("a verdict on offset %d of %s partition %d, in an ack from %d to %d", at, f.Topic, f.Partition, from, next)
		}
	}
	return nil
}

// judge does what a verdict asks for. retry: the claim is to be sent again.
func (s *sinkRun) judge(p partition, f *kafka.Fetched, v *proto.Verdict, l *letters) (retry bool, err error) {
	text := fmt.Sprintf("plugin %s: %s partition %d offset %d: %s", s.task.Spec.Plugin, p.topic, p.index, v.GetOffset(), v.GetMessage())
	switch v.GetClass() {
	case proto.Class_CLASS_TRANSIENT:
		s.task.update(func(st *Status) { st.LastError = s.task.Spec.Redact(text) })
		return true, nil
	case proto.Class_CLASS_FATAL:
		return false, fatal{errors.New(text)}
	case proto.Class_CLASS_POISON:
		if s.task.Spec.OnError == spec.Stop {
			return false, fatal{errors.New(text)}
		}
		s.task.update(func(st *Status) { st.LastError = s.task.Spec.Redact(text) })
		if s.task.Spec.OnError == spec.Skip {
			return false, nil
		}
		return false, s.bury(p, f, v, l)
	}
	return false, nil
}

// bury writes the record of a verdict to the dead-letter topic.
func (s *sinkRun) bury(p partition, f *kafka.Fetched, v *proto.Verdict, l *letters) error {
	topic := s.task.Spec.DeadLetters()
	if err := s.task.ensureLetters(s.ctx); err != nil {
		return err
	}
	var scratch batch.Scratch
	found := false
	err := f.Each(&scratch, func(h batch.Header, r *batch.Record) error {
		if h.BaseOffset+int64(r.OffsetDelta) != v.GetOffset() {
			return nil
		}
		found = true
		s.task.dead.Add(1)
		headers := append(append([]batch.HeaderKV(nil), r.Headers...), s.task.errorHeaders(v.GetCode(), v.GetMessage(),
			batch.HeaderKV{Key: "__connect.errors.topic", Value: []byte(p.topic)},
			batch.HeaderKV{Key: "__connect.errors.partition", Value: []byte(strconv.Itoa(int(p.index)))},
			batch.HeaderKV{Key: "__connect.errors.offset", Value: []byte(strconv.FormatInt(v.GetOffset(), 10))},
			batch.HeaderKV{Key: "__connect.errors.stage", Value: []byte("TASK_PUT")})...)
		l.open.Add(1)
		return s.letters.Add(s.ctx, topic, 0, h.BaseTimestamp+r.TimestampDelta, r.Key, r.Value, headers, l.done)
	})
	if err == nil && !found {
		err = s.task.broke("a verdict on offset %d of %s partition %d, where there is no record", v.GetOffset(), p.topic, p.index)
	}
	return err
}

// letters are dead letters on their way.
type letters struct {
	open   sync.WaitGroup
	mu     sync.Mutex
	failed error
}

func (l *letters) done(err error) {
	if err != nil {
		l.mu.Lock()
		l.failed = err
		l.mu.Unlock()
	}
	l.open.Done()
}

// wait waits until they are durable: before that their offsets may not be committed.
func (l *letters) wait(s *sinkRun) error {
	if err := s.letters.Flush(s.ctx); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { // ends at the latest when the producer is closed
		l.open.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// drain asks the process to finish. Between rounds there is nothing that it has not acknowledged.
func (s *sinkRun) drain() error {
	s.round.Lock()
	defer s.round.Unlock()
	if err := s.send(&proto.SinkMessage{Body: &proto.SinkMessage_Stop{Stop: &proto.Stop{DeadlineMs: drainTime.Milliseconds()}}}); err != nil {
		return err
	}
	err := s.await("end", drainTime, func(c *proto.SinkControl) (bool, error) { return c.GetDrained() != nil, nil })
	return errors.Join(err, s.stream.CloseSend())
}
