package replica

import (
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/leatstream/leat/broker/internal/storage"
)

// ID names a partition by its topic's id, so that a topic made anew under an old name shares nothing with the old one.
type ID struct {
	Topic     [16]byte
	Partition int32
}

// dir is the partition's directory name.
func (id ID) dir() string { return fmt.Sprintf("%s-%d", hex.EncodeToString(id.Topic[:]), id.Partition) }

// Manager holds the partitions of this node.
type Manager struct {
	dir *storage.Dir

	mu         sync.RWMutex
	partitions map[ID]*Partition
}

// NewManager keeps partitions in dir.
func NewManager(dir *storage.Dir) *Manager {
	return &Manager{dir: dir, partitions: map[ID]*Partition{}}
}

// Open makes a partition known. No file is touched until it is used.
func (m *Manager) Open(id ID, epoch int32, cfg Config) *Partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.partitions[id]; ok {
		p.Configure(cfg)
		return p
	}
	p := newPartition(m.dir.OpenLog(id.dir(), cfg.Log), epoch, cfg)
	m.partitions[id] = p
	return p
}

// Get finds an open partition, or nil.
func (m *Manager) Get(id ID) *Partition {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.partitions[id]
}

// Delete removes a partition and its files.
func (m *Manager) Delete(id ID) error {
	m.mu.Lock()
	p := m.partitions[id]
	delete(m.partitions, id)
	m.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.delete()
}

// Volume is what the disk of the partitions has.
func (m *Manager) Volume() storage.Volume { return m.dir.Volume() }

// closers bounds how many logs are closed at once. Each waits for the disk most of the time, and the file system makes
// what waits together durable together.
const closers = 128

// Damage is what was found damaged since the start though it had been durable.
func (m *Manager) Damage() []error { return m.dir.Damage() }

// Check tells why the files can no longer be trusted, if they cannot: somebody may have taken them away.
func (m *Manager) Check() error { return m.dir.Check() }

// Close makes everything durable and closes the files.
func (m *Manager) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	slots := make(chan struct{}, closers)
	for _, p := range m.partitions {
		slots <- struct{}{}
		all.Go(func() {
			if err := p.log.Close(); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
			<-slots
		})
	}
	all.Wait()
	m.partitions = map[ID]*Partition{}
	return errors.Join(errs...)
}
