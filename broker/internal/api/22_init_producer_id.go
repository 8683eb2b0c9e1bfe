package api

import (
	"sync"

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
		return kerr.TransactionalIDAuthorizationFailed // transactions are not served; this is an answer that ends the client's attempts
	}
	id, err := a.newProducerID(c)
	if err != nil {
		return err
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return nil
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
