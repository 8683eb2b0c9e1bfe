package brokertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Outcome is what a producer knows of a transaction.
type Outcome int

// The outcomes.
const (
	Unknown Outcome = iota // it may be committed or not, but whole
	Committed
	Aborted
)

// Deed is a transaction of a producer that wrote to one topic: values by partition, in the order in which they were sent.
type Deed struct {
	Sent    map[int32][]string
	Outcome Outcome
}

// value is what a transaction's record holds: who sent it, in which of its transactions, and where in that.
func value(producer, txn, n int) string { return fmt.Sprintf("%d/%d/%d", producer, txn, n) }

// Transact makes a transaction of a few records, with the client's default topic, which has so many partitions: it commits them,
// or aborts them now and then, or goes away without a word. lives is false when the client is of no more use.
func Transact(ctx context.Context, cl *kgo.Client, partitions int32, producer, txn int) (d Deed, lives bool) {
	d = Deed{Sent: map[int32][]string{}, Outcome: Aborted}
	if err := cl.BeginTransaction(); err != nil {
		return d, false
	}
	produced := kgo.AbortingFirstErrPromise(cl)
	for n := range 1 + rand.N(8) {
		p := rand.N(partitions)
		v := value(producer, txn, n)
		d.Sent[p] = append(d.Sent[p], v)
		cl.Produce(ctx, &kgo.Record{Partition: p, Value: []byte(v)}, produced.Promise())
		if rand.N(10) == 0 {
			time.Sleep(rand.N(20 * time.Millisecond)) // in a batch of its own, and now and then into a crash
		}
	}
	ok, stuck := Sent(ctx, cl, produced)
	commit := ok && rand.N(4) > 0
	if stuck || rand.N(20) == 0 {
		return d, false // without a word
	}
	ending, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := cl.EndTransaction(ending, kgo.TransactionEndTry(commit)); err != nil {
		if commit {
			d.Outcome = Unknown
		}
		return d, false
	}
	if commit {
		d.Outcome = Committed
	}
	return d, true
}

// Sent waits until it is known of all records whether they are in the log, and tells whether they are. stuck: the client does not
// find out. A kgo client from before KIP-890 may pass over a batch when its broker goes while it adds a partition.
func Sent(ctx context.Context, cl *kgo.Client, produced *kgo.FirstErrPromise) (ok, stuck bool) {
	waiting, cancel := context.WithTimeout(ctx, patience/3)
	defer cancel()
	if cl.Flush(waiting) != nil {
		return false, true
	}
	return produced.Err() == nil, false
}

// Saw is a record that a reader saw.
type Saw struct {
	Offset int64
	Value  string
}

// Sight is what a reader saw, by topic and partition.
type Sight map[string]map[int32][]Saw

// See notes a record.
func (s Sight) See(r *kgo.Record) {
	if s[r.Topic] == nil {
		s[r.Topic] = map[int32][]Saw{}
	}
	s[r.Topic][r.Partition] = append(s[r.Topic][r.Partition], Saw{r.Offset, string(r.Value)})
}

// JudgeDeeds finds what producers were told that is not so, and what they sent in another order.
func JudgeDeeds(deeds []Deed, seen map[int32][]Saw) (wrong []string) {
	where := map[string]int{} // how often a value was seen, by partition and value
	key := func(p int32, v string) string { return fmt.Sprintf("%d %s", p, v) }
	for p, records := range seen {
		last := map[int][2]int{}
		for _, r := range records {
			where[key(p, r.Value)]++
			var who, txn, n int
			if _, err := fmt.Sscanf(r.Value, "%d/%d/%d", &who, &txn, &n); err != nil {
				wrong = append(wrong, fmt.Sprintf("partition %d offset %d: %q was sent by nobody", p, r.Offset, r.Value))
				continue
			}
			if at, ok := last[who]; ok && (txn < at[0] || txn == at[0] && n <= at[1]) {
				wrong = append(wrong, fmt.Sprintf("partition %d offset %d: %s again or late, after %d/%d/%d", p, r.Offset, r.Value, who, at[0], at[1]))
			}
			last[who] = [2]int{txn, n}
		}
	}
	for _, d := range deeds {
		sent, there := 0, 0
		var first string
		for p, values := range d.Sent {
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
		case d.Outcome == Committed && there < sent:
			wrong = append(wrong, fmt.Sprintf("of the committed transaction of %s, %d of %d records are there", first, there, sent))
		case d.Outcome == Aborted && there > 0:
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

// JudgeCopies finds what is missing of a copy, or is in it twice or late: partition p holds 0, 1, 2, … up to ends[p].
func JudgeCopies(ends map[int32]int64, seen map[int32][]Saw) (wrong []string) {
	for p, end := range ends {
		for i, r := range seen[p] {
			if r.Value != strconv.Itoa(i) {
				wrong = append(wrong, fmt.Sprintf("partition %d offset %d: %s, when %d is due", p, r.Offset, r.Value, i))
				break
			}
		}
		if n := int64(len(seen[p])); n != end {
			wrong = append(wrong, fmt.Sprintf("partition %d has %d copies of %d records", p, n, end))
		}
	}
	return wrong
}

// JudgeSight finds what a reader saw otherwise than the one who read everything later.
func JudgeSight(early, late Sight) (wrong []string) {
	for topic, partitions := range early {
		for p, records := range partitions {
			all := late[topic][p]
			for i, r := range records {
				if i >= len(all) || all[i] != r {
					wrong = append(wrong, fmt.Sprintf("%s-%d: a reader saw %q at %d as its record %d, a later one did not", topic, p, r.Value, r.Offset, i))
					break
				}
			}
		}
	}
	return wrong
}
