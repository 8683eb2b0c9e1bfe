package file

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/leatstream/leat/connect/sdk"
)

// cut emits the units that data holds.
func (t *tail) cut(final bool) error {
	if t.pos.Offset == 0 && bytes.HasPrefix(t.data, bom) {
		t.advance(len(bom))
	}
	if t.pos.Bare && len(t.data) > 0 {
		// The line end that the last record was lacking has come. It ends that record, it is no empty one.
		for _, end := range []string{"\r\n", "\n"} {
			if bytes.HasPrefix(t.data, []byte(end)) {
				t.advance(len(end))
				break
			}
		}
		t.pos.Bare = false
	}
	for len(t.data) > 0 {
		if t.tooLong {
			if !t.skipLong() {
				break
			}
			if err := t.claim.Skip(t.pos); err != nil {
				return err
			}
			continue
		}
		advance, unit, err := t.reader.split.split(t.data, final)
		switch {
		case advance > int(t.config.MaxLine)+2 || advance == 0 && len(t.data) > int(t.config.MaxLine)+2:
			if err := t.rejectLong(); err != nil {
				return err
			}
			continue
		case advance == 0:
			return nil
		}
		if err := t.unit(advance, unit, err, final); err != nil {
			return err
		}
	}
	if t.tooLong && final {
		t.tooLong = false
		return t.claim.Skip(t.pos)
	}
	return nil
}

// unit emits one unit, or rejects it.
func (t *tail) unit(advance int, unit []byte, err error, final bool) error {
	raw := t.data[:advance]
	if unit == nil && err == nil {
		t.advance(advance)
		return nil
	}
	t.pos.Line++
	t.pos.Bare = final && advance == len(t.data) && raw[advance-1] != '\n'
	t.advance(advance)
	var value []byte
	if err == nil {
		value, err = t.reader.record(unit)
	}
	if err != nil {
		return t.reject(raw, err)
	}
	if value == nil && t.reader.table != nil {
		return t.claim.Skip(t.pos) // the header
	}
	return t.claim.Emit(sdk.Record{Value: value}, t.pos)
}

func (t *tail) reject(raw []byte, err error) error {
	var bad *errBadUnit
	if !errors.As(err, &bad) {
		return err
	}
	return t.claim.Reject(sdk.Rejection{
		Value: trimLineEnd(raw), Origin: fmt.Sprintf("%s:%d", t.path, t.pos.Line), Code: bad.code, Message: bad.message,
	}, t.pos)
}

// rejectLong rejects the line at the position, of which only the beginning is kept, and then skips to its end.
func (t *tail) rejectLong() error {
	if t.reader.format == "json-array" {
		return sdk.Fatal("file.element-too-long", fmt.Errorf("%s: element %d of the array is longer than max_line, %d bytes", t.path, t.pos.Line+1, t.config.MaxLine),
			"raise max_line")
	}
	line := t.data
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	t.pos.Line++
	err := t.claim.Reject(sdk.Rejection{
		Value: line, Origin: fmt.Sprintf("%s:%d", t.path, t.pos.Line), Code: "file.line-too-long",
		Message: fmt.Sprintf("the record is longer than max_line, %d bytes", t.config.MaxLine),
	}, t.pos)
	t.tooLong = true
	return err
}

// skipLong moves behind the line end; false if that has not been read yet.
func (t *tail) skipLong() bool {
	end := bytes.IndexByte(t.data, '\n')
	if end < 0 {
		t.advance(len(t.data))
		return false
	}
	t.advance(end + 1)
	t.tooLong = false
	return true
}

// advance moves the position, and the fingerprint with it while the head is growing.
func (t *tail) advance(n int) {
	t.data = t.data[n:]
	t.pos.Offset += int64(n)
	if t.pos.Head < headBytes {
		t.pos.Head = int(min(headBytes, t.pos.Offset, int64(len(t.head))))
		t.pos.Sum = sum(t.head[:t.pos.Head])
	}
}
