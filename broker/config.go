package broker

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
)

// Config is what a broker is started with. The zero value, with a DataDir, is the default of everything else.
type Config struct {
	// DataDir is where everything is kept. Created if missing. Empty: the property log.dirs.
	DataDir string
	// FS is the file system of DataDir; nil: the operating system's.
	FS vfs.FS
	// Listen is where clients connect, HOST:PORT each; port 0 finds a free one. Nil: the property listeners, by default
	// 127.0.0.1:9092. Empty but not nil: nowhere, only DialContext leads to the broker.
	Listen []string
	// Advertised is what clients are told instead of the address of the listener with the same index; "" or missing: that
	// address itself.
	Advertised []string
	// Properties are broker configurations by Kafka's names, as in server.properties.
	Properties map[string]string
	// ClusterID names the cluster that a new data directory founds; "": a random one. A directory of another cluster is refused.
	ClusterID string
	// Logger gets what an operator should know; nil: nothing is logged.
	Logger *slog.Logger
	// Insecure allows listeners that other machines can reach, though nobody has to authenticate.
	Insecure bool
}

// Default is the configuration of `leat serve` without flags.
func Default() Config { return Config{DataDir: "./.leat", Listen: []string{"127.0.0.1:9092"}} }

// Validate returns a *ConfigError for the first thing that is wrong, or nil. It touches nothing.
func (c Config) Validate() error {
	_, err := c.resolve()
	return err
}

// plan is a checked Config: every default is filled in.
type plan struct {
	node      int32
	clusterID string
	dataDir   string
	fs        vfs.FS
	listeners []listener
	config    *meta.BrokerConfig

	authorizer *auth.Standard // nil: clients may do everything

	ignored []string // properties without effect
	rack    string
	logger  *slog.Logger
}

// listener is where to listen, and what clients are told.
type listener struct{ addr, advertised string }

func (c Config) resolve() (*plan, error) {
	p := &plan{dataDir: c.DataDir, fs: c.FS, logger: c.Logger, clusterID: c.ClusterID}
	if p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	if p.fs == nil {
		p.fs = vfs.Default
	}
	var err error
	if p.node, err = nodeID(c.Properties); err != nil {
		return nil, err
	}
	p.config, p.ignored, err = meta.NewBrokerConfig(p.node, c.Properties)
	if err != nil {
		return nil, &ConfigError{err.Error(), "every name and its meaning is in Kafka's broker configuration reference"}
	}
	if err := checkAlone(c.Properties); err != nil {
		return nil, err
	}
	if err := checkClusterID(c.ClusterID); err != nil {
		return nil, err
	}
	if p.authorizer, err = authorizer(p.config); err != nil {
		return nil, err
	}
	p.rack = p.config.String("broker.rack")
	if dirs := p.config.List("log.dirs"); p.dataDir == "" && len(dirs) > 0 {
		p.dataDir = dirs[0]
	}
	if p.dataDir == "" {
		return nil, &ConfigError{"no data directory is named", "name one with --data DIR or the property log.dirs"}
	}
	p.config.Started("log.dirs", shownDir(p.dataDir))
	for _, name := range []string{"node.id", "broker.id"} {
		p.config.Started(name, strconv.Itoa(int(p.node)))
	}
	if p.listeners, err = c.listeners(p.config); err != nil {
		return nil, err
	}
	return p, p.checkReach(c.Insecure)
}

// shownDir is a directory as tools show it, which may run elsewhere.
func shownDir(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

func nodeID(properties map[string]string) (int32, error) {
	for _, name := range []string{"node.id", "broker.id"} {
		v, ok := properties[name]
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 32)
		if err != nil || n < 0 {
			return 0, &ConfigError{fmt.Sprintf("%s is %q", name, v), "it is a number from 0 on"}
		}
		return int32(n), nil
	}
	return 0, nil
}

func (c Config) listeners(config *meta.BrokerConfig) ([]listener, error) {
	addrs, advertised := c.Listen, c.Advertised
	if advertised == nil {
		var err error
		if advertised, err = kafkaListeners(config.List("advertised.listeners")); err != nil {
			return nil, err
		}
	}
	if _, told := c.Properties["listeners"]; addrs == nil && !told && len(advertised) > 0 {
		addrs = onLoopback(advertised)
	}
	if addrs == nil {
		var err error
		if addrs, err = kafkaListeners(config.List("listeners")); err != nil {
			return nil, err
		}
	}
	var out []listener
	for i, addr := range addrs {
		if addr == "" {
			continue
		}
		if err := checkAddr("listen on", addr); err != nil {
			return nil, err
		}
		l := listener{addr: addr}
		if i < len(advertised) && advertised[i] != "" {
			l.advertised = advertised[i]
			if err := checkAddr("advertise", l.advertised); err != nil {
				return nil, err
			}
			if host, _, _ := net.SplitHostPort(l.advertised); wildcard(host) {
				return nil, &ConfigError{fmt.Sprintf("clients cannot connect to the advertised address %s", l.advertised), "advertise a name or an address that they can reach"}
			}
		}
		out = append(out, l)
	}
	return out, nil
}

// onLoopback is where a broker listens of which only the advertised addresses are said: on the same ports.
func onLoopback(advertised []string) []string {
	var out []string
	for _, addr := range advertised {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return advertised // which says what is wrong with it
		}
		out = append(out, net.JoinHostPort("127.0.0.1", port))
	}
	return out
}

// kafkaListeners reads NAME://HOST:PORT as Kafka writes listeners. The controller's are left out: they have no client.
func kafkaListeners(list []string) ([]string, error) {
	out := []string{}
	for _, l := range list {
		name, addr, ok := strings.Cut(l, "://")
		if !ok {
			return nil, &ConfigError{fmt.Sprintf("the listener %q has no protocol", l), "write it as PLAINTEXT://" + l}
		}
		switch {
		case strings.EqualFold(name, "CONTROLLER"):
			continue
		case strings.EqualFold(name, "SSL"), strings.HasPrefix(strings.ToUpper(name), "SASL_"):
			return nil, &ConfigError{fmt.Sprintf("the listener %q asks for %s, which this version does not have", l, name), "use PLAINTEXT:// on a trusted network"}
		}
		out = append(out, addr)
	}
	return out, nil
}

func checkAddr(what, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		if n, perr := strconv.ParseUint(port, 10, 16); perr == nil && (n > 0 || what == "listen on") {
			return nil
		}
	}
	return &ConfigError{fmt.Sprintf("cannot %s %q", what, addr), "an address is HOST:PORT, such as 127.0.0.1:9092"}
}

// checkReach refuses listeners that other machines can reach, unless that was said aloud.
func (p *plan) checkReach(insecure bool) error {
	for _, l := range p.listeners {
		host, _, _ := net.SplitHostPort(l.addr)
		if insecure || loopback(host) {
			continue
		}
		return &ConfigError{fmt.Sprintf("%s can be reached by other machines, and nobody has to authenticate", l.addr),
			"listen on 127.0.0.1, or say that you want this with --insecure"}
	}
	return nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
