package expr

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
)

// Budgets of one expression. They bound what an expression can cost a process whatever the record holds. Steps and bytes
// are counted, so that a replay gives the same verdict; the time is there for what cannot be counted, and long enough
// that a busy machine does not condemn a good record.
const (
	maxSource = 16 << 10 // bytes of source
	maxNodes  = 1000     // of the syntax tree
	maxItems  = 100_000  // elements that one evaluation may make, beside those that the record has
	maxSteps  = 100_000  // bodies of predicates that one evaluation may run, beside one for each byte of the record
	maxBytes  = 8 << 20  // that loops and variables of one evaluation may make, beside copies of the record
	maxText   = 8 << 20  // bytes of one text
	maxTime   = 10 * time.Second
)

const (
	copies   = 32  // of a record's bytes are free: a decoded number takes that many
	lookTime = 256 // steps between two looks at the clock
)

var (
	errSteps = errors.New("the expression takes too many steps: its loops ran too often")
	errBytes = fmt.Errorf("the expression makes too much data: more than %d MiB", maxBytes>>20)
	errTime  = fmt.Errorf("the expression takes too long: more than %v", maxTime)
	errText  = fmt.Errorf("the expression makes too long a text: more than %d MiB", maxText>>20)
)

// budget is what is left of an evaluation's.
type budget struct {
	steps, bytes int
	began        time.Time
}

func (b *budget) reset(record int) {
	*b = budget{steps: maxSteps + record, bytes: maxBytes + copies*record}
}

// step counts one run of a predicate's body, which gave v.
func (b *budget) step(v any) error {
	if b.steps--; b.steps < 0 {
		return errSteps
	}
	if b.steps%lookTime == 0 {
		switch {
		case b.began.IsZero():
			b.began = time.Now()
		case time.Since(b.began) > maxTime:
			return errTime
		}
	}
	return b.charge(v)
}

// charge takes the size of v, all through.
func (b *budget) charge(v any) error {
	switch v := v.(type) {
	case nil, bool, int, int64, float64:
		return nil
	case string:
		b.bytes -= len(v)
	case []any:
		b.bytes -= 16 * len(v)
		for i := 0; i < len(v) && b.bytes >= 0; i++ {
			if err := b.charge(v[i]); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, el := range v {
			b.bytes -= 32 + len(k)
			if err := b.charge(el); err != nil {
				return err
			}
		}
	default:
		b.reflected(v)
	}
	if b.bytes < 0 {
		return errBytes
	}
	return nil
}

// reflected charges the lists and maps of other types that some functions give.
func (b *budget) reflected(v any) {
	switch x := reflect.ValueOf(v); x.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map, reflect.String:
		b.bytes -= 32 * x.Len()
	default:
		b.bytes -= 32
	}
}

// Names that the tree of an expression gets and no user can write.
const (
	budgetName     = hidden + "budget"
	stepFunction   = hidden + "step"
	chargeFunction = hidden + "charge"
)

// budgetFunctions give their second argument, with its type.
func budgetFunctions() []expr.Option {
	return []expr.Option{
		passing(stepFunction, func(args ...any) (any, error) { return args[1], args[0].(*budget).step(args[1]) }),
		passing(chargeFunction, func(args ...any) (any, error) { return args[1], args[0].(*budget).charge(args[1]) }),
	}
}

func passing(name string, fn func(args ...any) (any, error)) expr.Option {
	return func(c *conf.Config) {
		c.Functions[name] = &builtin.Function{
			Name: name, Func: fn,
			Validate: func(args []reflect.Type) (reflect.Type, error) { return args[1], nil },
		}
	}
}
