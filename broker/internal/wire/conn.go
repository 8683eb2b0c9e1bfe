package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/storage"
)

const (
	pipeline    = 64               // requests of one connection that are under way at once
	readBuffer  = 4 << 10          // small requests are read together
	frameTime   = 30 * time.Second // for the rest of a frame once it began
	writeTime   = 60 * time.Second // for a client to take a piece of a response
	sendPiece   = 1 << 20
	headerPeek  = 8 // length, key, version
	frameMin    = 8 // key, version, correlation id
	frameLength = 4
	freeFrame   = 64 << 10 // a frame up to this is read before memory is taken for it
	unsentMax   = 1 << 20  // bytes of answers that wait to be sent; then no further request is read
	keyProduce  = 0
	keyFetch    = 1
)

var (
	errClosing = errors.New("the connection is closing")
	errCut     = errors.New("a request was cut short")
	errPanic   = errors.New("a request made the broker panic") // logged where it happened
)

// conn is one connection.
type conn struct {
	server   *Server
	nc       net.Conn
	remote   string
	listener string
	who      auth.Principal
	ctx      context.Context
	cancel   context.CancelCauseFunc
	replies  chan *pending // in the order of requests
	closing  sync.Once
	draining chan struct{}

	underWay atomic.Int32  // requests whose response is not sent
	unsent   atomic.Int64  // bytes of responses that wait
	sent     chan struct{} // one of them was sent
}

// pending is a request without a written response.
type pending struct {
	call  *api.Call
	began time.Time
	ready chan struct{} // closed when reply and err are set
	reply api.Reply
	err   error
}

func newConn(s *Server, nc net.Conn, listener string, who auth.Principal) *conn {
	c := &conn{
		server: s, nc: nc, listener: listener, who: who, replies: make(chan *pending, pipeline),
		remote: nc.RemoteAddr().String(), draining: make(chan struct{}), sent: make(chan struct{}, 1),
	}
	c.ctx, c.cancel = context.WithCancelCause(s.ctx)
	return c
}

func (c *conn) run() {
	defer c.server.remove(c)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	err := c.read()
	close(c.replies)
	if c.isDraining() {
		<-written
	}
	c.cancel(errClosing) // parked requests give up
	c.close()
	<-written
	if !c.isDraining() {
		c.report(err)
	}
}

// report is the one line of a connection that ends for a reason.
func (c *conn) report(err error) {
	if !quiet(err) {
		c.server.stats.broken.Add(1)
		c.server.log.Warn("connection closed", "client", c.remote, "error", err)
	}
}

func (c *conn) close() {
	c.closing.Do(func() { _ = c.nc.Close() }) // both loops end with an error of their own
}

// drain stops reading; what was read is answered.
func (c *conn) drain() {
	select {
	case <-c.draining:
	default:
		close(c.draining)
		c.cancel(errClosing) // long polls answer now
		_ = c.nc.SetReadDeadline(time.Now())
	}
}

func (c *conn) isDraining() bool {
	select {
	case <-c.draining:
		return true
	default:
		return false
	}
}

// quiet tells whether an end is one that clients cause all the time.
func quiet(err error) bool {
	if errors.Is(err, errCut) {
		return false
	}
	for _, usual := range []error{io.EOF, net.ErrClosed, io.ErrClosedPipe, os.ErrDeadlineExceeded, syscall.ECONNRESET, syscall.EPIPE, errPanic} {
		if errors.Is(err, usual) {
			return true
		}
	}
	return false
}

// read reads and serves requests until the connection or the server ends, and tells why.
func (c *conn) read() error {
	br := bufio.NewReaderSize(c.nc, readBuffer)
	for {
		if err := c.deadline(c.server.cfg.Idle); err != nil {
			return err
		}
		if _, err := br.Peek(1); err != nil {
			return err
		}
		if err := c.deadline(frameTime); err != nil {
			return err
		}
		if err := c.next(br); err != nil {
			return err
		}
	}
}

func (c *conn) deadline(d time.Duration) error {
	var end time.Time
	if d > 0 { // else it has none, as connections.max.idle.ms=-1 says
		end = time.Now().Add(d)
	}
	if err := c.nc.SetReadDeadline(end); err != nil {
		return err
	}
	if c.isDraining() { // asked last: drain's own deadline may just have been overwritten
		return io.EOF
	}
	return nil
}

// next reads one frame and serves it.
func (c *conn) next(br *bufio.Reader) error {
	head, err := br.Peek(headerPeek)
	if err != nil {
		return cutShort(err)
	}
	size, key := int(int32(binary.BigEndian.Uint32(head))), int16(binary.BigEndian.Uint16(head[frameLength:]))
	limit, factor := api.FrameLimit(key, c.server.cfg.RequestMax)
	if size < frameMin || size > limit {
		return fmt.Errorf("a request of %d bytes for API %d: from %d to %d bytes are accepted", size, key, frameMin, limit)
	}
	if err := c.room(key); err != nil {
		return err
	}
	frame, give, err := c.readFrame(br, size)
	if err != nil {
		return err
	}
	defer give()
	c.server.stats.received.Add(int64(size) + frameLength)
	charge := int64(size) * int64(factor)
	if size > freeFrame {
		charge -= int64(size) // taken already
	}
	decoded, err := c.server.decoding.take(c.ctx, charge)
	if err != nil {
		return io.EOF
	}
	defer decoded() // what a parked request keeps is small: its records are in the log, its lists in the rooms that keep it waiting
	p := &pending{
		call:  &api.Call{Context: c.ctx, ClientHost: host(c.remote), Listener: c.listener, Principal: c.who},
		began: time.Now(),
		ready: make(chan struct{}),
	}
	c.underWay.Add(1)
	c.replies <- p // room saw a place, and only this goroutine takes places
	c.serve(p, frame.b)
	if p.call.Key == keyProduce || p.call.Key == keyFetch { // the others may keep views of the frame
		frames.put(frame)
	}
	return nil
}

// room waits until a request may be read: what it would hold while its client does not read or lets others wait is bounded.
// A fetch is not answered before all before it are sent: it would only hold its answer.
func (c *conn) room(key int16) error {
	for {
		n := c.underWay.Load()
		if n < pipeline && c.unsent.Load() < unsentMax && (key != keyFetch || n == 0) {
			return nil
		}
		select {
		case <-c.sent:
		case <-c.ctx.Done():
			return io.EOF
		}
	}
}

// readFrame reads a frame. A client that announces much gets memory of the budget when it has sent something of it, and
// a small request needs none: who sends half a request makes nobody wait who sends small ones.
func (c *conn) readFrame(br *bufio.Reader, size int) (*frame, func(), error) {
	if err := c.deadline(frameTime); err != nil { // waiting for room is not the client's fault
		return nil, nil, err
	}
	if _, err := br.Discard(frameLength); err != nil {
		return nil, nil, cutShort(err)
	}
	first := frames.get(min(size, freeFrame))
	if _, err := io.ReadFull(br, first.b); err != nil {
		frames.put(first)
		return nil, nil, cutShort(err)
	}
	if size <= freeFrame {
		return first, func() {}, nil
	}
	give, err := c.server.reading.take(c.ctx, int64(size))
	if err != nil {
		frames.put(first)
		return nil, nil, io.EOF
	}
	whole := frames.get(size)
	copy(whole.b, first.b)
	frames.put(first)
	if err := c.deadline(frameTime); err != nil { // nor is waiting for memory
		give()
		return nil, nil, err
	}
	if _, err := io.ReadFull(br, whole.b[freeFrame:]); err != nil {
		frames.put(whole)
		give()
		return nil, nil, cutShort(err)
	}
	return whole, give, nil
}

// serve answers one request. A panic is this connection's end and nobody else's.
func (c *conn) serve(p *pending, frame []byte) {
	var once sync.Once
	reply := func(r api.Reply, err error) {
		once.Do(func() {
			p.reply, p.err = r, err
			c.unsent.Add(int64(len(r.Bytes)))
			close(p.ready)
		})
	}
	defer func() {
		if e := recover(); e != nil {
			c.server.stats.panics.Add(1)
			c.server.log.Error("a request made the broker panic", "client", c.remote, "api", p.call.Key, "version", p.call.Version,
				"panic", e, "stack", string(debug.Stack()))
			reply(api.Reply{}, errPanic)
		}
	}()
	c.server.api.Serve(p.call, frame, reply)
}

// write sends responses in order. After a failure it only gives back what replies hold.
func (c *conn) write() {
	var failed error
	for p := range c.replies {
		<-p.ready
		if failed == nil {
			if failed = c.send(p); failed != nil {
				c.fail(failed)
			} else {
				c.server.stats.answered(p)
			}
		}
		c.unsent.Add(-int64(len(p.reply.Bytes)))
		p.reply.Release()
		c.underWay.Add(-1)
		select {
		case c.sent <- struct{}{}:
		default:
		}
	}
}

// fail ends the connection because of a request; the reading side notices the closed socket.
func (c *conn) fail(err error) {
	c.report(err)
	c.cancel(errClosing)
	c.close()
}

func (c *conn) send(p *pending) error {
	if p.err != nil || p.reply.Empty {
		return p.err
	}
	first := binary.BigEndian.AppendUint32(make([]byte, 0, frameLength), uint32(p.reply.Size()))
	at := 0
	for _, in := range p.reply.Inserts {
		if err := c.sendBytes(first, p.reply.Bytes[at:in.At]); err != nil {
			return err
		}
		if err := c.sendRange(in.Chunk); err != nil {
			return err
		}
		first, at = nil, in.At
	}
	return c.sendBytes(first, p.reply.Bytes[at:])
}

// sendBytes sends first and rest, in pieces that each have writeTime: a client may be slow, but not stand still.
func (c *conn) sendBytes(first, rest []byte) error {
	for {
		piece := rest[:min(len(rest), sendPiece)]
		if err := c.nc.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
			return err
		}
		parts := net.Buffers{first, piece}
		if _, err := parts.WriteTo(c.nc); err != nil {
			return err
		}
		if first, rest = nil, rest[len(piece):]; len(rest) == 0 {
			return nil
		}
	}
}

// sendRange sends a range of a file in such pieces.
func (c *conn) sendRange(chunk storage.Chunk) error {
	for chunk.Len > 0 {
		piece := chunk
		piece.Len = min(chunk.Len, sendPiece)
		if err := c.nc.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
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

func cutShort(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return err // by this side
	}
	return fmt.Errorf("%w: %w", errCut, err)
}

func host(addr string) string {
	h, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return h
}
