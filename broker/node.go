package broker

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/quorum"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/leatstream/leat/broker/internal/wire"
)

// requestBudget is the memory for requests under way where queued.max.request.bytes does not say, in bytes: this, or a
// quarter of what the process may have.
const requestBudget = 256 << 20

// node is a broker that runs.
type node struct {
	plan     *plan
	logger   *slog.Logger
	dir      *storage.Dir
	quorum   *quorum.Local
	meta     *meta.Store
	replicas *replica.Manager
	groups   *coord.Groups
	txns     *coord.Txns
	api      *api.API
	server   *wire.Server
	doors    []*door
	keeper   *maintainer

	serving sync.WaitGroup
	clients atomic.Int64 // in-memory connections so far
}

// start opens everything in the order in which it is needed, and gives it back if something fails.
func start(ctx context.Context, p *plan) (n *node, err error) {
	n = &node{plan: p, logger: p.logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.release())
			n = nil
		}
	}()
	if _, err := p.fs.Stat(p.fs.PathJoin(p.dataDir, kafkasFile)); err == nil {
		return n, foreignDir(p.dataDir)
	}
	if n.dir, err = storage.OpenDir(p.fs, p.dataDir); err != nil {
		return n, dirError(p.dataDir, err)
	}
	if n.doors, err = openDoors(ctx, p.listeners); err != nil {
		return n, err
	}
	if err := n.loadMetadata(); err != nil {
		return n, err
	}
	coordinator := coord.Config{
		Meta: n.meta, Broker: p.config, Replicas: n.replicas, Create: n.createInternalTopic("offsets.topic."), Log: p.logger, Clock: time.Now,
	}
	n.groups = coord.New(coordinator)
	coordinator.Create = n.createInternalTopic("transaction.state.log.")
	n.txns = coord.NewTxns(coordinator, n.groups)
	n.api = &api.API{Groups: n.groups, Txns: n.txns, NodeID: p.node, Meta: n.meta, Config: p.config, Replicas: n.replicas, Log: p.logger, LogLevel: p.logLevel, Advertised: n.advertised}
	n.api.Audit = auth.NewAudit(p.logger)
	if p.authorizer != nil {
		n.followACLs()
		n.api.Auth = p.authorizer
	}
	if err := n.lockDoors(); err != nil {
		return n, err
	}
	n.api.Quotas.Follow(n.meta.Image())
	n.meta.Subscribe(func(old, image *meta.Image) {
		if !image.SameQuotas(old) {
			n.api.Quotas.Follow(image)
		}
	})
	n.server = wire.NewServer(n.api, wire.Config{
		RequestMax: int(p.config.Int("socket.request.max.bytes")),
		Budget:     budget(p.config),
		Idle:       p.config.Millis("connections.max.idle.ms"),
		Limits:     connectionLimits(p.config),

		SendBuffer:    int(p.config.Int("socket.send.buffer.bytes")),
		ReceiveBuffer: int(p.config.Int("socket.receive.buffer.bytes")),
	}, p.logger)
	n.meta.Subscribe(func(old, image *meta.Image) {
		if !image.SameBrokerConfig(old, p.node) {
			n.server.SetLimits(connectionLimits(p.config))
		}
	})
	if err := n.register(ctx); err != nil {
		return n, err
	}
	n.groups.Start()
	n.txns.Start()
	n.keeper = maintain(n.replicas, n.meta, p.config, p.logger)
	return n, nil
}

func connectionLimits(c *meta.BrokerConfig) wire.Limits {
	return wire.Limits{
		Connections: int(c.Int("max.connections")),
		PerIP:       int(c.Int("max.connections.per.ip")),
		IPs:         c.ConnectionsPerIP(),
		Rate:        int(c.Int("max.connection.creation.rate")),
	}
}

func budget(c *meta.BrokerConfig) int64 {
	if n := c.Int("queued.max.request.bytes"); n > 0 {
		return n
	}
	return min(requestBudget, debug.SetMemoryLimit(-1)/4)
}

// loadMetadata reads the metadata log and opens the partitions that it says are here.
func (n *node) loadMetadata() error {
	n.quorum = quorum.NewLocal(n.dir, quorum.Config{
		SnapshotBytes: n.plan.config.Int("metadata.log.max.record.bytes.between.snapshots"),
		SnapshotEvery: n.plan.config.Millis("metadata.log.max.snapshot.interval.ms"),
		Logger:        n.logger,
	})
	n.meta = meta.NewStore(n.quorum)
	n.replicas = replica.NewManager(n.dir)
	if err := n.meta.Start(); err != nil {
		return dirError(n.plan.dataDir, err)
	}
	image := n.meta.Image()
	if err := n.foundsCluster(image); err != nil {
		return err
	}
	if c := image.Controller(); c != -1 && c != n.plan.node {
		return &StartError{
			Message: fmt.Sprintf("the data directory %s belongs to node %d, but this is node %d", n.plan.dataDir, c, n.plan.node),
			Hint:    fmt.Sprintf("set node.id=%d, or name another directory with --data DIR", c),
		}
	}
	if err := removeLeft(n.dir, n.meta.Deleted(), n.logger); err != nil {
		return dirError(n.plan.dataDir, err)
	}
	p := &partitions{node: n.plan.node, config: n.plan.config, replicas: n.replicas, logger: n.logger}
	p.follow(meta.NewImage(), image)
	n.meta.Subscribe(p.follow)
	return nil
}

// foundsCluster refuses to found a cluster where the partitions of another lie, whose metadata log is gone.
func (n *node) foundsCluster(image *meta.Image) error {
	if image.ClusterID() != "" {
		return nil
	}
	logs, err := n.dir.Logs()
	if err != nil {
		return dirError(n.plan.dataDir, err)
	}
	for _, name := range logs {
		if _, _, ok := cutLogName(name); ok {
			return &StartError{
				Message: fmt.Sprintf("the data directory %s has partitions (%s), but its metadata log, which says what they are, is gone", n.plan.dataDir, name),
				Hint:    "restore cluster-metadata from a copy of the data directory, or name another directory with --data DIR; delete nothing",
			}
		}
	}
	return nil
}

// register makes this node a member of the cluster, which its first start founds.
func (n *node) register(ctx context.Context) error {
	self := meta.Broker{ID: n.plan.node, Rack: n.plan.rack}
	self.Host, self.Port = n.memoryAddr()
	if len(n.doors) > 0 {
		self.Host, self.Port = n.doors[0].told("")
	}
	id := n.plan.clusterID
	if id == "" {
		id = newClusterID()
	}
	if have := n.meta.Image().ClusterID(); have != "" && n.plan.clusterID != "" && have != id {
		return &StartError{
			Message: fmt.Sprintf("the data directory %s belongs to the cluster %s, but this is to be a node of %s", n.plan.dataDir, have, id),
			Hint:    "leave the cluster id (CLUSTER_ID) out, or name another directory with --data DIR",
		}
	}
	_, err := n.meta.Propose(ctx, func(m *meta.Image) ([]meta.Record, error) {
		return meta.RegisterBroker(m, id, self), nil
	})
	if err != nil {
		return dirError(n.plan.dataDir, err)
	}
	return nil
}

// newClusterID is 16 random bytes as Kafka writes them.
func newClusterID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // crypto/rand does not fail
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// serve accepts clients at every door.
func (n *node) serve() {
	for i, d := range n.doors {
		l := n.plan.listeners[i]
		n.logger.Info("listening", "listener", l.name, "protocol", l.protocol, "address", d.addr())
		n.serving.Go(func() {
			if err := n.server.Serve(d.listener, d.meets); err != nil {
				n.logger.Error("a listener has failed", "address", d.addr(), "error", err)
			}
		})
	}
}

// dial opens an in-memory connection.
func (n *node) dial() net.Conn {
	host, port := n.memoryAddr()
	here := memAddr(net.JoinHostPort(host, strconv.Itoa(int(port))))
	client, server := newPipe(memAddr(fmt.Sprintf("client-%d:0", n.clients.Add(1))), here)
	n.server.ServeConn(server, wire.Door{Who: insideProcess})
	return client
}

// memoryAddr is what in-memory clients are told. They come here by their dialer, so it only has to look like an address.
func (n *node) memoryAddr() (string, int32) { return fmt.Sprintf("leat-%d", n.plan.node), 9092 }

// advertised is the address that leads a client back through the door it came by.
func (n *node) advertised(c *api.Call) (string, int32) {
	for _, d := range n.doors {
		if c.Listener != "" && d.listener.Addr().String() == c.Listener {
			return d.told(c.ClientHost)
		}
	}
	return n.memoryAddr()
}

// close stops serving, then makes everything durable.
func (n *node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := n.server.Shutdown(ctx)
	n.serving.Wait()
	return errors.Join(err, n.release())
}

// release gives back what start opened, in reverse.
func (n *node) release() error {
	var errs []error
	for _, d := range n.doors {
		if err := d.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if n.txns != nil {
		n.txns.Close()
	}
	if n.groups != nil {
		n.groups.Close()
	}
	if n.keeper != nil {
		n.keeper.close()
	}
	if n.replicas != nil {
		errs = append(errs, n.replicas.Close())
	}
	if n.quorum != nil {
		errs = append(errs, n.quorum.Close())
	}
	if n.dir != nil {
		errs = append(errs, n.dir.Close())
	}
	return errors.Join(errs...)
}
