package apache

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// partitionFilters are the options that show only some partitions, and no lines of topics.
var partitionFilters = []string{"under-replicated-partitions", "unavailable-partitions", "under-min-isr-partitions", "at-min-isr-partitions"}

func (t *topics) describe(ctx context.Context) error {
	found, err := t.matching(ctx, true)
	if err != nil {
		return err
	}
	eligible := t.eligible(ctx, found)
	for _, d := range found {
		if d.Err != nil {
			return d.Err
		}
		configs, err := admin.Configs(ctx, t.cl, admin.Resource{Type: kmsg.ConfigResourceTypeTopic, Name: d.Topic})
		if err != nil {
			return err
		}
		t.describeTopic(d, configs, eligible[d.Topic])
	}
	return nil
}

func (t *topics) describeTopic(d kadm.TopicDetail, configs []admin.Config, eligible map[int32]string) {
	var overrides []string
	own := false
	minISR := 1
	for _, c := range configs {
		if c.Source != "DEFAULT_CONFIG" {
			overrides = append(overrides, c.Name+"="+admin.Text(c.Value))
		}
		own = own || c.Source == "DYNAMIC_TOPIC_CONFIG"
		if n, err := strconv.Atoi(admin.Text(c.Value)); err == nil && c.Name == "min.insync.replicas" {
			minISR = n
		}
	}
	if t.has("topics-with-overrides") && !own {
		return
	}
	filtered := slices.ContainsFunc(partitionFilters, t.has)
	if !filtered {
		fmt.Fprintf(t.Out, "Topic: %s\tTopicId: %s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n",
			d.Topic, admin.TopicID(d.ID), len(d.Partitions), d.Partitions.NumReplicas(), strings.Join(overrides, ","))
	}
	if t.has("topics-with-overrides") {
		return
	}
	for _, p := range d.Partitions.Sorted() {
		if filtered && !t.shows(p, minISR) {
			continue
		}
		leader := "none"
		if p.Leader >= 0 {
			leader = strconv.Itoa(int(p.Leader))
		}
		elr, ok := eligible[p.Partition]
		if !ok {
			elr = "Elr: N/A\tLastKnownElr: N/A"
		}
		fmt.Fprintf(t.Out, "\tTopic: %s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s\t%s\n", d.Topic, p.Partition, leader, ids(p.Replicas), ids(p.ISR), elr)
	}
}

// shows tells whether a partition is one of those asked for.
func (t *topics) shows(p kadm.PartitionDetail, minISR int) bool {
	return t.has("under-replicated-partitions") && len(p.ISR) < len(p.Replicas) ||
		t.has("unavailable-partitions") && p.Leader < 0 ||
		t.has("under-min-isr-partitions") && len(p.ISR) < minISR ||
		t.has("at-min-isr-partitions") && len(p.ISR) == minISR
}

// eligible gives the eligible leaders of partitions as they are printed; nothing where the cluster does not know them.
func (t *topics) eligible(ctx context.Context, topics []kadm.TopicDetail) map[string]map[int32]string {
	out := map[string]map[int32]string{}
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	for _, d := range topics {
		rt := kmsg.NewDescribeTopicPartitionsRequestTopic()
		rt.Topic = d.Topic
		req.Topics = append(req.Topics, rt)
	}
	for len(topics) > 0 {
		resp, err := req.RequestWith(ctx, t.cl)
		if err != nil {
			return out // brokers before 3.8 do not have this request
		}
		for _, rt := range resp.Topics {
			name := deref(rt.Topic)
			if out[name] == nil {
				out[name] = map[int32]string{}
			}
			for _, p := range rt.Partitions {
				out[name][p.Partition] = fmt.Sprintf("Elr: %s\tLastKnownElr: %s", ids(p.EligibleLeaderReplicas), ids(p.LastKnownELR))
			}
		}
		if resp.NextCursor == nil {
			return out
		}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
	return out
}

func ids(list []int32) string {
	words := make([]string, len(list))
	for i, id := range list {
		words[i] = strconv.Itoa(int(id))
	}
	return strings.Join(words, ",")
}
