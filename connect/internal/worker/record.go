package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/leatstream/leat/internal/batch"
)

// lookup finds the key of a record: a string as it is, null and missing as no key, anything else as JSON. The key may be a
// part of value. It allocates nothing unless the key has escapes: every record of a keyed source passes here.
func lookup(value []byte, path []string) ([]byte, error) {
	if !json.Valid(value) {
		return nil, fmt.Errorf("the key %s cannot be read: the value is not JSON", strings.Join(path, "."))
	}
	raw := bytes.TrimLeft(value, " \t\r\n")
	for i, name := range path {
		if raw[0] == 'n' {
			return nil, nil
		}
		if raw[0] != '{' {
			return nil, fmt.Errorf("the key %s cannot be read: value%s is not a JSON object", strings.Join(path, "."), dotted(path[:i]))
		}
		if raw = member(raw, name); raw == nil {
			return nil, nil
		}
	}
	switch raw[0] {
	case 'n':
		return nil, nil
	case '"':
		if text := raw[1 : len(raw)-1]; bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text) {
			return text, nil
		}
		var s string
		err := json.Unmarshal(raw, &s)
		return []byte(s), err
	}
	return raw, nil
}

func dotted(path []string) string {
	if len(path) == 0 {
		return ""
	}
	return "." + strings.Join(path, ".")
}

// errorHeaders are the headers of a dead letter, by Kafka Connect's names (KIP-298).
func (t *Task) errorHeaders(class, message string, more ...batch.HeaderKV) []batch.HeaderKV {
	h := func(k, v string) batch.HeaderKV {
		return batch.HeaderKV{Key: "__connect.errors." + k, Value: []byte(t.Spec.Redact(v))}
	}
	return append([]batch.HeaderKV{
		h("connector.name", t.Spec.Name), h("task.id", "0"), h("class.name", t.Spec.Plugin),
		h("exception.class.name", class), h("exception.message", message),
	}, more...)
}

// ensureLetters makes the dead-letter topic, which is there only if it was needed.
func (t *Task) ensureLetters(ctx context.Context) error {
	if t.letterbox.Load() {
		return nil
	}
	if err := t.client.EnsureTopic(ctx, t.Spec.DeadLetters(), 1, nil); err != nil {
		return err
	}
	t.letterbox.Store(true)
	return nil
}
