package expr

import (
	"cmp"

	"github.com/expr-lang/expr/ast"
)

// answer of a fast test. What it cannot decide as the VM would, it leaves to the VM.
type answer uint8

const (
	no answer = iota
	yes
	unsure
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// test decides a condition on slots alone, without allocating.
type test func(v *View) answer

// fastTest builds a test for conditions that compare paths with constants, joined by and, or, not. nil: it is none such.
func fastTest(n ast.Node, slots map[string]int) test {
	switch x := n.(type) {
	case *ast.UnaryNode:
		inner := fastTest(x.Node, slots)
		if inner == nil || x.Operator != "not" && x.Operator != "!" {
			return nil
		}
		return func(v *View) answer {
			switch inner(v) {
			case yes:
				return no
			case no:
				return yes
			default:
				return unsure
			}
		}
	case *ast.BinaryNode:
		switch x.Operator {
		case "and", "&&":
			return both(fastTest(x.Left, slots), fastTest(x.Right, slots), no)
		case "or", "||":
			return both(fastTest(x.Left, slots), fastTest(x.Right, slots), yes)
		}
		id, ok := x.Left.(*ast.IdentifierNode)
		if !ok {
			return nil
		}
		slot, ok := slots[id.Value]
		if !ok {
			return nil
		}
		return compareWith(x.Operator, slot, x.Right)
	}
	return nil
}

// both joins two tests; enough is the answer of the left one that makes the right one needless.
func both(left, right test, enough answer) test {
	if left == nil || right == nil {
		return nil
	}
	return func(v *View) answer {
		if a := left(v); a == enough || a == unsure {
			return a
		}
		return right(v)
	}
}

func compareWith(op string, slot int, constant ast.Node) test {
	switch c := constant.(type) {
	case *ast.StringNode:
		return compareString(op, slot, c.Value)
	case *ast.IntegerNode:
		return compareInt(op, slot, int64(c.Value))
	case *ast.FloatNode:
		return compareFloat(op, slot, c.Value)
	case *ast.BoolNode:
		want := False
		if c.Value {
			want = True
		}
		return equality(op, func(v *View) answer { return answerOf(v.Slot(slot).Kind == want) })
	case *ast.NilNode:
		return equality(op, func(v *View) answer { return answerOf(v.Slot(slot).Kind <= Null) })
	}
	return nil
}

// equality gives == as it is and != turned round.
func equality(op string, equal test) test {
	switch op {
	case "==":
		return equal
	case "!=":
		return func(v *View) answer {
			switch equal(v) {
			case yes:
				return no
			case no:
				return yes
			default:
				return unsure
			}
		}
	}
	return nil
}

func compareString(op string, slot int, want string) test {
	return equality(op, func(v *View) answer {
		s := v.Slot(slot)
		if s.Kind != String {
			return no
		}
		raw := s.Raw[1 : len(s.Raw)-1]
		for _, c := range raw {
			if c == '\\' || c >= 0x80 { // escapes and bad UTF-8 are decoded first
				return answerOf(unquote(s.Raw) == want)
			}
		}
		return answerOf(string(raw) == want)
	})
}

// ordered gives the test for an operator, from a comparison that says -1, 0, 1, or that it cannot tell.
func ordered(op string, compare func(v *View) (int, answer)) test {
	holds := map[string]func(c int) bool{
		"==": func(c int) bool { return c == 0 },
		"!=": func(c int) bool { return c != 0 },
		"<":  func(c int) bool { return c < 0 },
		"<=": func(c int) bool { return c <= 0 },
		">":  func(c int) bool { return c > 0 },
		">=": func(c int) bool { return c >= 0 },
	}[op]
	if holds == nil {
		return nil
	}
	return func(v *View) answer {
		c, known := compare(v)
		if known == unsure {
			return unsure
		}
		return answerOf(holds(c))
	}
}

func compareInt(op string, slot int, want int64) test {
	return ordered(op, func(v *View) (int, answer) {
		s := v.Slot(slot)
		if s.Kind == Float {
			return compareNumber(s.Raw, float64(want))
		}
		n, ok := smallInt(s)
		if !ok {
			return 0, unsure
		}
		return cmp.Compare(n, want), yes
	})
}

func compareFloat(op string, slot int, want float64) test {
	return ordered(op, func(v *View) (int, answer) {
		s := v.Slot(slot)
		if s.Kind == Float {
			return compareNumber(s.Raw, want)
		}
		n, ok := smallInt(s)
		if !ok {
			return 0, unsure
		}
		return cmp.Compare(float64(n), want), yes
	})
}

func compareNumber(raw []byte, want float64) (int, answer) {
	f, ok := smallFloat(raw)
	if !ok {
		return 0, unsure
	}
	return cmp.Compare(f, want), yes
}

// smallInt parses an integer of up to 18 digits.
func smallInt(s *Slot) (int64, bool) {
	if s.Kind != Int {
		return 0, false
	}
	raw := s.Raw
	negative := raw[0] == '-'
	if negative {
		raw = raw[1:]
	}
	if len(raw) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range raw {
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// exact powers of ten as float64.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// smallFloat parses a decimal of up to 15 digits: both parts of the division are exact, so the result is the nearest
// float64 (Clinger 1990). Others are left to strconv.
func smallFloat(raw []byte) (float64, bool) {
	negative := raw[0] == '-'
	if negative {
		raw = raw[1:]
	}
	var n int64
	digits, decimals, point := 0, 0, false
	for _, c := range raw {
		switch {
		case c == '.':
			point = true
		case c >= '0' && c <= '9':
			n = n*10 + int64(c-'0')
			if digits++; point {
				decimals++
			}
		default:
			return 0, false // an exponent
		}
	}
	if digits >= len(tens) {
		return 0, false
	}
	f := float64(n) / tens[decimals]
	if negative {
		f = -f
	}
	return f, true
}
