package operator

import (
	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/streams/internal/expr"
)

// Record is one record on its way through a chain. Steps change it in place.
type Record struct {
	Key, Value []byte // nil: null
	Headers    []batch.HeaderKV
	Timestamp  int64 // ms since 1970
	Topic      string
	Partition  int32
	Offset     int64

	Raw     *batch.Record // the encoded record, as long as Changed is false; nil: there is none
	Changed bool          // key, value or headers are not those of Raw

	view expr.View
	meta expr.Meta
}

// Begin makes ready for another record of a batch.
func (r *Record) Begin() {
	r.Changed = false
	r.view.Reset(nil, nil)
}

// look is the value as expressions over paths see it.
func (r *Record) look(paths *expr.Paths) *expr.View {
	if !r.view.Is(paths) {
		r.view.Reset(r.Value, paths)
	}
	return &r.view
}

// set gives the record another value.
func (r *Record) set(value []byte) {
	r.Value, r.Changed = value, true
	r.view.Reset(nil, nil)
}

// about is what expressions see beside the value.
func (r *Record) about() *expr.Meta {
	r.meta = expr.Meta{Key: r.Key, Timestamp: r.Timestamp, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Headers: r}
	return &r.meta
}

// Map is the headers as expressions see them: the last of a name counts, null is nil.
func (r *Record) Map() map[string]any {
	m := make(map[string]any, len(r.Headers))
	for _, h := range r.Headers {
		m[h.Key] = nil
		if h.Value != nil {
			m[h.Key] = string(h.Value)
		}
	}
	return m
}
