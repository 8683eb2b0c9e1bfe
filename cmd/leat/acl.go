package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func aclCommand(std stdio) *cobra.Command {
	var c cluster
	cmd := group("acl", "list, allow, deny and delete what users may do (ACLs)")
	c.addTo(cmd)
	cmd.AddCommand(aclCreate(std, &c, "allow"), aclCreate(std, &c, "deny"), aclList(std, &c), aclDelete(std, &c))
	return cmd
}

// aclFlags name resources, and hosts. A name that ends in * is a prefix, * alone is every name.
type aclFlags struct {
	topics, groups, transactions []string
	cluster                      bool
	hosts                        []string
}

func (f *aclFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.topics, "topic", nil, "a topic; 'logs-*' for those that begin so, '*' for all")
	cmd.Flags().StringArrayVar(&f.groups, "group", nil, "a group; NAME* and * as of topics")
	cmd.Flags().StringArrayVar(&f.transactions, "transactional-id", nil, "a transactional id; NAME* and * as of topics")
	cmd.Flags().BoolVar(&f.cluster, "cluster", false, "the cluster itself")
	cmd.Flags().StringArrayVar(&f.hosts, "host", nil, "an address that the user comes from; without it, all")
}

// aclResource is what an ACL is about.
type aclResource struct {
	kind    kmsg.ACLResourceType
	pattern kmsg.ACLResourcePatternType
	name    string
}

const clusterResource = "kafka-cluster"

func (f *aclFlags) resources() []aclResource {
	var out []aclResource
	add := func(kind kmsg.ACLResourceType, names []string) {
		for _, n := range names {
			if prefix, ok := strings.CutSuffix(n, "*"); ok && prefix != "" {
				out = append(out, aclResource{kind, kmsg.ACLResourcePatternTypePrefixed, prefix})
			} else {
				out = append(out, aclResource{kind, kmsg.ACLResourcePatternTypeLiteral, n})
			}
		}
	}
	add(kmsg.ACLResourceTypeTopic, f.topics)
	add(kmsg.ACLResourceTypeGroup, f.groups)
	add(kmsg.ACLResourceTypeTransactionalId, f.transactions)
	if f.cluster {
		out = append(out, aclResource{kmsg.ACLResourceTypeCluster, kmsg.ACLResourcePatternTypeLiteral, clusterResource})
	}
	return out
}

const operationHint = "read, write, create, delete, alter, describe, cluster_action, describe_configs, alter_configs, idempotent_write or all"

func parseOperations(s string) ([]kmsg.ACLOperation, error) {
	var out []kmsg.ACLOperation
	for word := range strings.SplitSeq(s, ",") {
		op, err := kmsg.ParseACLOperation(strings.ReplaceAll(word, "-", "_"))
		if err != nil || op <= kmsg.ACLOperationAny {
			return nil, usageError("%q is no operation\n  hint: %s", word, operationHint)
		}
		out = append(out, op)
	}
	return out, nil
}

// principal is who is meant: a name alone is a user's.
func principal(s string) string {
	if strings.Contains(s, ":") {
		return s
	}
	return "User:" + s
}

func aclCreate(std stdio, c *cluster, verb string) *cobra.Command {
	var f aclFlags
	example := "leat acl " + verb + " alice read,write --topic orders"
	permission := map[string]kmsg.ACLPermissionType{"allow": kmsg.ACLPermissionTypeAllow, "deny": kmsg.ACLPermissionTypeDeny}[verb]
	cmd := &cobra.Command{
		Use:     verb + " USER OPERATION[,OPERATION…]",
		Short:   map[string]string{"allow": "let a user do something", "deny": "forbid a user something, whatever else lets it"}[verb],
		Example: "  " + example + "\n  leat acl " + verb + " '*' read --topic 'public-*' --group '*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			resources := f.resources()
			if len(args) != 2 || len(resources) == 0 {
				return usageError("%s needs a user, operations, and --topic, --group, --transactional-id or --cluster\n  hint: %s", cmd.Name(), example)
			}
			ops, err := parseOperations(args[1])
			if err != nil {
				return err
			}
			hosts := f.hosts
			if len(hosts) == 0 {
				hosts = []string{"*"}
			}
			req := kmsg.NewPtrCreateACLsRequest()
			for _, r := range resources {
				for _, host := range hosts {
					for _, op := range ops {
						x := kmsg.NewCreateACLsRequestCreation()
						x.ResourceType, x.ResourcePatternType, x.ResourceName = r.kind, r.pattern, r.name
						x.Principal, x.Host, x.Operation, x.PermissionType = principal(args[0]), host, op, permission
						req.Creations = append(req.Creations, x)
					}
				}
			}
			return c.ask(cmd.Context(), func(cl *kgo.Client) error {
				resp, err := req.RequestWith(cmd.Context(), cl)
				if err != nil {
					return err
				}
				for i, r := range resp.Results {
					if err := aclError(r.ErrorCode, r.ErrorMessage); err != nil {
						return err
					}
					x := req.Creations[i]
					fmt.Fprintln(std.err, aclText(aclRow{verb, x.Principal, x.Host, word(x.Operation), word(x.ResourceType), patternName(x.ResourcePatternType, x.ResourceName)}))
				}
				return nil
			})
		},
	}
	if verb == "allow" {
		cmd.Aliases = []string{"create"}
	}
	f.addTo(cmd)
	return cmd
}

func aclError(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err != nil && message != nil && *message != "" {
		return fmt.Errorf("%s: %s", err.(*kerr.Error).Message, *message) //nolint:errorlint // ErrorForCode gives nothing else
	}
	return err
}

type aclRow struct {
	Permission string `json:"permission"`
	Principal  string `json:"principal"`
	Host       string `json:"host"`
	Operation  string `json:"operation"`
	Type       string `json:"type"`
	Name       string `json:"name"` // with * behind a prefix
}

func aclText(r aclRow) string {
	return strings.Join([]string{r.Permission, r.Principal, "from", r.Host, r.Operation, r.Type, r.Name}, " ")
}

func word(v fmt.Stringer) string { return strings.ToLower(v.String()) }

func patternName(pattern kmsg.ACLResourcePatternType, name string) string {
	if pattern == kmsg.ACLResourcePatternTypePrefixed {
		return name + "*"
	}
	return name
}

// aclFilter finds ACLs: what is not named is any.
type aclFilter struct {
	aclFlags
	user, operation string
}

func (f *aclFilter) addTo(cmd *cobra.Command) {
	f.aclFlags.addTo(cmd)
	cmd.Flags().StringVar(&f.user, "user", "", "ACLs of this user")
	cmd.Flags().StringVar(&f.operation, "operation", "", "ACLs about this operation")
}

func (f *aclFilter) empty() bool {
	return f.user == "" && f.operation == "" && len(f.resources()) == 0 && len(f.hosts) == 0
}

// filters are what the flags ask for, one for each resource and host.
func (f *aclFilter) filters() ([]kmsg.DeleteACLsRequestFilter, error) {
	op := kmsg.ACLOperationAny
	if f.operation != "" {
		ops, err := parseOperations(f.operation)
		if err != nil {
			return nil, err
		}
		if op = ops[0]; len(ops) > 1 {
			return nil, usageError("--operation takes one operation")
		}
	}
	resources := f.resources()
	if len(resources) == 0 {
		resources = []aclResource{{kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny, ""}}
	}
	hosts := []*string{nil}
	if len(f.hosts) > 0 {
		hosts = nil
		for _, h := range f.hosts {
			hosts = append(hosts, kmsg.StringPtr(h))
		}
	}
	var out []kmsg.DeleteACLsRequestFilter
	for _, r := range resources {
		for _, host := range hosts {
			x := kmsg.NewDeleteACLsRequestFilter()
			x.ResourceType, x.ResourcePatternType, x.Host, x.Operation, x.PermissionType = r.kind, r.pattern, host, op, kmsg.ACLPermissionTypeAny
			if r.name != "" {
				x.ResourceName = kmsg.StringPtr(r.name)
			}
			if f.user != "" {
				x.Principal = kmsg.StringPtr(principal(f.user))
			}
			out = append(out, x)
		}
	}
	return out, nil
}

func aclList(std stdio, c *cluster) *cobra.Command {
	var f aclFilter
	var o output
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list ACLs, all or those that flags name",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			filters, err := f.filters()
			if err != nil {
				return err
			}
			rows := []aclRow{}
			err = c.ask(cmd.Context(), func(cl *kgo.Client) error {
				for _, x := range filters {
					req := kmsg.NewPtrDescribeACLsRequest()
					req.ResourceType, req.ResourceName, req.ResourcePatternType = x.ResourceType, x.ResourceName, x.ResourcePatternType
					req.Principal, req.Host, req.Operation, req.PermissionType = x.Principal, x.Host, x.Operation, x.PermissionType
					resp, err := req.RequestWith(cmd.Context(), cl)
					if err != nil {
						return err
					}
					if err := aclError(resp.ErrorCode, resp.ErrorMessage); err != nil {
						return err
					}
					for _, r := range resp.Resources {
						for _, a := range r.ACLs {
							rows = append(rows, aclRow{word(a.PermissionType), a.Principal, a.Host, word(a.Operation), word(r.ResourceType), patternName(r.ResourcePatternType, r.ResourceName)})
						}
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			t := table{head: []string{"PERMISSION", "PRINCIPAL", "HOST", "OPERATION", "TYPE", "NAME"}}
			for _, r := range rows {
				t.rows = append(t.rows, []string{r.Permission, r.Principal, r.Host, r.Operation, r.Type, r.Name})
			}
			return o.print(std.out, rows, t)
		},
	}
	f.addTo(cmd)
	o.addTo(cmd)
	return cmd
}

func aclDelete(std stdio, c *cluster) *cobra.Command {
	var f aclFilter
	var all bool
	cmd := &cobra.Command{
		Use:     "delete",
		Short:   "delete the ACLs that flags name",
		Example: "  leat acl delete --user alice --topic orders\n  leat acl delete --user alice",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.empty() && !all {
				return usageError("delete needs something that the ACLs are about\n  hint: leat acl delete --user alice, or --all")
			}
			filters, err := f.filters()
			if err != nil {
				return err
			}
			return c.ask(cmd.Context(), func(cl *kgo.Client) error {
				req := kmsg.NewPtrDeleteACLsRequest()
				req.Filters = filters
				resp, err := req.RequestWith(cmd.Context(), cl)
				if err != nil {
					return err
				}
				n := 0
				for _, r := range resp.Results {
					if err := aclError(r.ErrorCode, r.ErrorMessage); err != nil {
						return err
					}
					for _, a := range r.MatchingACLs {
						n++
						fmt.Fprintln(std.err, "deleted: "+aclText(aclRow{word(a.PermissionType), a.Principal, a.Host, word(a.Operation), word(a.ResourceType), patternName(a.ResourcePatternType, a.ResourceName)}))
					}
				}
				if n == 0 {
					return fmt.Errorf("there is no such ACL\n  hint: `leat acl list` shows all")
				}
				return nil
			})
		},
	}
	f.addTo(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all ACLs")
	return cmd
}
