package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(1, 5, (*API).describeLogDirs)

// describeLogDirs tells what the partitions of this broker take on its disk, and what the disk has left.
func (a *API) describeLogDirs(c *Call, req *kmsg.DescribeLogDirsRequest, resp *kmsg.DescribeLogDirsResponse) error {
	if err := a.allowCluster(c, auth.Describe); err != nil {
		return err
	}
	v := a.Replicas.Volume()
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir, dir.TotalBytes, dir.UsableBytes, dir.ErrorCode = a.Config.String("log.dirs"), v.Total, v.Usable, code(v.Offline)
	m := a.Meta.Image()
	if req.Topics == nil && v.Offline == nil {
		for _, t := range m.Topics() {
			dir.Topics = append(dir.Topics, a.topicSizes(t, nil))
		}
	}
	for _, want := range req.Topics {
		if t := m.Topic(want.Topic); t != nil && v.Offline == nil {
			if sizes := a.topicSizes(t, want.Partitions); len(sizes.Partitions) > 0 {
				dir.Topics = append(dir.Topics, sizes)
			}
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	return nil
}

// topicSizes are the sizes of the partitions of t that are here; only those in want, if it is not nil.
func (a *API) topicSizes(t *meta.Topic, want []int32) kmsg.DescribeLogDirsResponseDirTopic {
	rt := kmsg.NewDescribeLogDirsResponseDirTopic()
	rt.Topic = t.Name
	add := func(index int32) {
		p := a.Replicas.Get(replica.ID{Topic: t.ID, Partition: index})
		if p == nil {
			return
		}
		rp := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		rp.Partition = index
		var err error
		if rp.Size, err = p.Size(); err != nil {
			a.Log.Error("the size of a partition cannot be told", "topic", t.Name, "partition", index, "error", err)
			return
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	if want == nil {
		for i := range t.Partitions {
			add(int32(i))
		}
	}
	for _, index := range want {
		add(index)
	}
	return rt
}
