package obs

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestSparseLeavesOutWhatIsSaidTooOften(t *testing.T) {
	var b bytes.Buffer
	log := Sparse(slog.New(slog.NewTextHandler(&b, nil)))
	now := time.Unix(0, 0)
	log.Handler().(*sparse).said.now = func() time.Time { return now }
	with := log.With("who", "x").WithGroup("g")
	for i := range 10_000 {
		with.Warn("again", "n", i)
	}
	log.Warn("something else")
	if n := strings.Count(b.String(), "again"); n != sparseBurst {
		t.Errorf("%d lines of 10,000", n)
	}
	if !strings.Contains(b.String(), "something else") || !strings.Contains(b.String(), "who=x g.n=0") {
		t.Error("another message is missing, or attributes are")
	}
	b.Reset()
	now = now.Add(time.Second)
	for range 100 {
		log.Warn("again")
	}
	if n := strings.Count(b.String(), "again"); n != sparsePerSecond || !strings.Contains(b.String(), fmt.Sprintf("left_out=%d", 10_000-sparseBurst)) {
		t.Errorf("%d lines in a second: %s", n, b.String())
	}
}

func TestSparseKeepsLittle(t *testing.T) {
	log := Sparse(slog.New(slog.DiscardHandler))
	s := log.Handler().(*sparse).said
	for i := range 10 * sparseMessages {
		s.take(fmt.Sprint(i))
	}
	if len(s.rooms) > sparseMessages {
		t.Errorf("%d messages are told apart", len(s.rooms))
	}
}
