package main

import (
	"slices"
	"strings"

	"github.com/leatstream/leat/internal/diag"
)

// environment is what the variables of Kafka's container images say.
type environment struct {
	properties []property
	clusterID  string
	insecure   bool // somebody said that listeners without authentication are meant
}

// notProperties are variables of those images, by their beginning, that speak to the Java machine, to the image or to
// Kafka's command line tools.
var notProperties = []string{
	"KAFKA_OPTS", "KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_GC_LOG_OPTS", "KAFKA_JMX_", "KAFKA_LOG4J_", "KAFKA_TOOLS_LOG4J_",
	"KAFKA_VERSION", "KAFKA_HOME", "KAFKA_CLASSPATH", "KAFKA_DEBUG", "KAFKA_BROKERS", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_ENABLE_KRAFT",
	"KAFKA_SERVICE_", "KAFKA_PORT", // what Kubernetes sets where a service is named kafka
}

// readEnvironment reads KAFKA_* as Apache's, Confluent's and Bitnami's images do: KAFKA_LOG_DIRS is log.dirs, a double
// underscore is an underscore, a triple one a dash.
func readEnvironment(environ []string) environment {
	var e environment
	environ = slices.Clone(environ)
	slices.Sort(environ)
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if strings.TrimSpace(value) == "" {
			continue // as a compose file passes on what is not set
		}
		switch name {
		case "CLUSTER_ID", "KAFKA_CLUSTER_ID", "KAFKA_KRAFT_CLUSTER_ID":
			e.clusterID = strings.TrimSpace(value)
			continue
		case "ALLOW_PLAINTEXT_LISTENER":
			e.insecure = strings.EqualFold(value, "yes") || strings.EqualFold(value, "true")
			continue
		}
		key, ok := strings.CutPrefix(name, "KAFKA_")
		if !ok || slices.ContainsFunc(notProperties, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		key = strings.TrimPrefix(key, "CFG_")
		e.properties = append(e.properties, property{propertyName(key), value, diag.Pos{File: name}})
	}
	return e
}

var fromVariable = strings.NewReplacer("___", "-", "__", "_", "_", ".")

func propertyName(variable string) string { return fromVariable.Replace(strings.ToLower(variable)) }
