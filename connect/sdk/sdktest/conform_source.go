package sdktest

import (
	"testing"
	"time"

	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/connect/sdk/proto"
)

func (c Case) stopAtOnce(t *testing.T) {
	p := Start(t, c.Argv...)
	p.Source(c.Source.Config, SourceOptions{}).Stop()
	// The process serves another task afterwards.
	p.Source(c.Source.Config, SourceOptions{}).Stop()
}

// credit: a source that may send one batch sends one, and goes on when it may.
func (c Case) credit(t *testing.T) {
	run := Start(t, c.Argv...).Source(c.Source.Config, SourceOptions{Hold: true, Batches: 1})
	run.WaitBatches(1)
	time.Sleep(quiet) // shows that nothing comes: there is no event to wait for
	if n := len(run.Batches()); n != 1 || run.Overdrawn() {
		t.Fatalf("%d batches with credit for one", n)
	}
	run.Credit(0, 2)
	run.WaitBatches(3)
	time.Sleep(quiet)
	if n := len(run.Batches()); n != 3 || run.Overdrawn() {
		t.Fatalf("%d batches with credit for three", n)
	}
	for i, b := range run.Batches() {
		if b.GetClaim() == "" {
			t.Errorf("batch %d has no claim", i)
		}
	}
}

func (c Case) staleCredit(t *testing.T) {
	run := Start(t, c.Argv...).Source(c.Source.Config, SourceOptions{Hold: true, NoCredit: true})
	run.control(&proto.SourceControl{Epoch: run.epoch - 1, Body: &proto.SourceControl_Credit{Credit: &proto.Credit{Bytes: 1 << 20, Batches: 10}}})
	time.Sleep(quiet)
	if n := len(run.Batches()); n != 0 {
		t.Fatalf("%d batches on credit of another epoch", n)
	}
	run.Credit(1<<20, 1)
	run.WaitBatches(1)
}

// drain: what was emitted before the stop arrives, and the positions say so.
func (c Case) drain(t *testing.T) {
	p := Start(t, c.Argv...)
	run := p.Source(c.Source.Config, SourceOptions{Batches: 2})
	run.WaitBatches(1)
	positions := run.Stop()
	before := len(run.Records())
	again := p.Source(c.Source.Config, SourceOptions{Positions: positions})
	if total := before + len(again.WaitCaughtUp()); total != c.Source.Records {
		t.Errorf("%d records before the stop and after, not %d", total, c.Source.Records)
	}
	again.Stop()
}

// resume kills the source after each of some batches: nothing that was not acknowledged is lost, nothing that was
// comes again.
func (c Case) resume(t *testing.T) {
	whole := Start(t, c.Argv...).Source(c.Source.Config, SourceOptions{})
	want := byClaim(whole.WaitCaughtUp())
	if n := len(whole.Records()); n != c.Source.Records {
		t.Fatalf("%d records, the case says %d", n, c.Source.Records)
	}
	whole.Stop()
	var got []sdk.Record
	positions := map[string][]byte{}
	for range 4 {
		p := Start(t, c.Argv...)
		run := p.Source(c.Source.Config, SourceOptions{Positions: positions, Hold: true, Batches: 2})
		run.Wait("a batch or the end", func(r *SourceRun) bool { return len(r.batches) > 0 || r.caughtUp || r.done })
		if b := run.Batches(); len(b) > 0 {
			run.Ack(b[0])
			got = append(got, Decode(t, b[0])...)
		}
		p.Kill()
		positions = run.Positions()
	}
	last := Start(t, c.Argv...).Source(c.Source.Config, SourceOptions{Positions: positions})
	have := byClaim(append(got, last.WaitCaughtUp()...))
	last.Stop()
	for claim, records := range want {
		if len(have[claim]) != len(records) {
			t.Errorf("claim %s: %d records with restarts, %d without", claim, len(have[claim]), len(records))
			continue
		}
		for i, r := range records {
			if h := have[claim][i]; string(h.Key) != string(r.Key) || string(h.Value) != string(r.Value) {
				t.Errorf("claim %s: record %d is %q with restarts, %q without", claim, i, h.Value, r.Value)
				break
			}
		}
	}
}

func byClaim(records []sdk.Record) map[string][]sdk.Record {
	out := map[string][]sdk.Record{}
	for _, r := range records {
		out[r.Topic] = append(out[r.Topic], r)
	}
	return out
}
