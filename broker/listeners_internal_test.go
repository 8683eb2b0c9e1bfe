package broker

import (
	"slices"
	"testing"
)

// TestOnlyAdvertised: who says no more than what clients are told gets those ports, for this machine alone unless more is meant.
func TestOnlyAdvertised(t *testing.T) {
	for insecure, host := range map[bool]string{false: "127.0.0.1", true: ""} {
		p, err := Config{DataDir: "data", Insecure: insecure, Properties: map[string]string{
			"advertised.listeners": "PLAINTEXT://kafka.example:9092,EXTERNAL://:29092", "listener.security.protocol.map": "EXTERNAL:PLAINTEXT"}}.resolve()
		if err != nil {
			t.Fatal(err)
		}
		want := []listener{{"PLAINTEXT", "PLAINTEXT", host + ":9092", "kafka.example:9092"}, {"EXTERNAL", "PLAINTEXT", host + ":29092", ":29092"}}
		if !slices.Equal(p.listeners, want) {
			t.Errorf("insecure %t: %v, want %v", insecure, p.listeners, want)
		}
	}
}
