package api

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// served is one API in the table.
type served struct {
	key      int16
	min, max int16
	flexible func(version int16) bool
	serve    func(a *API, c *Call, body []byte, reply func(Reply, error))
}

var table = map[int16]*served{}

// ErrMalformed says that the bytes of a request are not what its version asks for.
var ErrMalformed = errors.New("malformed request")

// register is for APIs with codecs of their own; handle is for all others.
func register(s *served) struct{} {
	if table[s.key] != nil {
		panic(fmt.Sprintf("API %d is registered twice", s.key))
	}
	table[s.key] = s
	return struct{}{}
}

// handle registers an API: fn fills resp and returns nil, or returns an error that becomes resp.ErrorCode, or parks the
// call. The key and the messages follow from fn's type. min and max are the versions served.
func handle[Q, S any, PQ interface {
	*Q
	kmsg.Request
}, PS interface {
	*S
	kmsg.Response
}](min, max int16, fn func(*API, *Call, PQ, PS) error) struct{} {
	var probe PQ = new(Q)
	if max > probe.MaxVersion() {
		panic(fmt.Sprintf("API %d: kmsg knows version %d at most", probe.Key(), probe.MaxVersion()))
	}
	shapes := make([]func() shape, max+1)
	for v := range shapes {
		shapes[v] = sync.OnceValue(func() shape { return shapeOf(PQ(new(Q)), int16(v)) })
	}
	return register(&served{
		key: probe.Key(), min: min, max: max,
		flexible: func(version int16) bool {
			var req PQ = new(Q)
			req.SetVersion(version)
			return req.IsFlexible()
		},
		serve: func(a *API, c *Call, body []byte, reply func(Reply, error)) {
			var req PQ = new(Q)
			req.SetVersion(c.Version)
			var err error
			if req.IsFlexible() {
				err = checkShape(shapes[c.Version](), body)
			}
			if err == nil {
				err = req.ReadFrom(body)
			}
			if err != nil {
				reply(Reply{}, fmt.Errorf("%w: %s version %d: %w", ErrMalformed, kmsg.NameForKey(c.Key), c.Version, err))
				return
			}
			resp := req.ResponseKind().(PS)
			c.finish = func(err error) {
				defer a.answerPanic(c, reply)
				if err != nil {
					setError(resp, err)
				}
				wait := a.owed(c)
				if wait > 0 {
					setThrottle(resp, millis(wait))
				}
				c.finish = nil // with it request and response, which are larger than their bytes
				reply(Reply{Bytes: resp.AppendTo(bytes.Clone(c.head)), Mute: wait}, nil)
			}
			if err := fn(a, c, req, resp); err != nil || !c.parked {
				c.finish(err)
			}
		},
	})
}

func checkShape(s shape, body []byte) error {
	r := reader{b: body, flexible: true}
	if s.walk(&r); r.bad {
		return errors.New("its counts are more than what is there")
	}
	return nil
}

// KeyVersions is a range of versions of one API.
type KeyVersions struct{ Key, Min, Max int16 }

// Versions lists what is served, by key.
func Versions() []KeyVersions {
	var out []KeyVersions
	for _, s := range table {
		out = append(out, KeyVersions{s.key, s.min, s.max})
	}
	slices.SortFunc(out, func(a, b KeyVersions) int { return int(a.Key) - int(b.Key) })
	return out
}

// FrameLimit is the largest request of an API in bytes, and what it may keep in memory for each of them.
func FrameLimit(key int16, socketMax int) (size, factor int) {
	switch key {
	case keyProduce:
		return socketMax, produceFactor
	case keyFetch:
		return min(controlMax, socketMax), fetchFactor
	case keySASLHandshake, keySASLAuthenticate:
		return min(saslMax, socketMax), saslFactor
	default:
		return min(controlMax, socketMax), kmsgFactor
	}
}

const (
	keySASLHandshake    = 17
	keySASLAuthenticate = 36

	controlMax    = 1 << 20 // a request that carries no records
	produceFactor = 3       // the frame itself, and its partitions
	fetchFactor   = 24      // 16 bytes name a partition
	saslMax       = 16 << 10
	saslFactor    = 64  // anybody may send these: they hold no list, but tagged fields that nobody knows
	kmsgFactor    = 320 // one byte can be an element of a list, in the request and again in the response
)
