package api

import (
	"errors"
	"time"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 2, (*API).saslAuthenticate)

// saslAuthenticate takes a step of the exchange that SaslHandshake has begun.
func (a *API) saslAuthenticate(c *Call, req *kmsg.SASLAuthenticateRequest, resp *kmsg.SASLAuthenticateResponse) error {
	resp.SASLAuthBytes = []byte{}
	reply, lifetime, err := a.proveStep(c, req.SASLAuthBytes)
	if errors.Is(err, auth.ErrFailed) { // what exactly is wrong is for the audit log
		return worded(kerr.SaslAuthenticationFailed, "Authentication failed during authentication due to invalid credentials with SASL mechanism %s", c.Session.Mechanism())
	}
	if err != nil {
		return err
	}
	resp.SASLAuthBytes = append(resp.SASLAuthBytes, reply...)
	resp.SessionLifetimeMillis = lifetime.Milliseconds()
	return nil
}

// SASLToken is saslAuthenticate for a token that came without a request header.
func (a *API) SASLToken(c *Call, token []byte) ([]byte, error) {
	reply, _, err := a.proveStep(c, token)
	return reply, err
}

func (a *API) proveStep(c *Call, token []byte) ([]byte, time.Duration, error) {
	if c.Session == nil {
		return nil, 0, auth.ErrSASLState
	}
	reply, lifetime, err := c.Session.Authenticate(token)
	if err != nil {
		a.Audit.Failed(c.ClientHost, c.Listener, err)
	}
	return reply, lifetime, err
}
