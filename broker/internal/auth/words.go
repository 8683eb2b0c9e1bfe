package auth

import "strings"

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

// Pattern is how the name of an ACL finds resources, with Kafka's number (PatternType). AnyPattern and Match are for
// filters: ACLs of any pattern, and those that say something about a resource of that name.
type Pattern int8

// The patterns.
const (
	AnyPattern Pattern = iota + 1
	Match
	Literal
	Prefixed
)

// Permission is what an ACL gives, with Kafka's number (AclPermissionType).
type Permission int8

// The permissions. AnyPermission is for filters.
const (
	AnyPermission Permission = iota + 1
	Deny
	Allow
)

// Wildcard is every name, every host, and as a principal's name everybody.
const Wildcard = "*"

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

// ParsePrincipal reads Type:Name.
func ParsePrincipal(s string) (Principal, bool) {
	kind, name, ok := strings.Cut(s, ":")
	return Principal{kind, name}, ok && kind != ""
}

var operationNames = [...]string{"UNKNOWN", "ANY", "ALL", "READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "CLUSTER_ACTION",
	"DESCRIBE_CONFIGS", "ALTER_CONFIGS", "IDEMPOTENT_WRITE", "CREATE_TOKENS", "DESCRIBE_TOKENS", "TWO_PHASE_COMMIT"}

func (o Operation) String() string { return wordOf(operationNames[:], int(o)) }

var kindNames = [...]string{"UNKNOWN", "ANY", "TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER"}

func (k Kind) String() string { return wordOf(kindNames[:], int(k)) }

func wordOf(names []string, n int) string {
	if n < 0 || n >= len(names) {
		n = 0
	}
	return names[n]
}

// Authorizer decides. host is the client's address without a port.
type Authorizer interface {
	Allowed(who Principal, host string, op Operation, kind Kind, name string) bool
	// AllowedSomewhere tells whether there is a resource of the kind on which op is allowed.
	AllowedSomewhere(who Principal, host string, op Operation, kind Kind) bool
}
