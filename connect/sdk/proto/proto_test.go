package proto

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestGeneratedCodeIsOfThisProto(t *testing.T) {
	text, err := os.ReadFile("plugin.proto")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile("plugin.proto.sha256")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(text)); got != strings.TrimSpace(string(sum)) {
		t.Error("plugin.proto was changed after its code was generated: run go generate ./connect/sdk/proto")
	}
}

func TestCostCountsWhatTravels(t *testing.T) {
	b := &SourceBatch{
		Frame: make([]byte, 100), Position: make([]byte, 7), Rejected: []*Rejected{{Value: make([]byte, 11)}},
		Records: []*Record{{Key: make([]byte, 1), Value: make([]byte, 2), Headers: []*Header{{Key: "abc", Value: make([]byte, 4)}}}, {}},
	}
	if got := b.Cost(); got != 100+7+11+1+2+3+4 {
		t.Errorf("cost %d", got)
	}
}
