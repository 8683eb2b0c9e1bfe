package apache

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// formatter prints records as Kafka's DefaultMessageFormatter does.
type formatter struct {
	timestamp, partition, offset, epoch, headers, key, value bool
	separator, lines, headerSeparator, null                  string
	keyText, valueText                                       func([]byte) (string, error)
	silent                                                   bool
}

func newFormatter(class string, properties map[string]string) (*formatter, error) {
	text := func(name, otherwise string) string {
		if v, ok := properties[name]; ok {
			return v
		}
		return otherwise
	}
	f := &formatter{
		timestamp: isTrue(properties["print.timestamp"]), partition: isTrue(properties["print.partition"]), offset: isTrue(properties["print.offset"]),
		epoch: isTrue(properties["print.epoch"]), headers: isTrue(properties["print.headers"]), key: isTrue(properties["print.key"]),
		value: isTrue(text("print.value", "true")), separator: text("key.separator", "\t"), lines: text("line.separator", "\n"),
		headerSeparator: text("headers.separator", ","), null: text("null.literal", "null"),
	}
	short := class[strings.LastIndexByte(class, '.')+1:]
	switch short {
	case "", "DefaultMessageFormatter", "LoggingMessageFormatter":
	case "NoOpMessageFormatter":
		f.silent = true
	default:
		return nil, usagef("The formatter %s is a Java class, which only Apache's tool can load", class)
	}
	var err error
	if f.keyText, err = deserializer(properties["key.deserializer"]); err != nil {
		return nil, err
	}
	f.valueText, err = deserializer(properties["value.deserializer"])
	return f, err
}

// deserializer gives what a class of Kafka's does with bytes; without a class they are text.
func deserializer(class string) (func([]byte) (string, error), error) {
	number := func(size int, show func([]byte) string) func([]byte) (string, error) {
		return func(b []byte) (string, error) {
			if len(b) != size {
				return "", fmt.Errorf("Size of data received by %s is not %d", class, size)
			}
			return show(b), nil
		}
	}
	switch class[strings.LastIndexByte(class, '.')+1:] {
	case "", "StringDeserializer", "UUIDDeserializer", "ByteArrayDeserializer", "BytesDeserializer", "ByteBufferDeserializer":
		return func(b []byte) (string, error) { return string(b), nil }, nil
	case "LongDeserializer":
		return number(8, func(b []byte) string { return strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10) }), nil
	case "IntegerDeserializer":
		return number(4, func(b []byte) string { return strconv.Itoa(int(int32(binary.BigEndian.Uint32(b)))) }), nil
	case "ShortDeserializer":
		return number(2, func(b []byte) string { return strconv.Itoa(int(int16(binary.BigEndian.Uint16(b)))) }), nil
	case "DoubleDeserializer":
		return number(8, func(b []byte) string { return javaDouble(math.Float64frombits(binary.BigEndian.Uint64(b))) }), nil
	case "FloatDeserializer":
		return number(4, func(b []byte) string { return javaFloat(math.Float32frombits(binary.BigEndian.Uint32(b))) }), nil
	case "BooleanDeserializer":
		return number(1, func(b []byte) string { return strconv.FormatBool(b[0] == 1) }), nil
	}
	return nil, usagef("The deserializer %s is a Java class, which only Apache's tool can load", class)
}

// javaDouble prints a number as Java's Double.toString.
func javaDouble(v float64) string { return javaNumber(v, 64) }

func javaFloat(v float32) string { return javaNumber(float64(v), 32) }

func javaNumber(v float64, bits int) string {
	abs := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strconv.FormatFloat(v, 'g', -1, bits), "+") + "inity"
	case abs != 0 && (abs < 1e-3 || abs >= 1e7):
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, bits), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return mantissa + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(v, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func (f *formatter) write(w *bufio.Writer, r *kgo.Record) error {
	if f.silent {
		return nil
	}
	var fields []string
	if f.timestamp {
		fields = append(fields, timestamp(r))
	}
	if f.partition {
		fields = append(fields, "Partition:"+strconv.Itoa(int(r.Partition)))
	}
	if f.offset {
		fields = append(fields, "Offset:"+strconv.FormatInt(r.Offset, 10))
	}
	if f.epoch {
		fields = append(fields, epoch(r.LeaderEpoch))
	}
	if f.headers {
		fields = append(fields, f.headerText(r.Headers))
	}
	for _, part := range []struct {
		wanted bool
		bytes  []byte
		text   func([]byte) (string, error)
	}{{f.key, r.Key, f.keyText}, {f.value, r.Value, f.valueText}} {
		if !part.wanted {
			continue
		}
		s := f.null
		if part.bytes != nil {
			var err error
			if s, err = part.text(part.bytes); err != nil {
				return err
			}
		}
		fields = append(fields, s)
	}
	_, _ = w.WriteString(strings.Join(fields, f.separator) + f.lines) // an error shows at the next Flush
	return nil
}

func timestamp(r *kgo.Record) string {
	switch r.Attrs.TimestampType() {
	case 0:
		return "CreateTime:" + strconv.FormatInt(r.Timestamp.UnixMilli(), 10)
	case 1:
		return "LogAppendTime:" + strconv.FormatInt(r.Timestamp.UnixMilli(), 10)
	}
	return "NO_TIMESTAMP"
}

func epoch(n int32) string {
	if n < 0 {
		return "Epoch:NOT_PRESENT"
	}
	return "Epoch:" + strconv.Itoa(int(n))
}

func (f *formatter) headerText(headers []kgo.RecordHeader) string {
	if len(headers) == 0 {
		return "NO_HEADERS"
	}
	words := make([]string, len(headers))
	for i, h := range headers {
		value := f.null
		if h.Value != nil {
			value = string(h.Value)
		}
		words[i] = h.Key + ":" + value
	}
	return strings.Join(words, f.headerSeparator)
}
