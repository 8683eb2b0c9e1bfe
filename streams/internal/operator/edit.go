package operator

import (
	"fmt"

	"github.com/leatstream/leat/streams/internal/expr"
)

// editor changes members of a JSON object and copies everything else as it stands.
type editor struct {
	buf   []byte
	whole expr.Members
}

// members lists the record's members. The cause is worded for the step's error.
func (e *editor) members(value []byte) error {
	if err := e.whole.Read(value); err != nil {
		return fmt.Errorf("the value is not a JSON object: %w", err)
	}
	return nil
}

// keep builds the object of the members whose names pass.
func (e *editor) keep(pass func(name string) bool) []byte {
	dst := append(e.buf[:0], '{')
	for i := range e.whole.Len() {
		name, raw := e.whole.At(i)
		if !pass(name) {
			continue
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(dst, raw...)
	}
	e.buf = append(dst, '}')
	return e.buf
}
