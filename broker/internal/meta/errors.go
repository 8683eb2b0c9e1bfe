package meta

import (
	"errors"
	"fmt"
)

// What a decision can refuse. Each maps to one Kafka error code; the message around it is for the user.
var (
	ErrInvalidTopic          = errors.New("invalid topic")
	ErrTopicExists           = errors.New("topic already exists")
	ErrUnknownTopic          = errors.New("unknown topic")
	ErrUnknownTopicID        = errors.New("unknown topic id")
	ErrInvalidPartitions     = errors.New("invalid number of partitions")
	ErrInvalidReplication    = errors.New("invalid replication factor")
	ErrInvalidAssignment     = errors.New("invalid replica assignment")
	ErrInvalidConfig         = errors.New("invalid configuration")
	ErrInvalidRequest        = errors.New("invalid request")
	ErrNoCredential          = errors.New("no such credential")
	ErrDuplicate             = errors.New("named twice")
	ErrBadCredential         = errors.New("unacceptable credential")
	ErrScramMechanism        = errors.New("unknown SCRAM mechanism")
	ErrPolicy                = errors.New("against a policy")
	ErrTopicDeletionDisabled = errors.New("topic deletion is disabled")
	ErrElectionNotNeeded     = errors.New("no election is needed")
	ErrNoPreferredLeader     = errors.New("the preferred leader is not available")
	ErrNoEligibleLeader      = errors.New("no eligible leader is available")
	ErrNoReassignment        = errors.New("no reassignment is in progress")
)

// Error is a refusal worded for the user. errors.Is finds its Kind.
type Error struct {
	Kind    error
	Message string
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Kind }

func refuse(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}
