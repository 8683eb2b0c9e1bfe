package broker

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how many bytes one direction of a pipe holds before writes wait.
const pipeBuffer = 256 << 10

// newPipe returns the two ends of an in-memory connection. Unlike net.Pipe it is buffered, so a client that pipelines
// requests and a server that answers them cannot wait for each other.
func newPipe(client, server net.Addr) (net.Conn, net.Conn) {
	up, down := newHalf(), newHalf()
	return &pipeConn{in: down, out: up, local: client, remote: server},
		&pipeConn{in: up, out: down, local: server, remote: client}
}

// half is one direction of a pipe.
type half struct {
	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte // what was written and not read yet: buf[at:]
	at      int
	closed  bool // the writer has gone: what is left can be read
	broken  bool // the reader has gone: writes fail

	read, write deadline
}

// deadline is when waiting ends; zero: never.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newHalf() *half {
	h := &half{}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *half) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.broken:
			return 0, net.ErrClosed
		case h.read.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.at < len(h.buf):
			n := copy(p, h.buf[h.at:])
			if h.at += n; h.at == len(h.buf) {
				h.buf, h.at = h.buf[:0], 0
			}
			h.changed.Broadcast()
			return n, nil
		case h.closed:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *half) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	written := 0
	for {
		switch {
		case h.closed:
			return written, net.ErrClosed
		case h.broken:
			return written, io.ErrClosedPipe
		case h.write.passed():
			return written, os.ErrDeadlineExceeded
		case len(p) == 0:
			return written, nil
		}
		if room := pipeBuffer - (len(h.buf) - h.at); room > 0 {
			n := min(room, len(p))
			h.makeRoom(n)
			h.buf = append(h.buf, p[:n]...)
			p, written = p[n:], written+n
			h.changed.Broadcast()
			continue
		}
		h.changed.Wait()
	}
}

// makeRoom moves what is unread to the front rather than let the buffer grow beyond pipeBuffer.
func (h *half) makeRoom(n int) {
	if h.at > 0 && len(h.buf)+n > cap(h.buf) {
		h.buf, h.at = h.buf[:copy(h.buf, h.buf[h.at:])], 0
	}
}

func (h *half) setDeadline(d *deadline, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.at = at; !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.changed.Broadcast()
		})
	}
	h.changed.Broadcast()
}

// end closes the half from its writer's or its reader's side.
func (h *half) end(reader bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if reader {
		h.broken, h.buf, h.at = true, nil, 0
	} else {
		h.closed = true
	}
	for _, d := range []*deadline{&h.read, &h.write} {
		if d.timer != nil && h.broken {
			d.timer.Stop()
		}
	}
	h.changed.Broadcast()
}

// pipeConn is one end of a pipe.
type pipeConn struct {
	in, out       *half
	local, remote net.Addr
}

func (c *pipeConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *pipeConn) Write(p []byte) (int, error) { return c.out.Write(p) }
func (c *pipeConn) LocalAddr() net.Addr         { return c.local }
func (c *pipeConn) RemoteAddr() net.Addr        { return c.remote }

func (c *pipeConn) Close() error {
	c.in.end(true)
	c.out.end(false)
	return nil
}

func (c *pipeConn) SetDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.read, t)
	c.out.setDeadline(&c.out.write, t)
	return nil
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.read, t)
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.write, t)
	return nil
}

// memAddr is an address that exists in this process only.
type memAddr string

func (a memAddr) Network() string { return "leat" }
func (a memAddr) String() string  { return string(a) }
