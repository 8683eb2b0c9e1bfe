package api

import (
	"sync"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 5, (*API).initProducerID)

// producerIDs hands out ids of a block that this node reserved.
type producerIDs struct {
	mu         sync.Mutex
	next, left int64
}

func (a *API) initProducerID(c *Call, req *kmsg.InitProducerIDRequest, resp *kmsg.InitProducerIDResponse) error {
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if req.TransactionalID != nil {
		if err := a.allow(c, auth.Write, auth.TransactionalID, *req.TransactionalID); err != nil {
			return err
		}
		return kerr.TransactionalIDAuthorizationFailed // transactions are not served; this is an answer that ends the client's attempts
	}
	if err := a.allowIdempotence(c); err != nil {
		return err
	}
	id, err := a.newProducerID(c)
	if err != nil {
		return err
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return nil
}

// allowIdempotence asks who may have a producer id: who may write to any topic at all, or IDEMPOTENT_WRITE to the cluster
// as before that sufficed (KIP-679).
func (a *API) allowIdempotence(c *Call) error {
	if a.mayCluster(c, auth.IdempotentWrite) || a.Auth.AllowedSomewhere(c.Principal, c.ClientHost, auth.Write, auth.Topic) {
		return nil
	}
	return a.allowCluster(c, auth.IdempotentWrite)
}

func (a *API) newProducerID(c *Call) (int64, error) {
	p := &a.producers
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 {
		var first int64
		if _, err := a.Meta.Propose(c.Context, func(im *meta.Image) (records []meta.Record, err error) {
			first, records = meta.AllocateProducerIDs(im)
			return records, nil
		}); err != nil {
			return -1, err
		}
		p.next, p.left = first, meta.ProducerIDBlock
	}
	p.next++
	p.left--
	return p.next - 1, nil
}
