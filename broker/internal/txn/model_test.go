package txn_test

import (
	"errors"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

const modelPartitions = 3

// fate of a record.
type fate int

const (
	open fate = iota
	committed
	aborted
)

// entry is a record; work is what its client did in one go, between two ends.
type entry struct {
	work     int
	producer txn.Producer
	fate     fate
}

// log is a partition as replicas keep it: epochs fence, markers decide.
type log struct {
	entries []entry
	epochs  map[int64]int16
}

func (l *log) append(p txn.Producer, work int) bool {
	if last, ok := l.epochs[p.ID]; ok && p.Epoch < last {
		return false
	}
	l.epochs[p.ID] = p.Epoch
	l.entries = append(l.entries, entry{work: work, producer: p})
	return true
}

func (l *log) mark(p txn.Producer, outcome fate) {
	l.epochs[p.ID] = p.Epoch
	for i := range l.entries {
		if e := &l.entries[i]; e.producer.ID == p.ID && e.fate == open {
			e.fate = outcome
		}
	}
}

// worker is a client; several of them believe to own the transactional id.
type worker struct {
	producer txn.Producer
	work     int
	wrote    bool
	over     bool // fenced, or in doubt: it has to initialize first
}

// model is the coordinator, the partitions, the clients, and the requests that a network brings late.
type model struct {
	t       *rapid.T
	v2      bool
	now     time.Time
	fresh   int64
	txn     *txn.Txn
	disk    *txn.Txn // what a crash leaves
	logs    [modelPartitions]log
	workers [3]worker
	works   int
	promise map[int]fate // what clients were told
	asked   map[int]bool // work whose commit was asked for
	late    []func()
}

func (m *model) event(decide func(fresh int64) (*txn.Txn, error)) error {
	next, err := decide(-1)
	if errors.Is(err, txn.ErrNeedsProducerID) {
		m.fresh++
		next, err = decide(m.fresh)
	}
	if next == nil {
		return err
	}
	was, is := m.txn.Producer, next.Producer
	if was.ID == is.ID && is.Epoch < was.Epoch {
		m.t.Fatalf("epoch %v after %v", is, was)
	}
	if m.txn.Preparing() && (next.Completed() && (next.State == txn.CompleteCommit) != (m.txn.State == txn.PrepareCommit) || next.Preparing()) {
		m.t.Fatalf("%s after %s", next.State, m.txn.State)
	}
	m.txn, m.disk = next, next
	return err
}

func (m *model) newWork() int {
	m.works++
	return m.works
}

func (m *model) init(t *rapid.T) {
	w := &m.workers[rapid.IntRange(0, len(m.workers)-1).Draw(t, "worker")]
	expected := txn.NoProducer
	if w.producer != txn.NoProducer && rapid.Bool().Draw(t, "bump") {
		expected = w.producer
	}
	if err := m.event(func(fresh int64) (*txn.Txn, error) { return m.txn.Init(m.now, timeout, expected, fresh) }); err != nil {
		w.over = w.over || !errors.Is(err, kerr.ConcurrentTransactions)
		return
	}
	if rapid.IntRange(0, 4).Draw(t, "answer lost") == 0 {
		return
	}
	*w = worker{producer: m.txn.Producer, work: m.newWork()}
}

func (m *model) write(t *rapid.T) {
	w := &m.workers[rapid.IntRange(0, len(m.workers)-1).Draw(t, "worker")]
	if w.producer == txn.NoProducer || w.over {
		return
	}
	part := rapid.IntRange(0, modelPartitions-1).Draw(t, "partition")
	p, work, l := w.producer, w.work, &m.logs[part]
	at := txn.Partition{Topic: "t", Index: int32(part)}
	enlist := func() bool {
		early := m.txn.Preparing() && p == m.txn.Next()
		err := m.event(func(int64) (*txn.Txn, error) { return m.txn.Add(m.now, p, m.v2, at) })
		if early && !errors.Is(err, kerr.ConcurrentTransactions) {
			m.t.Fatalf("the next producer %v gets %v", p, err)
		}
		return err == nil && m.txn.Verify(p, at) == nil
	}
	if m.txn.Preparing() && p == m.txn.Next() {
		enlist()
		return // and comes again
	}
	if !enlist() {
		w.over = true
		return
	}
	if m.v2 && rapid.Bool().Draw(t, "late") {
		w.over = true // it never hears of this one
		again := rapid.Bool().Draw(t, "again")
		m.late = append(m.late, func() {
			if !again || enlist() {
				l.append(p, work)
			}
		})
		return
	}
	if !l.append(p, work) {
		m.t.Fatalf("partition %d refuses %v, who owns the transaction", part, p)
	}
	w.wrote = true
}

func (m *model) end(t *rapid.T) {
	w := &m.workers[rapid.IntRange(0, len(m.workers)-1).Draw(t, "worker")]
	if w.producer == txn.NoProducer || !w.wrote && !m.v2 {
		return
	}
	commit := !w.over && w.wrote && rapid.Bool().Draw(t, "commit")
	p, work := w.producer, w.work
	ask := func() error {
		return m.event(func(fresh int64) (*txn.Txn, error) { return m.txn.End(m.now, p, commit, m.v2, fresh) })
	}
	if m.v2 && rapid.IntRange(0, 3).Draw(t, "twice") == 0 {
		m.late = append(m.late, func() { _ = ask() })
	}
	if commit {
		m.asked[work] = true
	}
	if err := ask(); err != nil || rapid.IntRange(0, 4).Draw(t, "answer lost") == 0 {
		w.over = true
		return
	}
	m.promise[work] = aborted
	if commit {
		m.promise[work] = committed
	}
	next := w.producer
	if m.v2 {
		next = m.txn.Next()
	}
	*w = worker{producer: next, work: m.newWork()}
}

func (m *model) marker(*rapid.T) {
	if !m.txn.Preparing() || len(m.txn.Partitions) == 0 {
		return
	}
	at := m.txn.Partitions[0]
	outcome := aborted
	if m.txn.State == txn.PrepareCommit {
		outcome = committed
	}
	m.logs[at.Index].mark(m.txn.Producer, outcome)
	m.txn = m.txn.Marked(at)
}

func (m *model) complete(*rapid.T) {
	if m.txn.Preparing() && len(m.txn.Partitions) == 0 {
		_ = m.event(func(int64) (*txn.Txn, error) { return m.txn.Complete(m.now), nil })
	}
}

func (m *model) crash(*rapid.T) { m.txn = restart(m.disk) }

func (m *model) network(t *rapid.T) {
	if len(m.late) > 0 {
		m.late[rapid.IntRange(0, len(m.late)-1).Draw(t, "request")]()
	}
}

func (m *model) sleep(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second)
	_ = m.event(func(int64) (*txn.Txn, error) { return m.txn.Tick(m.now, 1000*time.Hour), nil })
}

func (m *model) wear(*rapid.T) { // epochs are nearly used up
	if m.txn.State == txn.Empty && m.txn.Producer.Epoch >= 0 && m.txn.Producer.Epoch < 32000 {
		m.disk = restart(m.disk)
		m.disk.Producer.Epoch = 32764
		m.txn = m.disk
	}
}

// check: work is decided as a whole and as its client was told, and nothing is committed that nobody asked to commit.
func (m *model) check(*rapid.T) {
	fates := map[int]fate{}
	for i := range m.logs {
		for _, e := range m.logs[i].entries {
			if e.fate == open {
				continue
			}
			if was, ok := fates[e.work]; ok && was != e.fate {
				m.t.Fatalf("work %d is torn", e.work)
			}
			fates[e.work] = e.fate
			if e.fate == committed && !m.asked[e.work] {
				m.t.Fatalf("work %d is committed and nobody asked", e.work)
			}
			if told, ok := m.promise[e.work]; ok && told != e.fate {
				m.t.Fatalf("work %d: its client was told %d, it is %d", e.work, told, e.fate)
			}
		}
	}
}

// TestModel lets clients, the network, time and crashes act in any order. In the end the coordinator finishes what is
// open, and no record is undecided but of a request that came too late for everybody.
func TestModel(t *testing.T) {
	for name, v2 := range map[string]bool{"KIP-890": true, "before": false} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := &model{t: t, v2: v2, now: start, fresh: 100, txn: txn.New("tx"), promise: map[int]fate{}, asked: map[int]bool{}}
				m.disk = m.txn
				for i := range m.workers {
					m.workers[i].producer = txn.NoProducer
				}
				for i := range m.logs {
					m.logs[i].epochs = map[int64]int16{}
				}
				t.Repeat(map[string]func(*rapid.T){
					"init": m.init, "write": m.write, "more": m.write, "end": m.end, "stop": m.end, "marker": m.marker, "mark": m.marker,
					"complete": m.complete, "crash": m.crash, "network": m.network, "sleep": m.sleep, "wear": m.wear, "": m.check,
				})
				m.now = m.now.Add(timeout)
				_ = m.event(func(int64) (*txn.Txn, error) { return m.txn.Tick(m.now, 1000*time.Hour), nil })
				for m.txn.Preparing() {
					m.marker(t)
					m.complete(t)
				}
				m.check(t)
				for i := range m.logs {
					for _, e := range m.logs[i].entries {
						if e.fate == open {
							m.t.Fatalf("work %d hangs", e.work)
						}
					}
				}
			})
		})
	}
}
