package sdk

import (
	"context"

	"github.com/leatstream/leat/connect/sdk/proto"
)

// Connector is one plugin: a source, a sink, or both under one name.
type Connector struct {
	Name    string // as users write it in `plugin:`; lower case letters, digits, dashes
	Version string
	Summary string // one sentence
	Source  SourceRole
	Sink    SinkRole
}

// SourceRole is a Source of some config.
type SourceRole interface {
	spec() roleSpec
	runSource(ctx context.Context, config any, t *Task) error
	discover(ctx context.Context, config any) ([]Partition, error)
}

// SinkRole is a Sink of some config.
type SinkRole interface {
	spec() roleSpec
	openSink(ctx context.Context, config any, t *SinkTask) (Writer, error)
}

// Source describes a source whose config is C.
type Source[C any] struct {
	Summary string
	// Ends says that the source can come to an end of what there is: it calls CaughtUp or returns nil.
	Ends bool
	// Run reads until ctx ends or the source does.
	Run func(ctx context.Context, config C, t *Task) error
	// Check really connects; nil: not checked.
	Check func(ctx context.Context, config C) error
	// Discover lists what there is to read; nil: not offered.
	Discover func(ctx context.Context, config C) ([]Partition, error)
}

// Sink describes a sink whose config is C.
type Sink[C any] struct {
	Summary     string
	Delivery    Delivery
	MaxInFlight int // batches per partition that the runtime may send ahead of acks; 0 means 1
	Open        func(ctx context.Context, config C, t *SinkTask) (Writer, error)
	Check       func(ctx context.Context, config C) error
}

// Delivery says what a sink does about records that it is given twice.
type Delivery int

// The ways of delivery, weakest first.
const (
	AtLeastOnce    Delivery = iota // twice given is twice written
	IdempotentKey                  // the target overwrites by key
	OffsetInTarget                 // the target stores offsets with the data; the Writer has Resume
)

// Partition is a unit that a source could claim.
type Partition struct {
	Claim       string
	Description string
}

// roleSpec is what the protocol's service needs of a role, without its config's type.
type roleSpec struct {
	manifest *proto.RoleSpec
	decode   func(config []byte) (any, []Problem)
	check    func(ctx context.Context, config any) error
	shape    *shape
}

func newRoleSpec[C any](m *proto.RoleSpec, check func(context.Context, C) error) roleSpec {
	sh := shapeOf[C]()
	m.ConfigSchema = sh.schema()
	rs := roleSpec{manifest: m, shape: sh, decode: func(b []byte) (any, []Problem) {
		var c C
		problems := sh.decode(b, &c)
		return c, problems
	}}
	if check != nil {
		rs.check = func(ctx context.Context, config any) error { return check(ctx, config.(C)) }
	}
	return rs
}

func (s Source[C]) spec() roleSpec {
	return newRoleSpec(&proto.RoleSpec{Role: proto.Role_ROLE_SOURCE, Summary: s.Summary, Ends: s.Ends}, s.Check)
}

func (s Source[C]) runSource(ctx context.Context, config any, t *Task) error {
	return s.Run(ctx, config.(C), t)
}

func (s Source[C]) discover(ctx context.Context, config any) ([]Partition, error) {
	if s.Discover == nil {
		return nil, nil
	}
	return s.Discover(ctx, config.(C))
}

func (s Sink[C]) spec() roleSpec {
	return newRoleSpec(&proto.RoleSpec{
		Role: proto.Role_ROLE_SINK, Summary: s.Summary, Delivery: proto.Delivery(s.Delivery),
		MaxInFlight: uint32(max(1, s.MaxInFlight)),
	}, s.Check)
}

func (s Sink[C]) openSink(ctx context.Context, config any, t *SinkTask) (Writer, error) {
	return s.Open(ctx, config.(C), t)
}

func (c Connector) manifest() *proto.Manifest {
	m := &proto.Manifest{Name: c.Name, Version: c.Version, Summary: c.Summary}
	if c.Source != nil {
		m.Roles = append(m.Roles, c.Source.spec().manifest)
	}
	if c.Sink != nil {
		m.Roles = append(m.Roles, c.Sink.spec().manifest)
	}
	return m
}

func (c Connector) role(r proto.Role) (roleSpec, bool) {
	switch {
	case r == proto.Role_ROLE_SOURCE && c.Source != nil:
		return c.Source.spec(), true
	case r == proto.Role_ROLE_SINK && c.Sink != nil:
		return c.Sink.spec(), true
	}
	return roleSpec{}, false
}
