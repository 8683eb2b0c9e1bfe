package group

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TopicID is a topic's identity.
type TopicID = [16]byte

// Topics is what a group knows of the cluster's topics at one moment.
type Topics interface {
	Version() any                                    // is another one when topics have changed
	Find(name string) (id TopicID, partitions int32) // no partitions: there is no such topic
	Name(id TopicID) string                          // empty: there is no such topic
	Names() []string                                 // sorted
}

// Resolved is an expression that members subscribe to, with the topics that it stands for.
type Resolved struct {
	Topics []string // sorted
	At     time.Time

	matcher *regexp.Regexp // nil after a load
}

// scanEvery is how often the expressions of a group are held against all topics at most.
const scanEvery = time.Second

// expressionMax is how many steps the program of an expression may have: a few bytes can ask for millions.
const (
	expressionMax = 10_000
	busy          = 10
)

// Expression makes a client's expression, which field brought, and which must match a whole name (RE2, as in Kafka).
func Expression(field, text string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err == nil && steps(tree) > expressionMax {
		return nil, refuse(kerr.InvalidRegularExpression, "%s is too large: it would take more than %d steps.", field, expressionMax)
	}
	var matcher *regexp.Regexp
	if err == nil {
		matcher, err = regexp.Compile("^(?:" + text + ")$")
	}
	if err != nil {
		return nil, refuse(kerr.InvalidRegularExpression, "%s `%s` is not a valid regular expression: %s.", field, text, err)
	}
	return matcher, nil
}

func compile(text string) (*regexp.Regexp, error) { return Expression("SubscribedTopicRegex", text) }

// steps is about how long the program of an expression gets. What need not be there, or may be there often, weighs more:
// it can keep its part of the program busy for the whole of a name.
func steps(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		n += steps(sub)
	}
	switch re.Op {
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		n *= busy
	case syntax.OpRepeat:
		if re.Min != re.Max {
			n *= busy
		}
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, expressionMax+1)
}

// resolve holds an expression against all topics that the member may see.
func (c *Consumer) resolve(now time.Time, topics Topics, text string, visible func(string) bool) {
	r := c.Regexes[text]
	var matcher *regexp.Regexp
	if r != nil {
		matcher = r.matcher
	}
	if matcher == nil {
		var err error
		if matcher, err = compile(text); err != nil { // it was checked when a member brought it
			return
		}
	}
	var found []string
	for _, name := range topics.Names() {
		if matcher.MatchString(name) && visible(name) {
			found = append(found, name)
		}
	}
	if r == nil || !slices.Equal(r.Topics, found) {
		c.change(RegexChange, text)
	}
	c.Regexes[text] = &Resolved{Topics: found, At: now, matcher: matcher}
}

// dropRegexes forgets expressions that nobody subscribes to.
func (c *Consumer) dropRegexes() {
	if len(c.Regexes) == 0 {
		return
	}
	used := map[string]bool{}
	for _, m := range c.Members {
		used[m.Regex] = true
	}
	for text := range c.Regexes {
		if !used[text] {
			delete(c.Regexes, text)
			c.change(RegexChange, text)
		}
	}
}

// refresh finds out whether the topics subscribed to are others than those that the group's epoch was made for.
// Expressions wait for a member of which is known what it may see.
func (c *Consumer) refresh(now time.Time, topics Topics, visible func(string) bool) bool {
	if c.seen == topics.Version() {
		return false
	}
	if len(c.Regexes) > 0 {
		if visible == nil || now.Before(c.scanned.Add(scanEvery)) {
			return false
		}
		c.scanned = now
		for _, text := range slices.Sorted(maps.Keys(c.Regexes)) {
			c.resolve(now, topics, text, visible)
		}
	}
	c.seen = topics.Version()
	return c.hash(topics) != c.Hash
}

// names are the topics that a member subscribes to, sorted, whether they exist or not.
func (c *Consumer) names(m *ConsumerMember) []string {
	r := c.Regexes[m.Regex]
	switch {
	case r == nil || len(r.Topics) == 0:
		return m.Topics
	case len(m.Topics) == 0:
		return r.Topics
	}
	return sortedSet(append(slices.Clone(m.Topics), r.Topics...))
}

func sortedSet(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// hash says in 64 bits what the topics subscribed to are.
func (c *Consumer) hash(topics Topics) int64 {
	all := map[string]struct{}{}
	for _, m := range c.Members {
		for _, name := range m.Topics {
			all[name] = struct{}{}
		}
	}
	for _, r := range c.Regexes {
		for _, name := range r.Topics {
			all[name] = struct{}{}
		}
	}
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		id, partitions := topics.Find(name)
		if partitions == 0 {
			continue
		}
		h.Write(id[:])
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(partitions)))
	}
	return int64(h.Sum64())
}

// Refusal is an error of Kafka's with what a client may tell its user.
type Refusal struct {
	Code *kerr.Error
	Why  string
}

// Error is the reason.
func (r *Refusal) Error() string { return r.Why }

// Unwrap is the code.
func (r *Refusal) Unwrap() error { return r.Code }

func refuse(code *kerr.Error, format string, args ...any) error {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}
