package apache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Env is what a tool has around it.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Terminal bool // somebody types on In and reads Out
	// Properties reads a file in the format of java.util.Properties.
	Properties func(file string) (map[string]string, error)
	// Client makes options for getting to a cluster of properties by Kafka's names (bootstrap.servers, security.protocol…).
	Client func(properties map[string]string) ([]kgo.Opt, error)
}

// tool is one of Apache's programs.
type tool struct {
	about   string
	options []option
	run     func(ctx context.Context, e *Env, f *flags) error
}

// version is the version of Kafka whose tools these are like.
const version = "4.3.1"

// answerTimeout bounds how long a tool waits for a cluster that does not answer.
const answerTimeout = 10 * time.Second

var tools = map[string]*tool{
	"kafka-topics":           topicsTool,
	"kafka-console-producer": producerTool,
	"kafka-console-consumer": consumerTool,
	"kafka-consumer-groups":  groupsTool,
	"kafka-configs":          configsTool,
}

// Names are the tools there are.
func Names() []string { return slices.Sorted(maps.Keys(tools)) }

// Called gives the name of the tool that a program is called as, with or without .sh; "" if it is none.
func Called(argv0 string) string {
	name := plain(argv0)
	if tools[name] == nil {
		return ""
	}
	return name
}

func plain(argv0 string) string {
	return strings.TrimSuffix(strings.TrimSuffix(filepath.Base(argv0), ".exe"), ".sh")
}

// exit ends a tool with a code, when everything was said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// Run runs a tool and gives its exit code.
func Run(ctx context.Context, name string, args []string, e *Env) int {
	t := tools[name]
	options := append(slices.Clone(t.options), option{name: "help", help: "Print this."}, option{name: "version", help: "Print the version of Kafka whose tool this is like."})
	f, err := parse(args, options)
	if err == nil {
		switch {
		case f.has("help"):
			fmt.Fprintf(e.Out, "%s\nThis is leat's %s; it takes the options of Apache Kafka's.\n\n%s", t.about, name, help(options))
			return 0
		case f.has("version"):
			fmt.Fprintln(e.Out, version)
			return 0
		}
		err = t.run(ctx, e, f)
	}
	var code exit
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintf(e.Err, "%s\n(%s --help lists the options)\n", usage.message, name)
	default:
		fmt.Fprintln(e.Err, err)
	}
	return 1
}

// bootstrapOptions name a cluster, today and long ago.
var bootstrapOptions = []option{
	{name: "bootstrap-server", arg: "host:port", help: "REQUIRED: the broker to connect to."},
	{name: "broker-list", arg: "host:port", instead: "bootstrap-server"},
	{name: "zookeeper", arg: "host:port", help: "Gone with ZooKeeper: the broker on that host is asked instead, at port 9092."},
	{name: "command-config", arg: "file", help: "Properties for the client: security and others."},
}

// servers is where the cluster is.
func (f *flags) servers(e *Env) (string, error) {
	if f.has("bootstrap-server") {
		return f.value("bootstrap-server", ""), nil
	}
	if !f.has("zookeeper") {
		return "", usagef("--bootstrap-server must be specified")
	}
	first, _, _ := strings.Cut(f.value("zookeeper", ""), ",")
	host, _, err := net.SplitHostPort(strings.Split(first, "/")[0])
	if err != nil {
		host = strings.Split(first, "/")[0]
	}
	server := net.JoinHostPort(host, "9092")
	fmt.Fprintf(e.Err, "WARNING: --zookeeper is gone, as ZooKeeper is; asking the broker at %s. Say --bootstrap-server HOST:PORT from now on.\n", server)
	return server, nil
}

// properties are those of the files and KEY=VALUE arguments of options, and where the cluster is. Later ones count.
func (f *flags) properties(e *Env, files, pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range files {
		for _, file := range f.values[name] {
			read, err := e.Properties(file)
			if err != nil {
				return nil, err
			}
			maps.Copy(out, read)
		}
	}
	given, err := f.pairs(pairs...)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, given)
	if _, named := out["bootstrap.servers"]; named && !f.has("bootstrap-server") && !f.has("zookeeper") {
		return out, nil
	}
	out["bootstrap.servers"], err = f.servers(e)
	return out, err
}

// connect opens a client and proves that a broker answers.
func connect(ctx context.Context, e *Env, properties map[string]string, opts ...kgo.Opt) (*kgo.Client, error) {
	reach, err := e.Client(properties)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(reach, opts...)...)
	if err != nil {
		return nil, err
	}
	ping, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := cl.Ping(ping); err != nil {
		cl.Close()
		return nil, fmt.Errorf("Connection to node -1 (%s) could not be established. Node may not be available. (%w)", properties["bootstrap.servers"], err) //nolint:revive // as Apache's client words it
	}
	return cl, nil
}

// administrate is connect for tools that only administrate.
func administrate(ctx context.Context, e *Env, f *flags) (*kgo.Client, error) {
	properties, err := f.properties(e, []string{"command-config"}, nil)
	if err != nil {
		return nil, err
	}
	return connect(ctx, e, properties, kgo.RetryTimeout(answerTimeout))
}
