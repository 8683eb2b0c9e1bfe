package proto

import (
	"context"
	"errors"

	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// What plugin.proto says about transport, as values.
const (
	ProtocolVersion = 1
	CookieKey       = "LEAT_PLUGIN_COOKIE"
	CookieValue     = "leat.plugin.v1/5f1c0c6e"
	StdoutFDEnv     = "LEAT_STDOUT_FD" // by convention 3: the first of exec.Cmd.ExtraFiles
	ParentFDEnv     = "LEAT_PARENT_FD" // by convention 4: the second
	DoorName        = "leat"           // the one entry of go-plugin's plugin set
)

// Limits, in bytes, that both sides keep.
const (
	// MaxMessage bounds a gRPC message either way.
	MaxMessage = 32 << 20
	// MaxPosition bounds a position.
	MaxPosition = 64 << 10
	// MaxRejected bounds the excerpt of rejected input.
	MaxRejected = 64 << 10
)

// Handshake is go-plugin's handshake of this protocol.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  ProtocolVersion,
	MagicCookieKey:   CookieKey,
	MagicCookieValue: CookieValue,
}

// Door is the service as go-plugin carries it. The host leaves Service nil and dispenses DoorName, which
// gives a PluginClient; the plugin sets Service.
type Door struct {
	plugin.NetRPCUnsupportedPlugin
	Service PluginServer
}

// GRPCServer registers the plugin's service.
func (d *Door) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	if d.Service == nil {
		return errors.New("proto.Door has no service")
	}
	RegisterPluginServer(s, d.Service)
	return nil
}

// GRPCClient returns a PluginClient.
func (d *Door) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return NewPluginClient(c), nil
}

// Cost is what a source's batch takes from its credit, in bytes.
func (b *SourceBatch) Cost() int64 {
	n := len(b.GetFrame()) + len(b.GetPosition())
	for _, r := range b.GetRecords() {
		n += len(r.GetKey()) + len(r.GetValue())
		for _, h := range r.GetHeaders() {
			n += len(h.GetKey()) + len(h.GetValue())
		}
	}
	for _, r := range b.GetRejected() {
		n += len(r.GetValue())
	}
	return int64(n)
}

// Cost is what a sink's batch takes from its credit, in bytes.
func (b *SinkBatch) Cost() int64 { return int64(len(b.GetFrame())) }
