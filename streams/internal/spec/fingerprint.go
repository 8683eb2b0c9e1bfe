package spec

import (
	"encoding/hex"
	"fmt"
	"hash"
	"hash/fnv"
	"slices"

	"github.com/leatstream/leat/internal/yaml"
)

// Fingerprint is the same for pipelines that make the same records of the same input and put them into the same
// partitions. partitions are those of the output topics.
func (p *Pipeline) Fingerprint(partitions map[string]int32) string {
	h := fnv.New64a()
	for _, key := range []string{"steps", "to", "on_error"} {
		fmt.Fprintf(h, "%s:", key)
		digest(h, p.Node.Get(key))
	}
	topics := make([]string, 0, len(partitions))
	for topic := range partitions {
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	for _, topic := range topics {
		fmt.Fprintf(h, "%q=%d,", topic, partitions[topic])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// digest takes a node in without its place in the file. A hash does not fail.
func digest(h hash.Hash, n *yaml.Node) {
	if n == nil {
		fmt.Fprint(h, "-;")
		return
	}
	fmt.Fprintf(h, "%d %q %q(", n.Kind, n.Tag, n.Value)
	for i, key := range n.Keys {
		digest(h, key)
		digest(h, n.Vals[i])
	}
	for _, item := range n.Items {
		digest(h, item)
	}
	fmt.Fprint(h, ");")
}
