package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
)

// When a batch is cut: at so many records, bytes, or after so long.
const (
	maxBatchRecords = 1000
	maxBatchBytes   = 512 << 10
	linger          = 5 * time.Millisecond
)

// MaxRecord is the most that key, value and headers of one record may have together, in bytes. Larger ones are
// rejected to the dead-letter topic.
const MaxRecord = 16 << 20

// Claim is a source's unit of order and resumption: a file, a table, a shard. P is its position, kept as JSON.
type Claim[P any] struct {
	Position P    // where the last durable record said to go on; the zero P on a first run
	Resumed  bool // there was one

	c      *claim
	last   P
	encode func() ([]byte, error) // last, as JSON
}

// OpenClaim opens a claim by name; opening it twice gives two handles to one.
func OpenClaim[P any](t *Task, name string) (*Claim[P], error) {
	cl := &Claim[P]{c: t.claimNamed(name)}
	cl.encode = func() ([]byte, error) { return json.Marshal(cl.last) }
	if raw, ok := t.positions[name]; ok && len(raw) > 0 {
		if err := json.Unmarshal(raw, &cl.Position); err != nil {
			return nil, Fatal("sdk.position", fmt.Errorf("the stored position of %q is not readable: %w", name, err),
				"it was written by another version of the connector; delete the position to start over")
		}
		cl.Resumed = true
	}
	return cl, nil
}

// Emit adds a record, and the position that says to go on after it. It blocks while the runtime cannot take more. The
// record's slices are free for reuse afterwards.
func (c *Claim[P]) Emit(r Record, after P) error {
	_, err := c.emit(r, after)
	return err
}

// Deliver is Emit, and then waits until the record is durable in the topic.
func (c *Claim[P]) Deliver(ctx context.Context, r Record, after P) error {
	seq, err := c.emit(r, after)
	if err != nil {
		return err
	}
	return c.c.wait(ctx, seq)
}

func (c *Claim[P]) emit(r Record, after P) (uint64, error) {
	if size(r) > MaxRecord {
		return c.reject(Rejection{
			Value: r.Value, Code: "sdk.record-too-large", Message: fmt.Sprintf("the record has %d bytes, at most %d fit", size(r), MaxRecord),
		}, after)
	}
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	if err := c.c.usable(); err != nil {
		return 0, err
	}
	if err := c.c.makeRoom(size(r)); err != nil {
		return 0, err
	}
	c.last = after // what was batched before has gone with the position before
	return c.c.append(r, c.encode)
}

// Reject reports input that cannot become a record; it goes to the connector's dead-letter topic and the position
// moves past it.
func (c *Claim[P]) Reject(r Rejection, after P) error {
	_, err := c.reject(r, after)
	return err
}

func (c *Claim[P]) reject(r Rejection, after P) (uint64, error) {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	if err := c.c.usable(); err != nil {
		return 0, err
	}
	c.last = after
	return c.c.appendRejection(r, c.encode)
}

// Skip moves the position without a record.
func (c *Claim[P]) Skip(after P) error {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	if err := c.c.usable(); err != nil {
		return err
	}
	c.last = after
	c.c.moved(c.encode)
	return nil
}

// Flush sends what is batched.
func (c *Claim[P]) Flush() error { return c.c.Flush() }

// Rejection is input that cannot become a record.
type Rejection struct {
	Value   []byte // what was read; cut to 64 KiB
	Origin  string // where: "in/a.csv:17"
	Code    string // a stable word, such as "file.line-too-long"
	Message string
}

func size(r Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// claim is what a Claim of any position type does.
type claim struct {
	t    *Task
	name string

	mu       sync.Mutex
	builder  *batch.Builder
	rejected []*proto.Rejected
	rejBytes int
	position func() ([]byte, error) // of what is batched; nil: nothing to say
	seq      uint64                 // of the last batch sent
	timer    *time.Timer
	armed    bool
	err      error // a send failed; for ever

	ackMu   sync.Mutex
	ackSeq  uint64
	ackMore chan struct{}
}

func newClaim(t *Task, name string) *claim {
	return &claim{t: t, name: name, builder: batch.NewBuilder(batch.None), ackMore: make(chan struct{})}
}
