package expr

import (
	"time"

	"github.com/expr-lang/expr/vm"
)

// Meta is what expressions see of a record beside its value.
type Meta struct {
	Key       []byte // nil: null
	Headers   interface{ Map() map[string]any }
	Timestamp int64 // ms since 1970
	Topic     string
	Partition int32
	Offset    int64
}

// Evaluator runs programs for one task.
type Evaluator struct {
	vm     vm.VM
	env    map[string]any
	budget budget
	now    time.Time
}

// NewEvaluator is ready for any program.
func NewEvaluator() *Evaluator {
	e := &Evaluator{env: map[string]any{}}
	e.env[budgetName] = &e.budget
	e.env[nowFunction] = func() time.Time { return e.now }
	return e
}

// Test evaluates a condition. v must be a view for p's paths.
func (e *Evaluator) Test(p *Program, v *View, m *Meta) (bool, error) {
	if err := v.Scan(); err != nil {
		return false, err
	}
	if p.test != nil {
		switch p.test(v) {
		case yes:
			return true, nil
		case no:
			return false, nil
		case unsure:
		}
	}
	out, err := e.run(p, v, m)
	if err != nil {
		return false, err
	}
	b, _ := out.(bool) // the compiler made it one
	return b, nil
}

// Value evaluates to a Go value. v must be a view for p's paths.
func (e *Evaluator) Value(p *Program, v *View, m *Meta) (any, error) {
	if err := v.Scan(); err != nil {
		return nil, err
	}
	if p.only >= 0 {
		return v.Slot(p.only).Value(), nil
	}
	return e.run(p, v, m)
}

// AppendJSON evaluates and appends the result as JSON. A plain path is copied as it stands.
func (e *Evaluator) AppendJSON(dst []byte, p *Program, v *View, m *Meta) ([]byte, error) {
	if err := v.Scan(); err != nil {
		return dst, err
	}
	if p.only >= 0 {
		s := v.Slot(p.only)
		if s.Kind == Missing {
			return append(dst, "null"...), nil
		}
		return append(dst, s.Raw...), nil
	}
	out, err := e.run(p, v, m)
	if err != nil {
		return dst, err
	}
	return AppendJSON(dst, out)
}

// run evaluates by the VM.
func (e *Evaluator) run(p *Program, v *View, m *Meta) (any, error) {
	for _, in := range p.slots {
		e.env[in.name] = v.Slot(in.slot).Value()
	}
	if p.uses["value"] {
		whole, err := v.Whole()
		if err != nil {
			return nil, err
		}
		e.env["value"] = whole
	}
	e.meta(p, m)
	e.budget.reset(len(v.JSON()))
	e.vm.MemoryBudget = uint(maxItems + len(v.JSON()))
	out, err := e.vm.Run(p.program, e.env)
	if err != nil {
		return nil, runtimeError(err)
	}
	return out, nil
}

func (e *Evaluator) meta(p *Program, m *Meta) {
	if p.uses["key"] {
		e.env["key"] = nil
		if m.Key != nil {
			e.env["key"] = string(m.Key)
		}
	}
	if p.uses["headers"] {
		e.env["headers"] = m.Headers.Map()
	}
	if p.uses["ts"] || p.uses[nowFunction] {
		e.now = time.UnixMilli(m.Timestamp).UTC()
		e.env["ts"] = e.now
	}
	if p.uses["topic"] {
		e.env["topic"] = m.Topic
	}
	if p.uses["partition"] {
		e.env["partition"] = int(m.Partition)
	}
	if p.uses["offset"] {
		e.env["offset"] = int(m.Offset)
	}
}
