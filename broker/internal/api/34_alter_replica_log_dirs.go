package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(1, 2, (*API).alterReplicaLogDirs)

// alterReplicaLogDirs moves replicas between the directories of this broker. There is one: who is to stay there does.
func (a *API) alterReplicaLogDirs(c *Call, req *kmsg.AlterReplicaLogDirsRequest, resp *kmsg.AlterReplicaLogDirsResponse) error {
	allowed := a.allowCluster(c, auth.Alter)
	m, here := a.Meta.Image(), a.Config.String("log.dirs")
	for _, d := range req.Dirs {
		for _, t := range d.Topics {
			rt := kmsg.NewAlterReplicaLogDirsResponseTopic()
			rt.Topic = t.Topic
			for _, index := range t.Partitions {
				rp := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				rp.Partition = index
				err := allowed
				if err == nil {
					err = staysIn(m, here, d.Dir, t.Topic, index)
				}
				rp.ErrorCode = code(err)
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
	}
	return nil
}

func staysIn(m *meta.Image, here, dir, topic string, index int32) error {
	if dir != here {
		return kerr.LogDirNotFound
	}
	if t := m.Topic(topic); t != nil {
		if _, ok := t.Partition(index); ok {
			return nil
		}
	}
	return kerr.UnknownTopicOrPartition
}
