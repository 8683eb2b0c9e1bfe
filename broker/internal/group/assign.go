package group

import (
	"slices"
	"strings"
)

// The server-side assignors.
const (
	Uniform = "uniform" // as even as can be, and as little as possible moves
	Range   = "range"   // the same numbers of all topics to the same member
)

// subscriber is a member as assignors see it.
type subscriber struct {
	member *ConsumerMember
	topics []topicRef // that exist, by name
	gets   []TopicPartition
}

type topicRef struct {
	id         TopicID
	partitions int32
}

// assign makes the members' targets anew.
func (c *Consumer) assign(topics Topics) {
	members := c.Ordered()
	all := make([]subscriber, len(members))
	for i, m := range members {
		all[i].member = m
		for _, name := range c.names(m) {
			if id, partitions := topics.Find(name); partitions > 0 {
				all[i].topics = append(all[i].topics, topicRef{id, partitions})
			}
		}
	}
	if c.Assignor() == Range {
		assignRange(all)
	} else {
		assignUniform(all)
	}
	for _, s := range all {
		slices.SortFunc(s.gets, TopicPartition.compare)
		if !slices.Equal(s.gets, s.member.Target) {
			s.member.Target = s.gets
			c.change(TargetChange, s.member.ID)
		}
	}
}

// assignRange deals each topic out in runs, static members by their instances first.
func assignRange(all []subscriber) {
	slices.SortStableFunc(all, func(a, b subscriber) int {
		switch x, y := a.member.Instance, b.member.Instance; {
		case x != nil && y != nil:
			return strings.Compare(*x, *y)
		case x != nil:
			return -1
		case y != nil:
			return 1
		}
		return 0
	})
	takers := map[topicRef][]*subscriber{}
	for i := range all {
		for _, t := range all[i].topics {
			takers[t] = append(takers[t], &all[i])
		}
	}
	for t, subscribers := range takers {
		next, n := int32(0), int32(len(subscribers))
		for i, s := range subscribers {
			run := t.partitions / n
			if int32(i) < t.partitions%n {
				run++
			}
			for range run {
				s.gets = append(s.gets, TopicPartition{t.id, next})
				next++
			}
		}
	}
}

// assignUniform gives everybody the same number, as far as subscriptions allow, and leaves with each what it had.
func assignUniform(all []subscriber) {
	free := keep(all)
	same := !slices.ContainsFunc(all, func(s subscriber) bool { return !slices.Equal(s.topics, all[0].topics) })
	if same {
		level(all, free)
		return
	}
	subscribers := map[TopicID][]*subscriber{}
	for i := range all {
		for _, t := range all[i].topics {
			subscribers[t.id] = append(subscribers[t.id], &all[i])
		}
	}
	// What few can take is dealt out first.
	slices.SortStableFunc(free, func(a, b TopicPartition) int { return len(subscribers[a.Topic]) - len(subscribers[b.Topic]) })
	for _, p := range free {
		s := least(subscribers[p.Topic])
		s.gets = append(s.gets, p)
	}
	even(all, subscribers)
}

// keep leaves with each member what it had and still subscribes to, and returns what nobody has.
func keep(all []subscriber) (free []TopicPartition) {
	taken := map[TopicPartition]bool{}
	partitions := map[TopicID]int32{}
	var order []topicRef
	for i := range all {
		s := &all[i]
		subscribed := make(map[TopicID]int32, len(s.topics))
		for _, t := range s.topics {
			subscribed[t.id] = t.partitions
			if _, ok := partitions[t.id]; !ok {
				partitions[t.id] = t.partitions
				order = append(order, t)
			}
		}
		for _, p := range s.member.Target {
			if p.Index < subscribed[p.Topic] && !taken[p] {
				taken[p] = true
				s.gets = append(s.gets, p)
			}
		}
	}
	for _, t := range order {
		for i := range t.partitions {
			if p := (TopicPartition{t.id, i}); !taken[p] {
				free = append(free, p)
			}
		}
	}
	return free
}

// level is for members that all subscribe to the same: each gets the average, and some one more.
func level(all []subscriber, free []TopicPartition) {
	total := len(free)
	for _, s := range all {
		total += len(s.gets)
	}
	share, extra := total/len(all), total%len(all)
	for i := range all { // who has more than its share keeps one of the extras while there are some
		s := &all[i]
		most := share
		if len(s.gets) > share && extra > 0 {
			most++
			extra--
		}
		if len(s.gets) > most {
			free = append(free, s.gets[most:]...)
			s.gets = s.gets[:most:most]
		}
	}
	for i := range all {
		s := &all[i]
		want := share
		if len(s.gets) <= share && extra > 0 {
			want++
			extra--
		}
		if n := want - len(s.gets); n > 0 {
			s.gets = append(s.gets, free[:n]...)
			free = free[n:]
		}
	}
}

func least(some []*subscriber) *subscriber {
	return slices.MinFunc(some, func(a, b *subscriber) int { return len(a.gets) - len(b.gets) })
}

// even moves partitions to members that have at least two fewer, until there is none. Each move makes the sum of the
// squares smaller, so it ends.
func even(all []subscriber, subscribers map[TopicID][]*subscriber) {
	for moved := true; moved; {
		moved = false
		for i := range all {
			from := &all[i]
			for j := 0; j < len(from.gets); j++ {
				to := least(subscribers[from.gets[j].Topic])
				if len(to.gets)+1 < len(from.gets) {
					to.gets = append(to.gets, from.gets[j])
					from.gets = slices.Delete(from.gets, j, j+1)
					j--
					moved = true
				}
			}
		}
	}
}
