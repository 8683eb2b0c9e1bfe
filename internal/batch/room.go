package batch

import (
	"context"
	"errors"

	"golang.org/x/sync/semaphore"
)

const (
	roomBytes = DefaultMaxDecompressed
	usual     = 8 // times what it takes is what most batches become
	keepBytes = 10 << 20
)

// room is the memory that all batches of a process may take while they are decompressed for others, in bytes.
var room = semaphore.NewWeighted(roomBytes)

// Within calls fn with how large the records of the compressed batch at the start of b may become, at most limit, and
// waits for that much room before. A batch that turns out to be larger than most is measured first, and fn called again:
// until its memory was taken fn has only got ErrTooBig. A megabyte that claims to be a gigabyte costs time, not memory.
func Within(b []byte, limit int, scratch *Scratch, fn func(Limits) error) error {
	h, err := ReadHeader(b)
	if err != nil {
		return err
	}
	if h.Codec() == None {
		return fn(Limits{MaxDecompressed: limit})
	}
	limit = min(limit, roomBytes)
	guess := min(limit, max(usual*len(b), 64<<10))
	err = inRoom(guess, scratch, fn)
	if !errors.Is(err, ErrTooBig) || guess == limit {
		return err
	}
	n, err := Measure(b, limit)
	if err != nil {
		return err
	}
	return inRoom(max(n, 1), scratch, fn)
}

func inRoom(n int, scratch *Scratch, fn func(Limits) error) error {
	if err := room.Acquire(context.Background(), int64(n)); err != nil {
		return err
	}
	defer room.Release(int64(n))
	defer scratch.trim(keepBytes)
	scratch.reserve(n)
	return fn(Limits{MaxDecompressed: n})
}
