package sdk

import (
	"errors"
	"time"

	"github.com/leatstream/leat/connect/sdk/proto"
)

// ErrStopping is what Emit returns once the runtime has asked the task to end. Return it from Run.
var ErrStopping = errors.New("the runtime is stopping this connector")

// ErrDuplicate is what the function of Batch.Each returns for a record that the target holds already.
var ErrDuplicate error = &classed{class: proto.Class_CLASS_DUPLICATE, code: "duplicate", err: errors.New("the target holds this record already")}

// classed is an error with what the runtime is to do about it.
type classed struct {
	class proto.Class
	code  string
	hint  string
	after time.Duration
	err   error
}

func (e *classed) Error() string { return e.err.Error() }
func (e *classed) Unwrap() error { return e.err }

// Transient marks err as one that goes away by itself: the runtime tries the same again, after a pause.
func Transient(err error) error {
	return &classed{class: proto.Class_CLASS_TRANSIENT, code: "transient", err: err}
}

// TransientAfter is Transient with the shortest pause that makes sense, such as an HTTP Retry-After.
func TransientAfter(err error, pause time.Duration) error {
	return &classed{class: proto.Class_CLASS_TRANSIENT, code: "transient", err: err, after: pause}
}

// Poison marks err as the fault of the one record: it goes to the dead-letter topic under code, a stable word such
// as "http.status".
func Poison(code string, err error) error {
	return &classed{class: proto.Class_CLASS_POISON, code: code, err: err}
}

// Fatal marks err as one that a person must mend; hint says how.
func Fatal(code string, err error, hint string) error {
	return &classed{class: proto.Class_CLASS_FATAL, code: code, err: err, hint: hint}
}

// classify finds the class of err; what has none is transient.
func classify(err error) *classed {
	var c *classed
	if errors.As(err, &c) {
		// The outer message says more than the classed one alone.
		return &classed{class: c.class, code: c.code, hint: c.hint, after: c.after, err: err}
	}
	return &classed{class: proto.Class_CLASS_TRANSIENT, code: "transient", err: err}
}

func failure(err error) *proto.Failure {
	c := classify(err)
	if c.class != proto.Class_CLASS_FATAL {
		// A task as a whole can only be tried again or stopped.
		c.class = proto.Class_CLASS_TRANSIENT
	}
	return &proto.Failure{Class: c.class, Code: c.code, Message: err.Error(), Hint: c.hint, RetryAfterMs: c.after.Milliseconds()}
}
