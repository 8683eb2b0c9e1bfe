package sdk

import (
	"context"
	"fmt"
	"time"

	"github.com/leatstream/leat/connect/sdk/proto"
)

// usable reports why nothing more may be added.
func (c *claim) usable() error {
	if c.err != nil {
		return c.err
	}
	if c.t.running.Err() != nil {
		return ErrStopping
	}
	return nil
}

// makeRoom sends what is batched if n more bytes would make a batch that a topic might refuse
// (max.message.bytes); a record that is larger travels alone.
func (c *claim) makeRoom(n int) error {
	if c.builder.Count() > 0 && c.builder.Size()+n > maxBatchBytes {
		return c.flush()
	}
	return nil
}

// append adds a record and returns the number of the batch that it will be in.
func (c *claim) append(r Record, position func() ([]byte, error)) (uint64, error) {
	ts := r.Timestamp
	if ts == 0 {
		ts = time.Now().UnixMilli()
	}
	c.builder.Append(ts, r.Key, r.Value, r.Headers)
	return c.added(position)
}

func (c *claim) appendRejection(r Rejection, position func() ([]byte, error)) (uint64, error) {
	value := r.Value[:min(len(r.Value), proto.MaxRejected)]
	c.rejected = append(c.rejected, &proto.Rejected{
		Value: append([]byte(nil), value...), Origin: r.Origin, Code: r.Code, Message: r.Message,
	})
	c.rejBytes += len(value)
	return c.added(position)
}

// added cuts the batch when it is full.
func (c *claim) added(position func() ([]byte, error)) (uint64, error) {
	c.moved(position)
	if c.builder.Count()+len(c.rejected) >= maxBatchRecords || c.builder.Size()+c.rejBytes >= maxBatchBytes {
		err := c.flush()
		return c.seq, err
	}
	return c.seq + 1, nil
}

// moved notes that there is something to send, and sees to it that it is sent soon.
func (c *claim) moved(position func() ([]byte, error)) {
	c.position = position
	if c.armed {
		return
	}
	c.armed = true
	if c.timer == nil {
		c.timer = time.AfterFunc(c.t.linger, func() { _ = c.Flush() }) // a failure stays in c.err
		return
	}
	c.timer.Reset(c.t.linger)
}

// Flush sends what is batched.
func (c *claim) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flush()
}

func (c *claim) flush() error {
	if c.err != nil || c.position == nil {
		return c.err
	}
	c.timer.Stop()
	c.armed = false
	b, err := c.build()
	if err == nil {
		c.seq++
		b.Seq = c.seq
		err = c.t.sendBatch(b)
	}
	c.err = err
	return err
}

func (c *claim) build() (*proto.SourceBatch, error) {
	position, err := c.position()
	if err != nil {
		return nil, fmt.Errorf("encode the position of %q: %w", c.name, err)
	}
	if len(position) > proto.MaxPosition {
		return nil, Fatal("sdk.position", fmt.Errorf("the position of %q has %d bytes, at most %d fit", c.name, len(position), proto.MaxPosition),
			"this is a mistake of the connector's author")
	}
	b := &proto.SourceBatch{Claim: c.name, Position: position, Rejected: c.rejected}
	if n := c.builder.Count(); n > 0 {
		b.Count = uint32(n)
		if b.Frame, err = c.builder.Build(make([]byte, 0, c.builder.Size())); err != nil {
			return nil, err
		}
		c.builder.Reset()
	}
	c.rejected, c.rejBytes, c.position = nil, 0, nil
	return b, nil
}

func (c *claim) ack(seq uint64) {
	c.ackMu.Lock()
	defer c.ackMu.Unlock()
	if seq > c.ackSeq {
		c.ackSeq = seq
		close(c.ackMore)
		c.ackMore = make(chan struct{})
	}
}

// wait returns when the batch seq is acknowledged.
func (c *claim) wait(ctx context.Context, seq uint64) error {
	for {
		c.ackMu.Lock()
		done, more := c.ackSeq >= seq, c.ackMore
		c.ackMu.Unlock()
		if done {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.t.stream.Done():
			return ErrStopping
		}
	}
}
