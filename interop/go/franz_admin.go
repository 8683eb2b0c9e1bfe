package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franzAdmin goes through the calls of kadm that make sense with one broker, on a topic and a group of its own.
func franzAdmin(boot string) error {
	adm, err := kadm.NewOptClient(kgo.SeedBrokers(boot))
	if err != nil {
		return err
	}
	defer adm.Close()
	const topic, group = "franz-go-admin", "franz-go-admin-group"
	if err := franzTopic(adm, topic); err != nil {
		return err
	}
	if err := franzProduce(boot, topic, "none"); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		run  func(ctx context.Context, adm *kadm.Client, topic, group string) error
	}{
		{"offsets", adminOffsets}, {"configs", adminConfigs}, {"groups", adminGroups}, {"log directories", adminLogDirs},
		{"quotas", adminQuotas}, {"elections", adminElections}, {"delete records", adminDeleteRecords},
	} {
		if err := step.run(context.Background(), adm, topic, group); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	_, err = adm.DeleteTopic(context.Background(), topic)
	return err
}

func adminOffsets(ctx context.Context, adm *kadm.Client, topic, _ string) error {
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	after, err := adm.ListOffsetsAfterMilli(ctx, at(records/2).UnixMilli(), topic)
	if err != nil {
		return err
	}
	newest, err := adm.ListMaxTimestampOffsets(ctx, topic)
	if err != nil {
		return err
	}
	sum, sumAfter, last := int64(0), int64(0), int64(0)
	ends.Each(func(o kadm.ListedOffset) { sum += o.Offset; sumAfter += o.Offset })
	after.Each(func(o kadm.ListedOffset) { sumAfter -= o.Offset })
	newest.Each(func(o kadm.ListedOffset) { last = max(last, o.Timestamp) })
	if sum != records || sumAfter != records/2 || last != at(records-1).UnixMilli() {
		return fmt.Errorf("ends add up to %d, %d records are from the middle on, the newest is of %d", sum, sumAfter, last)
	}
	return nil
}

func adminConfigs(ctx context.Context, adm *kadm.Client, topic, _ string) error {
	value := "12345"
	altered, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.ms", Value: &value}}, topic)
	if err != nil {
		return err
	}
	if altered[0].Err != nil {
		return altered[0].Err
	}
	return eventually(func() error {
		configs, err := adm.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return err
		}
		for _, c := range configs[0].Configs {
			if c.Key == "segment.ms" && c.MaybeValue() == value {
				_, err := adm.DescribeBrokerConfigs(ctx)
				return err
			}
		}
		return fmt.Errorf("segment.ms is not %s: %+v", value, configs[0].Configs)
	})
}

func adminGroups(ctx context.Context, adm *kadm.Client, topic, group string) error {
	var offsets kadm.Offsets = make(kadm.Offsets)
	for p := range int32(partitions) {
		offsets.Add(kadm.Offset{Topic: topic, Partition: p, At: 7, LeaderEpoch: -1, Metadata: "by hand"})
	}
	if err := adm.CommitAllOffsets(ctx, group, offsets); err != nil {
		return err
	}
	fetched, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	for p := range int32(partitions) {
		if o, ok := fetched.Lookup(topic, p); !ok || o.At != 7 || o.Metadata != "by hand" {
			return fmt.Errorf("committed offset of partition %d: %+v", p, o)
		}
	}
	deleted, err := adm.DeleteOffsets(ctx, group, kadm.TopicsSet{topic: {0: {}}})
	if err != nil {
		return err
	}
	if err := deleted.Error(); err != nil {
		return err
	}
	listed, err := adm.ListGroups(ctx)
	if err != nil {
		return err
	}
	if g, ok := listed[group]; !ok || g.State != "Empty" {
		return fmt.Errorf("listed: %+v", g)
	}
	if fetched, err = adm.FetchOffsets(ctx, group); err != nil {
		return err
	}
	if _, ok := fetched.Lookup(topic, 0); ok {
		return fmt.Errorf("a deleted offset is still there")
	}
	_, err = adm.DeleteGroup(ctx, group)
	return err
}

func adminLogDirs(ctx context.Context, adm *kadm.Client, topic, _ string) error {
	dirs, err := adm.DescribeAllLogDirs(ctx, kadm.TopicsSet{topic: {0: {}, 1: {}, 2: {}}})
	if err != nil {
		return err
	}
	found, size := 0, int64(0)
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) { found++; size += p.Size })
	})
	if found != partitions || size < records*10 {
		return fmt.Errorf("%d partitions with %d bytes", found, size)
	}
	return nil
}

func adminQuotas(ctx context.Context, adm *kadm.Client, _, _ string) error {
	user := "franz"
	entity := kadm.ClientQuotaEntity{{Type: "user", Name: &user}}
	for _, op := range []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1e9}, {Key: "producer_byte_rate", Remove: true}} {
		altered, err := adm.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: []kadm.AlterClientQuotaOp{op}}})
		if err != nil {
			return err
		}
		if altered[0].Err != nil {
			return altered[0].Err
		}
		if err := eventually(func() error { return adminQuota(ctx, adm, user, !op.Remove) }); err != nil {
			return err
		}
	}
	return nil
}

func adminQuota(ctx context.Context, adm *kadm.Client, user string, want bool) error {
	described, err := adm.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "user", MatchName: &user, MatchType: 0}})
	if err != nil {
		return err
	}
	if (len(described) == 1 && described[0].Values[0].Value == 1e9) != want {
		return fmt.Errorf("there is a quota: %v, described: %+v", want, described)
	}
	return nil
}

func adminElections(ctx context.Context, adm *kadm.Client, topic, _ string) error {
	elected, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, kadm.TopicsSet{topic: {0: {}}})
	if err != nil {
		return err
	}
	if e, ok := elected[topic][0]; !ok || e.Err == nil || e.Err.Error()[:19] != "ELECTION_NOT_NEEDED" {
		return fmt.Errorf("elected: %+v", elected)
	}
	var none kadm.TopicsSet
	moving, err := adm.ListPartitionReassignments(ctx, none)
	if err == nil && len(moving) != 0 {
		return fmt.Errorf("reassignments: %+v", moving)
	}
	return err
}

func adminDeleteRecords(ctx context.Context, adm *kadm.Client, topic, _ string) error {
	deleted, err := adm.DeleteRecords(ctx, kadm.Offsets{topic: {0: {Topic: topic, Partition: 0, At: 10}}})
	if err != nil {
		return err
	}
	if err := deleted.Error(); err != nil {
		return err
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	if o, ok := starts.Lookup(topic, 0); !ok || o.Offset != 10 {
		return fmt.Errorf("start of partition 0: %+v", o)
	}
	return nil
}
