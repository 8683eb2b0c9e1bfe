package connect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	plugin "github.com/hashicorp/go-plugin"
	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
	"google.golang.org/grpc"
)

func init() {
	plugins["away"] = away()
	hostile["liar"] = func() { serveAny(&liar{}) }
	hostile["flood"] = func() { serveAny(&custom{flood: true}) }
	hostile["control"] = func() { serveAny(&custom{attributes: 0x20}) }
	hostile["transactional"] = func() { serveAny(&custom{attributes: 0x10}) }
	hostile["huge"] = func() { serveAny(&custom{size: 3 << 20}) }
	hostile["slowopen"] = func() { serveAny(&custom{sleepy: true}) }
}

func serveAny(s proto.PluginServer) {
	plugin.Serve(&plugin.ServeConfig{HandshakeConfig: proto.Handshake, Plugins: plugin.PluginSet{proto.DoorName: &proto.Door{Service: s}},
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(o, grpc.MaxRecvMsgSize(proto.MaxMessage), grpc.MaxSendMsgSize(proto.MaxMessage))...)
		}})
}

// away: records starting "later" are transient for ever, others are written.
func away() sdk.Connector {
	return sdk.Connector{Name: "away", Version: "1.0.0", Summary: "Away.", Sink: sdk.Sink[pickyConfig]{
		Summary: "Away.", Open: func(_ context.Context, c pickyConfig, _ *sdk.SinkTask) (sdk.Writer, error) {
			return awayWriter(c.Path), nil
		},
	}}
}

type awayWriter string

func (w awayWriter) Write(_ context.Context, b *sdk.Batch) error {
	f, err := os.OpenFile(string(w), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return b.Each(func(r *sdk.Record) error {
		if strings.HasPrefix(string(r.Value), "later") {
			return sdk.Transient(errors.New("the target is away"))
		}
		_, err := fmt.Fprintln(f, string(r.Value))
		return err
	})
}
func (w awayWriter) Close() error { return nil }

type custom struct {
	proto.UnimplementedPluginServer
	epoch      int64
	flood      bool
	attributes int16
	size       int
	sleepy     bool
}

func (d *custom) Validate(context.Context, *proto.ConfigRequest) (*proto.ConfigResponse, error) {
	return &proto.ConfigResponse{}, nil
}

func (d *custom) Open(ctx context.Context, r *proto.OpenRequest) (*proto.OpenResponse, error) {
	if d.sleepy {
		<-ctx.Done()
	}
	d.epoch = r.GetEpoch()
	return &proto.OpenResponse{}, nil
}

func (d *custom) Source(s grpc.BidiStreamingServer[proto.SourceControl, proto.SourceMessage]) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	b := batch.NewBuilder(batch.None)
	value := []byte("hello")
	if d.size > 0 {
		value = make([]byte, d.size)
	}
	if d.flood {
		value = make([]byte, 900<<10)
	}
	b.Append(time.Now().UnixMilli(), nil, value, nil)
	frame, _ := b.Build(nil)
	frame[22] |= byte(d.attributes)
	batch.Seal(frame)
	seq := uint64(0)
	for {
		seq++
		if err := s.Send(&proto.SourceMessage{Epoch: d.epoch, Body: &proto.SourceMessage_Batch{Batch: &proto.SourceBatch{Seq: seq, Claim: "c", Count: 1, Frame: frame, Position: []byte("x")}}}); err != nil {
			return err
		}
		if !d.flood {
			break
		}
	}
	for {
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
}

// liar acknowledges offsets far beyond what it was given.
type liar struct {
	proto.UnimplementedPluginServer
	epoch int64
}

func (d *liar) Validate(context.Context, *proto.ConfigRequest) (*proto.ConfigResponse, error) {
	return &proto.ConfigResponse{}, nil
}

func (d *liar) Open(_ context.Context, r *proto.OpenRequest) (*proto.OpenResponse, error) {
	d.epoch = r.GetEpoch()
	return &proto.OpenResponse{}, nil
}

func (d *liar) Sink(s grpc.BidiStreamingServer[proto.SinkMessage, proto.SinkControl]) error {
	send := func(c *proto.SinkControl) { c.Epoch = d.epoch; _ = s.Send(c) }
	send(&proto.SinkControl{Body: &proto.SinkControl_Credit{Credit: &proto.Credit{Bytes: 1 << 30, Batches: 1 << 20}}})
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		switch b := m.GetBody().(type) {
		case *proto.SinkMessage_Assign:
			a := &proto.SinkAssigned{}
			for _, p := range b.Assign.GetPartitions() {
				a.Starts = append(a.Starts, &proto.SinkStart{From: p, NextOffset: -1})
			}
			send(&proto.SinkControl{Body: &proto.SinkControl_Assigned{Assigned: a}})
		case *proto.SinkMessage_Revoke:
			send(&proto.SinkControl{Body: &proto.SinkControl_Revoked{Revoked: &proto.SinkRevoked{Partitions: b.Revoke.GetPartitions()}}})
		case *proto.SinkMessage_Batch:
			send(&proto.SinkControl{Body: &proto.SinkControl_Ack{Ack: &proto.SinkAck{From: b.Batch.GetFrom(), NextOffset: 1 << 40}}})
		case *proto.SinkMessage_Stop:
			send(&proto.SinkControl{Body: &proto.SinkControl_Drained{Drained: &proto.Drained{}}})
		}
	}
}
