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
)

// quotaTypes are the entities of quotas as the protocol calls them.
var quotaTypes = map[string]string{"users": "user", "clients": "client-id", "ips": "ip"}

var scramMechanisms = map[string]kadm.ScramMechanism{"SCRAM-SHA-256": kadm.ScramSha256, "SCRAM-SHA-512": kadm.ScramSha512}

func isScram(key string) bool { return strings.HasPrefix(key, "SCRAM-") }

// alterQuotas changes quotas, or the passwords of a user.
func (c *configs) alterQuotas(ctx context.Context) error {
	keys := append(slices.Sorted(maps.Keys(c.add)), c.remove...)
	passwords := slices.ContainsFunc(keys, isScram)
	switch {
	case passwords && !slices.ContainsFunc(keys, func(k string) bool { return !isScram(k) }):
		return c.alterPasswords(ctx)
	case passwords:
		return usagef("Cannot alter both quota and SCRAM credential configs simultaneously for '%s' using --bootstrap-server.", c.entities[0].kind)
	}
	var entry kadm.AlterClientQuotaEntry
	for _, e := range c.entities {
		entry.Entity = append(entry.Entity, kadm.ClientQuotaEntityComponent{Type: quotaTypes[e.kind], Name: e.name})
	}
	for _, k := range slices.Sorted(maps.Keys(c.add)) {
		v, err := strconv.ParseFloat(c.add[k], 64)
		if err != nil {
			return usagef("Cannot parse quota configuration value for %s: %s", k, c.add[k])
		}
		entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: k, Value: v})
	}
	for _, k := range c.remove {
		entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: k, Remove: true})
	}
	altered, err := c.adm.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{entry})
	if err != nil {
		return err
	}
	for _, a := range altered {
		if a.Err != nil {
			return admin.Refuse(a.Err, a.ErrMessage)
		}
	}
	c.completed()
	return nil
}

// scramValue is iterations=N,password=SECRET.
var scramValue = regexp.MustCompile(`^(?:iterations=(-?[0-9]+),)?password=(.*)$`)

func (c *configs) alterPasswords(ctx context.Context) error {
	e := c.entities[0]
	if e.kind != "users" || e.name == nil || len(c.entities) > 1 {
		return usagef("SCRAM credentials belong to one user: --entity-type users --entity-name NAME")
	}
	var remove []kadm.DeleteSCRAM
	var set []kadm.UpsertSCRAM
	for _, k := range c.remove {
		m, ok := scramMechanisms[k]
		if !ok {
			return usagef("%s is not one of SCRAM-SHA-256 and SCRAM-SHA-512", k)
		}
		remove = append(remove, kadm.DeleteSCRAM{User: *e.name, Mechanism: m})
	}
	for _, k := range slices.Sorted(maps.Keys(c.add)) {
		m, ok := scramMechanisms[k]
		if !ok {
			return usagef("%s is not one of SCRAM-SHA-256 and SCRAM-SHA-512", k)
		}
		parts := scramValue.FindStringSubmatch(c.add[k])
		if parts == nil {
			return usagef("Invalid credential property %s: want %s=[iterations=8192,password=SECRET]", k, k)
		}
		iterations := int64(4096)
		if parts[1] != "" {
			var err error
			if iterations, err = strconv.ParseInt(parts[1], 10, 32); err != nil {
				return usagef("Invalid iterations %s", parts[1])
			}
		}
		set = append(set, kadm.UpsertSCRAM{User: *e.name, Mechanism: m, Iterations: int32(iterations), Password: parts[2]})
	}
	for _, r := range remove {
		if err := c.alterPassword(ctx, []kadm.DeleteSCRAM{r}, nil); err != nil {
			return err
		}
	}
	for _, u := range set {
		if err := c.alterPassword(ctx, nil, []kadm.UpsertSCRAM{u}); err != nil {
			return err
		}
	}
	c.completed()
	return nil
}

// alterPassword changes one: a request may not name a user twice, not even for two mechanisms, as introductions do.
func (c *configs) alterPassword(ctx context.Context, remove []kadm.DeleteSCRAM, set []kadm.UpsertSCRAM) error {
	altered, err := c.adm.AlterUserSCRAMs(ctx, remove, set)
	if err != nil {
		return err
	}
	for _, a := range altered {
		if a.Err != nil {
			return admin.Refuse(a.Err, a.ErrMessage)
		}
	}
	return nil
}

func (c *configs) describeQuotas(ctx context.Context) error {
	var filter []kadm.DescribeClientQuotaComponent
	for _, e := range c.entities {
		part := kadm.DescribeClientQuotaComponent{Type: quotaTypes[e.kind], MatchName: e.name}
		switch {
		case !e.named:
			part.MatchType = 2 // any
		case e.name == nil:
			part.MatchType = 1 // the default
		}
		filter = append(filter, part)
	}
	quotas, err := c.adm.DescribeClientQuotas(ctx, true, filter)
	if err != nil {
		return err
	}
	for _, q := range quotas {
		var values []string
		for _, v := range q.Values {
			values = append(values, v.Key+"="+javaDouble(v.Value))
		}
		slices.Sort(values)
		fmt.Fprintf(c.Out, "Quota configs for %s are %s\n", quotaEntity(q.Entity), strings.Join(values, ", "))
	}
	if c.entities[0].kind != "users" || len(c.entities) > 1 || c.entities[0].isDefault() {
		return nil
	}
	return c.describePasswords(ctx)
}

func quotaEntity(parts kadm.ClientQuotaEntity) string {
	names := map[string]string{"user": "user-principal", "client-id": "client-id", "ip": "IP"}
	parts = slices.Clone(parts)
	slices.SortFunc(parts, func(a, b kadm.ClientQuotaEntityComponent) int { return -strings.Compare(a.Type, b.Type) }) // the user first
	var words []string
	for _, p := range parts {
		if p.Name == nil {
			words = append(words, "the default "+names[p.Type])
			continue
		}
		words = append(words, names[p.Type]+" '"+*p.Name+"'")
	}
	return strings.Join(words, ", ")
}

// describePasswords tells which passwords users have, not what they are.
func (c *configs) describePasswords(ctx context.Context) error {
	var users []string
	if c.entities[0].named {
		users = []string{*c.entities[0].name}
	}
	described, err := c.adm.DescribeUserSCRAMs(ctx, users...)
	if err != nil {
		return err
	}
	for _, d := range described.Sorted() {
		if errors.Is(d.Err, kerr.ResourceNotFound) {
			continue
		} else if d.Err != nil {
			return admin.Refuse(d.Err, d.ErrMessage)
		}
		var words []string
		for _, info := range d.CredInfos {
			words = append(words, fmt.Sprintf("%s=iterations=%d", info.Mechanism, info.Iterations))
		}
		slices.Sort(words)
		fmt.Fprintf(c.Out, "SCRAM credential configs for user-principal '%s' are %s\n", d.User, strings.Join(words, ", "))
	}
	return nil
}
