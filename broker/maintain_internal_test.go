package broker

import (
	"log/slog"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/replica"
)

func TestMaintenanceThatPanicsIsAnError(t *testing.T) {
	m := &maintainer{logger: slog.New(slog.DiscardHandler)}
	if err := m.guard(func(*replica.Partition, time.Time) error { panic("no") }, nil); err == nil {
		t.Error("no error")
	}
}
