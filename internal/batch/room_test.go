package batch

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// compressed is a batch of one record whose value is n times the same byte, or noise.
func compressed(t testing.TB, codec Codec, n int, noise bool) ([]byte, []byte) {
	value := bytes.Repeat([]byte("x"), n)
	if noise {
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range value {
			value[i] = byte(rng.Uint32())
		}
	}
	b := NewBuilder(codec)
	b.Append(0, nil, value, nil)
	raw, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw, value
}

func TestWithinGivesWhatIsThere(t *testing.T) {
	for _, codec := range []Codec{None, Gzip, Snappy, LZ4, Zstd} {
		for _, n := range []int{0, 1, 1000, 64 << 10, 3 << 20} {
			for _, noise := range []bool{false, true} {
				raw, value := compressed(t, codec, n, noise)
				var s Scratch
				var got []byte
				err := Within(raw, 8<<20, &s, func(lim Limits) error {
					return Walk(raw, lim, &s, func(r *Record) error {
						got = append([]byte{}, r.Value...)
						return nil
					})
				})
				if err != nil || !bytes.Equal(got, value) {
					t.Errorf("%s, %d bytes, noise %v: %d bytes, %v", codec, n, noise, len(got), err)
				}
				size, err := Measure(raw, 8<<20)
				if err != nil || size < n || size > n+30 {
					t.Errorf("%s: %d bytes measure %d (%v)", codec, n, size, err)
				}
			}
		}
	}
}

// TestBombsCostNoMemory: what is larger than the limit is found out without being kept.
func TestBombsCostNoMemory(t *testing.T) {
	for _, codec := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		raw, _ := compressed(t, codec, 64<<20, false)
		var s Scratch
		try := func() error {
			return Within(raw, 32<<20, &s, func(lim Limits) error { return Walk(raw, lim, &s, func(*Record) error { return nil }) })
		}
		if err := try(); !errors.Is(err, ErrTooBig) { // and readers are in their pools
			t.Errorf("%s: %v", codec, err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := try(); !errors.Is(err, ErrTooBig) {
			t.Errorf("%s: %v", codec, err)
		}
		runtime.ReadMemStats(&after)
		if got, may := after.TotalAlloc-before.TotalAlloc, uint64(2*usual*len(raw)+4<<20); got > may {
			t.Errorf("%s: a bomb of %d bytes allocates %d, more than %d", codec, len(raw), got, may)
		}
	}
}

// TestRoomIsGivenBack by more batches at once than there is room for.
func TestRoomIsGivenBack(t *testing.T) {
	raw, _ := compressed(t, Gzip, 40<<20, false) // three fit at once
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			var s Scratch
			if err := Within(raw, 64<<20, &s, func(lim Limits) error { return Walk(raw, lim, &s, func(*Record) error { return nil }) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if !room.TryAcquire(roomBytes) {
		t.Fatal("room is missing")
	}
	room.Release(roomBytes)
}
