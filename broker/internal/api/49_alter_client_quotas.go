package api

import (
	"slices"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 1, (*API).alterClientQuotas)

func (a *API) alterClientQuotas(c *Call, req *kmsg.AlterClientQuotasRequest, resp *kmsg.AlterClientQuotasResponse) error {
	allowed := a.allowCluster(c, auth.AlterConfigs)
	var steps []step
	resp.Entries = make([]kmsg.AlterClientQuotasResponseEntry, len(req.Entries))
	for i, entry := range req.Entries {
		r := &resp.Entries[i]
		for _, e := range entry.Entity {
			r.Entity = append(r.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: e.Type, Name: e.Name})
		}
		slices.SortStableFunc(r.Entity, func(x, y kmsg.AlterClientQuotasResponseEntryEntity) int {
			return slices.Index(quotaParts, x.Type) - slices.Index(quotaParts, y.Type)
		})
		steps = append(steps, step{
			decide: func(m *meta.Image) ([]meta.Record, error) {
				if allowed != nil {
					return nil, allowed
				}
				entity, err := quotaEntity(entry.Entity)
				if err != nil {
					return nil, err
				}
				return meta.AlterQuotas(m, entity, quotaChanges(entry.Ops))
			},
			answer: func(err error) { r.ErrorCode, r.ErrorMessage = refusal(err) },
		})
	}
	a.proposeEach(c, req.ValidateOnly, steps)
	return nil
}

// quotaEntity is whom the parts name together; a part without a name is everybody.
func quotaEntity(parts []kmsg.AlterClientQuotasRequestEntryEntity) (e meta.QuotaEntity, err error) {
	for _, p := range parts {
		name := meta.QuotaName{Set: true, Default: p.Name == nil}
		if p.Name != nil {
			name.Name = *p.Name
		}
		at := map[string]*meta.QuotaName{quotaUser: &e.User, quotaClientID: &e.ClientID, quotaIP: &e.IP}[p.Type]
		switch {
		case at == nil:
			return e, worded(kerr.InvalidRequest, "Unhandled client quota entity type: %s", p.Type)
		case p.Name != nil && *p.Name == "":
			return e, worded(kerr.InvalidRequest, "Empty %s not supported", p.Type)
		case at.Set:
			return e, worded(kerr.InvalidRequest, "Duplicate entity type %s", p.Type)
		}
		*at = name
	}
	return e, nil
}

func quotaChanges(ops []kmsg.AlterClientQuotasRequestEntryOp) (changes []meta.QuotaChange) {
	for _, op := range ops {
		changes = append(changes, meta.QuotaChange{Name: op.Key, Value: op.Value, Remove: op.Remove})
	}
	return changes
}
