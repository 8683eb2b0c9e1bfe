package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Plain is SASL PLAIN (RFC 4616): the client sends its password.
type Plain struct {
	users map[string][sha256.Size]byte // the hash makes all as long
}

// NewPlain knows users by name and password.
func NewPlain(users map[string]string) *Plain {
	p := &Plain{users: map[string][sha256.Size]byte{}}
	for name, password := range users {
		p.users[name] = sha256.Sum256([]byte(password))
	}
	return p
}

// Name implements Mechanism.
func (*Plain) Name() string { return "PLAIN" }

// Start implements Mechanism.
func (p *Plain) Start() Exchange { return plainExchange{p} }

type plainExchange struct{ *Plain }

// badCredentials is for the audit log: the client is not told which of name and password is wrong.
func badCredentials(user string) error {
	return fmt.Errorf("invalid credentials of user %q", short(user))
}

// Step reads authorization id, name and password with NULs between them. One cannot act as somebody else.
func (p plainExchange) Step(token []byte) ([]byte, *Identity, error) {
	parts := bytes.Split(token, []byte{0})
	if len(parts) != 3 || !utf8.Valid(token) {
		return nil, nil, errors.New("the token is not authorization id, name and password")
	}
	authzid, name, password := string(parts[0]), string(parts[1]), parts[2]
	want, known := p.users[name] // of an unknown user a hash that no password has
	got := sha256.Sum256(password)
	fits := subtle.ConstantTimeCompare(want[:], got[:]) == 1
	switch {
	case name == "" || len(password) == 0:
		return nil, nil, errors.New("name and password are both needed")
	case authzid != "" && authzid != name:
		return nil, nil, errors.New("the authorization id is not the user's name")
	case !known || !fits:
		return nil, nil, badCredentials(name)
	}
	return []byte{}, &Identity{Name: name}, nil
}
