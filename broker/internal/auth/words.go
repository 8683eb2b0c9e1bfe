package auth

// Operation is what somebody wants to do, with Kafka's number (AclOperation).
type Operation int8

// The operations.
const (
	Any Operation = iota + 1
	All
	Read
	Write
	Create
	Delete
	Alter
	Describe
	ClusterAction
	DescribeConfigs
	AlterConfigs
	IdempotentWrite
	CreateTokens
	DescribeTokens
	TwoPhaseCommit
)

// Kind is a kind of resource, with Kafka's number (ResourceType).
type Kind int8

// The kinds.
const (
	AnyKind Kind = iota + 1
	Topic
	Group
	Cluster
	TransactionalID
	DelegationToken
	User
)

// ClusterName is the name of the one resource of kind Cluster.
const ClusterName = "kafka-cluster"

// Principal is who a client is: "User:alice". The zero value is a client that nobody asked, User:ANONYMOUS.
type Principal struct{ Type, Name string }

// Anonymous is who clients of a listener without authentication are.
var Anonymous = Principal{"User", "ANONYMOUS"}

func (p Principal) String() string {
	if p == (Principal{}) {
		p = Anonymous
	}
	return p.Type + ":" + p.Name
}

// Authorizer decides. host is the client's address without a port.
type Authorizer interface {
	Allowed(who Principal, host string, op Operation, kind Kind, name string) bool
}
