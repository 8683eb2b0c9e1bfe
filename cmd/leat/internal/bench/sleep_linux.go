package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// sharpen lets the calling thread wake up when it asked to: by default the kernel may be 50 µs late.
func sharpen() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }

// sleepUntil sleeps on the thread: the runtime's timers may be a millisecond late in an idle process.
func sleepUntil(t time.Time) {
	for {
		left := time.Until(t)
		if left <= 0 {
			return
		}
		ts := unix.NsecToTimespec(int64(left))
		_ = unix.Nanosleep(&ts, nil) // interrupted, it goes round again
	}
}
