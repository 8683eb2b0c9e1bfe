package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/plugins/file"
	"github.com/leatstream/leat/plugins/generate"
	"github.com/leatstream/leat/plugins/stdout"
)

// The test binary is started again as a plugin ("plugin NAME"), and as a program that runs connectors ("run FILE BROKER").
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "plugin" {
		servePlugin(os.Args[2])
		return
	}
	if len(os.Args) == 4 && os.Args[1] == "run" {
		if err := runProgram(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// plugins are the good ones; hostile ones are in hostile.
var plugins = map[string]sdk.Connector{
	"file": file.Connector(), "generate": generate.Connector(), "stdout": stdout.Connector(), "picky": picky(), "chatty": chatty(), "forked": forked(),
}

func servePlugin(name string) {
	if c, ok := plugins[name]; ok {
		sdk.Serve(c)
		return
	}
	hostile[name]()
}

func bundled(name string) ([]string, bool) {
	_, good := plugins[name]
	_, bad := hostile[name]
	return []string{os.Args[0], "plugin", name}, good || bad
}

// runProgram is a process that runs connectors until it is killed or told to end.
func runProgram(path, broker string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var d diag.List
	docs := yaml.Parse(path, src, &d)
	if err := d.Err(); err != nil {
		return err
	}
	r, err := New(Config{Documents: docs, Kafka: kafka.Config{Brokers: []string{broker}, ClientID: "program", InstanceID: "program"}, Bundled: bundled,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

type pickyConfig struct {
	Path string `cfg:"path,required"`
}

// picky is a sink that takes some records, refuses others for now, and others for ever.
func picky() sdk.Connector {
	return sdk.Connector{Name: "picky", Version: "1.0.0", Summary: "Refuses.", Sink: sdk.Sink[pickyConfig]{
		Summary: "Refuses.", Open: func(_ context.Context, c pickyConfig, _ *sdk.SinkTask) (sdk.Writer, error) {
			return &pickyWriter{path: c.Path, refused: map[string]int{}}, nil
		},
	}}
}

type pickyWriter struct {
	path    string
	refused map[string]int
}

func (w *pickyWriter) Write(_ context.Context, b *sdk.Batch) error {
	f, err := os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return b.Each(func(r *sdk.Record) error {
		v := string(r.Value)
		switch {
		case strings.HasPrefix(v, "poison"):
			return sdk.Poison("picky.no", errors.New("the target does not want it"))
		case strings.HasPrefix(v, "fatal"):
			return sdk.Fatal("picky.full", errors.New("the target is full"), "")
		case strings.HasPrefix(v, "later") && w.refused[v] < 2:
			w.refused[v]++
			return sdk.TransientAfter(errors.New("the target is away"), 10*time.Millisecond)
		}
		_, err := fmt.Fprintln(f, v)
		return err
	})
}

func (w *pickyWriter) Close() error { return nil }

type chattyConfig struct {
	Token sdk.Secret `cfg:"token,required"`
}

// chatty is a source that says its secret wherever it can.
func chatty() sdk.Connector {
	return sdk.Connector{Name: "chatty", Version: "1.0.0", Summary: "Tells.", Source: sdk.Source[chattyConfig]{
		Summary: "Tells.", Run: func(ctx context.Context, c chattyConfig, t *sdk.Task) error {
			t.Log.Warn("logged in with "+c.Token.Reveal(), "token", c.Token.Reveal())
			fmt.Fprintln(os.Stderr, "trace: "+c.Token.Reveal())
			claim, err := sdk.OpenClaim[int](t, "one")
			if err != nil {
				return err
			}
			if err := claim.Reject(sdk.Rejection{Value: []byte("x"), Origin: "one:1", Code: "chatty.no", Message: "refused with " + c.Token.Reveal()}, 1); err != nil {
				return err
			}
			if err := claim.Flush(); err != nil {
				return err
			}
			return sdk.Transient(errors.New("cannot log in with " + c.Token.Reveal()))
		},
	}}
}

// forked is a source that leaves a child behind that nobody waits for.
func forked() sdk.Connector {
	return sdk.Connector{Name: "forked", Version: "1.0.0", Summary: "Starts a child.", Source: sdk.Source[pickyConfig]{
		Summary: "Starts a child.", Run: func(ctx context.Context, c pickyConfig, _ *sdk.Task) error {
			p, err := os.StartProcess("/bin/sleep", []string{"sleep", "600"}, &os.ProcAttr{})
			if err != nil {
				return sdk.Fatal("forked.failed", err, "")
			}
			if err := os.WriteFile(c.Path, fmt.Append(nil, p.Pid), 0o600); err != nil {
				return sdk.Fatal("forked.failed", err, "")
			}
			<-ctx.Done()
			return ctx.Err()
		},
	}}
}

// value is a record of the tests' CSV as the topic holds it.
type value struct {
	Tailnum string `json:"tailnum"`
	N       int    `json:"n"`
}

func parseValue(t testing.TB, raw []byte) value {
	var v value
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return v
}

func headerOf(r *batch.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
