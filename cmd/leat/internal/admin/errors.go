package admin

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Refusal is a broker's no: a code and, where it has some, its own words.
type Refusal struct {
	Code    error // a *kerr.Error
	Message string
}

func (r *Refusal) Unwrap() error { return r.Code }

// Error is the code and what the broker says, or what the code means in general.
func (r *Refusal) Error() string {
	var k *kerr.Error
	if !errors.As(r.Code, &k) {
		return r.Code.Error() + ": " + r.Message
	}
	return k.Message + ": " + r.Message
}

// Refuse puts a broker's own words behind a code, unless it has none.
func Refuse(code error, message string) error {
	if code == nil || message == "" {
		return code
	}
	return &Refusal{code, message}
}
