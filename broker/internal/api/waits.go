package api

import (
	"container/heap"
	"sync"
	"time"
)

// waits ends the waits of parked fetches, with one timer for all: one each would cost every long poll a wake-up.
type waits struct {
	mu    sync.Mutex
	queue waitQueue
	timer *time.Timer // made by the first
	next  time.Time   // when the timer fires; zero: it does not. Perhaps too early: who it was set for may be gone.
}

// wait is where a fetch is in the queue.
type wait struct {
	end time.Time
	at  int // -1: it is not there any more
}

// add has f expire after d.
func (w *waits) add(f *fetching, d time.Duration) {
	f.wait.end = time.Now().Add(d)
	w.mu.Lock()
	defer w.mu.Unlock()
	heap.Push(&w.queue, f)
	if w.next.IsZero() || f.wait.end.Before(w.next) {
		w.set(f.wait.end)
	}
}

// remove lets f wait for ever.
func (w *waits) remove(f *fetching) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.wait.at >= 0 {
		heap.Remove(&w.queue, f.wait.at)
	}
}

// set has the timer fire at t. The lock is held.
func (w *waits) set(t time.Time) {
	w.next = t
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Until(t), w.fire)
		return
	}
	w.timer.Reset(time.Until(t))
}

// fire ends the waits that are over.
func (w *waits) fire() {
	over := w.over(time.Now())
	for i, f := range over {
		if i < len(over)-1 {
			go f.expire()
		} else {
			f.expire()
		}
	}
}

// over removes the waits that are over, and sets the timer for the next.
func (w *waits) over(now time.Time) (over []*fetching) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 && !w.queue[0].wait.end.After(now) {
		over = append(over, heap.Pop(&w.queue).(*fetching))
	}
	w.next = time.Time{}
	if len(w.queue) > 0 {
		w.set(w.queue[0].wait.end)
	}
	return over
}

// waitQueue is a heap, the wait that ends first in front.
type waitQueue []*fetching

func (q waitQueue) Len() int           { return len(q) }
func (q waitQueue) Less(i, j int) bool { return q[i].wait.end.Before(q[j].wait.end) }

func (q waitQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].wait.at, q[j].wait.at = i, j
}

func (q *waitQueue) Push(x any) {
	f := x.(*fetching)
	f.wait.at = len(*q)
	*q = append(*q, f)
}

func (q *waitQueue) Pop() any {
	last := len(*q) - 1
	f := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	f.wait.at = -1
	return f
}
