package api

import (
	"regexp"
	"slices"
	"time"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 2, (*API).listTransactions)

func (a *API) listTransactions(c *Call, req *kmsg.ListTransactionsRequest, resp *kmsg.ListTransactionsResponse) error {
	var states []txn.State
	for _, name := range req.StateFilters {
		if s := txn.State(name); slices.Contains(txn.States, s) {
			states = append(states, s)
			continue
		}
		resp.UnknownStateFilters = append(resp.UnknownStateFilters, name)
	}
	var pattern *regexp.Regexp
	if p := orEmpty(req.TransactionalIDPattern); p != "" {
		var err error
		if pattern, err = group.Expression("TransactionalIdPattern", p); err != nil {
			return err
		}
	}
	all, err := a.Txns.List()
	if err != nil {
		return err
	}
	now := a.clock()
	for _, t := range all {
		switch {
		case len(req.StateFilters) > 0 && !slices.Contains(states, t.State),
			len(req.ProducerIDFilters) > 0 && !slices.Contains(req.ProducerIDFilters, t.Producer.ID),
			req.DurationFilterMillis >= 0 && running(t, now) <= req.DurationFilterMillis,
			pattern != nil && !pattern.MatchString(t.ID),
			!a.may(c, auth.Describe, auth.TransactionalID, t.ID):
			continue
		}
		rt := kmsg.NewListTransactionsResponseTransactionState()
		rt.TransactionalID, rt.ProducerID, rt.TransactionState = t.ID, t.Producer.ID, string(t.State)
		resp.TransactionStates = append(resp.TransactionStates, rt)
	}
	return nil
}

// running is the age of a transaction in ms. Without one it is that of the clock, as in Kafka.
func running(t *txn.Txn, now time.Time) int64 { return now.UnixMilli() - coord.Millis(t.Started) }
