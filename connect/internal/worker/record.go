package worker

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/leatstream/leat/internal/batch"
)

// lookup finds the key of a record: a string as it is, null and missing as no key, anything else as JSON.
func lookup(value []byte, path []string) ([]byte, error) {
	raw := json.RawMessage(value)
	for i, name := range path {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			return nil, fmt.Errorf("the key %s cannot be read: value%s is not a JSON object: %w", strings.Join(path, "."), dotted(path[:i]), err)
		}
		if raw = members[name]; raw == nil {
			return nil, nil
		}
	}
	switch raw[0] {
	case 'n':
		return nil, nil
	case '"':
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
