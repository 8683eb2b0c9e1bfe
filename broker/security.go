package broker

import (
	"fmt"
	"slices"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
)

// standardAuthorizer are the names of the one authorizer that there is.
var standardAuthorizer = []string{"StandardAuthorizer", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"}

// insideProcess is who clients of the in-memory door are: code of this process, which could reach everything anyhow. No
// way of authenticating leads to it.
var insideProcess = auth.Principal{Type: "Process", Name: "leat"}

// authorizer is what decides what clients may do; nil: nothing does.
func authorizer(c *meta.BrokerConfig) (*auth.Standard, error) {
	name := c.String("authorizer.class.name")
	if name == "" {
		return nil, nil
	}
	if !slices.Contains(standardAuthorizer, name) {
		return nil, &ConfigError{fmt.Sprintf("there is no authorizer %q", name), "authorizer.class.name is StandardAuthorizer, or empty"}
	}
	super, err := auth.ParseSuperUsers(c.String("super.users"))
	if err != nil {
		return nil, &ConfigError{"super.users: " + err.Error(), "put semicolons between users: User:alice;User:bob"}
	}
	return auth.NewStandard(append(super, insideProcess), c.Bool("allow.everyone.if.no.acl.found")), nil
}

// followACLs keeps the authorizer's rules those of the metadata.
func (n *node) followACLs() {
	n.plan.authorizer.Follow(n.meta.Image().ACLs())
	n.meta.Subscribe(func(old, image *meta.Image) {
		if !image.SameACLs(old) {
			n.plan.authorizer.Follow(image.ACLs())
		}
	})
}
