package streams

import (
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Where is a condition on records in the expression language of pipelines. One goroutine may use it at a time.
type Where struct {
	program *expr.Program
	eval    *expr.Evaluator
	paths   *expr.Paths
	view    expr.View
}

// ParseWhere compiles a condition. Its mistakes are shown at name; a *diag.List as error holds them.
func ParseWhere(name, condition string) (*Where, error) {
	var d diag.List
	w := &Where{eval: expr.NewEvaluator(), paths: expr.NewPaths()}
	w.program = expr.Compile(yaml.Text(name, condition), expr.Bool, w.paths, &d)
	return w, d.Err()
}

// Test evaluates the condition. A value that is not JSON is an error if the condition reads it; a tombstone reads as null.
func (w *Where) Test(r *kgo.Record) (bool, error) {
	value := r.Value
	if value == nil || !w.program.ReadsValue() {
		value = []byte("null")
	}
	w.view.Reset(value, w.paths)
	return w.eval.Test(w.program, &w.view, &expr.Meta{
		Key: r.Key, Headers: headers(r.Headers), Timestamp: r.Timestamp.UnixMilli(), Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
	})
}

type headers []kgo.RecordHeader

// Map is the headers as expressions see them: the last of a name counts, null is nil.
func (h headers) Map() map[string]any {
	out := make(map[string]any, len(h))
	for _, kv := range h {
		out[kv.Key] = nil
		if kv.Value != nil {
			out[kv.Key] = string(kv.Value)
		}
	}
	return out
}
