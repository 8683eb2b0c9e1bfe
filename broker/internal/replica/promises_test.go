package replica

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

// TestCountsThatCannotBeAreRefused: a header may not claim more records than its bytes can hold, or the batch burns
// offsets and no consumer gets past it.
func TestCountsThatCannotBeAreRefused(t *testing.T) {
	for _, codec := range []batch.Codec{batch.None, batch.Zstd} {
		b := build(t, codec, "a")
		binary.BigEndian.PutUint32(b[23:], math.MaxInt32-1)
		binary.BigEndian.PutUint32(b[57:], math.MaxInt32)
		batch.Seal(b)
		p := manager(t, vfs.NewMem()).Open(ID{}, 0, defaults)
		if _, err := produce(p, b, -1); !errors.Is(err, ErrInvalidRecord) {
			end, _ := p.EndOffset()
			t.Errorf("%s: %v, end offset %d", codec, err, end)
		}
	}
}

// TestOwnRecordsAreDurableWhateverTheTopicSays: the coordinator answers when its record survives a power loss.
func TestOwnRecordsAreDurableWhateverTheTopicSays(t *testing.T) {
	fs := vfs.NewCrashableMem()
	lazy := defaults
	lazy.Durable = false
	p := manager(t, fs).Open(ID{}, 0, lazy)
	done := make(chan error, 1)
	p.AppendOwn(build(t, batch.None, "a"), now, func(_ Result, err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	after := manager(t, fs.CrashClone(vfs.CrashCloneCfg{})).Open(ID{}, 0, lazy)
	if end, err := after.EndOffset(); err != nil || end != 1 {
		t.Errorf("end %d %v", end, err)
	}
}
