package admin

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// GroupRow is a group as a list shows it.
type GroupRow struct {
	Group        string `json:"group"`
	State        string `json:"state"`
	Type         string `json:"type"` // classic, consumer…: how its members share the partitions out
	ProtocolType string `json:"protocol_type"`
}

// Group is everything about a group.
type Group struct {
	Group           string   `json:"group"`
	State           string   `json:"state"`
	Type            string   `json:"type"`
	Assignor        string   `json:"assignor"`
	Coordinator     Broker   `json:"coordinator"`
	Epoch           int32    `json:"epoch"`            // of a consumer group, else -1
	AssignmentEpoch int32    `json:"assignment_epoch"` // the same
	Members         []Member `json:"members"`
	Offsets         []Offset `json:"offsets"`
	Lag             int64    `json:"lag"` // of all partitions together
}

// Broker is where a broker is.
type Broker struct {
	ID   int32  `json:"id"`
	Host string `json:"host"`
	Port int32  `json:"port"`
}

// Member is one consumer of a group.
type Member struct {
	Member   string             `json:"member"`
	Instance string             `json:"instance,omitempty"`
	Client   string             `json:"client"`
	Host     string             `json:"host"`
	Epoch    int32              `json:"epoch"` // of a consumer group, else -1
	Protocol string             `json:"protocol,omitempty"`
	Assigned map[string][]int32 `json:"assigned"`
	Target   map[string][]int32 `json:"target,omitempty"` // what a consumer group wants it to have
}

// Offset is how far a group has come in one partition.
type Offset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Epoch     int32  `json:"leader_epoch"`
	Committed int64  `json:"committed"` // -1: nothing committed
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"` // to the end, from the start of the partition where nothing is committed
	Member    string `json:"member,omitempty"`
	Instance  string `json:"instance,omitempty"`
	Client    string `json:"client,omitempty"`
	Host      string `json:"host,omitempty"`
}

// ListGroups gives all groups, by name.
func ListGroups(ctx context.Context, cl *kgo.Client) ([]GroupRow, error) {
	req := kmsg.NewPtrListGroupsRequest()
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	rows := make([]GroupRow, 0, len(resp.Groups))
	for _, g := range resp.Groups {
		rows = append(rows, GroupRow{g.Group, g.GroupState, strings.ToLower(cmp.Or(g.GroupType, "classic")), g.ProtocolType})
	}
	slices.SortFunc(rows, func(a, b GroupRow) int { return cmp.Compare(a.Group, b.Group) })
	return rows, nil
}

// ErrNoGroup is what is wrong with a group that nobody knows.
var ErrNoGroup = kerr.GroupIDNotFound

// DescribeGroup gives one group with its offsets. A group that is not there is ErrNoGroup.
func DescribeGroup(ctx context.Context, cl *kgo.Client, name string) (Group, error) {
	adm := kadm.NewClient(cl)
	g, err := members(ctx, cl, adm, name)
	if err != nil {
		return Group{}, err
	}
	committed, err := adm.FetchOffsets(ctx, name)
	if err != nil {
		return Group{}, err
	}
	parts := kadm.TopicsSet{}
	for _, m := range g.Members {
		for t, ps := range m.Assigned {
			parts.Add(t, ps...)
		}
	}
	parts.Merge(committed.Partitions())
	if len(parts) == 0 {
		return g, nil
	}
	starts, ends, err := bounds(ctx, adm, slices.Collect(maps.Keys(parts))...)
	if err != nil {
		return Group{}, err
	}
	parts.Each(func(t string, p int32) { g.Offsets = append(g.Offsets, g.offset(t, p, committed, starts, ends)) })
	slices.SortFunc(g.Offsets, func(a, b Offset) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for _, o := range g.Offsets {
		g.Lag += max(o.Lag, 0)
	}
	return g, nil
}

// members describes a group by the protocol that it has: the newer question first, which older brokers do not know and
// which does not know classic groups.
func members(ctx context.Context, cl *kgo.Client, adm *kadm.Client, name string) (Group, error) {
	if kind, err := groupType(ctx, cl, name); err != nil {
		return Group{}, err
	} else if kind == "consumer" {
		all, err := adm.DescribeConsumerGroups(ctx, name)
		if err != nil {
			return Group{}, err
		}
		return fromConsumer(all[name]), all[name].Err
	}
	all, err := adm.DescribeGroups(ctx, name)
	if err != nil {
		return Group{}, err
	}
	d := all[name]
	if d.Err == nil && d.State == "Dead" {
		d.Err = ErrNoGroup
	}
	return fromClassic(d), d.Err
}

func groupType(ctx context.Context, cl *kgo.Client, name string) (string, error) {
	rows, err := ListGroups(ctx, cl)
	if err != nil {
		return "", err
	}
	for _, r := range rows {
		if r.Group == name {
			return r.Type, nil
		}
	}
	return "", ErrNoGroup
}

func fromConsumer(d kadm.DescribedConsumerGroup) Group {
	g := Group{
		Group: d.Group, State: d.State, Type: "consumer", Assignor: d.AssignorName, Epoch: d.Epoch, AssignmentEpoch: d.AssignmentEpoch,
		Coordinator: Broker{d.Coordinator.NodeID, d.Coordinator.Host, d.Coordinator.Port}, Members: []Member{}, Offsets: []Offset{},
	}
	for _, m := range d.Members {
		protocol := "consumer"
		if m.MemberType == 0 {
			protocol = "classic"
		}
		g.Members = append(g.Members, Member{
			Member: m.MemberID, Instance: deref(m.InstanceID), Client: m.ClientID, Host: m.ClientHost, Epoch: m.MemberEpoch, Protocol: protocol,
			Assigned: partitionLists(m.Assignment), Target: partitionLists(m.TargetAssignment),
		})
	}
	return g
}

func fromClassic(d kadm.DescribedGroup) Group {
	g := Group{
		Group: d.Group, State: d.State, Type: "classic", Assignor: d.Protocol, Epoch: -1, AssignmentEpoch: -1,
		Coordinator: Broker{d.Coordinator.NodeID, d.Coordinator.Host, d.Coordinator.Port}, Members: []Member{}, Offsets: []Offset{},
	}
	for _, m := range d.Members {
		row := Member{Member: m.MemberID, Instance: deref(m.InstanceID), Client: m.ClientID, Host: m.ClientHost, Epoch: -1, Assigned: map[string][]int32{}}
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range a.Topics {
				row.Assigned[t.Topic] = slices.Sorted(slices.Values(t.Partitions))
			}
		}
		g.Members = append(g.Members, row)
	}
	return g
}

func partitionLists(s kadm.TopicsSet) map[string][]int32 {
	out := map[string][]int32{}
	for t, ps := range s {
		out[t] = slices.Sorted(maps.Keys(ps))
	}
	return out
}

func (g *Group) offset(topic string, p int32, committed kadm.OffsetResponses, starts, ends kadm.ListedOffsets) Offset {
	o := Offset{Topic: topic, Partition: p, Epoch: -1, Committed: -1, Start: -1, End: -1, Lag: -1}
	if c, ok := committed.Lookup(topic, p); ok && c.At >= 0 {
		o.Committed, o.Epoch = c.At, c.LeaderEpoch
	}
	start, ok := starts.Lookup(topic, p)
	if ok && start.Err == nil {
		o.Start = start.Offset
	}
	if end, ok := ends.Lookup(topic, p); ok && end.Err == nil {
		o.End = end.Offset
		from := o.Committed
		if from < 0 {
			from = max(o.Start, 0)
		}
		o.Lag = max(o.End-from, 0)
	}
	for _, m := range g.Members {
		if slices.Contains(m.Assigned[topic], p) {
			o.Member, o.Instance, o.Client, o.Host = m.Member, m.Instance, m.Client, m.Host
		}
	}
	return o
}

// bounds lists where the partitions of topics start and end. A topic that is gone has neither.
func bounds(ctx context.Context, adm *kadm.Client, topics ...string) (starts, ends kadm.ListedOffsets, err error) {
	if starts, err = adm.ListStartOffsets(ctx, topics...); err != nil {
		return nil, nil, err
	}
	ends, err = adm.ListEndOffsets(ctx, topics...)
	return starts, ends, err
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// DeleteOffsets forgets what a group has committed in partitions.
func DeleteOffsets(ctx context.Context, cl *kgo.Client, group string, parts Partitions) (map[string]map[int32]error, error) {
	set := kadm.TopicsSet{}
	for t, ps := range parts {
		set.Add(t, ps...)
	}
	return kadm.NewClient(cl).DeleteOffsets(ctx, group, set)
}

// IsNoGroup tells whether err is that there is no such group, in any broker's words.
func IsNoGroup(err error) bool { return errors.Is(err, kerr.GroupIDNotFound) }
