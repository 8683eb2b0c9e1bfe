package broker

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/internal/obs"
)

// Config is what a broker is started with. The zero value, with a DataDir, is the default of everything else.
type Config struct {
	// DataDir is where everything is kept. Created if missing. Empty: the property log.dirs.
	DataDir string
	// FS is the file system of DataDir; nil: the operating system's.
	FS vfs.FS
	// Listen is where clients connect, [NAME://]HOST:PORT each; a name says what is spoken there, as in the property listeners.
	// Port 0 finds a free one. Nil: that property, by default 127.0.0.1:9092. Empty but not nil: nowhere, only DialContext leads
	// to the broker.
	Listen []string
	// Advertised is what clients are told instead of the address of the listener with the same index; "" or missing: that
	// address itself. Without a host, such as :9092, it is the host that the client has reached.
	Advertised []string
	// Properties are broker configurations by Kafka's names, as in server.properties.
	Properties map[string]string
	// ClusterID names the cluster that a new data directory founds; "": a random one. A directory of another cluster is refused.
	ClusterID string
	// Logger gets what an operator should know; nil: nothing is logged.
	Logger *slog.Logger
	// LogLevel is the level of Logger, which clients may then see and change (kafka-configs --entity-type broker-loggers).
	LogLevel *slog.LevelVar
	// Insecure allows listeners that other machines can reach, though nobody has to authenticate, or passwords go in the open.
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

	ignored  []string // properties without effect
	rack     string
	logger   *slog.Logger
	logLevel *slog.LevelVar
}

func (c Config) resolve() (*plan, error) {
	p := &plan{dataDir: c.DataDir, fs: c.FS, logger: c.Logger, logLevel: c.LogLevel, clusterID: c.ClusterID}
	if p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	p.logger = obs.Sparse(p.logger)
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
	dirs := p.config.List("log.dirs")
	if len(dirs) > 1 {
		return nil, &ConfigError{fmt.Sprintf("log.dirs names %d directories, but a node keeps its data in one", len(dirs)), "make one file system of several disks (RAID, LVM, ZFS), or name one directory with --data DIR"}
	}
	if p.dataDir == "" && len(dirs) > 0 {
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
	showListeners(p.config, p.listeners)
	for _, l := range p.listeners {
		if err := checkListener(p.config, l); err != nil {
			return nil, err
		}
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
