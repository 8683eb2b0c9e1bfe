package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 1, (*API).saslHandshake)

// saslHandshake chooses how a client proves who it is. After version 0 its tokens come without request headers.
func (a *API) saslHandshake(c *Call, req *kmsg.SASLHandshakeRequest, resp *kmsg.SASLHandshakeResponse) error {
	if c.Session == nil {
		return auth.ErrSASLState // nobody is asked on this listener
	}
	resp.SupportedMechanisms = c.Session.Gate().Names()
	err := c.Session.Handshake(req.Mechanism, c.Version == 0)
	if err != nil {
		a.Audit.Failed(c.ClientHost, c.Listener, err)
	}
	return err
}
