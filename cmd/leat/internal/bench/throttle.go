package bench

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// throttle counts how often a broker answered that its quota is used up, and how long clients were to wait.
// Clients tell it as a hook, what reads answers by hand tells it by add.
type throttle struct {
	times atomic.Int64
	total atomic.Int64 // ns
}

var _ kgo.HookBrokerThrottle = (*throttle)(nil)

// OnBrokerThrottle implements kgo.HookBrokerThrottle.
func (t *throttle) OnBrokerThrottle(_ kgo.BrokerMetadata, wait time.Duration, _ bool) {
	t.add(wait)
}

func (t *throttle) add(wait time.Duration) {
	if wait > 0 {
		t.times.Add(1)
		t.total.Add(int64(wait))
	}
}
