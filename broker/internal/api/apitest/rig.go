package apitest

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/quorum"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Rig is an API and the rooms below it.
type Rig struct {
	API      *api.API
	Meta     *meta.Store
	Config   *meta.BrokerConfig
	Replicas *replica.Manager
	Who      auth.Principal // the client
	tb       testing.TB
	ahead    atomic.Int64 // by how much groups believe that it is later
}

// Ahead is by how much Later has put the clock forward.
func (r *Rig) Ahead() time.Duration { return time.Duration(r.ahead.Load()) }

// Later puts the clock of groups forward.
func (r *Rig) Later(d time.Duration) { r.ahead.Add(int64(d)) }

// New starts a broker's rooms on path of fs.
func New(tb testing.TB, fs vfs.FS, path string, properties map[string]string) *Rig {
	tb.Helper()
	all := map[string]string{"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "3"}
	for k, v := range properties {
		all[k] = v
	}
	config, ignored, err := meta.NewBrokerConfig(0, all)
	if err != nil || len(ignored) > 0 {
		tb.Fatal(err, ignored)
	}
	dir, err := storage.OpenDir(fs, path)
	if err != nil {
		tb.Fatal(err)
	}
	q := quorum.NewLocal(dir, quorum.Config{SnapshotBytes: 4 << 10, Logger: slog.New(slog.DiscardHandler)})
	r := &Rig{Meta: meta.NewStore(q), Config: config, Replicas: replica.NewManager(dir), tb: tb}
	r.Meta.Subscribe(r.follow)
	if err := r.Meta.Start(); err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	coordinator := coord.Config{
		Meta: r.Meta, Broker: config, Replicas: r.Replicas, Log: log, Clock: func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) },
		Create: func(ctx context.Context, name string) error { return r.create(ctx, name, meta.NewTopicID(), 3) },
	}
	groups := coord.New(coordinator)
	txns := coord.NewTxns(coordinator, groups)
	r.API = &api.API{
		Meta: r.Meta, Config: config, Replicas: r.Replicas, Groups: groups, Txns: txns, Log: log,
		Advertised: func(*api.Call) (string, int32) { return "leat", 9092 },
	}
	r.Meta.Subscribe(func(_, image *meta.Image) { r.API.Quotas.Follow(image) })
	tb.Cleanup(func() {
		txns.Close()
		groups.Close()
		for _, err := range []error{r.Replicas.Close(), q.Close(), dir.Close()} {
			if err != nil {
				tb.Error(err)
			}
		}
	})
	if _, err := r.Meta.Propose(context.Background(), func(m *meta.Image) ([]meta.Record, error) {
		return meta.RegisterBroker(m, "cluster", meta.Broker{ID: 0, Host: "leat", Port: 9092}), nil
	}); err != nil {
		tb.Fatal(err)
	}
	return r
}

func (r *Rig) follow(old, image *meta.Image) {
	r.Config.Follow(image)
	for _, t := range old.Topics() {
		for i := range t.Partitions {
			if image.TopicByID(t.ID) == nil {
				if err := r.Replicas.Delete(replica.ID{Topic: t.ID, Partition: int32(i)}); err != nil {
					r.tb.Error(err)
				}
			}
		}
	}
	for _, t := range image.Topics() {
		for i := range t.Partitions {
			r.Replicas.Open(replica.ID{Topic: t.ID, Partition: int32(i)}, 0, replica.Config{MaxMessageBytes: 64 << 20, Durable: true})
		}
	}
}

// create makes a topic if there is none of its name.
func (r *Rig) create(ctx context.Context, name string, id [16]byte, partitions int32) error {
	_, err := r.Meta.Propose(ctx, func(m *meta.Image) ([]meta.Record, error) {
		if m.Topic(name) != nil {
			return nil, nil
		}
		return meta.CreateTopic(m, r.Config, meta.NewTopic{
			Name: name, ID: id, Internal: name == coord.OffsetsTopic || name == coord.TransactionsTopic, Partitions: partitions, Replication: 1,
		})
	})
	return err
}

// Topic creates one, and returns its id.
func (r *Rig) Topic(name string, partitions int32) [16]byte {
	r.tb.Helper()
	id := meta.NewTopicID()
	if err := r.create(context.Background(), name, id, partitions); err != nil {
		r.tb.Fatal(err)
	}
	return id
}

// Unsynced lets consumers see what is appended to a topic before it is durable, as Kafka's defaults have it.
func (r *Rig) Unsynced(topic string) {
	t := r.Meta.Image().Topic(topic)
	for i := range t.Partitions {
		r.Replicas.Get(replica.ID{Topic: t.ID, Partition: int32(i)}).Configure(replica.Config{MaxMessageBytes: 64 << 20})
	}
}

// Append puts a batch of records into a partition and waits until it is visible.
func (r *Rig) Append(topic string, partition int32, values ...string) {
	r.tb.Helper()
	raw := Batch(r.tb, values...)
	done := make(chan error, 1)
	id := replica.ID{Topic: r.Meta.Image().Topic(topic).ID, Partition: partition}
	r.Replicas.Get(id).Append(raw, -1, replica.NotAsked, time.Now(), func(_ replica.Result, err error) { done <- err })
	if err := <-done; err != nil {
		r.tb.Fatal(err)
	}
}

// Batch encodes records without keys.
func Batch(tb testing.TB, values ...string) []byte {
	tb.Helper()
	b := batch.NewBuilder(batch.None)
	for _, v := range values {
		b.Append(time.Now().UnixMilli(), nil, []byte(v), nil)
	}
	raw, err := b.Build(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// Values are the records of an answer from offset on.
func Values(tb testing.TB, raw []byte, from int64) (values []string, next int64) {
	tb.Helper()
	next = from
	var scratch batch.Scratch
	for len(raw) >= batch.HeaderLen {
		h, err := batch.ReadHeader(raw)
		if err != nil {
			tb.Fatal(err)
		}
		if h.Size() > len(raw) {
			break
		}
		if err := batch.Walk(raw, batch.Limits{}, &scratch, func(r *batch.Record) error {
			if at := h.BaseOffset + int64(r.OffsetDelta); at >= from {
				values, next = append(values, string(r.Value)), at+1
			}
			return nil
		}); err != nil {
			tb.Fatal(err)
		}
		raw = raw[h.Size():]
	}
	return values, next
}

// Frame encodes a request of the version that it is set to, without its length.
func Frame(req kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("rig")).AppendRequest(nil, req, correlation)[4:]
}

// Body reads a response whole into what req is answered with: response is what follows its length.
func Body(tb testing.TB, req kmsg.Request, response []byte) kmsg.Response {
	tb.Helper()
	response = response[4:]
	if req.IsFlexible() && req.Key() != 18 {
		response = response[1:]
	}
	resp := req.ResponseKind()
	if err := resp.ReadFrom(response); err != nil {
		tb.Fatalf("%s version %d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp
}

// Bytes is a reply with its ranges of files read. It releases the reply.
func Bytes(tb testing.TB, r api.Reply) []byte {
	tb.Helper()
	defer r.Release()
	var out []byte
	at := 0
	for _, in := range r.Inserts {
		out = append(out, r.Bytes[at:in.At]...)
		part := make([]byte, in.Chunk.Len)
		if err := in.Chunk.ReadInto(part); err != nil {
			tb.Fatal(err)
		}
		out, at = append(out, part...), in.At
	}
	return append(out, r.Bytes[at:]...)
}

// Answer is what Serve replied.
type Answer struct {
	Reply api.Reply
	Err   error
}

// Serve starts a request; the channel gets every reply, of which there must be one.
func (r *Rig) Serve(ctx context.Context, frame []byte) <-chan Answer {
	out := make(chan Answer, 2)
	r.API.Serve(&api.Call{Context: ctx, ClientHost: "127.0.0.1", Principal: r.Who}, frame, func(reply api.Reply, err error) { out <- Answer{reply, err} })
	return out
}

// Ask waits for the answer of a request, which must not fail.
func (r *Rig) Ask(req kmsg.Request) kmsg.Response {
	r.tb.Helper()
	frame := Frame(req, 7)
	a := <-r.Serve(context.Background(), frame)
	if a.Err != nil {
		r.tb.Fatal(a.Err)
	}
	response := Bytes(r.tb, a.Reply)
	if got := binary.BigEndian.Uint32(response); got != 7 {
		r.tb.Fatalf("answer to %d", got)
	}
	return Body(r.tb, req, response)
}
