package obs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// What is logged of one message: a client that makes the broker complain must not fill its disk.
const (
	sparseBurst     = 500
	sparsePerSecond = 50
	sparseMessages  = 1000 // told apart
)

// Sparse is a logger that leaves out what is said too often, each message counted by itself, and says how much that was.
func Sparse(log *slog.Logger) *slog.Logger {
	return slog.New(&sparse{next: log.Handler(), said: &said{now: time.Now, rooms: map[string]*sayRoom{}}})
}

type sparse struct {
	next slog.Handler
	said *said
}

// said is shared by all loggers that were made of one.
type said struct {
	now func() time.Time

	mu    sync.Mutex
	rooms map[string]*sayRoom
}

// sayRoom is how many lines of a message may come, and what was left out since the last.
type sayRoom struct {
	left    float64
	filled  time.Time
	leftOut int64
}

func (s *sparse) Enabled(ctx context.Context, level slog.Level) bool {
	return s.next.Enabled(ctx, level)
}

func (s *sparse) Handle(ctx context.Context, r slog.Record) error {
	leftOut, ok := s.said.take(r.Message)
	if !ok {
		return nil
	}
	if leftOut > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int64("left_out", leftOut))
	}
	return s.next.Handle(ctx, r)
}

func (s *sparse) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sparse{s.next.WithAttrs(attrs), s.said}
}
func (s *sparse) WithGroup(name string) slog.Handler { return &sparse{s.next.WithGroup(name), s.said} }

// take asks for room for a line, and tells how many had none before it.
func (s *said) take(message string) (leftOut int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	room := s.rooms[message]
	if room == nil {
		if len(s.rooms) >= sparseMessages {
			clear(s.rooms) // messages with something of the moment in them
		}
		room = &sayRoom{left: sparseBurst, filled: now}
		s.rooms[message] = room
	}
	room.left = min(sparseBurst, room.left+now.Sub(room.filled).Seconds()*sparsePerSecond)
	room.filled = now
	if room.left < 1 {
		room.leftOut++
		return 0, false
	}
	room.left--
	leftOut, room.leftOut = room.leftOut, 0
	return leftOut, true
}
