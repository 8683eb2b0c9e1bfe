package worker

import (
	"testing"

	"github.com/leatstream/leat/connect/internal/spec"
)

// TestOtherSettingsAreAnotherWay: what was written under other settings must not be taken for what comes now, else records
// would be left out. Secrets do not count, and so cannot be guessed from the hash.
func TestOtherSettingsAreAnotherWay(t *testing.T) {
	run := func(partitions int32, c spec.Connector) string {
		return (&sourceRun{task: &Task{Spec: &c}, partitions: partitions}).way()
	}
	base := spec.Connector{Plugin: "file", To: "t", Key: []string{"id"}, Config: []byte(`{"path":"a","token":"one-secret"}`), Secrets: []string{"one-secret"}}
	same, key, to, config, secret := base, base, base, base, base
	key.Key = []string{"name"}
	to.To = "u"
	config.Config = []byte(`{"path":"b","token":"one-secret"}`)
	secret.Config, secret.Secrets = []byte(`{"path":"a","token":"two-secret"}`), []string{"two-secret"}
	own := run(3, base)
	if run(3, same) != own || run(3, secret) != own {
		t.Error("the same settings are another way")
	}
	for name, other := range map[string]string{"key": run(3, key), "topic": run(3, to), "config": run(3, config), "partitions": run(4, base)} {
		if other == own {
			t.Errorf("another %s is the same way", name)
		}
	}
}
