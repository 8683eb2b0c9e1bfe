package apache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicsTool = &tool{
	about: "This tool helps to create, delete, describe, or change a topic.",
	options: append(slices.Clone(bootstrapOptions),
		option{name: "list", help: "List all topics."},
		option{name: "create", help: "Create a topic."},
		option{name: "describe", help: "Show the partitions and the configuration of topics."},
		option{name: "alter", help: "Give a topic more partitions."},
		option{name: "delete", help: "Delete topics."},
		option{name: "topic", arg: "topic", help: "The topic; except for --create also a regular expression."},
		option{name: "topic-id", arg: "id", help: "The id of the topic to describe."},
		option{name: "partitions", arg: "number", help: "How many partitions the topic has, or shall have."},
		option{name: "replication-factor", arg: "number", help: "How many copies of each partition there are."},
		option{name: "replica-assignment", arg: "0:1,1:2", help: "The brokers of each partition's copies, by hand."},
		option{name: "config", arg: "name=value", help: "A configuration of the topic to create."},
		option{name: "delete-config", arg: "name", help: "Gone: use kafka-configs."},
		option{name: "if-not-exists", help: "Creating a topic that is there is no error."},
		option{name: "if-exists", help: "A topic that is not there is no error."},
		option{name: "exclude-internal", help: "Without the topics that the cluster keeps for itself."},
		option{name: "topics-with-overrides", help: "Describe only topics with a configuration of their own."},
		option{name: "under-replicated-partitions", help: "Describe only partitions that lack a copy in sync."},
		option{name: "unavailable-partitions", help: "Describe only partitions without a leader."},
		option{name: "under-min-isr-partitions", help: "Describe only partitions with fewer copies in sync than min.insync.replicas."},
		option{name: "at-min-isr-partitions", help: "Describe only partitions with just so many."},
		option{name: "partition-size-limit-per-response", arg: "number", help: "Accepted, and of no effect."},
		option{name: "disable-rack-aware", help: "Accepted, and of no effect."},
		option{name: "force", help: "Accepted, and of no effect."},
	),
	run: runTopics,
}

func runTopics(ctx context.Context, e *Env, f *flags) error {
	action, err := f.one("list", "describe", "create", "alter", "delete")
	if err != nil {
		return err
	}
	if err := checkTopics(f, action); err != nil {
		return err
	}
	cl, err := administrate(ctx, e, f)
	if err != nil {
		return err
	}
	defer cl.Close()
	t := &topics{Env: e, flags: f, cl: cl, adm: kadm.NewClient(cl)}
	err = map[string]func(context.Context) error{"list": t.list, "describe": t.describe, "create": t.create, "alter": t.alter, "delete": t.delete}[action](ctx)
	if err == nil {
		return nil
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return err
	}
	fmt.Fprintf(e.Out, "Error while executing topic command : %s\n", message(err))
	fmt.Fprintf(e.Err, "ERROR %s\n", full(err))
	return exit(1)
}

func checkTopics(f *flags, action string) error {
	if !f.has("bootstrap-server") && !f.has("zookeeper") {
		return usagef("--bootstrap-server must be specified")
	}
	needsTopic := action == "create" || action == "alter" || action == "delete"
	switch {
	case needsTopic && !f.has("topic"):
		return usagef("Missing required argument \"[topic]\"")
	case action == "alter" && (f.has("config") || f.has("delete-config")):
		return usagef("Option \"[config]\" can't be used with option \"[alter]\" (To alter topic configurations, the kafka-configs tool can be used.)")
	case action == "alter" && !f.has("partitions"):
		return usagef("Missing required argument \"[partitions]\"")
	case action == "create" && f.has("replica-assignment") && (f.has("partitions") || f.has("replication-factor")):
		return usagef("Option \"[replica-assignment]\" can't be used with option \"[partitions]\" or \"[replication-factor]\"")
	}
	return nil
}

type topics struct {
	*Env
	*flags
	cl  *kgo.Client
	adm *kadm.Client
}

// matching gives the topics that --topic means, by name. One that must be there is an error if none is.
func (t *topics) matching(ctx context.Context, must bool) ([]kadm.TopicDetail, error) {
	all, err := t.adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, err
	}
	wanted := func(string) bool { return true }
	if t.has("topic") {
		if wanted, err = include(t.value("topic", "")); err != nil {
			return nil, err
		}
	}
	var out []kadm.TopicDetail
	for _, d := range all.Sorted() {
		if wanted(d.Topic) && !(d.IsInternal && t.has("exclude-internal")) && (!t.has("topic-id") || admin.TopicID(d.ID) == t.value("topic-id", "")) {
			out = append(out, d)
		}
	}
	if len(out) == 0 && must && (t.has("topic") || t.has("topic-id")) && !t.has("if-exists") {
		what := "Topic '" + t.value("topic", "") + "'"
		if t.has("topic-id") {
			what = "TopicId '" + t.value("topic-id", "") + "'"
		}
		return nil, fmt.Errorf("%s does not exist as expected", what)
	}
	return out, nil
}

// pattern is a regular expression as the tools take it: several with commas between, for whole names.
func pattern(expression string) string {
	alternatives := strings.ReplaceAll(strings.Trim(strings.TrimSpace(expression), `"'`), ",", "|")
	return "^(?:" + strings.ReplaceAll(alternatives, " ", "") + ")$"
}

// include makes a filter of such an expression.
func include(expression string) (func(string) bool, error) {
	re, err := regexp.Compile(pattern(expression))
	if err != nil {
		return nil, usagef("%s is an invalid regex: %v", expression, err)
	}
	return re.MatchString, nil
}

func (t *topics) list(ctx context.Context) error {
	found, err := t.matching(ctx, false)
	for _, d := range found {
		fmt.Fprintln(t.Out, d.Topic)
	}
	return err
}

func (t *topics) create(ctx context.Context) error {
	config, err := t.pairs("config")
	if err != nil {
		return err
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(answerTimeout.Milliseconds())
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic = t.value("topic", "")
	partitions, err := t.number("partitions", -1)
	if err != nil {
		return err
	}
	replicas, err := t.number("replication-factor", -1)
	if err != nil {
		return err
	}
	switch {
	case t.has("partitions") && partitions <= 0:
		return fmt.Errorf("The partitions must be greater than 0")
	case t.has("replication-factor") && (replicas <= 0 || replicas > 32767):
		return fmt.Errorf("The replication factor must be between 1 and 32767 inclusive")
	}
	rt.NumPartitions, rt.ReplicationFactor = int32(partitions), int16(replicas)
	if rt.ReplicaAssignment, err = t.assignment(); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(config)) {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = k, kmsg.StringPtr(config[k])
		rt.Configs = append(rt.Configs, rc)
	}
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, t.cl)
	if err != nil {
		return err
	}
	for _, r := range resp.Topics {
		err := admin.Refuse(kerr.ErrorForCode(r.ErrorCode), deref(r.ErrorMessage))
		if errors.Is(err, kerr.TopicAlreadyExists) && t.has("if-not-exists") {
			return nil
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(t.Out, "Created topic %s.\n", rt.Topic)
	return nil
}

// assignment reads --replica-assignment: the brokers of partition 0 with colons between, a comma, those of partition 1…
func (t *topics) assignment() ([]kmsg.CreateTopicsRequestTopicReplicaAssignment, error) {
	if !t.has("replica-assignment") {
		return nil, nil
	}
	var out []kmsg.CreateTopicsRequestTopicReplicaAssignment
	for p, list := range strings.Split(t.value("replica-assignment", ""), ",") {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition = int32(p)
		for _, id := range strings.Split(list, ":") {
			n, err := strconv.ParseInt(strings.TrimSpace(id), 10, 32)
			if err != nil {
				return nil, usagef("Invalid replica assignment %q: want the ids of brokers, 0:1,1:2", list)
			}
			a.Replicas = append(a.Replicas, int32(n))
		}
		out = append(out, a)
	}
	return out, nil
}

func (t *topics) alter(ctx context.Context) error {
	found, err := t.matching(ctx, true)
	if err != nil {
		return err
	}
	partitions, err := t.number("partitions", 0)
	if err != nil {
		return err
	}
	for _, d := range found {
		resp, err := t.adm.UpdatePartitions(ctx, int(partitions), d.Topic)
		if err != nil {
			return err
		}
		if r := resp[d.Topic]; r.Err != nil {
			return admin.Refuse(r.Err, r.ErrMessage)
		}
	}
	return nil
}

func (t *topics) delete(ctx context.Context) error {
	found, err := t.matching(ctx, true)
	if err != nil || len(found) == 0 {
		return err
	}
	var names []string
	for _, d := range found {
		names = append(names, d.Topic)
	}
	resp, err := t.adm.DeleteTopics(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		if r := resp[name]; r.Err != nil {
			return admin.Refuse(r.Err, r.ErrMessage)
		}
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
