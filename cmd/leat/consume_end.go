package main

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// endWait is how long a fetch waits for records where what is read has an end.
const endWait = 300 * time.Millisecond

// enough is after how many answers without a record from the leader the rest of a partition holds none: compaction may
// have taken the last ones, so that the last offset never comes.
const enough = 3

// fetchAnswers counts the answers of brokers to fetches since the last record.
type fetchAnswers struct {
	mu     sync.Mutex
	counts map[int32]int
}

var _ kgo.HookBrokerRead = (*fetchAnswers)(nil)

// OnBrokerRead implements kgo.HookBrokerRead.
func (a *fetchAnswers) OnBrokerRead(b kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	const fetch = 1
	if key != fetch || err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts == nil {
		a.counts = map[int32]int{}
	}
	a.counts[b.NodeID]++
}

func (a *fetchAnswers) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.counts)
}

func (a *fetchAnswers) of(broker int32) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts[broker]
}

// dropEmpty ends the spans whose leaders have said often enough that nothing is left.
func (c *consumer) dropEmpty() {
	for p, s := range c.spans {
		if c.answers.of(s.leader) >= enough {
			delete(c.spans, p)
		}
	}
}
