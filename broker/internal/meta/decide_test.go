package meta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/auth"
	"pgregory.net/rapid"
)

// memLog is a Log that forgets.
type memLog struct {
	m       Machine
	offset  int64 // of a snapshot, if there is one
	records [][]byte
	entries [][][]byte // after it
	fail    error
}

func (l *memLog) Start(m Machine) error {
	l.m = m
	if l.records != nil {
		if err := m.Restore(l.offset, l.records); err != nil {
			return err
		}
	}
	for _, e := range l.entries {
		if err := m.Apply(e); err != nil {
			return err
		}
	}
	return nil
}

func (l *memLog) Propose(_ context.Context, entry [][]byte) error {
	if l.fail != nil {
		return l.fail
	}
	l.entries = append(l.entries, entry)
	return l.m.Apply(entry)
}

// cut is the log with a snapshot of what m is in place of its entries.
func (l *memLog) cut(m Machine, offset int64) *memLog {
	out := &memLog{offset: offset, records: [][]byte{}}
	for r := range m.Snapshot() {
		out.records = append(out.records, slices.Clone(r))
	}
	return out
}

func config(t testing.TB, properties map[string]string) *BrokerConfig {
	t.Helper()
	c, _, err := NewBrokerConfig(0, properties)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func cluster(brokers int32) *Image {
	m := NewImage()
	for id := range brokers {
		m = m.Apply(RegisterBroker(m, "c1", Broker{ID: id, Host: "localhost", Port: 9092})...)
	}
	return m
}

func id(n byte) TopicID { return TopicID{15: n} }

func TestCreateTopicRefuses(t *testing.T) {
	c := config(t, nil)
	m := cluster(2)
	recs, err := CreateTopic(m, c, NewTopic{Name: "a.b", ID: id(1), Partitions: 1, Replication: 1})
	if err != nil {
		t.Fatal(err)
	}
	m = m.Apply(recs...)
	bad := "x"
	small := "12"
	for _, tc := range []struct {
		want NewTopic
		kind error
		says string
	}{
		{NewTopic{Name: ""}, ErrInvalidTopic, "empty"},
		{NewTopic{Name: ".."}, ErrInvalidTopic, "'..'"},
		{NewTopic{Name: strings.Repeat("a", 250)}, ErrInvalidTopic, "249"},
		{NewTopic{Name: "ä"}, ErrInvalidTopic, "ASCII"},
		{NewTopic{Name: "a.b"}, ErrTopicExists, "already exists"},
		{NewTopic{Name: "a_b"}, ErrInvalidTopic, "collides with existing topic: a.b"},
		{NewTopic{Name: "t", Partitions: 0, Replication: 1}, ErrInvalidPartitions, "non-positive"},
		{NewTopic{Name: "t", Partitions: 1, Replication: 3}, ErrInvalidReplication, "only 2 broker(s)"},
		{NewTopic{Name: "t", Partitions: 1, Replication: 1, Assignment: map[int32][]int32{0: {0}}}, ErrInvalidRequest, "manual"},
		{NewTopic{Name: "t", Partitions: -1, Replication: -1, Assignment: map[int32][]int32{1: {0}}}, ErrInvalidAssignment, "consecutive"},
		{NewTopic{Name: "t", Partitions: -1, Replication: -1, Assignment: map[int32][]int32{0: {0, 0}}}, ErrInvalidAssignment, "more than once"},
		{NewTopic{Name: "t", Partitions: -1, Replication: -1, Assignment: map[int32][]int32{0: {7}}}, ErrInvalidAssignment, "no such broker"},
		{NewTopic{Name: "t", Partitions: -1, Replication: -1, Assignment: map[int32][]int32{0: {0}, 1: {0, 1}}}, ErrInvalidAssignment, "not consistent"},
		{NewTopic{Name: "t", Partitions: 1, Replication: 1, Config: map[string]*string{"retention.mss": &bad}}, ErrInvalidConfig, "did you mean retention.ms"},
		{NewTopic{Name: "t", Partitions: 1, Replication: 1, Config: map[string]*string{"retention.ms": &bad}}, ErrInvalidConfig, "Not a number of type LONG"},
		{NewTopic{Name: "t", Partitions: 1, Replication: 1, Config: map[string]*string{"retention.ms": nil}}, ErrInvalidConfig, "Null value"},
		{NewTopic{Name: "t", Partitions: 1, Replication: 1, Config: map[string]*string{"segment.bytes": &small}}, ErrInvalidConfig, "at least 1048576"},
		{NewTopic{Name: "t", Partitions: 1, Replication: 1, Config: map[string]*string{"cleanup.policy": &bad}}, ErrInvalidConfig, "one of: compact, delete"},
	} {
		tc.want.ID = id(9)
		_, err := CreateTopic(m, c, tc.want)
		if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%+v: %v, want %v saying %q", tc.want, err, tc.kind, tc.says)
		}
	}
}

func TestDefaultsComeFromTheBroker(t *testing.T) {
	c := config(t, map[string]string{"num.partitions": "3", "default.replication.factor": "2", "log.retention.hours": "2", "message.max.bytes": "77"})
	m := cluster(2)
	recs, err := CreateTopic(m, c, NewTopic{Name: "t", ID: id(1), Partitions: -1, Replication: -1})
	if err != nil {
		t.Fatal(err)
	}
	m = m.Apply(recs...)
	topic := m.Topic("t")
	if len(topic.Partitions) != 3 || len(topic.Partitions[2].ISR) != 2 {
		t.Fatalf("partitions %+v", topic.Partitions)
	}
	v := c.Topic(topic)
	if v.Int("retention.ms") != 7_200_000 || v.Int("max.message.bytes") != 77 || v.Int("flush.messages") != 1 {
		t.Fatalf("retention.ms %d, max.message.bytes %d, flush.messages %d", v.Int("retention.ms"), v.Int("max.message.bytes"), v.Int("flush.messages"))
	}
	value := "99"
	recs, err = AlterBroker(m, c, "", []Alter{{Name: "message.max.bytes", Value: &value}})
	if err != nil {
		t.Fatal(err)
	}
	c.Follow(m.Apply(recs...))
	if got := c.Topic(topic).Int("max.message.bytes"); got != 99 {
		t.Fatalf("max.message.bytes %d after the broker's was altered", got)
	}
}

func TestPropertiesOfABroker(t *testing.T) {
	_, ignored, err := NewBrokerConfig(0, map[string]string{"num.io.threads": "3", "confluent.something.long": "x", "num.partitions": "2",
		"listener.name.x.ssl.endpoint.identification.algorithm": "", "listener.name.x.max.connections": "3", "listener.name.x.ssl.client.auth": "none"})
	if err != nil || !slices.Equal(ignored, []string{"confluent.something.long", "listener.name.x.max.connections", "listener.name.x.ssl.endpoint.identification.algorithm", "num.io.threads"}) {
		t.Fatalf("ignored %v, %v", ignored, err)
	}
	_, _, err = NewBrokerConfig(0, map[string]string{"num.partition": "2", "log.segment.bytes": "none"})
	if !errors.Is(err, ErrInvalidConfig) || !strings.Contains(err.Error(), "did you mean num.partitions?") || !strings.Contains(err.Error(), "Invalid value none") {
		t.Fatalf("%v", err)
	}
}

func TestEveryDefaultIsValidAndEveryStandInExists(t *testing.T) {
	c := config(t, nil)
	for _, d := range slices.Concat(TopicDefs(), BrokerDefs()) {
		if !d.NoValue && d.Check(d.Default) != nil {
			t.Errorf("%s: default %q: %v", d.Name, d.Default, d.Check(d.Default))
		}
		if d.Doc == "" {
			t.Errorf("%s has no documentation", d.Name)
		}
		if d.Broker == "" {
			continue
		}
		if b := brokerTable[d.Broker]; b == nil {
			t.Errorf("%s: no broker config %s", d.Name, d.Broker)
		} else if s := c.standIn(d); s.Value != d.Default {
			t.Errorf("%s defaults to %s, but the broker's %s is %s", d.Name, d.Default, d.Broker, s.Value)
		}
	}
}

func TestAlterTopic(t *testing.T) {
	c, m := config(t, nil), cluster(1)
	recs, _ := CreateTopic(m, c, NewTopic{Name: "t", ID: id(1), Partitions: 1, Replication: 1})
	m = m.Apply(recs...)
	step := func(changes ...Alter) error {
		recs, err := AlterTopic(m, c, "t", changes)
		if err == nil {
			m = m.Apply(recs...)
		}
		return err
	}
	v := func(s string) *string { return &s }
	if err := step(Alter{"cleanup.policy", OpAppend, v("compact")}, Alter{"retention.ms", OpSet, v("1000")}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"cleanup.policy": "delete,compact", "retention.ms": "1000"}
	if !maps.Equal(m.Topic("t").Config, want) {
		t.Fatalf("%v", m.Topic("t").Config)
	}
	if err := step(Alter{"cleanup.policy", OpSubtract, v("delete")}, Alter{"retention.ms", OpDelete, nil}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(m.Topic("t").Config, map[string]string{"cleanup.policy": "compact"}) {
		t.Fatalf("%v", m.Topic("t").Config)
	}
	for _, bad := range [][]Alter{
		{{"retention.ms", OpAppend, v("1")}}, {{"nope", OpSet, v("1")}}, {{"retention.ms", OpSet, nil}}, {{"retention.ms", 9, v("1")}},
		{{"retention.ms", OpSet, v("1")}, {"retention.ms", OpSet, v("2")}},
		{{"min.compaction.lag.ms", OpSet, v("5")}, {"max.compaction.lag.ms", OpSet, v("4")}},
	} {
		if err := step(bad...); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

// TestModel holds three things over random histories: an image is what its snapshot makes, what a replay makes, and it
// does not change once seen.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, _, err := NewBrokerConfig(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		log := &memLog{}
		s := NewStore(log)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		propose := func(decide func(*Image) ([]Record, error)) {
			before := s.Image()
			frozen := fmt.Sprintf("%#v", before.Records())
			_, _ = s.Propose(context.Background(), decide)
			if fmt.Sprintf("%#v", before.Records()) != frozen {
				t.Fatal("an image changed after it was seen")
			}
		}
		propose(func(m *Image) ([]Record, error) {
			return RegisterBroker(m, "c", Broker{ID: 0, Host: "h", Port: 1}), nil
		})
		next := byte(1)
		names := rapid.SampledFrom([]string{"a", "b", "c.d", "c_d"})
		value := rapid.StringMatching("[0-9]{1,4}")
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				name, n := names.Draw(t, "name"), rapid.Int32Range(0, 3).Draw(t, "partitions")
				next++
				propose(func(m *Image) ([]Record, error) {
					return CreateTopic(m, c, NewTopic{Name: name, ID: id(next), Partitions: n, Replication: 1})
				})
			},
			"delete": func(t *rapid.T) {
				name := names.Draw(t, "name")
				propose(func(m *Image) ([]Record, error) { return DeleteTopic(m, c, name, TopicID{}) })
			},
			"grow": func(t *rapid.T) {
				name, n := names.Draw(t, "name"), rapid.Int32Range(0, 6).Draw(t, "count")
				propose(func(m *Image) ([]Record, error) { return CreatePartitions(m, name, n, nil) })
			},
			"alter": func(t *rapid.T) {
				name, v := names.Draw(t, "name"), value.Draw(t, "value")
				propose(func(m *Image) ([]Record, error) {
					return AlterTopic(m, c, name, []Alter{{"retention.ms", Op(rapid.IntRange(0, 1).Draw(t, "op")), &v}})
				})
			},
			"alter broker": func(t *rapid.T) {
				v := value.Draw(t, "value")
				propose(func(m *Image) ([]Record, error) {
					return AlterBroker(m, c, rapid.SampledFrom([]string{"", "0"}).Draw(t, "broker"), []Alter{{"log.retention.ms", Op(rapid.IntRange(0, 1).Draw(t, "op")), &v}})
				})
			},
			"group": func(t *rapid.T) {
				v := fmt.Sprint(rapid.IntRange(44_000, 61_000).Draw(t, "timeout"))
				propose(func(m *Image) ([]Record, error) {
					return AlterGroup(m, c, rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group"), []Alter{{"consumer.session.timeout.ms", Op(rapid.IntRange(0, 1).Draw(t, "op")), &v}})
				})
			},
			"quota": func(t *rapid.T) {
				e := QuotaEntity{User: quotaName(t, "user"), ClientID: quotaName(t, "client"), IP: quotaName(t, "ip")}
				change := QuotaChange{
					Name:   rapid.SampledFrom([]string{ProducerByteRate, RequestPercentage, ConnectionCreationRate}).Draw(t, "quota"),
					Value:  float64(rapid.IntRange(0, 3).Draw(t, "limit")),
					Remove: rapid.Bool().Draw(t, "remove"),
				}
				propose(func(m *Image) ([]Record, error) { return AlterQuotas(m, e, []QuotaChange{change}) })
			},
			"ids": func(*rapid.T) {
				propose(func(m *Image) ([]Record, error) { _, r := AllocateProducerIDs(m); return r, nil })
			},
			"acl": func(t *rapid.T) {
				a := auth.ACL{Kind: auth.Topic, Pattern: auth.Literal, Name: names.Draw(t, "name"), Principal: "User:a", Host: "*", Operation: auth.Read, Permission: auth.Allow}
				propose(func(m *Image) ([]Record, error) { _, r := CreateACLs(m, []auth.ACL{a, a}); return r, nil })
			},
			"scram": func(t *rapid.T) {
				set := []ScramChange{{User: ScramUser{names.Draw(t, "name"), auth.ScramSHA256}, Salt: []byte("s"), Salted: []byte("p"), Iterations: 4096}}
				if rapid.Bool().Draw(t, "delete") {
					set[0].Delete = true
				}
				propose(func(m *Image) ([]Record, error) { _, r := AlterScram(m, set); return r, nil })
			},
			"remove acl": func(t *rapid.T) {
				name := names.Draw(t, "name")
				f := auth.Filter{Kind: auth.Topic, Pattern: auth.AnyPattern, Name: &name, Operation: auth.Any, Permission: auth.AnyPermission}
				propose(func(m *Image) ([]Record, error) { _, _, r := DeleteACLs(m, []auth.Filter{f, f}); return r, nil })
			},
			"": func(t *rapid.T) {
				m := s.Image()
				if again := NewImage().Apply(m.Records()...); !reflect.DeepEqual(again, m) {
					t.Fatalf("snapshot makes\n%+v, want\n%+v", again, m)
				}
				replayed := NewStore(&memLog{entries: log.entries})
				if err := replayed.Start(); err != nil || !reflect.DeepEqual(replayed.Image(), m) {
					t.Fatalf("replay makes another image (%v)", err)
				}
			},
		})
	})
}

func quotaName(t *rapid.T, label string) QuotaName {
	return rapid.SampledFrom([]QuotaName{{}, {Set: true, Default: true}, {Set: true, Name: "10.0.0.1"}}).Draw(t, label)
}

func TestAlterQuotasRefuses(t *testing.T) {
	named := func(s string) QuotaName { return QuotaName{Set: true, Name: s} }
	for _, tc := range []struct {
		e    QuotaEntity
		ch   QuotaChange
		says string
	}{
		{QuotaEntity{}, QuotaChange{}, "empty"},
		{QuotaEntity{User: named("u"), IP: named("10.0.0.1")}, QuotaChange{}, "combination"},
		{QuotaEntity{IP: named("nowhere")}, QuotaChange{}, "not an IP"},
		{QuotaEntity{User: named("u")}, QuotaChange{Name: ConnectionCreationRate, Value: 1}, "key"},
		{QuotaEntity{IP: named("::1")}, QuotaChange{Name: ProducerByteRate, Value: 1}, "key"},
		{QuotaEntity{User: named("u")}, QuotaChange{Name: "nonsense", Value: 1}, "key"},
		{QuotaEntity{User: named("u")}, QuotaChange{Name: ProducerByteRate, Value: 0}, "greater"},
		{QuotaEntity{User: named("u")}, QuotaChange{Name: RequestPercentage, Value: math.NaN()}, "greater"},
		{QuotaEntity{User: named("u")}, QuotaChange{Name: ProducerByteRate, Value: 1.5}, "fraction"},
		{QuotaEntity{IP: named("::1")}, QuotaChange{Name: ConnectionCreationRate, Value: 1 << 40}, "large"},
	} {
		if _, err := AlterQuotas(NewImage(), tc.e, []QuotaChange{tc.ch}); !errors.Is(err, ErrInvalidRequest) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%+v %+v: %v", tc.e, tc.ch, err)
		}
	}
	recs, err := AlterQuotas(NewImage(), QuotaEntity{IP: named("0:0:0:0:0:0:0:1")}, []QuotaChange{{Name: ConnectionCreationRate, Value: 1}})
	if err != nil || recs[0].(QuotaSet).Entity.IP.Name != "::1" {
		t.Errorf("%+v %v", recs, err)
	}
	twice := []QuotaChange{{Name: RequestPercentage, Value: 1}, {Name: RequestPercentage, Value: 2}}
	if _, err := AlterQuotas(NewImage(), QuotaEntity{User: named("u")}, twice); !errors.Is(err, ErrInvalidRequest) {
		t.Error(err)
	}
}

// TestManyChangesCostWhatTheyAre: a thousand topics in one decision do not each copy what is there.
func TestManyChangesCostWhatTheyAre(t *testing.T) {
	c, base := config(t, nil), cluster(1)
	create := func(n int) (allocated uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		changes := base.Change()
		for i := range n {
			topic := TopicID{1, byte(i >> 8), byte(i)}
			recs, err := CreateTopic(changes.Image(), c, NewTopic{Name: fmt.Sprint("t", i), ID: topic, Partitions: 1, Replication: 1})
			if err != nil {
				t.Fatal(err)
			}
			changes.Add(recs...)
		}
		runtime.ReadMemStats(&after)
		if whole := base.Apply(changes.Records()...); !reflect.DeepEqual(whole.Topics(), changes.Image().Topics()) || len(base.Topics()) != 0 {
			t.Fatal("changes one by one and at once differ")
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	if few, many := create(100), create(1600); many > 48*few {
		t.Errorf("100 topics allocate %d bytes, 1600 allocate %d", few, many)
	}
}

func TestProposeThatFailsChangesNothing(t *testing.T) {
	log := &memLog{}
	s := NewStore(log)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	log.fail = errors.New("disk full")
	before := s.Image()
	_, err := s.Propose(t.Context(), func(m *Image) ([]Record, error) { _, r := AllocateProducerIDs(m); return r, nil })
	if !errors.Is(err, log.fail) || s.Image() != before {
		t.Fatalf("%v, image changed: %v", err, s.Image() != before)
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range cluster(2).Apply(TopicCreated{id(1), "t", true}, PartitionChanged{id(1), 0, Partition{0, 1, []int32{0}, []int32{0}}},
		TopicConfigured{id(1), "a", "b", false}, BrokerConfigured{"", "a", "b", false}).Records() {
		f.Add(Encode(nil, r))
	}
	f.Add(Encode(nil, TopicDeleted{id(1)}))
	f.Add(Encode(nil, GroupConfigured{"g", "a", "b", true}))
	f.Add(Encode(nil, ScramSet{ScramUser{"a", auth.ScramSHA512}, auth.ScramCredential{Salt: "s", StoredKey: "k", ServerKey: "l", Iterations: 4096}}))
	f.Add(Encode(nil, ACLCreated{auth.ACL{Kind: auth.Topic, Pattern: auth.Literal, Name: "t", Principal: "User:a", Host: "*", Operation: auth.Read, Permission: auth.Deny}}))
	f.Add(Encode(nil, QuotaSet{QuotaEntity{User: QuotaName{Set: true, Name: "u"}, ClientID: QuotaName{Set: true, Default: true}}, ProducerByteRate, 1.5, false}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(Encode(nil, r))
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%#v became %#v (%v)", r, again, err)
		}
		NewImage().Apply(r)
	})
}
