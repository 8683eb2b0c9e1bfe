package api

import (
	"errors"
	"fmt"
	"sync"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/quota"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
)

const keyProduce = 0

const (
	produceMin      = 3
	produceMax      = 13
	produceFlexible = 9
	produceByID     = 13
)

// Versions before 3 are advertised and refused: old librdkafka takes the lowest version for what a broker can do (KAFKA-18659).
var _ = register(&served{
	key: keyProduce, min: 0, max: produceMax,
	flexible: func(v int16) bool { return v >= produceFlexible },
	serve:    (*API).produce,
})

// produced is the answer for one partition.
type produced struct {
	index int32
	res   replica.Result
	err   error
}

type producedTopic struct {
	name       string
	id         meta.TopicID
	refused    error // why the client may not write to the topic
	partitions []produced
}

// producing is a request whose partitions answer one by one.
type producing struct {
	api     *API
	call    *Call
	size    int // of the request, bytes
	version int16
	topics  []producedTopic
	reply   func(Reply, error)
	acks    int16

	mu   sync.Mutex
	left int // partitions without an answer, and one for the loop that asks them
}

// produce reads the request in place: the batches go to the log out of the frame.
func (a *API) produce(c *Call, body []byte, reply func(Reply, error)) {
	if c.Version < produceMin {
		reply(Reply{}, fmt.Errorf("%w: Produce version %d is too old", ErrMalformed, c.Version))
		return
	}
	r := reader{b: body, flexible: c.Version >= produceFlexible}
	transactional := r.str()
	acks := r.i16()
	r.i32() // timeout: there is one replica, nobody is waited for
	var refuse error
	switch {
	case acks < -1 || acks > 1:
		refuse = kerr.InvalidRequiredAcks
	case transactional != "":
		refuse = a.allow(c, auth.Write, auth.TransactionalID, transactional)
	}
	p := &producing{api: a, call: c, size: len(body), version: c.Version, reply: reply, acks: acks, left: 1}
	type work struct {
		topic, partition int
		records          []byte
	}
	var todo []work
	// What an entry costs here is bounded by the bytes that came: a batch alone has 61.
	entries := 8 + len(body)/64
	for range r.array(2) {
		if entries--; entries < 0 {
			r.bad = true
			break
		}
		t := producedTopic{}
		if c.Version >= produceByID {
			t.id = r.topicID()
		} else {
			t.name = r.str()
		}
		for range r.array(4) {
			if len(todo) > 8+len(body)/64 {
				r.bad = true
				break
			}
			index := r.i32()
			records := r.bytes()
			r.tags(nil)
			todo = append(todo, work{len(p.topics), len(t.partitions), records})
			t.partitions = append(t.partitions, produced{index: index})
		}
		r.tags(nil)
		if !r.bad {
			t.refused = a.mayProduce(c, &t)
		}
		p.topics = append(p.topics, t)
	}
	if r.tags(nil); r.bad || len(r.b) > 0 {
		reply(Reply{}, fmt.Errorf("%w: Produce", ErrMalformed))
		return
	}
	now := a.clock()
	p.left += len(todo)
	var untold []*replica.Partition
	defer func() { // when all is appended, so that a fetch of several partitions gets it at once
		for _, part := range untold {
			part.Tell()
		}
	}()
	for _, w := range todo {
		t := &p.topics[w.topic]
		at := &t.partitions[w.partition]
		if refuse != nil {
			p.done(at, replica.Result{}, refuse)
			continue
		}
		part, err := a.produceTo(t, at.index)
		if err == nil {
			err = checkCodec(c.Version, w.records)
		}
		if err == nil && transactional == "" {
			err = notTransactional(w.records)
		}
		if err != nil {
			p.done(at, replica.Result{}, err)
			continue
		}
		done := func(res replica.Result, err error) { p.done(at, res, err) }
		news := false
		if transactional == "" {
			news = part.Append(w.records, acks, replica.NotAsked, now, done)
		} else {
			news = a.appendTransactional(c, transactional, t, at.index, part, w.records, acks, done)
		}
		if news {
			untold = append(untold, part)
		}
	}
	p.done(nil, replica.Result{}, nil)
}

// adminClient is the client id that Kafka's broker lets write to internal topics.
const adminClient = "__admin_client"

// mayProduce tells why the client may not write to a topic, and finds the name of one that came by id. Internal topics are
// the broker's own. Of a topic that does not exist the partitions say so.
func (a *API) mayProduce(c *Call, t *producedTopic) error {
	topic := topicOf(a.Meta.Image(), t.name, t.id)
	name := t.name
	if topic != nil {
		name = topic.Name
	} else if t.name == "" {
		return nil
	}
	if err := a.allow(c, auth.Write, auth.Topic, name); err != nil {
		return err
	}
	if topic != nil && topic.Internal && c.ClientID != adminClient {
		return fmt.Errorf("%w: cannot append to internal topic %s", kerr.InvalidTopicException, name)
	}
	return nil
}

func (a *API) produceTo(t *producedTopic, index int32) (*replica.Partition, error) {
	if t.refused != nil {
		return nil, t.refused
	}
	return a.partition(t.name, t.id, index)
}

// partition finds a partition that this broker leads, by name or, where the name is empty, by id.
func (a *API) partition(name string, id meta.TopicID, index int32) (*replica.Partition, error) {
	im := a.Meta.Image()
	var t *meta.Topic
	if name == "" && id != (meta.TopicID{}) {
		if t = im.TopicByID(id); t == nil {
			return nil, meta.ErrUnknownTopicID
		}
	} else if t = im.Topic(name); t == nil {
		return nil, meta.ErrUnknownTopic
	}
	if p := a.Replicas.Get(replica.ID{Topic: t.ID, Partition: index}); p != nil {
		return p, nil
	}
	if _, ok := t.Partition(index); !ok {
		return nil, meta.ErrUnknownTopic
	}
	return nil, kerr.NotLeaderForPartition
}

// done notes the answer of a partition; the last one sends the response.
func (p *producing) done(at *produced, res replica.Result, err error) {
	defer p.api.answerPanic(p.call, p.reply)
	p.mu.Lock()
	if at != nil {
		at.res, at.err = res, err
	}
	p.left--
	last := p.left == 0
	p.mu.Unlock()
	if !last {
		return
	}
	throttle := p.api.throttle(p.call, quota.Produce, p.size)
	if p.acks == 0 {
		var errs []error
		for _, t := range p.topics {
			for _, at := range t.partitions {
				errs = append(errs, at.err)
			}
		}
		p.reply(Reply{Empty: true, Mute: throttle}, errors.Join(errs...)) // nobody reads an answer: closing the connection is the only way to say it
		return
	}
	p.reply(Reply{Bytes: p.encode(millis(throttle)), Mute: throttle}, nil)
}

func (p *producing) encode(throttle int32) []byte {
	w := p.call.response(64*len(p.topics)+64, p.version >= produceFlexible)
	w.length(len(p.topics))
	for _, t := range p.topics {
		if p.version >= produceByID {
			w.b = append(w.b, t.id[:]...)
		} else {
			w.str(t.name)
		}
		w.length(len(t.partitions))
		for _, at := range t.partitions {
			p.encodePartition(&w, at)
		}
		w.noTags()
	}
	w.i32(throttle)
	w.noTags()
	return w.b
}

func (p *producing) encodePartition(w *writer, at produced) {
	base, start, text := at.res.BaseOffset, at.res.StartOffset, ""
	if at.err != nil {
		base, start, text = -1, -1, *message(at.err)
		at.res.LogAppendTime = -1
	}
	w.i32(at.index)
	w.i16(code(at.err))
	w.i64(base)
	w.i64(at.res.LogAppendTime)
	if p.version >= 5 {
		w.i64(start)
	}
	if p.version >= 8 {
		recordErrors(w, at.err)
		w.nullable(text)
	}
	w.noTags()
}

// recordErrors tells which records a batch was refused for (KIP-467).
func recordErrors(w *writer, err error) {
	var refused *replica.RecordsError
	if err == nil || !errors.As(err, &refused) {
		w.length(0)
		return
	}
	w.length(len(refused.Records))
	for _, r := range refused.Records {
		w.i32(r.Index)
		w.nullable(r.Message)
		w.noTags()
	}
}

// zstdSince is the first version whose clients know zstd (KIP-110).
const zstdSince = 7

// checkCodec refuses batches of a codec that the version does not know. What is no batch is left to others to refuse.
func checkCodec(version int16, records []byte) error {
	if version >= zstdSince {
		return nil
	}
	if h, err := batch.ReadHeader(records); err == nil && h.Codec() == batch.Zstd {
		return kerr.UnsupportedCompressionType
	}
	return nil
}
