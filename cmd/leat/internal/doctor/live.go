package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// dialTime is how long an advertised address may take to answer.
const dialTime = 3 * time.Second

// Watch is how long groups are watched for growing lag.
const Watch = 2 * time.Second

// live is a look at a running cluster.
type live struct {
	*Report
	adm   *kadm.Client
	opts  []kgo.Opt // without an address
	seed  string    // where it was found
	md    kadm.Metadata
	watch time.Duration
	tls   *tls.Config // nil: without
	wrong sync.Map    // advertised addresses that lead nowhere: the rest is asked at the one that answers

	mu      sync.Mutex
	expires time.Time // the certificate that was shown last
}

func (l *live) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	name := hostOf(addr)
	if _, wrong := l.wrong.Load(addr); wrong {
		addr = l.seed
	}
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil || l.tls == nil {
		return conn, err
	}
	cfg := l.tls.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = name
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expires = secure.ConnectionState().PeerCertificates[0].NotAfter
	return secure, nil
}

// renewal is how long before its end a certificate is worth a word.
const renewal = 14 * 24 * time.Hour

func (l *live) certificate() {
	l.mu.Lock()
	left := time.Until(l.expires)
	l.mu.Unlock()
	if l.tls != nil && left < renewal {
		l.add(Warn, l.seed, fmt.Sprintf("its certificate expires in %s", left.Round(time.Hour)), "no client that checks it connects afterwards", "replace the file of ssl.keystore.location; the broker reads it again by itself")
	}
}

// Cluster looks at the cluster that answers at seed, with the options of a client, and for as long as watch at its groups.
// An error is that nobody answers.
func (r *Report) Cluster(ctx context.Context, seed string, options []kgo.Opt, watch time.Duration) error {
	l := &live{Report: r, opts: options, seed: seed, watch: watch}
	probe, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	l.tls, _ = probe.OptValue(kgo.DialTLSConfig).(*tls.Config)
	probe.Close()
	cl, err := kgo.NewClient(slices.Concat(options, []kgo.Opt{kgo.SeedBrokers(seed), kgo.DialTLSConfig(nil), kgo.Dialer(l.dial), kgo.RetryTimeout(10 * time.Second)})...)
	if err != nil {
		return err
	}
	defer cl.Close()
	l.adm = kadm.NewClient(cl)
	if l.md, err = l.adm.Metadata(ctx); err != nil {
		return err
	}
	r.looked("%s: cluster %s, brokers: %d, topics: %d", seed, l.md.Cluster, len(l.md.Brokers), len(l.md.Topics))
	for _, b := range l.md.Brokers {
		l.advertised(ctx, b)
	}
	l.certificate()
	l.access(ctx)
	l.apis(ctx)
	l.partitions()
	l.configs(ctx)
	l.timestamps(ctx)
	l.groups(ctx)
	l.transactions(ctx)
	return nil
}

// advertised checks that the address which clients are told leads back to the cluster.
func (l *live) advertised(ctx context.Context, b kadm.BrokerDetail) {
	addr := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	where := fmt.Sprintf("broker %d", b.NodeID)
	why := fmt.Sprintf("clients reach %s, are told to go on at %s, and time out there: the classic mistake", l.seed, addr)
	bad := func(what, why string) {
		l.wrong.Store(addr, true)
		l.add(Bad, where, what, why, fmt.Sprintf("set advertised.listeners to an address that clients can reach, such as PLAINTEXT://%s", l.seed))
	}
	if loopback(b.Host) && !loopback(hostOf(l.seed)) {
		bad(fmt.Sprintf("it tells clients to go on at %s, which is their own machine", addr), why)
		return
	}
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		bad(fmt.Sprintf("its advertised address %s does not answer: %v", addr, cause(err)), why)
		return
	}
	conn.Close()
	cl, err := kgo.NewClient(slices.Concat(l.opts, []kgo.Opt{kgo.SeedBrokers(addr), kgo.DialTimeout(dialTime), kgo.RetryTimeout(dialTime)})...)
	if err != nil {
		return
	}
	defer cl.Close()
	md, err := kadm.NewClient(cl).BrokerMetadata(ctx)
	if err == nil && md.Cluster != l.md.Cluster {
		bad(fmt.Sprintf("its advertised address %s leads to another cluster, %s", addr, md.Cluster), "records go where nobody looks for them")
	}
}

func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// access says whether anybody decides what clients may do.
func (l *live) access(ctx context.Context) {
	acls, err := l.adm.DescribeACLs(ctx, kadm.NewACLs().Clusters().Allow().AllowHosts().ResourcePatternType(kadm.ACLPatternAny).Operations(kadm.OpAny))
	for _, r := range acls {
		err = errors.Join(err, r.Err)
	}
	if !errors.Is(err, kerr.SecurityDisabled) {
		return
	}
	level := Warn
	if loopback(hostOf(l.seed)) {
		level = Note
	}
	l.add(level, l.seed, "whoever can connect may read and write everything", "no authorizer is set",
		"keep the listener on loopback, or set up SASL or mutual TLS, and authorizer.class.name=StandardAuthorizer with super.users and ACLs")
}

// features are what clients need, and the APIs without which they do not work.
var features = []struct {
	name string
	keys []kmsg.Key
}{
	{"producing and consuming", []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata}},
	{"consumer groups", []kmsg.Key{kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.OffsetCommit, kmsg.OffsetFetch}},
	{"idempotent producers", []kmsg.Key{kmsg.InitProducerID}},
	{"transactions", []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit}},
	{"administration", []kmsg.Key{kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions, kmsg.DescribeConfigs, kmsg.IncrementalAlterConfigs, kmsg.DescribeGroups, kmsg.ListGroups, kmsg.DeleteGroups}},
}

func (l *live) apis(ctx context.Context) {
	all, err := l.adm.ApiVersions(ctx)
	if err != nil {
		l.add(Warn, l.seed, "the broker does not say which APIs it serves", err.Error(), "see its log")
		return
	}
	for _, b := range all.Sorted() {
		for _, f := range features {
			var missing []string
			for _, k := range f.keys {
				if _, _, ok := b.KeyVersions(k.Int16()); !ok {
					missing = append(missing, k.Name())
				}
			}
			if missing != nil {
				l.add(Warn, fmt.Sprintf("broker %d", b.NodeID), fmt.Sprintf("it does not serve %s (%s)", f.name, strings.Join(missing, ", ")), "clients that need that fail", "use a broker that has it")
			}
		}
	}
}

func (l *live) partitions() {
	for _, t := range l.md.Topics.Sorted() {
		var offline, behind []string
		for _, p := range t.Partitions.Sorted() {
			switch {
			case p.Leader < 0:
				offline = append(offline, strconv.Itoa(int(p.Partition)))
			case len(p.ISR) < len(p.Replicas):
				behind = append(behind, strconv.Itoa(int(p.Partition)))
			}
		}
		if offline != nil {
			l.add(Bad, "topic "+t.Topic, "partitions "+strings.Join(offline, ", ")+" have no leader", "nobody can write or read them", "start the brokers that hold them, or see in their logs why they are not served")
		}
		if behind != nil {
			l.add(Warn, "topic "+t.Topic, "partitions "+strings.Join(behind, ", ")+" have replicas that are behind", "another failure may make them unavailable", "see which broker is down or slow")
		}
	}
}

// configs looks for settings that are less than durable.
func (l *live) configs(ctx context.Context) {
	var ids []int32
	for _, b := range l.md.Brokers {
		ids = append(ids, b.NodeID)
	}
	brokers, err := l.adm.DescribeBrokerConfigs(ctx, ids...)
	if err != nil {
		return // not allowed, or not served: said above
	}
	for _, b := range brokers {
		for _, c := range b.Configs {
			switch {
			case c.Key == "unclean.leader.election.enable" && c.MaybeValue() == "true":
				l.add(Warn, "broker "+b.Name, "a replica that is behind may become leader (unclean.leader.election.enable)", "what it lacks is then lost, though it was acknowledged", "set it to false")
			case c.Key == "log.flush.interval.messages" && c.MaybeValue() != "1" && c.Source != kmsg.ConfigSourceDefaultConfig && l.alone():
				l.add(Warn, "broker "+b.Name, "acks=all does not wait for the disk (log.flush.interval.messages="+c.MaybeValue()+")", "there is one copy: a power loss takes what was acknowledged in the last seconds", "set it to 1")
			}
		}
	}
	if !l.alone() || len(l.md.Topics) > 1000 {
		return
	}
	topics, err := l.adm.DescribeTopicConfigs(ctx, l.md.Topics.Names()...)
	if err != nil {
		return
	}
	for _, t := range topics {
		for _, c := range t.Configs {
			if c.Key == "flush.messages" && c.MaybeValue() != "1" && c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				l.add(Warn, "topic "+t.Name, "acks=all does not wait for the disk (flush.messages="+c.MaybeValue()+")", "there is one copy: a power loss takes what was acknowledged in the last seconds", "leat config alter topic "+t.Name+" --delete flush.messages")
			}
		}
	}
}

// alone tells whether there is one broker, and so one copy of everything.
func (l *live) alone() bool { return len(l.md.Brokers) == 1 }

// timestamps looks for records of the future: a clock is wrong.
func (l *live) timestamps(ctx context.Context) {
	latest, err := l.adm.ListMaxTimestampOffsets(ctx, l.md.Topics.Names()...)
	if err != nil {
		return // an old broker
	}
	now := time.Now()
	worst := map[string]time.Duration{}
	latest.Each(func(o kadm.ListedOffset) {
		if ahead := time.UnixMilli(o.Timestamp).Sub(now); o.Err == nil && ahead > time.Minute {
			worst[o.Topic] = max(worst[o.Topic], ahead)
		}
	})
	for _, t := range l.md.Topics.Sorted() {
		if ahead, ok := worst[t.Topic]; ok {
			l.add(Warn, "topic "+t.Topic, fmt.Sprintf("it has records from the future: %s ahead of this machine's clock", ahead.Round(time.Second)),
				"retention by time keeps them and everything in their segment that much longer, and lookups by time find them first", "set the clocks of producers and of this machine (NTP)")
		}
	}
}

// groups watches the groups for a moment.
func (l *live) groups(ctx context.Context) {
	before, err := l.adm.Lag(ctx)
	if err != nil {
		l.add(Warn, l.seed, "the groups cannot be read", err.Error(), "see the log of the broker")
		return
	}
	growing := map[string]kadm.DescribedGroupLag{}
	if l.watch > 0 && len(before) > 0 {
		select {
		case <-time.After(l.watch):
		case <-ctx.Done():
			return
		}
		if after, err := l.adm.Lag(ctx); err == nil {
			for name, g := range after {
				if was, ok := before[name]; ok && g.Lag.Total() > was.Lag.Total() {
					growing[name] = g
				}
			}
		}
	}
	for _, g := range before.Sorted() {
		where := "group " + g.Group
		if err := g.Error(); err != nil {
			l.add(Warn, where, "it cannot be read", err.Error(), "see the log of the broker")
			continue
		}
		lost := int64(0)
		for _, p := range g.Lag.Sorted() {
			if p.Commit.At >= 0 && p.Start.Err == nil && p.Commit.At < p.Start.Offset {
				lost += p.Start.Offset - p.Commit.At
			}
		}
		if lost > 0 {
			l.add(Bad, where, fmt.Sprintf("records that it has not read were deleted by retention: %d", lost), "it will never see them", "let it catch up faster, or raise retention.ms and retention.bytes of its topics")
		}
		after, grows := growing[g.Group]
		switch {
		case grows && len(g.Members) == 0:
			l.add(Warn, where, fmt.Sprintf("it has no members, and its lag of %d grows", after.Lag.Total()), "nobody reads, and retention will delete what it has not read", "start its consumers, or delete the group")
		case grows && committed(g) == committed(after):
			l.add(Warn, where, fmt.Sprintf("its lag of %d grows, and it commits nothing", after.Lag.Total()), "its members may be stuck, or are too slow", "look at the consumers, or start more of them (up to one a partition)")
		}
	}
}

// committed is how far a group has come, in one number.
func committed(g kadm.DescribedGroupLag) (sum int64) {
	for _, p := range g.Lag.Sorted() {
		sum += max(p.Commit.At, 0)
	}
	return sum
}

// patience is by how much a transaction may outlive its time-out before it counts as hanging.
const patience = 10 * time.Second

func (l *live) transactions(ctx context.Context) {
	open, err := l.adm.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
	if err != nil || len(open) == 0 {
		return
	}
	described, err := l.adm.DescribeTransactions(ctx, open.TransactionalIDs()...)
	if err != nil {
		return
	}
	now := time.Now()
	for _, t := range described.Sorted() {
		if t.Err != nil || t.StartTimestamp <= 0 {
			continue
		}
		age := now.Sub(time.UnixMilli(t.StartTimestamp))
		if age > time.Duration(t.TimeoutMillis)*time.Millisecond+patience {
			l.add(Bad, "transaction "+t.TxnID, fmt.Sprintf("it hangs: %s for %s, its time-out is %d ms", t.State, age.Round(time.Second), t.TimeoutMillis),
				"consumers that read committed records wait behind it, in "+strings.Join(topicNames(t.Topics), ", "),
				"see whether its coordinator is served; kafka-transactions.sh abort ends it")
		}
	}
}

func topicNames(s kadm.TopicsSet) []string {
	var out []string
	for _, t := range s.Sorted() {
		out = append(out, t.Topic)
	}
	return out
}
