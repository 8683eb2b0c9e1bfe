package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
)

// conn is a connection on which requests are written and answers read by hand.
type conn struct {
	net.Conn
	in    *bufio.Reader
	out   *kmsg.RequestFormatter
	frame []byte // the last answer
}

// dial opens a connection as the client of this run does, TLS and SASL included. It dies when the run should long be over.
func (r *run) dial(ctx context.Context, address string) (*conn, error) {
	connect := r.cl.OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error))
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	nc, err := connect(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, in: bufio.NewReaderSize(nc, 64<<10), out: kmsg.NewRequestFormatter(kmsg.FormatterClientID("leat-bench"))}
	if err = c.SetDeadline(time.Now().Add(r.Limit + askTimeout)); err == nil {
		err = c.login(ctx, r.cl.OptValue(kgo.SASL).([]sasl.Mechanism), address)
	}
	if err != nil {
		_ = c.Close() // what went wrong before counts
		return nil, err
	}
	return c, nil
}

// login proves who comes by the first mechanism, if there is one.
func (c *conn) login(ctx context.Context, mechanisms []sasl.Mechanism, address string) error {
	if len(mechanisms) == 0 {
		return nil
	}
	m := mechanisms[0]
	hello := kmsg.NewPtrSASLHandshakeRequest()
	hello.Version, hello.Mechanism = 1, m.Name()
	var met kmsg.SASLHandshakeResponse
	if err := c.ask(hello, &met); err != nil {
		return err
	}
	if err := kerr.ErrorForCode(met.ErrorCode); err != nil {
		return err
	}
	session, say, err := m.Authenticate(ctx, address)
	for done := false; err == nil && (!done || len(say) > 0); {
		proof := kmsg.NewPtrSASLAuthenticateRequest()
		proof.Version, proof.SASLAuthBytes = 2, say
		var said kmsg.SASLAuthenticateResponse
		if err := c.ask(proof, &said); err != nil {
			return err
		}
		if err := kerr.ErrorForCode(said.ErrorCode); err != nil {
			return err
		}
		if say = nil; !done {
			done, say, err = session.Challenge(said.SASLAuthBytes)
		}
	}
	return err
}

// ask writes a request and reads its answer.
func (c *conn) ask(req kmsg.Request, resp kmsg.Response) error {
	if _, err := c.Write(c.out.AppendRequest(nil, req, 1)); err != nil {
		return err
	}
	resp.SetVersion(req.GetVersion())
	body, err := c.read(resp.IsFlexible())
	if err != nil {
		return err
	}
	return resp.ReadFrom(body)
}

// read gives the next answer behind its header. It is valid until the next read.
func (c *conn) read(flexible bool) ([]byte, error) {
	header := 4 // correlation id
	if flexible {
		header++ // no tags
	}
	var size [4]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n < header || n > 1<<30 {
		return nil, fmt.Errorf("an answer of %d bytes: this is no Kafka broker", n)
	}
	if cap(c.frame) < n {
		c.frame = make([]byte, n+n/4)
	}
	c.frame = c.frame[:n]
	_, err := io.ReadFull(c.in, c.frame)
	return c.frame[header:], err
}
