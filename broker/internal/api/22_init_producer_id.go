package api

import (
	"time"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 5, (*API).initProducerID)

func (a *API) initProducerID(c *Call, req *kmsg.InitProducerIDRequest, resp *kmsg.InitProducerIDResponse) error {
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	expected := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	if none := (txn.Producer{ID: -1, Epoch: -1}); expected != none && (expected.ID < 0 || expected.Epoch < 0) {
		return kerr.InvalidRequest
	}
	if req.TransactionalID == nil {
		return a.initIdempotent(c, resp)
	}
	if err := a.allow(c, auth.Write, auth.TransactionalID, *req.TransactionalID); err != nil {
		return err
	}
	done := c.Park()
	a.Txns.Init(c.Context, *req.TransactionalID, time.Duration(req.TransactionTimeoutMillis)*time.Millisecond, expected, func(p txn.Producer, err error) {
		resp.ProducerID, resp.ProducerEpoch = p.ID, p.Epoch
		done(fenced(err, c.Version, 4))
	})
	return nil
}

func (a *API) initIdempotent(c *Call, resp *kmsg.InitProducerIDResponse) error {
	if err := a.allowIdempotence(c); err != nil {
		return err
	}
	id, err := a.Txns.ProducerID(c.Context)
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
