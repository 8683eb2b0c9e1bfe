package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 5, (*API).endTxn)

// endTxnBumps is the version from which on every transaction has an epoch of its own (KIP-890).
const endTxnBumps = 5

func (a *API) endTxn(c *Call, req *kmsg.EndTxnRequest, resp *kmsg.EndTxnResponse) error {
	if err := a.allow(c, auth.Write, auth.TransactionalID, req.TransactionalID); err != nil {
		return err
	}
	done := c.Park()
	p := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	a.Txns.End(c.Context, req.TransactionalID, p, req.Commit, c.Version >= endTxnBumps, func(next txn.Producer, err error) {
		resp.ProducerID, resp.ProducerEpoch = next.ID, next.Epoch
		done(fenced(err, c.Version, 2))
	})
	return nil
}
