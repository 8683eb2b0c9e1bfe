package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/internal/obs"
)

const (
	pipeline   = 64               // requests of one connection that are under way at once
	frameTime  = 30 * time.Second // for the rest of a frame once it began
	frameMin   = 8                // key, version, correlation id
	unsentMax  = 1 << 20          // bytes of answers that wait to be sent; then no further request is read
	keyProduce = 0
	keyFetch   = 1
)

var (
	errClosing = errors.New("the connection is closing")
	errCut     = errors.New("a request was cut short")
	errUnread  = errors.New("the client does not read its answers, and their memory is needed")
)

// conn is one connection. Its goroutine reads and serves requests, and sends what is ready then; an answer that comes later
// is sent by a goroutine of its own, or by who has it.
type conn struct {
	server   *Server
	nc       net.Conn
	in       *input
	remote   string
	host     string // of remote
	door     Door
	ctx      context.Context
	cancel   context.CancelCauseFunc
	closing  sync.Once
	draining chan struct{}
	proof
	out
}

// pending is a request without a sent response.
type pending struct {
	call  api.Call
	began time.Time
	ready bool      // reply and err are set
	since time.Time // it is ready; zero for small ones
	reply api.Reply
	err   error
}

func newConn(s *Server, nc net.Conn, door Door) *conn {
	c := &conn{server: s, remote: nc.RemoteAddr().String(), door: door, draining: make(chan struct{}), out: out{sent: make(chan struct{}, 1)}}
	c.nc, c.proof = door.meet(nc)
	c.in = newInput(c.nc)
	c.host = host(c.remote)
	c.ctx, c.cancel = context.WithCancelCause(s.ctx)
	return c
}

func (c *conn) run() {
	defer c.server.remove(c)
	err := c.shake()
	if err == nil {
		err = c.read()
	}
	c.forget()
	c.in.release()
	if c.isDraining() {
		c.answered()
	}
	c.cancel(errClosing) // parked requests give up
	c.close()
	c.answered()
	if !c.isDraining() {
		c.end(err)
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
	c.closing.Do(func() { _ = c.nc.Close() }) // whoever reads or writes ends with an error of their own
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
	for _, usual := range []error{io.EOF, net.ErrClosed, io.ErrClosedPipe, os.ErrDeadlineExceeded, syscall.ECONNRESET, syscall.EPIPE, api.ErrPanic, errTold} {
		if errors.Is(err, usual) {
			return true
		}
	}
	return false
}

// read reads and serves requests until the connection or the server ends, and tells why.
func (c *conn) read() error {
	for {
		if err := c.next(); err != nil {
			c.yield()
			return err
		}
	}
}

// deadline is for what is read next. It is not set anew for every request, which busy connections would pay for: it may
// come early by an eighth, and by a second.
func (c *conn) deadline(d time.Duration) error {
	d = c.hurry(d)
	now := time.Now()
	if d != c.in.patience || now.Sub(c.in.deadline) > min(d/8, time.Second) {
		var end time.Time
		if d > 0 { // else it has none, as connections.max.idle.ms=-1 says
			end = now.Add(d)
		}
		if err := c.nc.SetReadDeadline(end); err != nil {
			return err
		}
		c.in.patience, c.in.deadline = d, now
	}
	if c.isDraining() { // asked last: drain's own deadline may just have been overwritten
		return io.EOF
	}
	return nil
}

// next reads one frame and serves it.
func (c *conn) next() error {
	if c.in.buffered() == 0 {
		if err := c.deadline(c.server.cfg.Idle); err != nil {
			return err
		}
		if err := c.in.wait(1); err != nil {
			return err
		}
	}
	if c.rawToken() {
		return c.token()
	}
	if err := c.rest(headerPeek); err != nil {
		return err
	}
	size, key := c.in.head()
	limit, factor := api.FrameLimit(key, c.server.cfg.RequestMax)
	if c.locked() {
		if !beforeProof(key) {
			return fmt.Errorf("%w: a request for API %d before authentication", errNotProven, key)
		}
		limit = min(limit, lockedFrameMax)
	}
	if c.expired() && !beforeProof(key) {
		return errExpired
	}
	if size < frameMin || size > limit {
		return fmt.Errorf("a request of %d bytes for API %d: from %d to %d bytes are accepted", size, key, frameMin, limit)
	}
	if err := c.room(key); err != nil {
		return err
	}
	if err := c.request(size, key, int64(size)*int64(factor)); err != nil {
		return err
	}
	// What comes now takes as long as the client likes, so that nothing may be held that others need.
	if err := c.proven(key); err != nil {
		return err
	}
	if !c.in.whole() { // else the answers of both requests go together
		c.flush()
	}
	return nil
}

// request reads a frame of size bytes and serves it. The memory that it took is given back when it returns.
func (c *conn) request(size int, key int16, charge int64) error {
	if size <= inputBuffer-frameLength {
		if err := c.rest(frameLength + size); err != nil {
			return err
		}
		return c.answer(c.in.take(size), key, charge)
	}
	if err := c.rest(inputBuffer); err != nil { // who announces much gets memory for it when something has come
		return err
	}
	if err := c.server.reading.take(c.ctx, int64(size)); err != nil {
		return io.EOF
	}
	defer c.server.reading.give(int64(size))
	big := frames.get(size)
	defer frames.put(big)
	rest := c.in.takeInto(big.b)
	c.in.release()
	if err := c.deadline(frameTime); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.nc, rest); err != nil {
		return cutShort(err)
	}
	return c.answer(big.b, key, charge-int64(size)) // the rest is taken already
}

// rest waits until n bytes of a frame that has begun are there.
func (c *conn) rest(n int) error {
	if c.in.buffered() >= n {
		return nil
	}
	if err := c.deadline(frameTime); err != nil {
		return err
	}
	if err := c.in.wait(n); err != nil {
		return cutShort(err)
	}
	return nil
}

// answer serves one request. The memory of frame is used again afterwards.
func (c *conn) answer(frame []byte, key int16, charge int64) error {
	c.server.stats.received.Add(int64(len(frame)) + frameLength)
	if err := c.server.decoding.take(c.ctx, charge); err != nil {
		return io.EOF
	}
	defer c.server.decoding.give(charge)      // what a parked request keeps is small: its records are in the log, its lists in the rooms that keep it waiting
	if key != keyProduce && key != keyFetch { // those may keep views of the frame
		frame = append([]byte(nil), frame...)
	}
	p := &pending{call: c.call(), began: time.Now()}
	c.expect(p)
	c.serve(p, frame)
	return nil
}

// serve answers one request. A panic is this connection's end and nobody else's.
func (c *conn) serve(p *pending, frame []byte) {
	var once sync.Once
	reply := func(r api.Reply, err error) { once.Do(func() { c.ready(p, r, err) }) }
	defer c.served()
	defer func() {
		if e := recover(); e != nil {
			obs.Panicked(c.server.log, "a request", e, "client", c.remote, "api", p.call.Key, "version", p.call.Version)
			reply(api.Reply{}, api.ErrPanic)
		}
	}()
	c.server.api.Serve(&p.call, frame, reply)
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
