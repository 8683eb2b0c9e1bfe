package api_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long an answer may take on a busy machine.
const patience = 3 * time.Minute

func rig(tb testing.TB, properties map[string]string) *apitest.Rig {
	tb.Helper()
	return apitest.New(tb, vfs.NewMem(), "data", properties)
}

// hostile serves a frame as if its client left at once: the answer is a reply or an error, once, and what it allocates
// is bounded by what the budget of wire takes for it.
func hostile(tb testing.TB, r *apitest.Rig, frame []byte) (allocated uint64) {
	tb.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ctx, leave := context.WithCancel(context.Background())
	answers := r.Serve(ctx, frame)
	leave()
	select {
	case a := <-answers:
		if a.Err != nil && len(a.Reply.Bytes) > 0 {
			tb.Errorf("both an answer and %v", a.Err)
		}
		a.Reply.Release()
	case <-time.After(patience):
		tb.Fatalf("no answer to %x", frame[:min(len(frame), 64)])
	}
	runtime.ReadMemStats(&after)
	if len(answers) > 0 {
		tb.Error("two answers")
	}
	return after.TotalAlloc - before.TotalAlloc
}

// fixed is what a request may cost whatever its size: the list of APIs, records of a small decision, a busy runtime, and a
// file of the write-ahead log that is made meanwhile.
const fixed = 256 << 10

// mayCost is what a frame may allocate: twice what wire reserves, because lists that grow leave garbage behind.
func mayCost(frame []byte) uint64 {
	_, factor := api.FrameLimit(int16(binary.BigEndian.Uint16(frame)), 100<<20)
	return fixed + 2*uint64(len(frame))*uint64(factor)
}

// eachVersion calls fn with a plain request of every key and version that is served.
func eachVersion(t *testing.T, fn func(t *testing.T, req kmsg.Request)) {
	for _, v := range api.Versions() {
		t.Run(kmsg.NameForKey(v.Key), func(t *testing.T) {
			for version := v.Min; version <= v.Max; version++ {
				req := kmsg.RequestForKey(v.Key)
				req.SetVersion(version)
				fn(t, req)
			}
		})
	}
}

// headerOf is the length of a request's header.
func headerOf(req kmsg.Request) int { return len(apitest.Frame(req, 1)) - len(req.AppendTo(nil)) }

// TestDamagedRequestsOfEveryVersion cuts a request at every byte, flips every bit, and leaves its body out.
func TestDamagedRequestsOfEveryVersion(t *testing.T) {
	r := rig(t, map[string]string{"auto.create.topics.enable": "false"})
	r.Topic("t", 1)
	eachVersion(t, func(t *testing.T, req kmsg.Request) {
		plain := apitest.Frame(example(req), 1)
		if a := <-r.Serve(t.Context(), bytes.Clone(plain)); a.Err != nil && req.Key() != 0 { // the example of Produce is refused: it wants no answer
			t.Errorf("version %d: %v", req.GetVersion(), a.Err)
		} else {
			a.Reply.Release()
		}
		for n := range plain {
			if got := hostile(t, r, bytes.Clone(plain[:n])); got > mayCost(append(plain[:n:n], make([]byte, 2)...)) {
				t.Errorf("version %d cut at %d allocates %d bytes", req.GetVersion(), n, got)
			}
		}
		for bit := range 8 * len(plain) {
			flipped := bytes.Clone(plain)
			flipped[bit/8] ^= 1 << (bit % 8)
			if got, may := hostile(t, r, flipped), mayCost(flipped); got > may {
				t.Errorf("version %d with bit %d flipped allocates %d bytes, more than %d: %x", req.GetVersion(), bit, got, may, flipped)
			}
		}
	})
}

// TestCutRequestsAreMalformed: no version takes half of a body for a whole one, but for tags that it lacks.
func TestCutRequestsAreMalformed(t *testing.T) {
	r := rig(t, nil)
	for _, key := range []int16{0, 1, 3, 19} {
		req := kmsg.RequestForKey(key)
		req.SetVersion(7)
		plain := apitest.Frame(example(req), 1)
		for n := headerOf(req); n < len(plain); n++ {
			if a := <-r.Serve(t.Context(), bytes.Clone(plain[:n])); !errors.Is(a.Err, api.ErrMalformed) {
				t.Errorf("API %d cut at %d of %d: %v", key, n, len(plain), a.Err)
				a.Reply.Release()
			}
		}
	}
}

// TestHugeCountsCostWhatTheyBring puts every count that there may be at every place of a request.
func TestHugeCountsCostWhatTheyBring(t *testing.T) {
	r := rig(t, map[string]string{"auto.create.topics.enable": "false"})
	const size = 64 << 10
	counts := [][]byte{
		{0x7f, 0xff, 0xff, 0xff},       // two billion
		{0, 0, 0x7f, 0xff},             // as many as there are bytes
		{0, 0, 0x10, 0},                // as many as there is room for
		{0xff, 0xff, 0xff, 0xff, 0x07}, // the same as varints
		{0xff, 0xff, 0x01},
		{0x80, 0x20},
	}
	eachVersion(t, func(t *testing.T, req kmsg.Request) {
		if v := req.GetVersion(); testing.Short() && v%3 != 0 {
			return
		}
		plain := apitest.Frame(req, 1)
		worst := 0.0
		for at := headerOf(req); at <= len(plain); at++ {
			for _, count := range counts {
				for _, fill := range []byte{0, 1, 2} {
					frame := append(bytes.Clone(plain[:at]), count...)
					frame = append(frame, bytes.Repeat([]byte{fill}, size)...)
					got, may := hostile(t, r, frame), mayCost(frame)
					worst = max(worst, float64(got)/float64(len(frame)))
					if got > may {
						t.Errorf("version %d, %x at %d and then %d: %d bytes for each", req.GetVersion(), count, at, fill, int(got)/len(frame))
						return
					}
				}
			}
		}
		t.Logf("version %d: %.0f bytes for each", req.GetVersion(), worst)
	})
}
