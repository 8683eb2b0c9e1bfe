package main

import (
	"strings"

	"github.com/leatstream/leat/internal/kafka"
)

// readConfig reads --client-config: how to get in, and where the cluster is if no flag has said so.
func (c *cluster) readConfig(said bool) error {
	if c.config == "" {
		return nil
	}
	properties, err := propertiesFile(c.config)
	if err != nil {
		return usageError("%w", err)
	}
	if c.secure, err = kafka.Secure(properties); err != nil {
		return usageError("%s: %w\n  hint: docs/security.md shows such a file", c.config, err)
	}
	if servers := properties["bootstrap.servers"]; servers != "" && !said {
		c.brokers = strings.Split(servers, ",")
	}
	return nil
}
