package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// go test ./cmd/leat -run TestKillNineInTransactions -chaos.txn 10m -timeout 20m -v
var chaosTxnFor = flag.Duration("chaos.txn", 5*time.Second, "how long TestKillNineInTransactions kills brokers")

const (
	txnPartitions = 3
	txnTimeout    = 3 * time.Second
	txnPatience   = time.Minute // the broker's bound for a hanging transaction is its time-out and 10 s; this is for slow machines
)

// oldClient is one from before KIP-890.
var oldClient = kgo.MaxVersions(kversion.V3_7_0())

// outcome is what a producer knows of a transaction.
type outcome int

const (
	unknown outcome = iota // it may be committed or not, but whole
	committed
	aborted
)

// deed is a transaction of a producer that wrote to topic plain: values by partition, in the order in which they were sent.
type deed struct {
	sent    map[int32][]string
	outcome outcome
}

// value is what a transaction's record holds: who sent it, in which of its transactions, and where in that.
func value(producer, txn, n int) string { return fmt.Sprintf("%d/%d/%d", producer, txn, n) }

// saw is a record that a reader saw.
type saw struct {
	offset int64
	value  string
}

// sight is what a reader saw, by topic and partition.
type sight map[string]map[int32][]saw

func (s sight) see(r *kgo.Record) {
	if s[r.Topic] == nil {
		s[r.Topic] = map[int32][]saw{}
	}
	s[r.Topic][r.Partition] = append(s[r.Topic][r.Partition], saw{r.Offset, string(r.Value)})
}

// judgeDeeds finds what producers were told that is not so, and what they sent in another order.
func judgeDeeds(deeds []deed, seen map[int32][]saw) (wrong []string) {
	where := map[string]int{} // how often a value was seen, by partition and value
	key := func(p int32, v string) string { return fmt.Sprintf("%d %s", p, v) }
	for p, records := range seen {
		last := map[int][2]int{}
		for _, r := range records {
			where[key(p, r.value)]++
			var who, txn, n int
			if _, err := fmt.Sscanf(r.value, "%d/%d/%d", &who, &txn, &n); err != nil {
				wrong = append(wrong, fmt.Sprintf("partition %d offset %d: %q was sent by nobody", p, r.offset, r.value))
				continue
			}
			if at, ok := last[who]; ok && (txn < at[0] || txn == at[0] && n <= at[1]) {
				wrong = append(wrong, fmt.Sprintf("partition %d offset %d: %s again or late, after %d/%d/%d", p, r.offset, r.value, who, at[0], at[1]))
			}
			last[who] = [2]int{txn, n}
		}
	}
	for _, d := range deeds {
		sent, there := 0, 0
		var first string
		for p, values := range d.sent {
			for _, v := range values {
				sent++
				first = v
				if where[key(p, v)] > 0 {
					there++
				}
				delete(where, key(p, v))
			}
		}
		switch {
		case d.outcome == committed && there < sent:
			wrong = append(wrong, fmt.Sprintf("of the committed transaction of %s, %d of %d records are there", first, there, sent))
		case d.outcome == aborted && there > 0:
			wrong = append(wrong, fmt.Sprintf("of the aborted transaction of %s, %d of %d records are there", first, there, sent))
		case there > 0 && there < sent:
			wrong = append(wrong, fmt.Sprintf("the transaction of %s is torn: %d of %d records are there", first, there, sent))
		}
	}
	for k := range where {
		wrong = append(wrong, fmt.Sprintf("%s is in no transaction", k))
	}
	return wrong
}

// judgeCopies finds what is missing of a copy, or is in it twice or late: partition p holds 0, 1, 2, … up to ends[p].
func judgeCopies(ends map[int32]int64, seen map[int32][]saw) (wrong []string) {
	for p, end := range ends {
		for i, r := range seen[p] {
			if r.value != strconv.Itoa(i) {
				wrong = append(wrong, fmt.Sprintf("partition %d offset %d: %s, when %d is due", p, r.offset, r.value, i))
				break
			}
		}
		if n := int64(len(seen[p])); n != end {
			wrong = append(wrong, fmt.Sprintf("partition %d has %d copies of %d records", p, n, end))
		}
	}
	return wrong
}

// judgeSight finds what a reader saw otherwise than the one who read everything later.
func judgeSight(early, late sight) (wrong []string) {
	for topic, partitions := range early {
		for p, records := range partitions {
			all := late[topic][p]
			for i, r := range records {
				if i >= len(all) || all[i] != r {
					wrong = append(wrong, fmt.Sprintf("%s-%d: a reader saw %q at %d as its record %d, a later one did not", topic, p, r.value, r.offset, i))
					break
				}
			}
		}
	}
	return wrong
}

// txnChaos is one run: a broker that is killed, producers of transactions, copiers, and a reader that follows.
type txnChaos struct {
	chaos
	ctx  context.Context
	calm atomic.Bool // nobody is killed any more
	done atomic.Bool // what is to be copied is complete

	mu    sync.Mutex
	deeds []deed
}

// TestKillNineInTransactions kills the broker's process again and again. Producers write transactions to several partitions,
// abort some and leave some open; copiers consume, produce and commit in transactions, and die with some open. Every transaction is
// whole or not there, as its producer was told, in its producer's order; every record is copied once; nobody who reads
// committed sees what a later reader does not; and nothing holds readers up for good.
func TestKillNineInTransactions(t *testing.T) {
	c := &txnChaos{chaos: chaos{t: t, dir: t.TempDir(), addr: freeAddr(t)}, ctx: t.Context()}
	broker := c.start()
	defer func() { c.kill(broker) }()
	admin := c.client()
	defer admin.Close()
	adm := kadm.NewClient(admin)
	if _, err := adm.CreateTopics(c.ctx, txnPartitions, 1, nil, "plain", "in", "out"); err != nil {
		t.Fatal(err)
	}
	writing, stopWriting := context.WithCancel(c.ctx)
	var writers, copiers, readers sync.WaitGroup
	writers.Go(func() { c.feed(writing) })
	for i := range 4 {
		writers.Go(func() { c.transact(writing, i) })
		copiers.Go(func() { c.copy(i) })
	}
	reading, stopReading := context.WithCancel(c.ctx)
	follower := sight{}
	readers.Go(func() { c.follow(reading, follower) })

	kills := 0
	for end := time.Now().Add(*chaosTxnFor); time.Now().Before(end); kills++ {
		time.Sleep(500*time.Millisecond + rand.N(time.Second))
		broker = c.revive(broker)
	}
	c.calm.Store(true)
	stopWriting()
	writers.Wait()
	ends, err := adm.ListEndOffsets(c.ctx, "in")
	if err != nil {
		t.Fatal(err)
	}
	c.await("the copies are complete", func() bool { return c.copied(adm, ends) })
	c.done.Store(true)
	copiers.Wait()
	c.await("no transaction is open", func() bool { return c.decided(adm) })
	stopReading()
	readers.Wait()
	all := c.readAll(adm)
	due := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { due[o.Partition] = o.Offset })
	wrong := append(judgeDeeds(c.deeds, all["plain"]), judgeCopies(due, all["out"])...)
	wrong = append(wrong, judgeSight(follower, all)...)
	for i, w := range wrong {
		if i == 20 {
			t.Errorf("and %d more", len(wrong)-i)
			break
		}
		t.Error(w)
	}
	known := map[outcome]int{}
	for _, d := range c.deeds {
		known[d.outcome]++
	}
	t.Logf("%d kills; %d transactions committed, %d aborted, %d unknown; %v copied", kills, known[committed], known[aborted], known[unknown], due)
	if known[committed] == 0 || due[0] == 0 {
		t.Error("nothing was committed")
	}
}

// revive kills a broker and starts the next.
func (c *txnChaos) revive(broker *exec.Cmd) *exec.Cmd {
	c.kill(broker)
	return c.start()
}

func (c *txnChaos) client(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(c.patient(opts...)...)
	if err != nil {
		c.t.Error(err)
	}
	return cl
}

func (c *txnChaos) await(what string, ready func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(txnPatience); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("it takes more than %s until %s", txnPatience, what)
		}
	}
}

// feed writes 0, 1, 2, … to each partition of topic in, for the copiers.
func (c *txnChaos) feed(ctx context.Context) {
	cl := c.client(kgo.DefaultProduceTopic("in"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(1<<30))
	defer cl.Close()
	for n := 0; ctx.Err() == nil; n++ {
		for p := range int32(txnPartitions) {
			cl.Produce(c.ctx, &kgo.Record{Partition: p, Value: strconv.AppendInt(nil, int64(n), 10)}, func(_ *kgo.Record, err error) {
				if err != nil {
					c.wrong.Do(func() { c.t.Errorf("a producer gave up: %v", err) })
				}
			})
		}
		time.Sleep(4 * time.Millisecond)
	}
	flushing, cancel := context.WithTimeout(c.ctx, txnPatience)
	defer cancel()
	if err := cl.Flush(flushing); err != nil {
		c.t.Errorf("records to be copied are still not acknowledged: %v", err)
	}
}

// transactional are the options of the clients of producer i; every other one is from before KIP-890.
func transactional(i int, id string) []kgo.Opt {
	opts := []kgo.Opt{kgo.TransactionalID(id), kgo.TransactionTimeout(txnTimeout), kgo.ProducerLinger(time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if i%2 == 1 {
		opts = append(opts, oldClient)
	}
	return opts
}

// transact makes transactions until ctx ends, by one client after the other: some go with a transaction open, which the next
// aborts, or the broker, when it has another id.
func (c *txnChaos) transact(ctx context.Context, i int) {
	id := fmt.Sprintf("plain-%d", i)
	for n, life := 0, 1; ctx.Err() == nil; life++ {
		cl := c.client(append(transactional(i, id), kgo.DefaultProduceTopic("plain"))...)
		for lives := true; lives && ctx.Err() == nil; n++ {
			var d deed
			d, lives = c.transaction(cl, i, n)
			c.mu.Lock()
			c.deeds = append(c.deeds, d)
			c.mu.Unlock()
		}
		cl.Close()
		if life%4 == 0 {
			id = fmt.Sprintf("plain-%d-%d", i, life)
		}
	}
}

// transaction makes one. lives is false when the client is of no more use.
func (c *txnChaos) transaction(cl *kgo.Client, producer, txn int) (d deed, lives bool) {
	d = deed{sent: map[int32][]string{}, outcome: aborted}
	if err := cl.BeginTransaction(); err != nil {
		return d, false
	}
	produced := kgo.AbortingFirstErrPromise(cl)
	for n := range 1 + rand.N(8) {
		p := rand.N(int32(txnPartitions))
		v := value(producer, txn, n)
		d.sent[p] = append(d.sent[p], v)
		cl.Produce(c.ctx, &kgo.Record{Partition: p, Value: []byte(v)}, produced.Promise())
		if rand.N(10) == 0 {
			time.Sleep(rand.N(20 * time.Millisecond)) // in a batch of its own, and now and then into a kill
		}
	}
	ok, stuck := sent(c.ctx, cl, produced)
	commit := ok && rand.N(4) > 0
	if stuck || rand.N(20) == 0 {
		return d, false // without a word
	}
	ending, cancel := context.WithTimeout(c.ctx, txnPatience/2)
	defer cancel()
	if err := cl.EndTransaction(ending, kgo.TransactionEndTry(commit)); err != nil {
		if commit {
			d.outcome = unknown
		}
		return d, false
	}
	if commit {
		d.outcome = committed
	}
	return d, true
}

// sent waits until it is known of all records whether they are in the log, and tells whether they are. stuck: the client does not
// find out. A kgo client from before KIP-890 may pass over a batch when its broker goes while it adds a partition.
func sent(ctx context.Context, cl *kgo.Client, produced *kgo.FirstErrPromise) (ok, stuck bool) {
	waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if cl.Flush(waiting) != nil {
		return false, true
	}
	return produced.Err() == nil, false
}

// copy moves records from topic in to the same partition of topic out, a transaction a poll, by one client after the other.
func (c *txnChaos) copy(i int) {
	for life := 1; !c.done.Load() && c.ctx.Err() == nil; life++ {
		opts := append(transactional(i, fmt.Sprintf("copier-%d", i)),
			kgo.ConsumerGroup("copiers"), kgo.ConsumeTopics("in"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DefaultProduceTopic("out"), kgo.FetchMaxWait(100*time.Millisecond),
			kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(50*time.Millisecond))
		s, err := kgo.NewGroupTransactSession(c.patient(opts...)...)
		if err != nil {
			c.t.Error(err)
			return
		}
		c.session(s, 10*life)
		s.Close()
	}
}

// session copies until it is done, or so many transactions were tried: then it goes with its transaction open.
func (c *txnChaos) session(s *kgo.GroupTransactSession, transactions int) {
	for n := 0; !c.done.Load(); n++ {
		poll, cancel := context.WithTimeout(c.ctx, 100*time.Millisecond)
		fetches := s.PollRecords(poll, 100)
		cancel()
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			return
		}
		produced := kgo.AbortingFirstErrPromise(s.Client())
		fetches.EachRecord(func(r *kgo.Record) {
			s.Produce(c.ctx, &kgo.Record{Partition: r.Partition, Value: r.Value}, produced.Promise())
		})
		ok, stuck := sent(c.ctx, s.Client(), produced)
		if stuck || n >= transactions && !c.calm.Load() {
			return
		}
		ending, cancel := context.WithTimeout(c.ctx, txnPatience/2)
		_, err := s.End(ending, kgo.TransactionEndTry(ok))
		cancel()
		if err != nil {
			return
		}
	}
}

// follow reads committed records from the start on until ctx ends.
func (c *txnChaos) follow(ctx context.Context, seen sight) {
	cl := c.client(kgo.ConsumeTopics("plain", "out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond))
	defer cl.Close()
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(seen.see)
	}
}

// copied tells whether the copiers have committed all of topic in.
func (c *txnChaos) copied(adm *kadm.Client, ends kadm.ListedOffsets) bool {
	offsets, err := adm.FetchOffsets(c.ctx, "copiers")
	if err != nil {
		return false
	}
	all := true
	ends.Each(func(e kadm.ListedOffset) {
		o, ok := offsets.Lookup(e.Topic, e.Partition)
		all = all && ok && o.At == e.Offset
	})
	return all
}

// decided tells whether those who read committed see all partitions to their ends.
func (c *txnChaos) decided(adm *kadm.Client) bool {
	ends, err := adm.ListEndOffsets(c.ctx, "plain", "out")
	stable, errStable := adm.ListCommittedOffsets(c.ctx, "plain", "out")
	if err != nil || errStable != nil {
		return false
	}
	all := true
	ends.Each(func(e kadm.ListedOffset) {
		s, ok := stable.Lookup(e.Topic, e.Partition)
		all = all && ok && s.Offset == e.Offset
	})
	return all
}

// readAll reads what is committed, from the start to the end.
func (c *txnChaos) readAll(adm *kadm.Client) sight {
	ends, err := adm.ListCommittedOffsets(c.ctx, "plain", "out")
	if err != nil {
		c.t.Fatal(err)
	}
	cl := c.client(kgo.ConsumeTopics("plain", "out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())
	defer cl.Close()
	left := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left++
		}
	})
	seen := sight{}
	reading, cancel := context.WithTimeout(c.ctx, txnPatience)
	defer cancel()
	for left > 0 && reading.Err() == nil {
		cl.PollFetches(reading).EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				seen.see(r)
			}
			if end, _ := ends.Lookup(r.Topic, r.Partition); r.Offset+1 == end.Offset { // a marker: each transaction ends with one
				left--
			}
		})
	}
	if left > 0 {
		c.t.Fatalf("%d partitions cannot be read to their end", left)
	}
	return seen
}

// TestTransactionsAreJudged plants each anomaly that chaos must find.
func TestTransactionsAreJudged(t *testing.T) {
	deeds := []deed{
		{map[int32][]string{0: {"1/0/0", "1/0/1"}, 1: {"1/0/2"}}, committed},
		{map[int32][]string{0: {"1/1/0"}}, aborted},
		{map[int32][]string{0: {"2/0/0"}, 1: {"2/0/1"}}, unknown},
	}
	for name, tc := range map[string]struct {
		zero, one string // partitions
		wrong     int
	}{
		"as told":              {"1/0/0 1/0/1", "1/0/2", 0},
		"unknown, committed":   {"1/0/0 2/0/0 1/0/1", "2/0/1 1/0/2", 0},
		"committed, torn":      {"1/0/0 1/0/1", "", 1},
		"committed, lost":      {"", "", 1},
		"aborted, visible":     {"1/0/0 1/0/1 1/1/0", "1/0/2", 1},
		"unknown, torn":        {"1/0/0 1/0/1", "1/0/2 2/0/1", 1},
		"duplicated":           {"1/0/0 1/0/1 1/0/1", "1/0/2", 1},
		"reordered":            {"1/0/1 1/0/0", "1/0/2", 1},
		"in another partition": {"1/0/0 1/0/1 1/0/2", "", 2}, // torn, and a record of no transaction
	} {
		seen := map[int32][]saw{}
		for p, values := range []string{tc.zero, tc.one} {
			for i, v := range strings.Fields(values) {
				seen[int32(p)] = append(seen[int32(p)], saw{int64(i), v})
			}
		}
		if wrong := judgeDeeds(deeds, seen); len(wrong) != tc.wrong {
			t.Errorf("%s: %q", name, wrong)
		}
	}
	for name, tc := range map[string]struct {
		values string
		wrong  int
	}{"exact": {"0 1 2", 0}, "lost": {"0 2", 2}, "twice": {"0 1 1 2", 2}, "late": {"0 2 1", 1}, "tail lost": {"0 1", 1}} {
		var seen []saw
		for i, v := range strings.Fields(tc.values) {
			seen = append(seen, saw{int64(i), v})
		}
		if wrong := judgeCopies(map[int32]int64{0: 3}, map[int32][]saw{0: seen}); len(wrong) != tc.wrong {
			t.Errorf("copies, %s: %q", name, wrong)
		}
	}
	late := sight{"out": {0: {{0, "a"}, {3, "b"}}}}
	for name, tc := range map[string]struct {
		early []saw
		wrong int
	}{"less": {[]saw{{0, "a"}}, 0}, "all": {[]saw{{0, "a"}, {3, "b"}}, 0}, "more": {[]saw{{0, "a"}, {3, "b"}, {5, "c"}}, 1}, "other": {[]saw{{0, "a"}, {2, "x"}}, 1}, "a gap": {[]saw{{3, "b"}}, 1}} {
		if wrong := judgeSight(sight{"out": {0: tc.early}}, late); len(wrong) != tc.wrong {
			t.Errorf("a reader who saw %s: %q", name, wrong)
		}
	}
}
