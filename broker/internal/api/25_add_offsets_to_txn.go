package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 4, (*API).addOffsetsToTxn)

func (a *API) addOffsetsToTxn(c *Call, req *kmsg.AddOffsetsToTxnRequest, _ *kmsg.AddOffsetsToTxnResponse) error {
	if err := a.allow(c, auth.Write, auth.TransactionalID, req.TransactionalID); err != nil {
		return err
	}
	if err := a.allow(c, auth.Read, auth.Group, req.Group); err != nil {
		return err
	}
	done := c.Park()
	p := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	a.Txns.AddOffsets(c.Context, req.TransactionalID, p, req.Group, func(err error) { done(fenced(err, c.Version, 2)) })
	return nil
}
