package api

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/quota"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/twmb/franz-go/pkg/kerr"
)

const keyFetch = 1

const (
	fetchMin      = 4
	fetchMax      = 18
	fetchFlexible = 12
	fetchByID     = 13
)

var _ = register(&served{
	key: keyFetch, min: fetchMin, max: fetchMax,
	flexible: func(v int16) bool { return v >= fetchFlexible },
	serve:    (*API).fetch,
})

// inlineMax is the largest range that is copied into the response; larger ones go from the file to the socket.
const inlineMax = 64 << 10

// replyInline is how much of a response is copied; what is beyond goes from files, so that a client that does not read holds little memory.
const replyInline = 1 << 20

func (a *API) fetch(c *Call, body []byte, reply func(Reply, error)) {
	req, err := decodeFetch(c.Version, body)
	if err != nil {
		reply(Reply{}, err)
		return
	}
	if req.replica >= 0 {
		req.fail(c, reply, kerr.ClusterAuthorizationFailed) // followers do not speak Kafka here
		return
	}
	session, wanted, err := a.sessions.use(req, int(a.Config.Int("max.incremental.fetch.session.cache.slots")), a.clock())
	if err != nil {
		req.fail(c, reply, err)
		return
	}
	limit := max(min(int(req.maxBytes), int(a.Config.Int("fetch.max.bytes"))), 0)
	limit = a.fetchRoom(c, limit)
	req.minBytes = min(req.minBytes, int32(min(limit, math.MaxInt32))) // more than fits is not waited for
	f := &fetching{api: a, call: c, req: req, session: session, wanted: wanted, limit: limit, reply: reply}
	f.start()
}

// fetching is one fetch, perhaps parked.
type fetching struct {
	api     *API
	call    *Call
	req     *fetchRequest
	session *fetchSession // nil: without
	wanted  []*wantedPartition
	limit   int
	reply   func(Reply, error)

	mu       sync.Mutex
	trying   bool // an attempt is under way; news while it is mean another
	news     bool
	finished bool
	expired  bool

	// Of one that was parked. Set before others know of it.
	subscribed []*replica.Partition
	stopWatch  func() bool
	wait       wait
}

// start answers at once or parks until there is enough to answer with, the wait is over, or the connection is gone.
func (f *fetching) start() {
	f.expired = f.req.maxWait <= 0 || len(f.wanted) == 0
	f.trying = true
	results := resultsPool.Get().(*[]fetched)
	defer giveBack(results)
	if f.attempt(results) {
		return
	}
	f.subscribed = make([]*replica.Partition, len(*results))
	for i, r := range *results {
		f.subscribed[i] = r.from
	}
	f.stopWatch = context.AfterFunc(f.call.Context, f.expire)
	f.api.waits.add(f, f.req.maxWait)
	missed := false
	for _, r := range *results {
		missed = r.from.Subscribe(f, r.read.News) || missed
	}
	f.mu.Lock()
	f.news = f.news || missed
	f.mu.Unlock()
	f.try(results)
}

// expire ends the wait: what there is now is the answer.
func (f *fetching) expire() {
	f.mu.Lock()
	f.expired = true
	f.mu.Unlock()
	f.PartitionChanged()
}

// PartitionChanged is called by partitions that were subscribed to. The answer is made and sent on the goroutine that calls,
// unless another one is at it.
func (f *fetching) PartitionChanged() {
	f.mu.Lock()
	f.news = true
	busy := f.trying || f.finished
	f.trying = true
	f.mu.Unlock()
	if busy {
		return
	}
	results := resultsPool.Get().(*[]fetched)
	defer giveBack(results)
	f.try(results)
}

// try repeats attempts as long as there is news. Only one goroutine is in it.
func (f *fetching) try(results *[]fetched) {
	defer f.api.answerPanic(f.call, f.reply)
	for {
		f.mu.Lock()
		if f.finished || !f.news {
			f.trying = false
			f.mu.Unlock()
			return
		}
		f.news = false
		f.mu.Unlock()
		if f.attempt(results) {
			return
		}
	}
}

// resultsPool has memory for results, which a fetch does not hold while it is parked.
var resultsPool = sync.Pool{New: func() any { return new([]fetched) }}

func giveBack(results *[]fetched) {
	clear(*results)
	*results = (*results)[:0]
	resultsPool.Put(results)
}

// attempt reads every partition, and replies if that is enough. Else results is what it found, without records.
func (f *fetching) attempt(results *[]fetched) bool {
	f.mu.Lock()
	expired := f.expired
	f.mu.Unlock()
	size, failed := f.read(results)
	if size < int(f.req.minBytes) && !failed && !expired {
		release(*results)
		return false
	}
	f.mu.Lock()
	f.finished = true
	f.mu.Unlock()
	f.unpark()
	found := *results
	if f.session != nil {
		found = f.session.sent(found, f.req.fullSession())
	}
	for _, r := range found {
		if r.read.Chunk.Len > 0 {
			r.from.Traffic().SentBytes.Add(int64(r.read.Chunk.Len))
		}
	}
	reply := f.req.encode(f.call, sessionID(f.session), found)
	reply.Mute = f.api.throttle(f.call, quota.Fetch, reply.Size())
	binary.BigEndian.PutUint32(reply.Bytes[len(f.call.head):], uint32(millis(reply.Mute))) // the throttle time is the first field behind the header
	reply.Free = true
	f.reply(reply, nil)
	return true
}

// unpark ends what a parked fetch waits for.
func (f *fetching) unpark() {
	if f.stopWatch == nil {
		return
	}
	f.stopWatch()
	f.api.waits.remove(f)
	for _, p := range f.subscribed {
		p.Unsubscribe(f)
	}
}

// read reads the wanted partitions in turn: the first with data gives one batch at least, whatever the limits (KIP-74).
func (f *fetching) read(results *[]fetched) (size int, failed bool) {
	*results = slices.Grow((*results)[:0], len(f.wanted))
	left := f.limit
	var refused error
	for i, w := range f.wanted {
		if i == 0 || w.name != f.wanted[i-1].name || w.id != f.wanted[i-1].id {
			refused = f.api.allowTopic(f.call, auth.Read, w.name, topicOf(f.api.Meta.Image(), w.name, w.id))
		}
		res := fetched{wantedPartition: w, read: replica.Read{HighWatermark: -1, LastStable: -1, StartOffset: -1}}
		err := refused
		var p *replica.Partition
		if err == nil {
			p, err = f.api.partition(w.name, w.id, w.index)
		}
		if err == nil {
			err = p.CheckEpoch(w.leaderEpoch)
		}
		if err == nil {
			res.read, err = p.Read(w.offset, max(min(left, int(w.maxBytes)), 0), size == 0, f.req.committed)
		}
		res.from, res.err = p, err
		failed = failed || err != nil
		size += res.read.Chunk.Len
		left -= res.read.Chunk.Len
		*results = append(*results, res)
	}
	return size, failed
}

func release(results []fetched) {
	for _, r := range results {
		r.read.Chunk.Release()
	}
}

// fetched is the answer for one partition.
type fetched struct {
	*wantedPartition
	from *replica.Partition // nil: not here
	read replica.Read
	err  error
}

// fail answers the whole request with an error.
func (r *fetchRequest) fail(c *Call, reply func(Reply, error), err error) {
	w := c.response(16, r.version >= fetchFlexible)
	w.i32(0)
	if r.version >= 7 {
		w.i16(code(err))
		w.i32(0)
	}
	w.length(0)
	w.noTags()
	reply(Reply{Bytes: w.b}, nil)
}

// encode builds the response. Its results are grouped by topic as they come.
func (r *fetchRequest) encode(c *Call, session int32, results []fetched) Reply {
	memory := replies.Get().(*[]byte)
	room := slices.Grow(*memory, len(c.head)+128+128*len(results)+inlined(results))
	w := writer{b: append(room, c.head...), flexible: r.version >= fetchFlexible}
	var inserts []Insert
	w.i32(0) // throttle time, which follows from the size of the rest
	if r.version >= 7 {
		w.i16(0)
		w.i32(session)
	}
	groups := byTopic(results)
	w.length(len(groups))
	for _, g := range groups {
		if r.version >= fetchByID {
			w.b = append(w.b, g[0].id[:]...)
		} else {
			w.str(g[0].name)
		}
		w.length(len(g))
		for _, p := range g {
			inserts = r.encodePartition(&w, p, inserts)
		}
		w.noTags()
	}
	w.noTags()
	return Reply{Bytes: w.b, Inserts: inserts, memory: memory}
}

// inlined is how many bytes of records the response holds itself.
func inlined(results []fetched) (n int) {
	for _, r := range results {
		if r.read.Chunk.Len <= inlineMax && n < replyInline {
			n += r.read.Chunk.Len
		}
	}
	return n
}

// encodePartition consumes p's chunk. One that cannot be read is an error of its partition.
func (r *fetchRequest) encodePartition(w *writer, p fetched, inserts []Insert) []Insert {
	chunk, start := p.read.Chunk, len(w.b)
	r.encodePartitionHead(w, p)
	w.length(chunk.Len)
	switch {
	case chunk.Len == 0:
	case chunk.Len <= inlineMax && len(w.b) < replyInline:
		at := len(w.b)
		w.b = append(w.b, make([]byte, chunk.Len)...)
		err := chunk.ReadInto(w.b[at:])
		chunk.Release()
		if err != nil {
			w.b = w.b[:start]
			p.err, p.read.Chunk = errors.Join(storage.ErrDamaged, err), storage.Chunk{}
			p.read.Aborted = nil
			return r.encodePartition(w, p, inserts)
		}
	default:
		inserts = append(inserts, Insert{At: len(w.b), Chunk: chunk})
	}
	w.noTags()
	return inserts
}

func (r *fetchRequest) encodePartitionHead(w *writer, p fetched) {
	w.i32(p.index)
	w.i16(code(p.err))
	w.i64(p.read.HighWatermark)
	w.i64(p.read.LastStable)
	if r.version >= 5 {
		w.i64(p.read.StartOffset)
	}
	if r.committed {
		w.length(len(p.read.Aborted))
	} else {
		w.length(-1) // null, as Kafka answers those who did not ask
	}
	for _, t := range p.read.Aborted {
		w.i64(t.ProducerID)
		w.i64(t.FirstOffset)
		w.noTags()
	}
	if r.version >= 11 {
		w.i32(-1) // preferred read replica
	}
}

// byTopic groups neighbours of one topic.
func byTopic(results []fetched) [][]fetched {
	var groups [][]fetched
	first := 0
	for i, r := range results {
		if i+1 == len(results) || r.name != results[i+1].name || r.id != results[i+1].id {
			groups = append(groups, results[first:i+1])
			first = i + 1
		}
	}
	return groups
}
