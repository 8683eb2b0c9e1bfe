package sdk

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/leatstream/leat/connect/sdk/proto"
)

// Task is one running source. Its methods may be called from any goroutine.
type Task struct {
	Connector string       // its name in the user's YAML
	Log       *slog.Logger // reaches the runtime's log
	Stdout    *os.File     // the user's

	epoch     int64
	positions map[string][]byte
	running   context.Context // ends when the runtime asks to stop
	stream    context.Context // ends when nothing can be sent any more
	credit    *credit
	linger    time.Duration

	sendMu sync.Mutex
	send   func(*proto.SourceMessage) error

	mu       sync.Mutex
	claims   map[string]*claim
	caughtUp bool // said, and no batch since
}

func newTask(req *proto.OpenRequest) *Task {
	t := &Task{
		Connector: req.GetConnector(), Log: logger.With("connector", req.GetConnector()), Stdout: stdout(),
		epoch: req.GetEpoch(), positions: map[string][]byte{}, credit: newCredit(), linger: linger, claims: map[string]*claim{},
	}
	for _, p := range req.GetPositions() {
		t.positions[p.GetClaim()] = p.GetPosition()
	}
	return t
}

// Claims lists the claims that have a durable position, sorted.
func (t *Task) Claims() []string { return slices.Sorted(maps.Keys(t.positions)) }

// CaughtUp says that everything that was there has been emitted; it sends what is still batched. Saying it again
// with nothing emitted in between costs nothing.
func (t *Task) CaughtUp() error {
	if err := t.flush(); err != nil {
		return err
	}
	t.mu.Lock()
	said := t.caughtUp
	t.caughtUp = true
	t.mu.Unlock()
	if said {
		return nil
	}
	return t.message(&proto.SourceMessage{Body: &proto.SourceMessage_CaughtUp{CaughtUp: &proto.CaughtUp{}}})
}

// Release says that a claim is gone for good (its file was deleted): once its records are durable, its position is
// forgotten. A record that is emitted into it later begins it anew.
func (t *Task) Release(name string) error {
	t.mu.Lock()
	c := t.claims[name]
	t.mu.Unlock()
	if c != nil {
		if err := c.Flush(); err != nil {
			return err
		}
	}
	return t.message(&proto.SourceMessage{Body: &proto.SourceMessage_Release{Release: &proto.Release{Claim: name}}})
}

// flush sends what the claims have batched, in the order of their names.
func (t *Task) flush() error {
	t.mu.Lock()
	names := slices.Sorted(maps.Keys(t.claims))
	claims := make([]*claim, len(names))
	for i, n := range names {
		claims[i] = t.claims[n]
	}
	t.mu.Unlock()
	for _, c := range claims {
		if err := c.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Task) message(m *proto.SourceMessage) error {
	m.Epoch = t.epoch
	t.sendMu.Lock()
	defer t.sendMu.Unlock()
	if err := t.stream.Err(); err != nil {
		return err
	}
	return t.send(m)
}

func (t *Task) sendBatch(b *proto.SourceBatch) error {
	if err := t.credit.take(t.stream, b.Cost()); err != nil {
		return err
	}
	t.mu.Lock()
	t.caughtUp = false
	t.mu.Unlock()
	return t.message(&proto.SourceMessage{Body: &proto.SourceMessage_Batch{Batch: b}})
}

func (t *Task) acked(ack *proto.SourceAck) {
	t.mu.Lock()
	c := t.claims[ack.GetClaim()]
	t.mu.Unlock()
	if c != nil {
		c.ack(ack.GetSeq())
	}
}

// claimNamed finds or makes the untyped half of a claim.
func (t *Task) claimNamed(name string) *claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.claims[name]
	if c == nil {
		c = newClaim(t, name)
		t.claims[name] = c
	}
	return c
}
