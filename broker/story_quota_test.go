package broker_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = command("alter-quotas", (*story).alterQuotas)

// alterQuotas [validate-only] takes an entity a line and what to do: user=NAME client-id=<default> set KEY N remove KEY
func (s *story) alterQuotas(d *datadriven.TestData) string {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.ValidateOnly = slices.Contains(bare(d), "validate-only")
	for _, l := range lines(d.Input) {
		entry := kmsg.NewAlterClientQuotasRequestEntry()
		fields := strings.Fields(l)
		for i := 0; i < len(fields); i++ {
			op := kmsg.NewAlterClientQuotasRequestEntryOp()
			switch fields[i] {
			case "set":
				if _, err := fmt.Sscan(fields[i+2], &op.Value); err != nil {
					return err.Error()
				}
				op.Key, i = fields[i+1], i+2
				entry.Ops = append(entry.Ops, op)
			case "remove":
				op.Key, op.Remove, i = fields[i+1], true, i+1
				entry.Ops = append(entry.Ops, op)
			default:
				kind, name, _ := strings.Cut(fields[i], "=")
				entry.Entity = append(entry.Entity, kmsg.AlterClientQuotasRequestEntryEntity{Type: kind, Name: entityName(name)})
			}
		}
		req.Entries = append(req.Entries, entry)
	}
	resp := s.send(d, req).(*kmsg.AlterClientQuotasResponse)
	var b strings.Builder
	for _, e := range resp.Entries {
		b.WriteString(verdict(e.ErrorCode, e.ErrorMessage) + "\n")
	}
	return b.String()
}

func entityName(name string) *string {
	if name == "<default>" {
		return nil
	}
	return &name
}

var _ = command("describe-quotas", (*story).describeQuotas)

// describeQuotas [strict] takes a part of the filter a line: user=NAME, user=<default>, user=*.
func (s *story) describeQuotas(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	req.Strict = slices.Contains(bare(d), "strict")
	for _, l := range lines(d.Input) {
		kind, name, _ := strings.Cut(l, "=")
		f := kmsg.NewDescribeClientQuotasRequestComponent()
		switch f.EntityType = kind; name {
		case "<default>":
			f.MatchType = 1
		case "*":
			f.MatchType = 2
		default:
			f.Match = &name
		}
		req.Components = append(req.Components, f)
	}
	resp := s.send(d, req).(*kmsg.DescribeClientQuotasResponse)
	if resp.ErrorCode != 0 {
		return verdict(resp.ErrorCode, resp.ErrorMessage)
	}
	var b strings.Builder
	for _, e := range resp.Entries {
		var words []string
		for _, p := range e.Entity {
			name := "<default>"
			if p.Name != nil {
				name = *p.Name
			}
			words = append(words, p.Type+"="+name)
		}
		var limits []string
		for _, v := range e.Values {
			limits = append(limits, fmt.Sprintf("%s %v", v.Key, v.Value))
		}
		slices.Sort(limits)
		fmt.Fprintf(&b, "%s: %s\n", strings.Join(words, " "), strings.Join(limits, ", "))
	}
	return b.String()
}
