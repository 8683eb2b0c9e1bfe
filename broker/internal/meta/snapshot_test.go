package meta

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"iter"
	"maps"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/auth"
	"pgregory.net/rapid"
)

// anyRecord makes a record of each kind that fits an image; nil: none does just now.
var anyRecord = map[string]func(t *rapid.T, m *Image) Record{
	"ClusterCreated": func(t *rapid.T, _ *Image) Record { return ClusterCreated{anyName.Draw(t, "cluster")} },
	"BrokerRegistered": func(t *rapid.T, _ *Image) Record {
		return BrokerRegistered{Broker{ID: anyID.Draw(t, "id"), Host: anyName.Draw(t, "host"), Port: anyID.Draw(t, "port"), Rack: anyName.Draw(t, "rack")}}
	},
	"ControllerElected": func(t *rapid.T, _ *Image) Record { return ControllerElected{anyID.Draw(t, "id")} },
	"TopicCreated": func(t *rapid.T, m *Image) Record {
		r := TopicCreated{id(byte(rapid.IntRange(0, 255).Draw(t, "id"))), anyName.Draw(t, "name"), rapid.Bool().Draw(t, "internal")}
		if _, taken := m.collisions[collisionKey(r.Name)]; taken || m.TopicByID(r.ID) != nil {
			return nil
		}
		return r
	},
	"PartitionChanged": func(t *rapid.T, m *Image) Record {
		of := rapid.SliceOfN(anyID, 0, 3)
		return PartitionChanged{anyTopic(t, m), rapid.Int32Range(0, 3).Draw(t, "index"),
			Partition{anyID.Draw(t, "leader"), anyID.Draw(t, "epoch"), of.Draw(t, "replicas"), of.Draw(t, "isr")}}
	},
	"TopicConfigured": func(t *rapid.T, m *Image) Record {
		return TopicConfigured{anyTopic(t, m), anyName.Draw(t, "name"), anyName.Draw(t, "value"), rapid.Bool().Draw(t, "unset")}
	},
	"TopicDeleted": func(t *rapid.T, m *Image) Record { return TopicDeleted{anyTopic(t, m)} },
	"BrokerConfigured": func(t *rapid.T, _ *Image) Record {
		return BrokerConfigured{anyName.Draw(t, "broker"), anyName.Draw(t, "name"), anyName.Draw(t, "value"), rapid.Bool().Draw(t, "unset")}
	},
	"GroupConfigured": func(t *rapid.T, _ *Image) Record {
		return GroupConfigured{anyName.Draw(t, "group"), anyName.Draw(t, "name"), anyName.Draw(t, "value"), rapid.Bool().Draw(t, "unset")}
	},
	"QuotaSet": func(t *rapid.T, _ *Image) Record {
		e := QuotaEntity{User: quotaName(t, "user"), ClientID: quotaName(t, "client"), IP: quotaName(t, "ip")}
		return QuotaSet{e, anyName.Draw(t, "name"), rapid.Float64().Draw(t, "value"), rapid.Bool().Draw(t, "unset")}
	},
	"ProducerIDsAllocated": func(t *rapid.T, _ *Image) Record { return ProducerIDsAllocated{int64(anyID.Draw(t, "next"))} },
	"ACLCreated":           func(t *rapid.T, _ *Image) Record { return ACLCreated{anyACL(t)} },
	"ACLDeleted":           func(t *rapid.T, _ *Image) Record { return ACLDeleted{anyACL(t)} },
	"ScramSet": func(t *rapid.T, _ *Image) Record {
		return ScramSet{anyUser(t), auth.ScramCredential{Salt: anyName.Draw(t, "salt"), StoredKey: anyName.Draw(t, "stored"), ServerKey: anyName.Draw(t, "server"), Iterations: anyID.Draw(t, "iterations")}}
	},
	"ScramUnset": func(t *rapid.T, _ *Image) Record { return ScramUnset{anyUser(t)} },
}

var (
	anyID   = rapid.Int32Range(0, 4)
	anyName = rapid.SampledFrom([]string{"", "a", "b.c", "b_c", "ü"})
)

func anyTopic(t *rapid.T, m *Image) TopicID {
	ids := []TopicID{id(7)}
	for _, topic := range m.Topics() {
		ids = append(ids, topic.ID)
	}
	return rapid.SampledFrom(ids).Draw(t, "topic")
}

func anyACL(t *rapid.T) auth.ACL {
	return auth.ACL{Kind: auth.Topic, Pattern: auth.Literal, Name: anyName.Draw(t, "name"), Principal: anyName.Draw(t, "principal"), Host: "*",
		Operation: rapid.SampledFrom([]auth.Operation{auth.Read, auth.Write}).Draw(t, "operation"), Permission: auth.Deny}
}

func anyUser(t *rapid.T) ScramUser {
	return ScramUser{anyName.Draw(t, "user"), rapid.SampledFrom([]auth.ScramMechanism{auth.ScramSHA256, auth.ScramSHA512}).Draw(t, "mechanism")}
}

// kinds lists the records of the package by the method that makes one.
func kinds(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "apply" && fn.Recv != nil {
				if of, ok := fn.Recv.List[0].Type.(*ast.Ident); ok {
					out = append(out, of.Name)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestSnapshotOfEveryKind: whatever the history, a snapshot anywhere in it and the entries after that make what all entries
// make. Who adds a kind of record adds it to anyRecord; who then forgets it in Image.Records fails here.
func TestSnapshotOfEveryKind(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(anyRecord)), kinds(t); !slices.Equal(got, want) {
		t.Fatalf("anyRecord makes\n%v, but the package has\n%v", got, want)
	}
	names := slices.Sorted(maps.Keys(anyRecord))
	reached := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		log := &memLog{}
		s := started(t, log)
		n := rapid.IntRange(0, 60).Draw(t, "entries")
		at := rapid.IntRange(0, n).Draw(t, "the snapshot is before")
		var cut *memLog
		var later iter.Seq[[]byte]
		before := 0
		for i := range n + 1 {
			if i == at {
				cut, later, before = log.cut(s, s.Offset()), s.Snapshot(), len(log.entries)
			}
			if i == n {
				break
			}
			changes := s.Image().Change()
			for range rapid.IntRange(1, 3).Draw(t, "records") {
				if r := anyRecord[rapid.SampledFrom(names).Draw(t, "kind")](t, changes.Image()); r != nil {
					changes.Add(r)
				}
			}
			if _, err := s.Propose(context.Background(), func(*Image) ([]Record, error) { return changes.Records(), nil }); err != nil {
				t.Fatal(err)
			}
		}
		i := 0
		for r := range later {
			if i == len(cut.records) || string(r) != string(cut.records[i]) {
				t.Fatal("a snapshot that is read later than it was taken is another one")
			}
			i++
		}
		cut.entries = log.entries[before:]
		for what, l := range map[string]*memLog{"the snapshot and what came after it": cut, "all entries": {entries: log.entries}} {
			again := started(t, l)
			if !reflect.DeepEqual(again.Image(), s.Image()) || again.Offset() != s.Offset() {
				t.Fatalf("%s make, at %d,\n%+v, want, at %d,\n%+v", what, again.Offset(), again.Image(), s.Offset(), s.Image())
			}
		}
		fields := reflect.ValueOf(*s.Image())
		for i := range fields.NumField() {
			if f := fields.Field(i); !f.IsZero() && (f.Kind() != reflect.Map || f.Len() > 0) {
				reached[fields.Type().Field(i).Name] = true
			}
		}
	})
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Image]()) {
		if !reached[f.Name] {
			t.Errorf("no history filled Image.%s", f.Name)
		}
	}
}

func started(t rapid.TB, log *memLog) *Store {
	t.Helper()
	s := NewStore(log)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRestoreIsSeen: a running store that is given a snapshot shows its subscribers what that changes.
func TestRestoreIsSeen(t *testing.T) {
	from := started(t, &memLog{})
	create := func(s *Store, n byte, name string) {
		if _, err := s.Propose(t.Context(), func(*Image) ([]Record, error) { return []Record{TopicCreated{id(n), name, false}}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	create(from, 1, "new")
	log := &memLog{}
	s := started(t, log)
	create(s, 2, "old")
	var seen []string
	s.Subscribe(func(old, next *Image) {
		seen = append(seen, fmt.Sprint(old.Topic("old") != nil, next.Topic("old") != nil, next.Topic("new") != nil))
	})
	snapshot := log.cut(from, 40)
	if err := s.Restore(40, snapshot.records); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, ","); got != "true false true" || s.Offset() != 40 {
		t.Errorf("%s at %d", got, s.Offset())
	}
	if err := s.Restore(41, [][]byte{{99, 0}}); err == nil || s.Offset() != 40 || s.Image().Topic("new") == nil {
		t.Errorf("a snapshot with an unknown kind: %v", err)
	}
}

// TestStartTellsWhatWasDeleted, so that files of it can go.
func TestStartTellsWhatWasDeleted(t *testing.T) {
	log := &memLog{}
	s := started(t, log)
	for _, r := range []Record{TopicCreated{id(1), "a", false}, TopicCreated{id(2), "b", false}, TopicDeleted{id(1)}} {
		if _, err := s.Propose(t.Context(), func(*Image) ([]Record, error) { return []Record{r}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	again := started(t, &memLog{entries: log.entries})
	if got := again.Deleted(); !slices.Equal(got, []TopicID{id(1)}) {
		t.Error(got)
	}
}

// TestReplayCostsWhatItReads: entries that change a few things of many do not each copy the many.
func TestReplayCostsWhatItReads(t *testing.T) {
	allocated := func(entries int) uint64 {
		log := &memLog{}
		for i := range entries {
			var e [][]byte
			for _, r := range []Record{
				TopicCreated{TopicID{1, byte(i >> 8), byte(i)}, fmt.Sprint("t", i), false},
				ACLCreated{auth.ACL{Kind: auth.Topic, Pattern: auth.Literal, Name: fmt.Sprint("t", i), Principal: "User:a", Host: "*", Operation: auth.Read, Permission: auth.Allow}},
				GroupConfigured{Group: fmt.Sprint("g", i), Name: "a", Value: "b"},
				QuotaSet{Entity: QuotaEntity{User: QuotaName{Set: true, Name: fmt.Sprint("u", i)}}, Name: ProducerByteRate, Value: 1},
				ScramSet{ScramUser{fmt.Sprint("u", i), auth.ScramSHA256}, auth.ScramCredential{}},
				BrokerConfigured{Broker: fmt.Sprint(i), Name: "a", Value: "b"},
			} {
				e = append(e, Encode(nil, r))
			}
			log.entries = append(log.entries, e)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s := started(t, log)
		runtime.ReadMemStats(&after)
		if len(s.Image().Topics()) != entries {
			t.Fatal(len(s.Image().Topics()))
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	if few, many := allocated(200), allocated(3200); many > 48*few {
		t.Errorf("200 entries allocate %d bytes, 3200 allocate %d", few, many)
	}
}
