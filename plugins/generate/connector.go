package generate

import (
	"context"
	"fmt"
	"text/template"
	"time"

	"github.com/leatstream/leat/connect/sdk"
)

// Config is `config:` of the source.
type Config struct {
	Rate  float64 `cfg:"rate" default:"10" min:"0" doc:"Records per second; 0: as fast as they are taken."`
	Count int64   `cfg:"count" default:"0" min:"0" doc:"How many records in all; 0: without end."`
	Value string  `cfg:"value,required" doc:"Template of the value. Functions: seq (0, 1, 2 …), int MIN MAX, float MIN MAX, pick A B …, bool, uuid, hex N, now." example:"'{\"id\": {{seq}}, \"city\": \"{{pick \"Oslo\" \"Rome\"}}\", \"celsius\": {{float -10 30}}}'"`
	Key   string  `cfg:"key" doc:"Template of the key; without one, records have none." example:"'{{int 1 100}}'"`
	Seed  int64   `cfg:"seed" default:"1" doc:"Another seed makes other records."`
}

// Validate parses the templates.
func (c *Config) Validate() []sdk.Problem {
	var problems []sdk.Problem
	for _, t := range []struct{ path, text string }{{"value", c.Value}, {"key", c.Key}} {
		g := &generator{}
		if _, err := g.parse(t.text); err != nil {
			problems = append(problems, sdk.Problem{Path: t.path, Code: "generate.template", Message: err.Error(), Hint: `for example: '{"id": {{seq}}}'`})
		}
	}
	return problems
}

// Connector is the generate connector.
func Connector() sdk.Connector {
	return sdk.Connector{
		Name: "generate", Version: "1.0.0", Summary: "Makes records up, for demonstrations and load.",
		Source: sdk.Source[Config]{Summary: "Records from a template, at a rate, the same ones for the same seed.", Ends: true, Run: run},
	}
}

func run(ctx context.Context, c Config, t *sdk.Task) error {
	claim, err := sdk.OpenClaim[int64](t, "generate")
	if err != nil {
		return err
	}
	g := &generator{seed: uint64(c.Seed)}
	value, err := g.parse(c.Value)
	if err != nil {
		return sdk.Fatal("generate.template", err, "mend the template of the value")
	}
	key, err := g.parse(c.Key)
	if err != nil {
		return sdk.Fatal("generate.template", err, "mend the template of the key")
	}
	pace := newPace(c.Rate)
	for n := claim.Position; c.Count == 0 || n < c.Count; n++ {
		if !pace.wait(ctx) {
			return sdk.ErrStopping
		}
		r, err := g.record(n, key, value)
		if err != nil {
			return sdk.Fatal("generate.template", err, "mend the template")
		}
		if c.Key == "" {
			r.Key = nil
		}
		if err := claim.Emit(r, n+1); err != nil {
			return err
		}
	}
	return nil
}

func (g *generator) record(n int64, key, value *template.Template) (sdk.Record, error) {
	g.begin(n)
	g.key.Reset()
	g.value.Reset()
	if err := key.Execute(&g.key, nil); err != nil {
		return sdk.Record{}, fmt.Errorf("key of record %d: %w", n, err)
	}
	if err := value.Execute(&g.value, nil); err != nil {
		return sdk.Record{}, fmt.Errorf("value of record %d: %w", n, err)
	}
	return sdk.Record{Key: g.key.Bytes(), Value: g.value.Bytes()}, nil
}

// pace spaces events out evenly. Time lost is not made up for beyond a second.
type pace struct {
	gap  time.Duration
	next time.Time
}

func newPace(rate float64) *pace {
	p := &pace{next: time.Now()}
	if rate > 0 {
		p.gap = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// wait returns when the next event is due; false when ctx has ended.
func (p *pace) wait(ctx context.Context) bool {
	if p.gap == 0 {
		return ctx.Err() == nil
	}
	ahead := time.Until(p.next)
	if ahead < -time.Second {
		p.next = time.Now()
	}
	p.next = p.next.Add(p.gap)
	if ahead < time.Millisecond {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
