package auth

import (
	"errors"
	"fmt"
	"time"
)

// Mechanism is a way of SASL to prove who one is.
type Mechanism interface {
	Name() string
	Start() Exchange
}

// Exchange is one client proving who it is.
type Exchange interface {
	// Step answers a token of the client. With an Identity it is over.
	Step(token []byte) (reply []byte, proven *Identity, err error)
}

// Identity is who a client has proven to be, and until when; a zero time: for ever.
type Identity struct {
	Name    string
	Expires time.Time
}

// Gate is how a listener finds out who its clients are.
type Gate struct {
	Mechanisms   []Mechanism
	MaxReauth    map[string]time.Duration // by mechanism: how long a proof counts; 0: as long as the connection
	FailureDelay time.Duration            // before a failure is answered
}

// Names are the mechanisms that clients can use.
func (g *Gate) Names() []string {
	var out []string
	for _, m := range g.Mechanisms {
		out = append(out, m.Name())
	}
	return out
}

// What can go wrong.
var (
	ErrNoMechanism = errors.New("the mechanism is not enabled")
	ErrSASLState   = errors.New("not the time for this in a SASL exchange")
	ErrFailed      = errors.New("authentication failed")
)

// Session is one connection that proves who it is, and perhaps proves it again (KIP-368). It is not safe for concurrent
// use: requests of a connection are read one after the other.
type Session struct {
	gate *Gate
	now  func() time.Time

	mechanism Mechanism // of the exchange under way, or the last
	exchange  Exchange  // nil: none is under way
	raw       bool      // tokens come without request headers

	who     Principal // who it has proven to be; zero: nobody yet
	proven  string    // by which mechanism
	expires time.Time // zero: never
	failed  error
}

// NewSession starts at gate.
func NewSession(gate *Gate, now func() time.Time) *Session { return &Session{gate: gate, now: now} }

// Who is the client; nobody may ask before Open.
func (s *Session) Who() Principal { return s.who }

// Open tells whether the client has proven who it is.
func (s *Session) Open() bool { return s.who != (Principal{}) && s.failed == nil }

// Failed is why the connection must close, or nil.
func (s *Session) Failed() error { return s.failed }

// Raw tells whether what comes next is a token and no request.
func (s *Session) Raw() bool { return s.raw && s.exchange != nil }

// Expires is when the client must have proven anew who it is; zero: never.
func (s *Session) Expires() time.Time { return s.expires }

// Mechanism is that of the last handshake that was accepted; empty: there was none.
func (s *Session) Mechanism() string {
	if s.mechanism == nil {
		return ""
	}
	return s.mechanism.Name()
}

// Gate is where the session started.
func (s *Session) Gate() *Gate { return s.gate }

// Handshake begins an exchange. raw: its tokens come without request headers, as clients of SaslHandshake version 0 send
// them.
func (s *Session) Handshake(mechanism string, raw bool) error {
	if s.failed != nil || s.exchange != nil {
		return s.fail(ErrSASLState)
	}
	for _, m := range s.gate.Mechanisms {
		if m.Name() != mechanism {
			continue
		}
		if s.proven != "" && s.proven != mechanism {
			return s.fail(fmt.Errorf("%w: %s proved it first, %s cannot prove it again", ErrFailed, s.proven, mechanism))
		}
		s.mechanism, s.exchange, s.raw = m, m.Start(), raw
		return nil
	}
	return s.fail(fmt.Errorf("%w: %q", ErrNoMechanism, short(mechanism)))
}

// Authenticate answers a token. lifetime is for how long the proof counts, 0 for ever or if there is none yet.
func (s *Session) Authenticate(token []byte) (reply []byte, lifetime time.Duration, err error) {
	if s.failed != nil || s.exchange == nil {
		return nil, 0, s.fail(ErrSASLState)
	}
	reply, id, err := s.exchange.Step(token)
	switch {
	case err != nil:
		return nil, 0, s.fail(fmt.Errorf("%w with %s: %w", ErrFailed, s.mechanism.Name(), err))
	case id == nil:
		return reply, 0, nil
	}
	who := Principal{"User", id.Name}
	if s.proven != "" && who != s.who {
		return nil, 0, s.fail(fmt.Errorf("%w: %s cannot become %s", ErrFailed, s.who, who))
	}
	if lifetime, err = s.lifetime(id); err != nil {
		return nil, 0, s.fail(err)
	}
	s.who, s.proven, s.exchange, s.expires = who, s.mechanism.Name(), nil, time.Time{}
	if lifetime > 0 {
		s.expires = s.now().Add(lifetime)
	}
	return reply, lifetime, nil
}

func (s *Session) lifetime(id *Identity) (time.Duration, error) {
	lifetime := s.gate.MaxReauth[s.mechanism.Name()]
	if id.Expires.IsZero() {
		return lifetime, nil
	}
	left := id.Expires.Sub(s.now())
	if left <= 0 {
		return 0, fmt.Errorf("%w: the credential has expired", ErrFailed)
	}
	if lifetime <= 0 || left < lifetime {
		return left, nil
	}
	return lifetime, nil
}

func (s *Session) fail(err error) error {
	if s.failed == nil {
		s.failed = err
	}
	s.exchange = nil
	return err
}
