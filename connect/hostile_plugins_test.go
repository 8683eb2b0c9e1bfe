package connect

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	plugin "github.com/hashicorp/go-plugin"
	"github.com/leatstream/leat/connect/sdk/proto"
	"google.golang.org/grpc"
)

// hostile are plugins that do what no plugin should.
var hostile = map[string]func(){
	"crash":   func() { fmt.Fprintln(os.Stderr, "segmentation fault, so to say"); os.Exit(3) },
	"rubbish": func() { fmt.Fprintln(os.Stdout, "Welcome to my plugin!"); wait() },
	"mute":    wait,
	"future":  func() { fmt.Fprintln(os.Stdout, "1|99|unix|/nowhere|grpc"); wait() },
	"broken": func() {
		serveDoor(&door{frame: []byte("this is not a record batch, whatever its length may be: it has no magic byte and no checksum")})
	},
	"jumpy":  func() { serveDoor(&door{seq: 7}) },
	"sleepy": func() { serveDoor(&door{sleepy: true}) },
}

func wait() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	<-c
}

// door is a plugin without the SDK, so that it can break the protocol.
type door struct {
	proto.UnimplementedPluginServer
	frame  []byte
	seq    uint64
	sleepy bool // never answers an Open
	epoch  int64
}

func serveDoor(d *door) {
	plugin.Serve(&plugin.ServeConfig{HandshakeConfig: proto.Handshake, Plugins: plugin.PluginSet{proto.DoorName: &proto.Door{Service: d}},
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server { return grpc.NewServer(o...) }})
}

func (d *door) Validate(context.Context, *proto.ConfigRequest) (*proto.ConfigResponse, error) {
	return &proto.ConfigResponse{}, nil
}

func (d *door) Open(ctx context.Context, r *proto.OpenRequest) (*proto.OpenResponse, error) {
	if d.sleepy {
		<-ctx.Done()
	}
	d.epoch = r.GetEpoch()
	return &proto.OpenResponse{}, nil
}

func (d *door) Source(s grpc.BidiStreamingServer[proto.SourceControl, proto.SourceMessage]) error {
	for first := true; ; first = false {
		if _, err := s.Recv(); err != nil {
			return err
		}
		if !first {
			continue
		}
		if err := s.Send(&proto.SourceMessage{Epoch: d.epoch, Body: &proto.SourceMessage_Batch{Batch: &proto.SourceBatch{Seq: 1, Claim: "c", Count: uint32(min(len(d.frame), 1)), Frame: d.frame}}}); err != nil {
			return err
		}
		if d.seq > 0 {
			if err := s.Send(&proto.SourceMessage{Epoch: d.epoch, Body: &proto.SourceMessage_Batch{Batch: &proto.SourceBatch{Seq: d.seq, Claim: "c"}}}); err != nil {
				return err
			}
		}
	}
}
