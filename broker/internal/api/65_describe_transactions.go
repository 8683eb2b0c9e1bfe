package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 0, (*API).describeTransactions)

func (a *API) describeTransactions(c *Call, req *kmsg.DescribeTransactionsRequest, resp *kmsg.DescribeTransactionsResponse) error {
	for _, id := range req.TransactionalIDs {
		rt := kmsg.NewDescribeTransactionsResponseTransactionState()
		rt.TransactionalID = id
		if err := a.describeTransaction(c, &rt); err != nil {
			rt.ErrorCode = code(err)
		}
		resp.TransactionStates = append(resp.TransactionStates, rt)
	}
	return nil
}

// describeTransaction fills what is known of the transactional id that rt names, without topics that are not the client's
// to see.
func (a *API) describeTransaction(c *Call, rt *kmsg.DescribeTransactionsResponseTransactionState) error {
	if err := a.allow(c, auth.Describe, auth.TransactionalID, rt.TransactionalID); err != nil {
		return err
	}
	t, err := a.Txns.Describe(c.Context, rt.TransactionalID)
	if err != nil {
		return err
	}
	rt.State, rt.TimeoutMillis, rt.StartTimestamp = string(t.State), int32(t.Timeout.Milliseconds()), coord.Millis(t.Started)
	rt.ProducerID, rt.ProducerEpoch = t.Producer.ID, t.Producer.Epoch
	var topic string
	var seen bool
	for _, p := range t.Partitions {
		if p.Topic != topic {
			topic, seen = p.Topic, a.may(c, auth.Describe, auth.Topic, p.Topic)
			if seen {
				rt.Topics = append(rt.Topics, kmsg.DescribeTransactionsResponseTransactionStateTopic{Topic: topic})
			}
		}
		if seen {
			last := &rt.Topics[len(rt.Topics)-1]
			last.Partitions = append(last.Partitions, p.Index)
		}
	}
	return nil
}
