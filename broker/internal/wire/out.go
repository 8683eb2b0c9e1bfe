package wire

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/storage"
)

const (
	writeTime = 60 * time.Second // for a client to take a piece of a response
	hastyTime = time.Second      // for the same, where answers that wait have taken their memory
	sendPiece = 1 << 20
	joinMax   = 16 << 10 // small responses are copied together into one write
)

// out is what a connection still owes its client: responses go in the order of requests.
type out struct {
	mu      sync.Mutex
	queue   []*pending // oldest first
	unsent  int        // bytes of responses that wait
	serving bool       // the connection's goroutine will look for itself
	writing bool
	failed  bool
	muted   time.Time  // until then nothing is read
	empty   *sync.Cond // of queue; made by who waits for it
	sent    chan struct{}

	deadline time.Time // when the write deadline was set; of who is writing
}

// expect puts p into the queue, before it is served.
func (c *conn) expect(p *pending) {
	c.mu.Lock()
	c.queue = append(c.queue, p)
	c.serving = true
	c.mu.Unlock()
}

// ready notes the answer of a request.
func (c *conn) ready(p *pending, r api.Reply, err error) {
	c.mu.Lock()
	p.reply, p.err, p.ready = r, err, true
	c.unsent += len(r.Bytes)
	if len(r.Bytes) > joinMax {
		p.since = time.Now()
	}
	full := c.server.owed.Add(int64(len(r.Bytes))) > c.server.owedMax
	if r.Mute > 0 {
		c.muted = latest(c.muted, time.Now().Add(r.Mute))
	}
	alone := !c.serving && !c.writing && c.queue[0] == p
	now := alone && r.Free && p.small() && !c.failed && c.in.raw != nil
	c.writing = c.writing || now
	c.mu.Unlock()
	if full {
		c.server.relieve(time.Now())
	}
	switch {
	case now:
		c.sendNow(p)
	case alone:
		go c.flush()
	}
}

// unread is how many bytes of answers wait for the client, if the oldest has done so for longer than patience.
func (c *conn) unread(now time.Time, patience time.Duration) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 || !c.queue[0].ready || now.Sub(c.queue[0].since) < patience {
		return 0
	}
	return c.unsent
}

// small tells whether a response fits into one write.
func (p *pending) small() bool {
	return p.err == nil && !p.reply.Empty && len(p.reply.Inserts) == 0 && frameLength+len(p.reply.Bytes) <= joinMax
}

// sendNow sends a small response from a goroutine that others wait for: what the socket does not take at once is sent by a
// goroutine of its own. Who calls it has set writing.
func (c *conn) sendNow(p *pending) {
	joined := frames.get(joinMax)
	b := binary.BigEndian.AppendUint32(joined.b[:0], uint32(p.reply.Size()))
	b = append(b, p.reply.Bytes...)
	err := c.patience()
	if err == nil {
		b, err = c.tryWrite(b)
	}
	if err == nil && len(b) > 0 {
		go c.sendRest(p, joined, b)
		return
	}
	frames.put(joined)
	c.gone([]*pending{p}, err)
	if c.due() != nil {
		go c.sendReady()
	}
}

// sendRest goes on where sendNow had to stop.
func (c *conn) sendRest(p *pending, joined *frame, rest []byte) {
	err := c.write(rest)
	frames.put(joined)
	c.gone([]*pending{p}, err)
	c.sendReady()
}

// served says that the connection's goroutine no longer looks: it flushes next, or serves the next request before.
func (c *conn) served() {
	c.mu.Lock()
	c.serving = c.in.whole()
	c.mu.Unlock()
}

// flush sends the answers that are ready and have none before them that is not.
func (c *conn) flush() {
	c.mu.Lock()
	busy := c.writing
	c.writing = true
	c.mu.Unlock()
	if !busy {
		c.sendReady()
	}
}

// sendReady is flush for who has set writing. After a failure it only gives back what answers hold.
func (c *conn) sendReady() {
	for batch := c.due(); batch != nil; batch = c.due() {
		var err error
		if !c.failed {
			err = c.send(batch)
		}
		c.gone(batch, err)
	}
}

// due are the answers that can be sent. With none, writing is over.
func (c *conn) due() []*pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.queue) && c.queue[n].ready {
		n++
	}
	if n > 0 {
		return c.queue[:n]
	}
	c.writing = false
	if len(c.queue) == 0 && c.empty != nil {
		c.empty.Broadcast()
	}
	return nil
}

// gone removes answers from the front of the queue: they were sent, or could not be.
func (c *conn) gone(batch []*pending, err error) {
	bytes := 0
	for _, p := range batch {
		if !c.failed && err == nil {
			c.server.stats.answered(p)
		}
		bytes += len(p.reply.Bytes)
		p.reply.Release()
	}
	if err != nil {
		c.report(err)
		c.cancel(errClosing)
		c.close() // the reading side notices
	}
	c.mu.Lock()
	c.failed = c.failed || err != nil
	c.unsent -= bytes
	c.server.owed.Add(-int64(bytes))
	n := len(batch)
	clear(c.queue[:n])
	if n < len(c.queue) {
		c.queue = c.queue[n:]
	} else {
		c.queue = c.queue[:0]
	}
	c.mu.Unlock()
	select {
	case c.sent <- struct{}{}:
	default:
	}
}

// answered waits until nothing is owed any more.
func (c *conn) answered() {
	c.flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.empty == nil {
		c.empty = sync.NewCond(&c.mu)
	}
	for len(c.queue) > 0 || c.writing {
		c.empty.Wait()
	}
}

// room waits until a request may be read: what it would hold while its client does not read or lets others wait is bounded.
// A fetch is not answered before all before it are sent: it would only hold its answer. Who is beyond a quota waits too.
func (c *conn) room(key int16) error {
	for flushed := false; ; {
		c.mu.Lock()
		n, unsent, muted := len(c.queue), c.unsent, c.muted
		c.mu.Unlock()
		if n < pipeline && unsent < unsentMax && (key != keyFetch || n == 0) {
			if muted.IsZero() || !time.Now().Before(muted) {
				return nil
			}
			if err := c.pause(muted); err != nil {
				return err
			}
			continue
		}
		if !flushed {
			flushed = true
			c.yield()
			continue
		}
		select {
		case <-c.sent:
		case <-c.ctx.Done():
			return io.EOF
		}
	}
}

// yield sends what is ready now: who waits for room has not.
func (c *conn) yield() {
	c.mu.Lock()
	c.serving = false
	c.mu.Unlock()
	c.flush()
}

// send sends responses in order, small ones in one piece.
func (c *conn) send(batch []*pending) error {
	joined := frames.get(joinMax)
	defer frames.put(joined)
	b := joined.b[:0]
	for _, p := range batch {
		if p.err != nil {
			if err := c.write(b); err != nil {
				return err
			}
			return p.err
		}
		if p.reply.Empty {
			continue
		}
		if len(b)+frameLength > joinMax {
			if err := c.write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		b = binary.BigEndian.AppendUint32(b, uint32(p.reply.Size()))
		at := 0
		for _, in := range p.reply.Inserts {
			if err := c.join(&b, p.reply.Bytes[at:in.At]); err != nil {
				return err
			}
			if err := c.write(b); err != nil {
				return err
			}
			b = b[:0]
			if err := c.sendRange(in.Chunk); err != nil {
				return err
			}
			at = in.At
		}
		if err := c.join(&b, p.reply.Bytes[at:]); err != nil {
			return err
		}
	}
	return c.write(b)
}

// join adds part to what is sent next, or sends both where it does not fit.
func (c *conn) join(b *[]byte, part []byte) error {
	if len(*b)+len(part) <= joinMax {
		*b = append(*b, part...)
		return nil
	}
	err := c.writeAll(*b, part)
	*b = (*b)[:0]
	return err
}

// write sends b, in pieces that each have writeTime: a client may be slow, but not stand still.
func (c *conn) write(b []byte) error {
	if small := len(b) > 0 && len(b) <= joinMax; small && c.in.raw != nil {
		err := c.patience()
		if err == nil {
			b, err = c.tryWrite(b)
		}
		if err != nil {
			return err
		}
	}
	for len(b) > 0 {
		piece := b[:min(len(b), sendPiece)]
		if err := c.patience(); err != nil {
			return err
		}
		if _, err := c.nc.Write(piece); err != nil {
			return err
		}
		b = b[len(piece):]
	}
	return nil
}

// writeAll is write for several parts, which go together.
func (c *conn) writeAll(parts ...[]byte) error {
	left := net.Buffers(parts)
	for {
		piece := firstOf(&left, sendPiece)
		if len(piece) == 0 {
			return nil
		}
		if err := c.patience(); err != nil {
			return err
		}
		if _, err := piece.WriteTo(c.nc); err != nil {
			return err
		}
	}
}

// firstOf takes at most max bytes from the front.
func firstOf(left *net.Buffers, max int) net.Buffers {
	var piece net.Buffers
	for len(*left) > 0 && max > 0 {
		part := (*left)[0]
		n := min(len(part), max)
		if n > 0 {
			piece = append(piece, part[:n])
		}
		max -= n
		if (*left)[0] = part[n:]; n == len(part) {
			*left = (*left)[1:]
		}
	}
	return piece
}

// patience sets the write deadline, once a second at most.
func (c *conn) patience() error {
	now := time.Now()
	if now.Sub(c.out.deadline) < time.Second {
		return nil
	}
	c.out.deadline = now
	return c.nc.SetWriteDeadline(now.Add(writeTime))
}

// sendRange sends a range of a file in pieces.
func (c *conn) sendRange(chunk storage.Chunk) error {
	for chunk.Len > 0 {
		piece := chunk
		piece.Len = min(chunk.Len, sendPiece)
		if err := c.patience(); err != nil {
			return err
		}
		if err := sendRange(c.nc, piece); err != nil {
			return err
		}
		chunk.Pos += int64(piece.Len)
		chunk.Len -= piece.Len
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// pause sends what is ready and waits.
func (c *conn) pause(until time.Time) error {
	c.yield()
	select {
	case <-time.After(time.Until(until)):
		return nil
	case <-c.ctx.Done():
		return io.EOF
	}
}
