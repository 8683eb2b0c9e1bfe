package sdk

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leatstream/leat/connect/sdk/proto"
)

// server is the plugin's side of leat.plugin.v1 for one connector.
type server struct {
	proto.UnimplementedPluginServer
	connector Connector

	mu     sync.Mutex
	opened *opened
}

// opened is the task that Open made.
type opened struct {
	req    *proto.OpenRequest
	config any
	writer Writer // sinks
	cancel context.CancelFunc
	taken  bool // its stream has begun
}

func (s *server) Describe(context.Context, *proto.DescribeRequest) (*proto.Manifest, error) {
	return s.connector.manifest(), nil
}

// config decodes the config of a role, or says what is wrong with it.
func (s *server) config(role proto.Role, raw []byte) (roleSpec, any, []*proto.Problem, error) {
	spec, ok := s.connector.role(role)
	if !ok {
		return spec, nil, nil, status.Errorf(codes.Unimplemented, "plugin %s is no %s", s.connector.Name, roleName(role))
	}
	config, problems := spec.decode(raw)
	var wire []*proto.Problem
	for _, p := range problems {
		wire = append(wire, p.proto())
	}
	return spec, config, wire, nil
}

func roleName(r proto.Role) string {
	switch r {
	case proto.Role_ROLE_SOURCE:
		return "source"
	case proto.Role_ROLE_SINK:
		return "sink"
	}
	return "connector without a role"
}

func (s *server) Validate(_ context.Context, req *proto.ConfigRequest) (*proto.ConfigResponse, error) {
	_, _, problems, err := s.config(req.GetRole(), req.GetConfig())
	if err != nil {
		return nil, err
	}
	return &proto.ConfigResponse{Problems: problems}, nil
}

func (s *server) Check(ctx context.Context, req *proto.ConfigRequest) (*proto.ConfigResponse, error) {
	spec, config, problems, err := s.config(req.GetRole(), req.GetConfig())
	if err != nil {
		return nil, err
	}
	if len(problems) == 0 && spec.check != nil {
		if err := spec.check(ctx, config); err != nil {
			c := classify(err)
			problems = append(problems, &proto.Problem{Code: c.code, Message: err.Error(), Hint: c.hint})
		}
	}
	return &proto.ConfigResponse{Problems: problems}, nil
}

func (s *server) Discover(req *proto.ConfigRequest, stream grpc.ServerStreamingServer[proto.SourcePartition]) error {
	_, config, problems, err := s.config(req.GetRole(), req.GetConfig())
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return status.Error(codes.InvalidArgument, problems[0].GetMessage())
	}
	if req.GetRole() != proto.Role_ROLE_SOURCE {
		return nil
	}
	found, err := s.connector.Source.discover(stream.Context(), config)
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	for _, p := range found {
		if err := stream.Send(&proto.SourcePartition{Claim: p.Claim, Description: p.Description}); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) Open(_ context.Context, req *proto.OpenRequest) (*proto.OpenResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened != nil {
		return nil, status.Error(codes.FailedPrecondition, "a task is open in this process already: Close it first")
	}
	_, config, problems, err := s.config(req.GetRole(), req.GetConfig())
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		p := problems[0]
		return &proto.OpenResponse{Failure: &proto.Failure{
			Class: proto.Class_CLASS_FATAL, Code: p.GetCode(), Message: p.GetPath() + ": " + p.GetMessage(), Hint: p.GetHint(),
		}}, nil
	}
	// The task outlives this call: its context ends with Close or with its stream.
	ctx, cancel := context.WithCancel(context.Background())
	o := &opened{req: req, config: config, cancel: cancel}
	if req.GetRole() == proto.Role_ROLE_SINK {
		task := &SinkTask{Connector: req.GetConnector(), Log: logger.With("connector", req.GetConnector()), Stdout: stdout()}
		o.writer, err = s.connector.Sink.openSink(ctx, config, task)
		if err != nil {
			cancel()
			return &proto.OpenResponse{Failure: failure(err)}, nil
		}
	}
	s.opened = o
	return &proto.OpenResponse{}, nil
}

// take hands the opened task to its stream.
func (s *server) take(role proto.Role) (*opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened == nil || s.opened.taken || s.opened.req.GetRole() != role {
		return nil, status.Errorf(codes.FailedPrecondition, "no %s has been opened for this stream", roleName(role))
	}
	s.opened.taken = true
	return s.opened, nil
}

// release ends the task, so that another may be opened.
func (s *server) release(o *opened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.cancel()
	if s.opened == o {
		s.opened = nil
	}
}

func (s *server) Close(context.Context, *proto.CloseRequest) (*proto.CloseResponse, error) {
	s.mu.Lock()
	o := s.opened
	s.mu.Unlock()
	if o != nil && !o.taken {
		s.release(o)
		if o.writer != nil {
			if err := o.writer.Close(); err != nil {
				logger.Warn("close", "err", err)
			}
		}
	}
	return &proto.CloseResponse{}, nil
}
