package apache

// works is what those of Apache's programs say that need no place taken: they speak to this broker as to Kafka's.
const works = "Apache's own works with leat as it is: --bootstrap-server HOST:PORT"

// others are Apache's programs that leat is not, and what does their work.
var others = map[string]string{
	"kafka-acls":               "leat acl list, allow, deny and delete",
	"kafka-delete-records":     "leat topic purge TOPIC --before OFFSET",
	"kafka-get-offsets":        "leat topic describe TOPIC",
	"kafka-groups":             "leat group list",
	"kafka-producer-perf-test": "leat bench produce",
	"kafka-consumer-perf-test": "leat bench consume",
	"kafka-e2e-latency":        "leat bench e2e",
	"kafka-dump-log":           "leat consume TOPIC -f json prints records, leat doctor --data DIR checks the files",
	"kafka-server-start":       "leat serve --config server.properties",
	"kafka-server-stop":        "Ctrl-C or SIGTERM stops leat serve",
	"kafka-storage":            "leat serve makes its data directory itself; CLUSTER_ID names the cluster",
	"kafka-run-class":          "there are no classes here: leat --help lists the commands",
	"zookeeper-server-start":   "there is no ZooKeeper: leat serve is all that runs",
	"zookeeper-server-stop":    "there is no ZooKeeper: leat serve is all that runs",
	"zookeeper-shell":          "there is no ZooKeeper: leat topic, config and acl show what was in it",
	"connect-standalone":       "leat run FILE… runs connectors and pipelines; " + works,
	"connect-distributed":      "leat run FILE… runs connectors and pipelines; " + works,

	"kafka-broker-api-versions":       works,
	"kafka-client-metrics":            works,
	"kafka-cluster":                   works,
	"kafka-features":                  works,
	"kafka-leader-election":           works,
	"kafka-log-dirs":                  works,
	"kafka-metadata-quorum":           works,
	"kafka-reassign-partitions":       works,
	"kafka-replica-verification":      works,
	"kafka-streams-application-reset": works,
	"kafka-transactions":              works,
	"kafka-verifiable-consumer":       works,
	"kafka-verifiable-producer":       works,
}

// Instead tells what does the work of a program of Apache's that leat is not; "" if word is no such program.
func Instead(word string) string { return others[plain(word)] }
