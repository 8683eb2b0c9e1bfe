package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 0, (*API).alterScram)

func (a *API) alterScram(c *Call, req *kmsg.AlterUserSCRAMCredentialsRequest, resp *kmsg.AlterUserSCRAMCredentialsResponse) error {
	changes := make([]meta.ScramChange, 0, len(req.Deletions)+len(req.Upsertions))
	for _, d := range req.Deletions {
		changes = append(changes, meta.ScramChange{User: meta.ScramUser{Name: d.Name, Mechanism: auth.ScramMechanism(d.Mechanism)}, Delete: true})
	}
	for _, u := range req.Upsertions {
		changes = append(changes, meta.ScramChange{
			User: meta.ScramUser{Name: u.Name, Mechanism: auth.ScramMechanism(u.Mechanism)}, Salt: u.Salt, Salted: u.SaltedPassword, Iterations: u.Iterations,
		})
	}
	verdicts := make([]error, len(changes))
	err := a.allowCluster(c, auth.Alter)
	if err == nil {
		_, err = a.Meta.Propose(c.Context, func(m *meta.Image) (records []meta.Record, _ error) {
			verdicts, records = meta.AlterScram(m, changes)
			return records, nil
		})
	}
	answered := map[string]bool{} // one result for each user
	for i, change := range changes {
		if answered[change.User.Name] {
			continue
		}
		answered[change.User.Name] = true
		r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		r.User = change.User.Name
		if verdicts[i] == nil {
			verdicts[i] = err
		}
		r.ErrorCode, r.ErrorMessage = refusal(verdicts[i])
		resp.Results = append(resp.Results, r)
	}
	return nil
}
