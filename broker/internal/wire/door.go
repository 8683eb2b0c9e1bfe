package wire

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/auth"
)

// Door is how a listener meets its clients.
type Door struct {
	Listener string         // its address; empty for the door inside this process
	Who      auth.Principal // who comes, where neither TLS nor SASL tells
	TLS      *auth.TLS      // nil: without
	SASL     *auth.Gate     // nil: nobody has to prove who it is
}

const (
	proofTime      = 30 * time.Second // for a client to prove who it is
	lockedFrameMax = 16 << 10         // the largest frame before that
	proofGrace     = 5 * time.Second  // for what is under way when a proof expires
	keyHandshake   = 17
	keyVersions    = 18
	keyProve       = 36
)

var (
	errNotProven = errors.New("the client has not proven who it is")
	errExpired   = errors.New("the client has not proven again in time who it is")
	errTold      = errors.New("the audit log has it") // and no other
)

// proof is what a connection knows of its client.
type proof struct {
	who     auth.Principal
	session *auth.Session // nil: nobody is asked
	until   time.Time     // when a client must have proven who it is
	expiry  *time.Timer   // ends what is under way long after the proof has expired
}

// meet wraps a connection as the door asks for.
func (d Door) meet(nc net.Conn) (net.Conn, proof) {
	p := proof{who: d.Who, until: time.Now().Add(proofTime)}
	if d.TLS != nil {
		nc = tls.Server(nc, d.TLS.Config())
	}
	if d.SASL != nil {
		p.session = auth.NewSession(d.SASL, time.Now)
	}
	return nc, p
}

// shake finishes the handshake of TLS, and finds out who has come by its certificate.
func (c *conn) shake() error {
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := c.nc.SetDeadline(c.until); err != nil {
		return err
	}
	if c.isDraining() { // whose deadline may just have been overwritten
		return net.ErrClosed
	}
	err := t.HandshakeContext(c.ctx)
	if err == nil && c.session == nil {
		c.who, err = c.door.TLS.Principal(t.ConnectionState())
	}
	if err == nil || quiet(err) {
		return err
	}
	c.server.api.Audit.Failed(c.host, c.door.Listener, fmt.Errorf("TLS: %w", err))
	return fmt.Errorf("%w: %w", errTold, err)
}

// locked tells whether the client has yet to prove who it is.
func (c *conn) locked() bool { return c.session != nil && !c.session.Open() }

// rawToken tells whether what comes next is a token of SASL and no request.
func (c *conn) rawToken() bool { return c.session != nil && c.session.Raw() }

// beforeProof tells which APIs are served to a client that has not proven who it is.
func beforeProof(key int16) bool { return key == keyHandshake || key == keyVersions || key == keyProve }

// hurry bounds how long a client that has yet to prove who it is may take for everything.
func (c *conn) hurry(d time.Duration) time.Duration {
	if !c.locked() {
		return d
	}
	left := max(time.Until(c.until), time.Nanosecond)
	if d <= 0 || left < d {
		return left
	}
	return d
}

func (c *conn) call() api.Call {
	who := c.who
	if c.session != nil {
		who = c.session.Who()
	}
	return api.Call{Context: c.ctx, ClientHost: c.host, Listener: c.door.Listener, Principal: who, Session: c.session}
}

// token takes a step of SASL that came without a request header, as after SaslHandshake version 0.
func (c *conn) token() error {
	if err := c.rest(frameLength); err != nil {
		return err
	}
	size := c.in.size()
	if size < 0 || size > lockedFrameMax {
		return fmt.Errorf("a SASL token of %d bytes: at most %d are accepted", size, lockedFrameMax)
	}
	if err := c.rest(frameLength + size); err != nil {
		return err
	}
	call := c.call()
	reply, err := c.server.api.SASLToken(&call, c.in.take(size))
	if err != nil { // there is no way to say it
		c.penance()
		return fmt.Errorf("%w: %w", errTold, err)
	}
	c.yield() // the answer to the handshake comes first
	if err := c.writeAll(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply); err != nil {
		return err
	}
	return c.proven(keyProve)
}

// proven looks what a step of SASL has led to.
func (c *conn) proven(key int16) error {
	if c.session == nil || key != keyHandshake && key != keyProve {
		return nil
	}
	if err := c.session.Failed(); err != nil {
		c.penance()
		return fmt.Errorf("%w: %w", errTold, err)
	}
	if end := c.session.Expires(); c.session.Open() && !end.IsZero() {
		end = end.Add(proofGrace)
		if c.expiry == nil {
			c.expiry = time.AfterFunc(time.Until(end), c.expire)
		} else {
			c.expiry.Reset(time.Until(end))
		}
	}
	return nil
}

// penance makes a client wait for its refusal: who guesses passwords guesses slowly.
func (c *conn) penance() {
	wait := time.NewTimer(c.session.Gate().FailureDelay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-c.ctx.Done():
	}
}

// expired tells whether the client must prove anew who it is before anything else. Clients do so when they need the
// connection again, which may be later than their proof lasts.
func (c *conn) expired() bool {
	return c.session != nil && !c.session.Expires().IsZero() && time.Now().After(c.session.Expires())
}

// expire ends the connection if it still waits for an answer: that is no longer for this client.
func (c *conn) expire() {
	c.mu.Lock()
	idle := len(c.queue) == 0
	c.mu.Unlock()
	if idle {
		return
	}
	c.report(errExpired)
	c.cancel(errExpired)
	c.close()
}

// end reports why a connection has ended. Of clients that nobody knows the audit log has the lines, which are bounded.
func (c *conn) end(err error) {
	if !c.locked() || quiet(err) {
		c.report(err)
		return
	}
	c.server.stats.broken.Add(1)
	c.server.api.Audit.Failed(c.host, c.door.Listener, err)
}

func (c *conn) forget() {
	if c.expiry != nil {
		c.expiry.Stop()
	}
}
