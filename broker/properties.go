package broker

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/leatstream/leat/broker/internal/meta"
)

// CheckProperty returns a *ConfigError if a broker would refuse a property: its value is wrong, or its name is nearly one
// that there is. A name that has no effect here is no mistake.
func CheckProperty(name, value string) error {
	_, err := meta.CheckBrokerProperty(name, value)
	var refused *meta.Error
	if errors.As(err, &refused) {
		return &ConfigError{refused.Message, "every name and its meaning is in Kafka's broker configuration reference"}
	}
	return err
}

// checkAlone refuses what only a cluster of several nodes can be: each would become a cluster by itself, in silence.
func checkAlone(properties map[string]string) error {
	if roles, ok := properties["process.roles"]; ok && strings.TrimSpace(roles) != "" && !slices.Contains(list(roles), "broker") {
		return &ConfigError{fmt.Sprintf("process.roles=%s makes no broker of this node", roles), "a node here is broker and controller in one: process.roles=broker,controller"}
	}
	if voters := list(properties["controller.quorum.voters"]); len(voters) > 1 {
		return &ConfigError{fmt.Sprintf("controller.quorum.voters names %d nodes, but a cluster has one for now", len(voters)), "name this node only, or leave it out"}
	}
	return nil
}

func list(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

var clusterIDRule = regexp.MustCompile(`^[A-Za-z0-9_.=-]{0,64}$`)

func checkClusterID(id string) error {
	if !clusterIDRule.MatchString(id) {
		return &ConfigError{fmt.Sprintf("%q is no cluster id", id), "an id has up to 64 letters, digits and the characters - _ . ="}
	}
	return nil
}
