package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kerr"
)

// refused is what a client is told that may not use a resource of a kind.
var refused = map[auth.Kind]*kerr.Error{
	auth.Topic:           kerr.TopicAuthorizationFailed,
	auth.Group:           kerr.GroupAuthorizationFailed,
	auth.Cluster:         kerr.ClusterAuthorizationFailed,
	auth.TransactionalID: kerr.TransactionalIDAuthorizationFailed,
	auth.DelegationToken: kerr.DelegationTokenAuthorizationFailed,
	auth.User:            kerr.ClusterAuthorizationFailed,
}

// allow asks whether the client of c may do op to a resource: nil, or the error that the client is told. Every handler
// asks here, once a resource.
func (a *API) allow(c *Call, op auth.Operation, kind auth.Kind, name string) error {
	if a.Auth == nil || a.Auth.Allowed(c.Principal, c.ClientHost, op, kind, name) {
		return nil
	}
	return refused[kind]
}

// allowCluster is allow for the one cluster.
func (a *API) allowCluster(c *Call, op auth.Operation) error {
	return a.allow(c, op, auth.Cluster, auth.ClusterName)
}
