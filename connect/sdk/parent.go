package sdk

import (
	"os"
	"time"

	"github.com/leatstream/leat/connect/sdk/proto"
)

// parentPoll is how often a process without a pipe to its parent looks whether it has been orphaned.
const parentPoll = 500 * time.Millisecond

// exitWithParent ends this process when its parent dies, kill -9 included. The pipe's other end is open only in the
// parent, so its end of file cannot be missed; the poll serves hosts that hand none over.
func exitWithParent() {
	if pipe := inherited(proto.ParentFDEnv, "parent"); pipe != nil {
		go func() {
			var b [1]byte
			for {
				if _, err := pipe.Read(b[:]); err != nil {
					os.Exit(1)
				}
			}
		}()
		return
	}
	parent := os.Getppid()
	go func() {
		for range time.Tick(parentPoll) {
			if os.Getppid() != parent {
				os.Exit(1)
			}
		}
	}()
}
