package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 0, (*API).describeScram)

func (a *API) describeScram(c *Call, req *kmsg.DescribeUserSCRAMCredentialsRequest, resp *kmsg.DescribeUserSCRAMCredentialsResponse) error {
	if err := a.allowCluster(c, auth.Describe); err != nil {
		return err
	}
	m := a.Meta.Image()
	asked := map[string]int{}
	var names []string
	add := func(name string) {
		if asked[name]++; asked[name] == 1 {
			names = append(names, name)
		}
	}
	for _, u := range req.Users {
		add(u.Name)
	}
	if len(req.Users) == 0 {
		for _, u := range m.ScramUsers() {
			add(u.Name)
		}
	}
	for _, name := range names {
		r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		r.User = name
		found, err := meta.DescribeScram(m, name)
		if len(req.Users) > 0 && asked[name] > 1 {
			found, err = nil, worded(meta.ErrDuplicate, "Cannot describe SCRAM credentials for the same user twice in a single request: %s", name)
		}
		r.ErrorCode, r.ErrorMessage = refusal(err)
		for _, u := range found {
			info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
			credential, _ := m.Scram(u) // it was just found
			info.Mechanism, info.Iterations = int8(u.Mechanism), credential.Iterations
			r.CredentialInfos = append(r.CredentialInfos, info)
		}
		resp.Results = append(resp.Results, r)
	}
	return nil
}
