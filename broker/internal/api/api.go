package api

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/quota"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/leatstream/leat/internal/obs"
	"github.com/twmb/franz-go/pkg/kerr"
)

// API is what handlers reach. The broker fills it before the first request.
type API struct {
	NodeID   int32
	Meta     *meta.Store
	Config   *meta.BrokerConfig
	Replicas *replica.Manager
	Groups   *coord.Groups
	Txns     *coord.Txns
	Log      *slog.Logger
	LogLevel *slog.LevelVar   // of Log; nil: it cannot be changed
	Auth     auth.Authorizer  // nil: everybody may do everything
	Audit    *auth.Audit      // nil: nobody wants to know
	Quotas   quota.Manager    // follows Meta's images
	Clock    func() time.Time // nil: time.Now

	// Advertised is where clients that came to a call's listener find this broker.
	Advertised func(c *Call) (host string, port int32)

	sessions  sessionCache
	waits     waits
	enlisting enlisting
}

func (a *API) clock() time.Time {
	if a.Clock != nil {
		return a.Clock()
	}
	return time.Now()
}

// Call is one request on its way.
type Call struct {
	Context    context.Context // ends with the connection
	Key        int16
	Version    int16
	ClientID   string
	ClientHost string
	Principal  auth.Principal
	Session    *auth.Session // nil: nobody is asked on this listener
	Listener   string        // address of the listener that the connection came through; empty for the in-memory door

	head     []byte // header of the response
	headRoom [5]byte

	parked bool
	finish func(error)
	wait   time.Duration // that a quota of changes asks for
}

// Park keeps the call open after its handler returned nil. The returned function finishes it, from any goroutine, once.
func (c *Call) Park() (done func(error)) {
	c.parked = true
	return c.finish
}

// parkWithConnection parks the call until the returned function is called or the connection ends, whichever is first:
// other members of a group decide when a join is answered, and a broker that stops does not wait for them. fill puts an
// answer, nil where there is none, into the response.
func parkWithConnection[T any](c *Call, fill func(*T)) func(*T, error) {
	done := c.Park()
	var once sync.Once
	finish := func(answer *T, err error) {
		once.Do(func() {
			fill(answer)
			done(err)
		})
	}
	unwatch := context.AfterFunc(c.Context, func() { finish(nil, kerr.CoordinatorNotAvailable) })
	return func(answer *T, err error) {
		unwatch()
		finish(answer, err)
	}
}

// ErrPanic closes the connection of a request that made the broker panic. It was logged where it happened.
var ErrPanic = errors.New("a request made the broker panic")

// answerPanic is deferred where an answer is made: that may be on a goroutine that is not the connection's own, such as a
// timer's or that of a sync, which must go on.
func (a *API) answerPanic(c *Call, reply func(Reply, error)) {
	if e := recover(); e != nil {
		obs.Panicked(a.Log, "a request", e, "client", c.ClientHost, "api", c.Key, "version", c.Version)
		reply(Reply{}, ErrPanic)
	}
}

// Reply is the body of a response: Bytes, with ranges of files spliced in.
type Reply struct {
	Bytes   []byte
	Inserts []Insert
	Empty   bool          // no response at all (acks=0)
	Mute    time.Duration // for how long no further request is read from the connection
	Free    bool          // the goroutine that replies may send what the socket takes at once

	memory *[]byte // of Bytes, to be used again; nil: it is not
}

// replies has memory for replies of fetches.
var replies = sync.Pool{New: func() any { return new([]byte) }}

// keptReply is the largest reply whose memory is used again.
const keptReply = 2 * inlineMax

// Insert is a range of a file that goes into a reply before Bytes[At].
type Insert struct {
	At    int
	Chunk storage.Chunk
}

// Size is the reply in bytes.
func (r *Reply) Size() int {
	n := len(r.Bytes)
	for _, in := range r.Inserts {
		n += in.Chunk.Len
	}
	return n
}

// Release gives the ranges and the memory of Bytes back.
func (r *Reply) Release() {
	if r.memory != nil && cap(r.Bytes) <= keptReply {
		*r.memory = r.Bytes[:0]
		replies.Put(r.memory)
		r.memory, r.Bytes = nil, nil
	}
	for _, in := range r.Inserts {
		in.Chunk.Release()
	}
	r.Inserts = nil
}
