package broker_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// aclWords reads PERMISSION PRINCIPAL HOST OPERATION TYPE PATTERN [NAME] with Kafka's words; * for a NAME that is every name,
// - for what a filter leaves open.
type aclWords struct {
	permission              kmsg.ACLPermissionType
	operation               kmsg.ACLOperation
	kind                    kmsg.ACLResourceType
	pattern                 kmsg.ACLResourcePatternType
	principal, host, called *string
}

func readACL(line string) (w aclWords) {
	f := append(strings.Fields(line), "")
	must := func(err error) {
		if err != nil {
			panic(fmt.Sprintf("%q: %v", line, err))
		}
	}
	open := func(s string) *string {
		if s == "-" {
			return nil
		}
		return &s
	}
	var err error
	w.permission, err = kmsg.ParseACLPermissionType(f[0])
	must(err)
	w.principal, w.host = open(f[1]), open(f[2])
	w.operation, err = kmsg.ParseACLOperation(f[3])
	must(err)
	w.kind, err = kmsg.ParseACLResourceType(f[4])
	must(err)
	w.pattern, err = kmsg.ParseACLResourcePatternType(f[5])
	must(err)
	w.called = open(f[6])
	return w
}

func showACL(permission kmsg.ACLPermissionType, principal, host string, op kmsg.ACLOperation, kind kmsg.ACLResourceType, pattern kmsg.ACLResourcePatternType, name string) string {
	return fmt.Sprintf("%s %s %s %s %s %s %s\n", strings.ToLower(permission.String()), principal, host, strings.ToLower(op.String()),
		strings.ToLower(kind.String()), strings.ToLower(pattern.String()), name)
}

var _ = command("create-acls", (*story).createACLs)

// createACLs takes an ACL a line.
func (s *story) createACLs(d *datadriven.TestData) string {
	req := kmsg.NewPtrCreateACLsRequest()
	all := lines(d.Input)
	for _, l := range all {
		w := readACL(l)
		c := kmsg.NewCreateACLsRequestCreation()
		c.PermissionType, c.Principal, c.Host, c.Operation = w.permission, *w.principal, *w.host, w.operation
		c.ResourceType, c.ResourcePatternType, c.ResourceName = w.kind, w.pattern, *w.called
		req.Creations = append(req.Creations, c)
	}
	resp := s.send(d, req).(*kmsg.CreateACLsResponse)
	var b strings.Builder
	for i, r := range resp.Results {
		fmt.Fprintf(&b, "%s: %s\n", all[i], verdict(r.ErrorCode, r.ErrorMessage))
	}
	return b.String()
}

var _ = command("describe-acls", (*story).describeACLs)

// describeACLs takes one filter.
func (s *story) describeACLs(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeACLsRequest()
	w := readACL(d.Input)
	req.PermissionType, req.Principal, req.Host, req.Operation = w.permission, w.principal, w.host, w.operation
	req.ResourceType, req.ResourcePatternType, req.ResourceName = w.kind, w.pattern, w.called
	resp := s.send(d, req).(*kmsg.DescribeACLsResponse)
	if resp.ErrorCode != 0 {
		return verdict(resp.ErrorCode, resp.ErrorMessage)
	}
	var b strings.Builder
	for _, r := range resp.Resources {
		for _, a := range r.ACLs {
			b.WriteString(showACL(a.PermissionType, a.Principal, a.Host, a.Operation, r.ResourceType, r.ResourcePatternType, r.ResourceName))
		}
	}
	return b.String()
}

var _ = command("delete-acls", (*story).deleteACLs)

// deleteACLs takes a filter a line.
func (s *story) deleteACLs(d *datadriven.TestData) string {
	req := kmsg.NewPtrDeleteACLsRequest()
	all := lines(d.Input)
	for _, l := range all {
		w := readACL(l)
		f := kmsg.NewDeleteACLsRequestFilter()
		f.PermissionType, f.Principal, f.Host, f.Operation = w.permission, w.principal, w.host, w.operation
		f.ResourceType, f.ResourcePatternType, f.ResourceName = w.kind, w.pattern, w.called
		req.Filters = append(req.Filters, f)
	}
	resp := s.send(d, req).(*kmsg.DeleteACLsResponse)
	var b strings.Builder
	for i, r := range resp.Results {
		fmt.Fprintf(&b, "%s: %s\n", all[i], verdict(r.ErrorCode, r.ErrorMessage))
		for _, a := range r.MatchingACLs {
			b.WriteString("  - " + showACL(a.PermissionType, a.Principal, a.Host, a.Operation, a.ResourceType, a.ResourcePatternType, a.ResourceName))
		}
	}
	return b.String()
}

var _ = command("operations", (*story).authorizedOperations)

// authorizedOperations shows what a client of the story may do to a topic and to the cluster.
func (s *story) authorizedOperations(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeClusterAuthorizedOperations = true
	cluster := s.send(d, req).(*kmsg.DescribeClusterResponse).ClusterAuthorizedOperations
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: %s\n", operationNames(cluster))
	for _, name := range bare(d) {
		req := kmsg.NewPtrMetadataRequest()
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &name
		req.Topics, req.IncludeTopicAuthorizedOperations = append(req.Topics, rt), true
		fmt.Fprintf(&b, "%s: %s\n", name, operationNames(s.send(d, req).(*kmsg.MetadataResponse).Topics[0].AuthorizedOperations))
	}
	return b.String()
}

func operationNames(bits int32) string {
	var names []string
	for op := range 31 {
		if bits&(1<<op) != 0 {
			names = append(names, strings.ToLower(kmsg.ACLOperation(op).String()))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
