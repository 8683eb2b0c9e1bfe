package api

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// headerMin is key, version and correlation id.
const headerMin = 8

// Serve answers one request: frame is what follows its length. reply gets the whole response behind its length, or the
// reason why the connection must close; it is called exactly once, perhaps after Serve returned. The frame may be used
// again when Serve has returned and key is Produce or Fetch.
func (a *API) Serve(c *Call, frame []byte, reply func(Reply, error)) {
	correlation, body, s, err := c.header(frame)
	if err != nil {
		reply(Reply{}, err)
		return
	}
	if s == nil || c.Version < s.min || c.Version > s.max {
		if c.Key == keyAPIVersions {
			reply(unsupportedVersions(correlation), nil)
			return
		}
		reply(Reply{}, fmt.Errorf("%w: API %d version %d is not served", ErrMalformed, c.Key, c.Version))
		return
	}
	c.head = binary.BigEndian.AppendUint32(c.headRoom[:0], correlation)
	if s.flexible(c.Version) && c.Key != keyAPIVersions { // its response header stays as it was, so that old clients can read it
		c.head = append(c.head, 0)
	}
	began := a.began()
	s.serve(a, c, body, reply)
	a.charge(c, began)
}

// response begins the response of a call with its header. size is how much is expected to follow, bytes.
func (c *Call) response(size int, flexible bool) writer {
	return writer{b: append(make([]byte, 0, len(c.head)+size), c.head...), flexible: flexible}
}

// header reads the request header (versions 1 and 2) and fills c.
func (c *Call) header(frame []byte) (correlation uint32, body []byte, s *served, err error) {
	if len(frame) < headerMin {
		return 0, nil, nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(frame))
	}
	be := binary.BigEndian
	c.Key, c.Version = int16(be.Uint16(frame)), int16(be.Uint16(frame[2:]))
	correlation = be.Uint32(frame[4:])
	s = table[c.Key]
	if s == nil || c.Version < s.min || c.Version > s.max {
		return correlation, nil, s, nil // the rest of the header cannot be read, nor need it
	}
	r := reader{b: frame[headerMin:]}
	c.ClientID = r.shortString()
	if s.flexible(c.Version) {
		r.flexible = true
		r.tags(nil)
	}
	if r.bad {
		return 0, nil, nil, fmt.Errorf("%w: header of API %d", ErrMalformed, c.Key)
	}
	return correlation, r.b, s, nil
}

// unsupportedVersions answers an ApiVersions request of an unknown version: version 0, with the list (KIP-511).
func unsupportedVersions(correlation uint32) Reply {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	resp.ApiKeys = advertised()
	return Reply{Bytes: resp.AppendTo(binary.BigEndian.AppendUint32(nil, correlation))}
}
