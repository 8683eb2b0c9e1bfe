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
	"time"

	"github.com/leatstream/leat/broker/internal/api"
)

const (
	pipeline    = 64               // requests of one connection that are under way at once
	readBuffer  = 4 << 10          // small requests are read together
	frameTime   = 30 * time.Second // for the rest of a frame once it began
	writeTime   = 60 * time.Second // for a client to take a response
	headerPeek  = 8                // length, key, version
	frameMin    = 8                // key, version, correlation id
	frameLength = 4
)

var errClosing = errors.New("the connection is closing")

// conn is one connection.
type conn struct {
	server   *Server
	nc       net.Conn
	remote   string
	listener string
	ctx      context.Context
	cancel   context.CancelCauseFunc
	replies  chan *pending // in the order of requests
	closing  sync.Once
	draining chan struct{}
}

// pending is a request without a written response.
type pending struct {
	call  *api.Call
	ready chan struct{} // closed when reply and err are set
	reply api.Reply
	err   error
}

func newConn(s *Server, nc net.Conn, listener string) *conn {
	c := &conn{
		server: s, nc: nc, listener: listener, replies: make(chan *pending, pipeline),
		remote: nc.RemoteAddr().String(), draining: make(chan struct{}),
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
	if !quiet(err) {
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
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrDeadlineExceeded)
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
	if c.isDraining() {
		return io.EOF
	}
	return c.nc.SetReadDeadline(time.Now().Add(d))
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
	give, err := c.server.budget.take(c.ctx, int64(size)*int64(factor))
	if err != nil {
		return io.EOF
	}
	if _, err := br.Discard(frameLength); err != nil {
		give()
		return cutShort(err)
	}
	frame := frames.get(size)
	if _, err := io.ReadFull(br, frame.b); err != nil {
		give()
		return cutShort(err)
	}
	p := &pending{
		call:  &api.Call{Context: c.ctx, ClientHost: host(c.remote), Listener: c.listener},
		ready: make(chan struct{}),
	}
	select {
	case c.replies <- p:
	case <-c.ctx.Done():
		give()
		return io.EOF
	}
	c.serve(p, frame.b)
	give()                                  // what a parked request keeps is small: its records are in the log, its lists in the rooms that keep it waiting
	if p.call.Key == 0 || p.call.Key == 1 { // the others may keep views of the frame
		frames.put(frame)
	}
	return nil
}

// serve answers one request. A panic is this connection's end and nobody else's.
func (c *conn) serve(p *pending, frame []byte) {
	var once sync.Once
	reply := func(r api.Reply, err error) {
		once.Do(func() {
			p.reply, p.err = r, err
			close(p.ready)
		})
	}
	defer func() {
		if e := recover(); e != nil {
			c.server.log.Error("a request made the broker panic", "client", c.remote, "api", p.call.Key, "version", p.call.Version,
				"panic", e, "stack", string(debug.Stack()))
			reply(api.Reply{}, fmt.Errorf("panic in API %d: %v", p.call.Key, e))
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
			failed = c.send(p)
			if failed != nil {
				c.fail(failed)
			}
		}
		p.reply.Release()
	}
}

// fail ends the connection because of a request; the reading side notices the closed socket.
func (c *conn) fail(err error) {
	if !quiet(err) {
		c.server.log.Warn("connection closed", "client", c.remote, "error", err)
	}
	c.cancel(errClosing)
	c.close()
}

func (c *conn) send(p *pending) error {
	if p.err != nil || p.reply.Empty {
		return p.err
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	size := binary.BigEndian.AppendUint32(make([]byte, 0, frameLength), uint32(p.reply.Size()))
	parts := net.Buffers{size}
	at := 0
	for _, in := range p.reply.Inserts {
		parts = append(parts, p.reply.Bytes[at:in.At])
		at = in.At
		if _, err := parts.WriteTo(c.nc); err != nil {
			return err
		}
		if err := sendRange(c.nc, in.Chunk); err != nil {
			return err
		}
		parts = nil
	}
	parts = append(parts, p.reply.Bytes[at:])
	_, err := parts.WriteTo(c.nc)
	return err
}

func cutShort(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("a request was cut short: %w", err)
	}
	return err
}

func host(addr string) string {
	h, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return h
}
