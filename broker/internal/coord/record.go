package coord

import (
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Versions of the records that are written, as Kafka 4 writes them.
const (
	offsetKeyVersion   = 1
	offsetValueVersion = 3
	expiringVersion    = 1 // the one that says when the offset expires
	groupKeyVersion    = 2
	groupValueVersion  = 3
	flexibleVersion    = 4 // of both values; only read
)

func offsetKey(id string, at partition) []byte {
	k := kmsg.NewOffsetCommitKey()
	k.Version, k.Group, k.Topic, k.Partition = offsetKeyVersion, id, at.topic, at.index
	return k.AppendTo(nil)
}

func offsetRecord(id string, at partition, o Offset) record {
	v := kmsg.NewOffsetCommitValue()
	v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = offsetValueVersion, o.At, o.LeaderEpoch, o.Metadata, o.When
	if o.Expires > 0 {
		v.Version, v.ExpireTimestamp = expiringVersion, o.Expires
	}
	return record{offsetKey(id, at), v.AppendTo(nil)}
}

func offsetTombstone(id string, at partition) record { return record{key: offsetKey(id, at)} }

func groupKey(id string) []byte {
	k := kmsg.NewGroupMetadataKey()
	k.Version, k.Group = groupKeyVersion, id
	return k.AppendTo(nil)
}

func groupTombstone(id string) record { return record{key: groupKey(id)} }

func groupRecord(g *group.Group, now time.Time) record {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation, v.CurrentStateTimestamp = groupValueVersion, g.ProtocolType, g.Generation, now.UnixMilli()
	if g.Protocol != "" {
		v.Protocol = kmsg.StringPtr(g.Protocol)
	}
	if g.Leader != "" {
		v.Leader = kmsg.StringPtr(g.Leader)
	}
	for _, m := range g.Ordered() {
		vm := kmsg.NewGroupMetadataValueMember()
		vm.MemberID, vm.InstanceID, vm.ClientID, vm.ClientHost = m.ID, m.Instance, m.ClientID, m.ClientHost
		vm.RebalanceTimeoutMillis, vm.SessionTimeoutMillis = int32(m.RebalanceTimeout.Milliseconds()), int32(m.SessionTimeout.Milliseconds())
		vm.Subscription, vm.Assignment = g.Metadata(m), m.Assignment
		v.Members = append(v.Members, vm)
	}
	return record{groupKey(g.ID), v.AppendTo(nil)}
}
