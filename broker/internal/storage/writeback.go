package storage

import "sync"

// writebackStep is how much a segment grows until the system is asked to write it.
const writebackStep = 128 << 10

// writeback has the system write segments while they grow. It makes nothing durable: without it the sync of the logs of a
// full file of the write-ahead log writes as much as that file holds at once, and commits wait behind that.
type writeback struct {
	dir *Dir

	mu      sync.Mutex
	queue   []early
	running bool
}

// early is a segment, with a reference, and how far it is to be written.
type early struct {
	segment *segment
	to      int64
}

// grown notes that a segment, to which the caller has a reference, has size bytes.
func (b *writeback) grown(s *segment, size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if size-s.early < writebackStep {
		return
	}
	s.early = size
	s.refs.Add(1)
	b.queue = append(b.queue, early{s, size})
	if !b.running {
		b.running = true
		b.dir.syncing.Add(1)
		go b.run()
	}
}

func (b *writeback) run() {
	defer b.dir.syncing.Done()
	for {
		b.mu.Lock()
		if len(b.queue) == 0 {
			b.running = false
			b.mu.Unlock()
			return
		}
		e := b.queue[0]
		b.queue = b.queue[1:]
		b.mu.Unlock()
		_ = e.segment.flush(func() error { // after a failure the directory is offline
			_, err := e.segment.file.SyncTo(e.to)
			return err
		})
		_ = e.segment.release()
	}
}
