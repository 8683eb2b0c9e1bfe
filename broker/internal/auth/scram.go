package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"unicode/utf8"

	"github.com/xdg-go/scram"
)

// ScramMechanism is which SCRAM, with Kafka's number.
type ScramMechanism int8

// The mechanisms.
const (
	ScramSHA256 ScramMechanism = 1
	ScramSHA512 ScramMechanism = 2
)

// The iterations that credentials may have: fewer are too weak, and more cost clients too much.
const (
	ScramMinIterations = 4096
	ScramMaxIterations = 16384
)

func (m ScramMechanism) String() string {
	switch m {
	case ScramSHA256:
		return "SCRAM-SHA-256"
	case ScramSHA512:
		return "SCRAM-SHA-512"
	default:
		return "UNKNOWN"
	}
}

func (m ScramMechanism) hash() func() hash.Hash {
	if m == ScramSHA512 {
		return sha512.New
	}
	return sha256.New
}

// ScramCredential is what a broker keeps of a password: it proves one, and does not give it away.
type ScramCredential struct {
	Salt, StoredKey, ServerKey string // bytes
	Iterations                 int32
}

// NewScramCredential makes one of a salted password (RFC 5802 §3).
func NewScramCredential(m ScramMechanism, salt, salted []byte, iterations int32) ScramCredential {
	stored := m.hash()()
	stored.Write(keyed(m, salted, "Client Key"))
	return ScramCredential{
		Salt: string(salt), StoredKey: string(stored.Sum(nil)), ServerKey: string(keyed(m, salted, "Server Key")), Iterations: iterations,
	}
}

func keyed(m ScramMechanism, key []byte, text string) []byte {
	h := hmac.New(m.hash(), key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Scram is SASL SCRAM (RFC 5802): a client proves that it knows the password, and the broker that it knows the client.
type Scram struct {
	mechanism ScramMechanism
	find      func(user string) (ScramCredential, bool)
	secret    [32]byte // makes up salts for users that do not exist
}

// NewScram finds the credentials of users with find.
func NewScram(m ScramMechanism, find func(user string) (ScramCredential, bool)) *Scram {
	s := &Scram{mechanism: m, find: find}
	_, _ = rand.Read(s.secret[:]) // crypto/rand does not fail
	return s
}

// Name implements Mechanism.
func (s *Scram) Name() string { return s.mechanism.String() }

// Start implements Mechanism.
func (s *Scram) Start() Exchange {
	generate := scram.SHA256
	if s.mechanism == ScramSHA512 {
		generate = scram.SHA512
	}
	e := &scramExchange{}
	server, err := generate.NewServer(func(user string) (scram.StoredCredentials, error) {
		c, ok := s.find(user)
		if !ok {
			c, e.unknown = s.madeUp(user), true
		}
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: c.Salt, Iters: int(c.Iterations)}, StoredKey: []byte(c.StoredKey), ServerKey: []byte(c.ServerKey),
		}, nil
	})
	if err != nil {
		panic(fmt.Sprintf("auth: %v", err)) // there is a function to find users, which is all that it wants
	}
	e.conversation = server.NewConversation()
	return e
}

// madeUpSalt is as long as the salts of `leat user` and of other clients in Go.
const madeUpSalt = 24

// madeUp is a credential for a user that does not exist. It is the same each time, as a real one would be, and nothing
// proves it.
func (s *Scram) madeUp(user string) ScramCredential {
	h := hmac.New(sha256.New, s.secret[:])
	h.Write([]byte(user))
	seed := h.Sum(nil)
	return NewScramCredential(s.mechanism, seed[:madeUpSalt], keyed(s.mechanism, seed, "salted password"), ScramMinIterations)
}

type scramExchange struct {
	conversation *scram.ServerConversation
	unknown      bool
}

func (e *scramExchange) Step(token []byte) ([]byte, *Identity, error) {
	if !utf8.Valid(token) {
		return nil, nil, errors.New("the token is not UTF-8")
	}
	reply, err := e.conversation.Step(string(token))
	switch {
	case err != nil:
		return nil, nil, badCredentials(e.conversation.Username())
	case !e.conversation.Done():
		return []byte(reply), nil, nil
	case !e.conversation.Valid() || e.unknown:
		return nil, nil, badCredentials(e.conversation.Username())
	}
	name := e.conversation.Username()
	if authzid := e.conversation.AuthzID(); authzid != "" && authzid != name {
		return nil, nil, errors.New("the authorization id is not the user's name")
	}
	return []byte(reply), &Identity{Name: name}, nil
}
