package stdout

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"

	"github.com/leatstream/leat/connect/sdk"
)

// Config is `config:` of the sink.
type Config struct {
	Format string `cfg:"format" default:"value" enum:"value,key-value,json" doc:"value: the value. key-value: key, a tab, the value. json: one object with topic, partition, offset, timestamp, key, headers and value."`
}

// Connector is the stdout connector.
func Connector() sdk.Connector {
	return sdk.Connector{
		Name: "stdout", Version: "1.0.0", Summary: "Shows records on the terminal.",
		Sink: sdk.Sink[Config]{Summary: "One line per record on leat's stdout.", MaxInFlight: 8, Open: open},
	}
}

type writer struct {
	format string
	out    *bufio.Writer
	line   []byte
}

func open(_ context.Context, c Config, t *sdk.SinkTask) (sdk.Writer, error) {
	return &writer{format: c.Format, out: bufio.NewWriterSize(t.Stdout, 64<<10)}, nil
}

func (w *writer) Write(_ context.Context, b *sdk.Batch) error {
	return b.Each(func(r *sdk.Record) error {
		w.line = w.line[:0]
		switch w.format {
		case "json":
			object, err := json.Marshal(shownOf(r))
			if err != nil {
				return sdk.Poison("stdout.json", err)
			}
			w.line = append(w.line, object...)
		case "key-value":
			w.line = append(append(append(w.line, r.Key...), '\t'), r.Value...)
		default:
			w.line = append(w.line, r.Value...)
		}
		_, err := w.out.Write(append(w.line, '\n'))
		return closed(err)
	})
}

// Flush writes out what has come.
func (w *writer) Flush(context.Context) error { return closed(w.out.Flush()) }

// Close has nothing to release: the descriptor is the process's.
func (w *writer) Close() error { return nil }

// closed tells a reader that went away (| head) from other trouble: nobody will come back to read.
func closed(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return sdk.Fatal("stdout.closed", fmt.Errorf("nobody reads leat's stdout any more: %w", err), "start leat again")
	}
	return err
}

// shown is a record as one JSON object.
type shown struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Timestamp int64             `json:"timestamp"`
	Key       *string           `json:"key"`
	Headers   map[string]string `json:"headers,omitempty"`
	Value     any               `json:"value"`
}

func shownOf(r *sdk.Record) shown {
	s := shown{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp}
	if r.Key != nil {
		key := string(r.Key)
		s.Key = &key
	}
	if len(r.Headers) > 0 {
		s.Headers = make(map[string]string, len(r.Headers))
		for _, h := range r.Headers {
			s.Headers[h.Key] = string(h.Value)
		}
	}
	switch {
	case r.Value == nil:
	case json.Valid(r.Value):
		s.Value = json.RawMessage(r.Value)
	default:
		s.Value = string(r.Value)
	}
	return s
}
