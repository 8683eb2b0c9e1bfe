package coord

import (
	"log/slog"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// noTopics is a cluster without topics.
type noTopics struct{}

func (noTopics) Version() any                       { return 0 }
func (noTopics) Find(string) (group.TopicID, int32) { return group.TopicID{}, 0 }
func (noTopics) Name(group.TopicID) string          { return "" }
func (noTopics) Names() []string                    { return nil }

// FuzzReplayGroups starts with a record that any bytes are in: it is passed over, or makes a group that can be asked and
// that time passes for, and that is written as it was read.
func FuzzReplayGroups(f *testing.F) {
	broker, _, err := meta.NewBrokerConfig(0, nil)
	if err != nil {
		f.Fatal(err)
	}
	now := time.UnixMilli(1_700_000_000_000)
	groups := &Groups{cfg: Config{Clock: func() time.Time { return now }, Broker: broker, Log: slog.New(slog.DiscardHandler)}}
	offset := offsetRecord("g", partition{"t", 1}, Offset{At: 5, Metadata: "m", When: 7})
	f.Add(offset.key, offset.value, true)
	classic := group.New("g", group.Config{MaxSize: 10}, newID)
	join := group.Join{ClientID: "c", ClientHost: "/h", SessionTimeout: time.Minute, RebalanceTimeout: time.Minute, ProtocolType: "consumer", Protocols: []group.Protocol{{Name: "range", Metadata: []byte{0, 0}}}}
	classic.Join(now, join)
	classic.Tick(now.Add(time.Hour))
	metadata := groupRecord(classic, now)
	f.Add(metadata.key, metadata.value, false)
	// Four billion tagged fields, it says.
	many := append([]byte{0, flexibleVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0xff, 0xff, 0xff, 0xff, 0x0f)
	f.Add(offset.key, many, false)
	f.Add(metadata.key, many, false)
	m := &managed{id: "g", shard: &shard{groupsOf: groups}, consumer: group.NewConsumer("g", group.Config{}, newID)}
	m.consumer.Epoch = 3
	m.consumer.Regexes["t.*"] = &group.Resolved{Topics: []string{"t"}, At: now}
	own := group.Owned{{Index: 1}: 2}
	m.consumer.Members["m"] = &group.ConsumerMember{ID: "m", Epoch: 3, State: group.MemberStable, Topics: []string{"t"}, Regex: "t.*", Assigned: own, Target: own.Sorted()}
	for kind := range consumerKeys {
		name := "m"
		if kind == group.RegexChange {
			name = "t.*"
		}
		r := consumerRecord(m, group.Change{Kind: kind, Name: name})
		f.Add(r.key, r.value, false)
	}
	f.Fuzz(func(t *testing.T, key, value []byte, transactional bool) {
		s := &shard{groupsOf: groups, groups: map[string]*managed{}, pending: map[int64][]*pending{}}
		l := loaded{classic: map[string]*kmsg.GroupMetadataValue{}, consumers: map[string]*group.Consumer{}, since: map[*group.Consumer]int64{}, names: map[string]string{}}
		h := &batch.Header{ProducerID: 1}
		if transactional {
			h.Attributes = 1 << 4
		}
		s.mu.Lock() // timers that fire wait, and find that they were stopped
		defer s.mu.Unlock()
		_ = s.replay(&l, h, &batch.Record{Key: key, Value: value})
		s.decide(1, true)
		for id, v := range l.classic {
			s.restore(id, v, now)
		}
		for id, c := range l.consumers {
			s.restoreConsumer(id, c, l.since[c], now)
		}
		for _, m := range s.groups {
			m.stop()
			m.state()
			m.size()
			s.outdated(m, topics{meta.NewStore(nil).Image()}, now, time.Hour)
			later := now.Add(24 * time.Hour)
			if m.consumer == nil {
				m.classic.Ordered()
				m.classic.Subscribed("t")
				groupRecord(m.classic, now)
				m.classic.Tick(later)
				continue
			}
			m.consumer.Ordered()
			m.consumer.Subscribed("t")
			for _, ch := range m.consumer.Tick(later, noTopics{}).Changes {
				consumerRecord(m, ch)
			}
		}
		_ = s.replay(&l, h, &batch.Record{Key: key})
	})
}

// FuzzReplayTransactions is FuzzReplayGroups for the other topic.
func FuzzReplayTransactions(f *testing.F) {
	now := time.UnixMilli(1_700_000_000_000)
	for _, state := range txn.States {
		r := txnRecord(&txn.Txn{ID: "t", Producer: txn.Producer{ID: 1, Epoch: 2}, State: state, Timeout: time.Minute, Updated: now, Started: now, V2: true, Partitions: []txn.Partition{{Topic: "t", Index: 1}}})
		f.Add(r.key, r.value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		s := &txnShard{txnsOf: &Txns{}, txns: map[string]*tracked{}}
		if s.restore(&batch.Record{Key: key, Value: value}) != nil {
			return
		}
		for id, x := range s.txns {
			again := txnRecord(x.Txn)
			y, err := readTxn(id, again.value)
			if err != nil || y.State != x.State || y.Producer != x.Producer || len(y.Partitions) != len(x.Partitions) {
				t.Fatalf("%+v was written, and read as %+v (%v)", x.Txn, y, err)
			}
			if p := (txn.Partition{Topic: "t"}); x.Has(p) && len(x.Partitions) == 0 {
				t.Fatal("it has what it has not")
			}
		}
		_ = s.restore(&batch.Record{Key: key})
		if len(s.txns) > 0 {
			t.Fatal("a tombstone leaves it")
		}
	})
}
