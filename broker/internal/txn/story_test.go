package txn_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	timeout    = time.Minute
	expiration = time.Hour
)

var start = time.Unix(1_700_000_000, 0)

// TestStories plays the files of testdata. Each command shows what is answered, and then the state. An event that needs a
// producer id gets the next unused one.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "rapid") {
			return // where rapid keeps what a model has failed with
		}
		s := &story{txn: txn.New("tx"), now: start, fresh: 100}
		datadriven.RunTest(t, path, s.play)
	})
}

type story struct {
	txn   *txn.Txn
	now   time.Time
	fresh int64
}

func (s *story) play(t *testing.T, d *datadriven.TestData) string {
	p := txn.NoProducer
	v2, partitions := true, []txn.Partition{}
	for _, a := range d.CmdArgs {
		id, epoch, pair := strings.Cut(a.Key, "/")
		switch {
		case pair: // ID/EPOCH
			p = txn.Producer{ID: number(t, id), Epoch: int16(number(t, epoch))}
		case a.Key == "v1":
			v2 = false
		case a.Key == "commit", a.Key == "abort":
		case d.Cmd != "sleep" && d.Cmd != "epoch":
			partitions = append(partitions, partition(t, a.Key))
		}
	}
	var err error
	switch d.Cmd {
	case "init":
		err = s.event(func(fresh int64) (*txn.Txn, error) { return s.txn.Init(s.now, timeout, p, fresh) })
	case "add":
		err = s.event(func(int64) (*txn.Txn, error) { return s.txn.Add(s.now, p, v2, partitions...) })
	case "verify":
		err = s.txn.Verify(p, partitions[0])
	case "end":
		err = s.event(func(fresh int64) (*txn.Txn, error) { return s.txn.End(s.now, p, d.HasArg("commit"), v2, fresh) })
	case "marked":
		s.txn = s.txn.Marked(partitions[0])
	case "complete":
		s.txn = s.txn.Complete(s.now)
	case "sleep":
		wait, e := time.ParseDuration(d.CmdArgs[0].Key)
		if e != nil {
			t.Fatal(e)
		}
		s.now = s.now.Add(wait)
		err = s.event(func(int64) (*txn.Txn, error) { return s.txn.Tick(s.now, expiration), nil })
	case "crash":
		s.txn = restart(s.txn)
	case "epoch":
		s.txn = restart(s.txn)
		s.txn.Producer.Epoch = int16(number(t, d.CmdArgs[0].Key))
	default:
		t.Fatalf("%s: no command %q", d.Pos, d.Cmd)
	}
	answer := "ok"
	var k *kerr.Error
	if errors.As(err, &k) {
		answer = k.Message
	} else if err != nil {
		answer = err.Error()
	}
	return answer + "\n" + s.show()
}

func (s *story) event(decide func(fresh int64) (*txn.Txn, error)) error {
	next, err := decide(-1)
	if errors.Is(err, txn.ErrNeedsProducerID) {
		s.fresh++
		next, err = decide(s.fresh - 1)
	}
	if next != nil {
		s.txn = next
	}
	return err
}

func (s *story) show() string {
	out := fmt.Sprintf("%s %d/%d", s.txn.State, s.txn.Producer.ID, s.txn.Producer.Epoch)
	if s.txn.NextID >= 0 {
		out += fmt.Sprintf(", then %d", s.txn.NextID)
	}
	for _, p := range s.txn.Partitions {
		out += fmt.Sprintf(" %s:%d", p.Topic, p.Index)
	}
	return out
}

// restart is what a restart leaves of a transactional id: what its record has.
func restart(t *txn.Txn) *txn.Txn {
	return txn.Restore(txn.Txn{
		ID: t.ID, Producer: t.Producer, PreviousID: t.PreviousID, NextID: t.NextID, Timeout: t.Timeout, State: t.State,
		Partitions: slices.Clone(t.Partitions), Started: t.Started, Updated: t.Updated, V2: t.V2,
	})
}

// TestRestoredPartitionsAreFound: whoever wrote the record had an order of its own.
func TestRestoredPartitionsAreFound(t *testing.T) {
	partitions := []txn.Partition{{Topic: "t", Index: 2}, {Topic: "t", Index: 0}, {Topic: "a", Index: 1}}
	x := txn.Restore(txn.Txn{State: txn.Ongoing, Partitions: slices.Clone(partitions)})
	for _, p := range partitions {
		if !x.Has(p) {
			t.Errorf("%v is not found", p)
		}
	}
}

// TestNothingNewIsNotWritten: a partition that takes part already costs no record.
func TestNothingNewIsNotWritten(t *testing.T) {
	x, err := txn.New("tx").Init(start, timeout, txn.NoProducer, 100)
	if err != nil {
		t.Fatal(err)
	}
	at := txn.Partition{Topic: "t"}
	if x, err = x.Add(start, x.Producer, true, at); err != nil {
		t.Fatal(err)
	}
	if next, err := x.Add(start, x.Producer, true, at); next != nil || err != nil {
		t.Errorf("%+v, %v", next, err)
	}
	if next, err := x.Add(start, x.Producer, true, txn.Partition{Topic: "t", Index: 1}); next == nil || err != nil {
		t.Errorf("another partition: %v, %v", next, err)
	}
}

func number(t *testing.T, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func partition(t *testing.T, s string) txn.Partition {
	topic, index, _ := strings.Cut(s, ":")
	return txn.Partition{Topic: topic, Index: int32(number(t, index))}
}
