package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// partitionsOf reads TOPIC or TOPIC:N,N; without numbers, partition 0.
func partitionsOf(arg string) (topic string, partitions []int32) {
	topic, numbers, _ := strings.Cut(arg, ":")
	if numbers == "" {
		return topic, []int32{0}
	}
	for n := range strings.SplitSeq(numbers, ",") {
		partitions = append(partitions, int32(number(n)))
	}
	return topic, partitions
}

var _ = command("reassign", (*story).reassign)

// reassign takes a partition a line: TOPIC[:N] BROKER,BROKER or TOPIC[:N] cancel.
func (s *story) reassign(d *datadriven.TestData) string {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	for _, l := range lines(d.Input) {
		fields := strings.Fields(l)
		topic, partitions := partitionsOf(fields[0])
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition = partitions[0]
		switch {
		case len(fields) == 1:
			p.Replicas = []int32{}
		case fields[1] != "cancel":
			_, p.Replicas = partitionsOf(":" + fields[1])
		}
		rt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		rt.Topic, rt.Partitions = topic, append(rt.Partitions, p)
		req.Topics = append(req.Topics, rt)
	}
	resp := s.send(d, req).(*kmsg.AlterPartitionAssignmentsResponse)
	var b strings.Builder
	b.WriteString(verdict(resp.ErrorCode, resp.ErrorMessage) + "\n")
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "%s-%d: %s\n", t.Topic, p.Partition, verdict(p.ErrorCode, p.ErrorMessage))
		}
	}
	return b.String()
}

var _ = command("elect", (*story).elect)

// elect [unclean] [kind=N] TOPIC[:N,N]…; all partitions without one.
func (s *story) elect(d *datadriven.TestData) string {
	req := kmsg.NewPtrElectLeadersRequest()
	req.ElectionType = int8(argInt(d, "kind", 0))
	for _, a := range bare(d) {
		if a == "unclean" {
			req.ElectionType = 1
			continue
		}
		rt := kmsg.NewElectLeadersRequestTopic()
		rt.Topic, rt.Partitions = partitionsOf(a)
		req.Topics = append(req.Topics, rt)
	}
	resp := s.send(d, req).(*kmsg.ElectLeadersResponse)
	var b strings.Builder
	b.WriteString(verdict(resp.ErrorCode, nil) + "\n")
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "%s-%d: %s\n", t.Topic, p.Partition, verdict(p.ErrorCode, p.ErrorMessage))
		}
	}
	return b.String()
}

var _ = command("log-dirs", (*story).logDirs)

// logDirs TOPIC[:N,N]…; all partitions without one. The directory is called DIR.
func (s *story) logDirs(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	for _, a := range bare(d) {
		rt := kmsg.NewDescribeLogDirsRequestTopic()
		rt.Topic, rt.Partitions = partitionsOf(a)
		req.Topics = append(req.Topics, rt)
	}
	resp := s.send(d, req).(*kmsg.DescribeLogDirsResponse)
	var b strings.Builder
	for _, dir := range resp.Dirs {
		s.dir = dir.Dir
		fmt.Fprintf(&b, "DIR: %s, %d of %d bytes usable\n", verdict(dir.ErrorCode, nil), dir.UsableBytes, dir.TotalBytes)
		for _, t := range dir.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, "  %s-%d: %d bytes, lag %d\n", t.Topic, p.Partition, p.Size, p.OffsetLag)
			}
		}
	}
	return b.String()
}

var _ = command("move-log-dirs", (*story).moveLogDirs)

// moveLogDirs dir=PATH TOPIC[:N,N]…
func (s *story) moveLogDirs(d *datadriven.TestData) string {
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	dir := kmsg.NewAlterReplicaLogDirsRequestDir()
	if dir.Dir = argString(d, "dir", ""); dir.Dir == "DIR" {
		dir.Dir = s.dir
	}
	for _, a := range bare(d) {
		rt := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		rt.Topic, rt.Partitions = partitionsOf(a)
		dir.Topics = append(dir.Topics, rt)
	}
	req.Dirs = append(req.Dirs, dir)
	resp := s.send(d, req).(*kmsg.AlterReplicaLogDirsResponse)
	var b strings.Builder
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "%s-%d: %s\n", t.Topic, p.Partition, verdict(p.ErrorCode, nil))
		}
	}
	return b.String()
}

var _ = command("quorum", (*story).quorum)

// quorum TOPIC[:N]
func (s *story) quorum(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeQuorumRequest()
	rt := kmsg.NewDescribeQuorumRequestTopic()
	topic, partitions := partitionsOf(bare(d)[0])
	rt.Topic = topic
	rp := kmsg.NewDescribeQuorumRequestTopicPartition()
	rp.Partition = partitions[0]
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp := s.send(d, req).(*kmsg.DescribeQuorumResponse)
	var b strings.Builder
	b.WriteString(verdict(resp.ErrorCode, resp.ErrorMessage) + "\n")
	for _, p := range resp.Topics[0].Partitions {
		if p.ErrorCode != 0 {
			fmt.Fprintf(&b, "%s-%d: %s\n", topic, p.Partition, verdict(p.ErrorCode, p.ErrorMessage))
			continue
		}
		fmt.Fprintf(&b, "leader %d, epoch %d, high watermark %d, %d observers\n", p.LeaderID, p.LeaderEpoch, p.HighWatermark, len(p.Observers))
		for _, v := range p.CurrentVoters {
			late := time.Since(time.UnixMilli(v.LastCaughtUpTimestamp))
			fmt.Fprintf(&b, "voter %d at %d, caught up: %v\n", v.ReplicaID, v.LogEndOffset, req.GetVersion() == 0 || late < time.Minute && late > -time.Minute)
		}
	}
	for _, n := range resp.Nodes {
		for _, l := range n.Listeners {
			fmt.Fprintf(&b, "node %d: %s://%s:%d\n", n.NodeID, l.Name, l.Host, l.Port)
		}
	}
	return b.String()
}

var _ = command("features", (*story).features)

// features shows what ApiVersions says of them.
func (s *story) features(d *datadriven.TestData) string {
	resp := s.send(d, apiVersions()).(*kmsg.ApiVersionsResponse)
	var b strings.Builder
	for _, f := range resp.SupportedFeatures {
		fmt.Fprintf(&b, "%s: supported %d-%d\n", f.Name, f.MinVersion, f.MaxVersion)
	}
	for _, f := range resp.FinalizedFeatures {
		fmt.Fprintf(&b, "%s: in force %d-%d\n", f.Name, f.MinVersionLevel, f.MaxVersionLevel)
	}
	return b.String()
}

var _ = command("update-features", (*story).updateFeatures)

// updateFeatures takes NAME LEVEL a line.
func (s *story) updateFeatures(d *datadriven.TestData) string {
	req := kmsg.NewPtrUpdateFeaturesRequest()
	for _, l := range lines(d.Input) {
		name, level, _ := strings.Cut(l, " ")
		u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		u.Feature, u.MaxVersionLevel, u.UpgradeType = name, int16(number(level)), 1
		req.FeatureUpdates = append(req.FeatureUpdates, u)
	}
	resp := s.send(d, req).(*kmsg.UpdateFeaturesResponse)
	var b strings.Builder
	b.WriteString(verdict(resp.ErrorCode, resp.ErrorMessage) + "\n")
	for _, r := range resp.Results {
		fmt.Fprintf(&b, "%s: %s\n", r.Feature, verdict(r.ErrorCode, r.ErrorMessage))
	}
	return b.String()
}

var _ = command("unregister", (*story).unregister)

func (s *story) unregister(d *datadriven.TestData) string {
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = int32(argInt(d, "broker", 0))
	resp := s.send(d, req).(*kmsg.UnregisterBrokerResponse)
	return verdict(resp.ErrorCode, resp.ErrorMessage)
}

var _ = command("config-resources", (*story).configResources)

// configResources [type=N/N]
func (s *story) configResources(d *datadriven.TestData) string {
	req := kmsg.NewPtrListConfigResourcesRequest()
	for t := range strings.SplitSeq(argString(d, "type", ""), "/") {
		if t != "" {
			req.ResourceTypes = append(req.ResourceTypes, int8(number(t)))
		}
	}
	resp := s.send(d, req).(*kmsg.ListConfigResourcesResponse)
	if resp.ErrorCode != 0 {
		return verdict(resp.ErrorCode, nil)
	}
	var out []string
	for _, r := range resp.ConfigResources {
		out = append(out, fmt.Sprintf("%s %s", kmsg.ConfigResourceType(r.Type), r.Name))
	}
	slices.Sort(out)
	return fmt.Sprintf("%d: %s", len(out), strings.Join(out, ", "))
}
