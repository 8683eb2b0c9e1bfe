package api

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWaitsEndInTime plays waits that begin and are ended, against a map.
func TestWaitsEndInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w waits
		parked := map[*fetching]time.Time{}
		var all []*fetching
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				f := &fetching{}
				w.add(f, time.Hour+time.Duration(rapid.IntRange(0, 50).Draw(t, "wait"))*time.Minute)
				parked[f] = f.wait.end
				all = append(all, f)
			},
			"remove": func(t *rapid.T) {
				if len(all) > 0 { // perhaps one whose wait is over
					f := rapid.SampledFrom(all).Draw(t, "fetch")
					w.remove(f)
					delete(parked, f)
				}
			},
			"later": func(t *rapid.T) {
				now := time.Now().Add(time.Hour + time.Duration(rapid.IntRange(0, 50).Draw(t, "now"))*time.Minute)
				for _, f := range w.over(now) {
					if end, ok := parked[f]; !ok || end.After(now) {
						t.Fatalf("a wait until %v is over at %v (%v)", end, now, ok)
					}
					delete(parked, f)
				}
			},
			"": func(t *rapid.T) {
				if len(w.queue) != len(parked) {
					t.Fatalf("%d waits, want %d", len(w.queue), len(parked))
				}
				for f, end := range parked {
					if w.next.IsZero() || w.next.After(end) {
						t.Fatalf("the timer fires at %v, which is too late for %v", w.next, end)
					}
					if w.queue[f.wait.at] != f {
						t.Fatal("the queue has lost a wait")
					}
				}
			},
		})
		if w.timer != nil {
			w.timer.Stop()
		}
	})
}
