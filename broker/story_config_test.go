package broker_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// resource reads topic=NAME, broker=ID, all-brokers, group=NAME, loggers=ID or type=N from a command.
func resource(d *datadriven.TestData) (kmsg.ConfigResourceType, string) {
	if slices.Contains(bare(d), "all-brokers") {
		return kmsg.ConfigResourceTypeBroker, ""
	}
	if v := argString(d, "broker", ""); v != "" {
		return kmsg.ConfigResourceTypeBroker, v
	}
	if v := argString(d, "group", ""); v != "" {
		return kmsg.ConfigResourceTypeGroupConfig, strings.Trim(v, "'")
	}
	if v := argString(d, "loggers", ""); v != "" {
		return kmsg.ConfigResourceTypeBrokerLogger, v
	}
	if v := argInt(d, "type", 0); v != 0 {
		return kmsg.ConfigResourceType(v), "x"
	}
	return kmsg.ConfigResourceTypeTopic, argString(d, "topic", "")
}

var sources = map[kmsg.ConfigSource]string{1: "topic", 2: "this broker", 3: "all brokers", 4: "started with", 5: "default", 6: "logger", 8: "group"}

var _ = command("describe-configs", (*story).describeConfigs)

// describeConfigs RESOURCE [synonyms] [docs] takes the names to show, one a line; without any it counts.
func (s *story) describeConfigs(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = slices.Contains(bare(d), "synonyms")
	req.IncludeDocumentation = slices.Contains(bare(d), "docs")
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = resource(d)
	r.ConfigNames = lines(d.Input)
	req.Resources = append(req.Resources, r)
	got := s.send(d, req).(*kmsg.DescribeConfigsResponse).Resources[0]
	if got.ErrorCode != 0 {
		return verdict(got.ErrorCode, got.ErrorMessage)
	}
	var b strings.Builder
	if len(r.ConfigNames) == 0 && len(got.Configs) > 5 {
		return fmt.Sprintf("%d configurations", len(got.Configs))
	}
	for _, c := range got.Configs {
		fmt.Fprintf(&b, "%s = %s", c.Name, str(c.Value))
		if req.GetVersion() >= 1 {
			fmt.Fprintf(&b, " (%s)", sources[c.Source])
		}
		if req.GetVersion() >= 3 {
			fmt.Fprintf(&b, ", type %d", c.ConfigType)
		}
		if c.ReadOnly {
			b.WriteString(", read-only")
		}
		b.WriteByte('\n')
		if c.Documentation != nil {
			fmt.Fprintf(&b, "  %s\n", *c.Documentation)
		}
		for _, syn := range c.ConfigSynonyms {
			fmt.Fprintf(&b, "  %s = %s (%s)\n", syn.Name, str(syn.Value), sources[syn.Source])
		}
	}
	return b.String()
}

var _ = command("alter-configs", (*story).alterConfigs)

// alterConfigs RESOURCE [validate-only] [twice] takes a change a line: set NAME VALUE, delete NAME, append NAME VALUE, subtract NAME VALUE.
func (s *story) alterConfigs(d *datadriven.TestData) string {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = slices.Contains(bare(d), "validate-only")
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = resource(d)
	for _, l := range lines(d.Input) {
		fields := strings.Fields(l)
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name = fields[1]
		c.Op = map[string]kmsg.IncrementalAlterConfigOp{"set": 0, "delete": 1, "append": 2, "subtract": 3}[fields[0]]
		if len(fields) > 2 {
			c.Value = kmsg.StringPtr(fields[2])
		}
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	if slices.Contains(bare(d), "twice") {
		req.Resources = append(req.Resources, r)
	}
	got := s.send(d, req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	return verdict(got.ErrorCode, got.ErrorMessage)
}

var _ = command("replace-configs", (*story).replaceConfigs)

// replaceConfigs RESOURCE takes NAME VALUE a line.
func (s *story) replaceConfigs(d *datadriven.TestData) string {
	req := kmsg.NewPtrAlterConfigsRequest()
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = resource(d)
	for _, l := range lines(d.Input) {
		name, value, _ := strings.Cut(l, " ")
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = name, kmsg.StringPtr(value)
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	got := s.send(d, req).(*kmsg.AlterConfigsResponse).Resources[0]
	return verdict(got.ErrorCode, got.ErrorMessage)
}
