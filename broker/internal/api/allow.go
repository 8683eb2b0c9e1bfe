package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
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
// asks here, once a resource, before it looks whether the resource exists.
func (a *API) allow(c *Call, op auth.Operation, kind auth.Kind, name string) error {
	if a.Auth == nil {
		return nil
	}
	if !a.Auth.Allowed(c.Principal, c.ClientHost, op, kind, name) {
		a.Audit.Denied(c.Principal, c.ClientHost, op, kind, name)
		return refused[kind]
	}
	a.Audit.Allowed(c.Principal, c.ClientHost, op, kind, name)
	return nil
}

// allowCluster is allow for the one cluster.
func (a *API) allowCluster(c *Call, op auth.Operation) error {
	return a.allow(c, op, auth.Cluster, auth.ClusterName)
}

// allowTopic is allow for a topic that a client names, or identifies by an id that leads to t. An id that leads nowhere is
// for the handler to answer.
func (a *API) allowTopic(c *Call, op auth.Operation, name string, t *meta.Topic) error {
	if name == "" && t == nil {
		return nil
	}
	if name == "" {
		name = t.Name
	}
	return a.allow(c, op, auth.Topic, name)
}

// may is allow where a refusal is nothing to write down: the client did not name the resource, or has another way.
func (a *API) may(c *Call, op auth.Operation, kind auth.Kind, name string) bool {
	return a.Auth == nil || a.Auth.Allowed(c.Principal, c.ClientHost, op, kind, name)
}

func (a *API) mayCluster(c *Call, op auth.Operation) bool {
	return a.may(c, op, auth.Cluster, auth.ClusterName)
}

// operations are what can be done to resources of a kind (AclEntry.supportedOperations).
var operations = map[auth.Kind][]auth.Operation{
	auth.Topic:   {auth.Read, auth.Write, auth.Create, auth.Describe, auth.Delete, auth.Alter, auth.DescribeConfigs, auth.AlterConfigs},
	auth.Group:   {auth.Read, auth.Describe, auth.Delete, auth.DescribeConfigs, auth.AlterConfigs},
	auth.Cluster: {auth.Create, auth.ClusterAction, auth.DescribeConfigs, auth.AlterConfigs, auth.IdempotentWrite, auth.Alter, auth.Describe},
}

// authorizedOperations is what the client may do to a resource, a bit for each operation (KIP-430).
func (a *API) authorizedOperations(c *Call, kind auth.Kind, name string) int32 {
	bits := int32(0)
	for _, op := range operations[kind] {
		if a.may(c, op, kind, name) {
			bits |= 1 << op
		}
	}
	return bits
}

// clusterOperations is authorizedOperations of the cluster, which only those see who may describe it.
func (a *API) clusterOperations(c *Call) int32 {
	if a.allowCluster(c, auth.Describe) != nil {
		return 0
	}
	return a.authorizedOperations(c, auth.Cluster, auth.ClusterName)
}
