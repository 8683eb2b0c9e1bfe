package obs

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Writer writes metrics in Prometheus' text format, family after family.
type Writer struct {
	w      *bufio.Writer
	family string
	buf    []byte
	err    error
}

// NewWriter writes to w. Flush ends it.
func NewWriter(w io.Writer) *Writer { return &Writer{w: bufio.NewWriterSize(w, 32<<10)} }

// Flush writes what waits, and tells what has failed so far.
func (w *Writer) Flush() error {
	if err := w.w.Flush(); w.err == nil {
		w.err = err
	}
	return w.err
}

// Gauge begins a family whose values go up and down.
func (w *Writer) Gauge(name, help string) { w.begin(name, "gauge", help) }

// Counter begins a family whose values only grow. Its name ends in _total.
func (w *Writer) Counter(name, help string) { w.begin(name, "counter", help) }

func (w *Writer) begin(name, kind, help string) {
	w.family = name
	w.write(append(w.buf[:0], "# HELP "+name+" "+strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help)+"\n# TYPE "+name+" "+kind+"\n"...))
}

// Value writes one sample of the family. labels are names and values in turn.
func (w *Writer) Value(v float64, labels ...string) { w.sample("", v, labels, "", "") }

// Int is Value for a whole number.
func (w *Writer) Int(v int64, labels ...string) { w.Value(float64(v), labels...) }

// Flag is Value for a yes (1) or no (0).
func (w *Writer) Flag(yes bool, labels ...string) {
	if yes {
		w.Value(1, labels...)
		return
	}
	w.Value(0, labels...)
}

// Unit says how the values of a histogram become those of its metric, and which powers of two get a bucket of their own.
type Unit struct {
	Scale     float64
	Low, High int
}

// The units of what is measured here.
var (
	Seconds = Unit{1e-9, 14, 35} // of nanoseconds: 16 µs to 34 s
	Number  = Unit{1, 0, 20}
	Bytes   = Unit{1, 8, 30}
)

// Histogram begins a family of histograms.
func (w *Writer) Histogram(name, help string) { w.begin(name, "histogram", help) }

// Observed writes one histogram of the family.
func (w *Writer) Observed(h *Histogram, u Unit, labels ...string) {
	var count int64
	for class := range classes {
		count += h.counts[class].Load()
		if class >= u.Low && class <= u.High {
			w.sample("_bucket", float64(count), labels, "le", formatFloat(math.Ldexp(u.Scale, class)))
		}
	}
	w.sample("_bucket", float64(count), labels, "le", "+Inf")
	w.sample("_sum", float64(h.sum.Load())*u.Scale, labels, "", "")
	w.sample("_count", float64(count), labels, "", "")
}

// sample writes a line: last is one more label.
func (w *Writer) sample(suffix string, v float64, labels []string, lastName, lastValue string) {
	b := append(append(w.buf[:0], w.family...), suffix...)
	sep := byte('{')
	label := func(name, value string) {
		b = append(append(append(b, sep), name...), '=', '"')
		b = append(appendEscaped(b, value), '"')
		sep = ','
	}
	for i := 0; i+1 < len(labels); i += 2 {
		label(labels[i], labels[i+1])
	}
	if lastName != "" {
		label(lastName, lastValue)
	}
	if sep == ',' {
		b = append(b, '}')
	}
	b = append(b, ' ')
	b = append(append(b, formatFloat(v)...), '\n')
	w.write(b)
}

func (w *Writer) write(b []byte) {
	w.buf = b
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
}

// appendEscaped appends any bytes as a label value, which is UTF-8: what is not is written as \xNN.
func appendEscaped(b []byte, value string) []byte {
	if !utf8.ValidString(value) {
		value = strings.Trim(strconv.QuoteToASCII(value), `"`)
	}
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\':
			b = append(b, '\\', '\\')
		case '"':
			b = append(b, '\\', '"')
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, c)
		}
	}
	return b
}

func formatFloat(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
