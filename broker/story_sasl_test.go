package broker_test

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = command("sasl-handshake", (*story).handshake)

// handshake takes a mechanism.
func (s *story) handshake(d *datadriven.TestData) string {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = bare(d)[0]
	resp := s.send(d, req).(*kmsg.SASLHandshakeResponse)
	return fmt.Sprintf("%s, mechanisms %s", verdict(resp.ErrorCode, nil), strings.Join(resp.SupportedMechanisms, " "))
}

var _ = command("sasl-authenticate", (*story).authenticate)

// authenticate takes a token, with \0 for a NUL.
func (s *story) authenticate(d *datadriven.TestData) string {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = []byte(strings.ReplaceAll(d.Input, `\0`, "\x00"))
	resp := s.send(d, req).(*kmsg.SASLAuthenticateResponse)
	return fmt.Sprintf("%s, lifetime %d ms", verdict(resp.ErrorCode, resp.ErrorMessage), resp.SessionLifetimeMillis)
}

var _ = command("alter-scram", (*story).alterScram)

// alterScram takes a change a line: set USER MECHANISM ITERATIONS, delete USER MECHANISM.
func (s *story) alterScram(d *datadriven.TestData) string {
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, l := range lines(d.Input) {
		f := strings.Fields(l)
		if f[0] == "delete" {
			x := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
			x.Name, x.Mechanism = f[1], int8(number(f[2]))
			req.Deletions = append(req.Deletions, x)
			continue
		}
		x := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		x.Name, x.Mechanism, x.Iterations, x.Salt = f[1], int8(number(f[2])), int32(number(f[3])), []byte("salt")
		salted, err := pbkdf2.Key(sha256.New, "secret", x.Salt, 1, 32)
		if err != nil {
			s.t.Fatal(err)
		}
		x.SaltedPassword = salted
		req.Upsertions = append(req.Upsertions, x)
	}
	var b strings.Builder
	for _, r := range s.send(d, req).(*kmsg.AlterUserSCRAMCredentialsResponse).Results {
		fmt.Fprintf(&b, "%s: %s\n", r.User, verdict(r.ErrorCode, r.ErrorMessage))
	}
	return b.String()
}

var _ = command("describe-scram", (*story).describeScram)

// describeScram takes users, or none for all.
func (s *story) describeScram(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	for _, name := range bare(d) {
		u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		u.Name = name
		req.Users = append(req.Users, u)
	}
	resp := s.send(d, req).(*kmsg.DescribeUserSCRAMCredentialsResponse)
	if resp.ErrorCode != 0 {
		return verdict(resp.ErrorCode, resp.ErrorMessage)
	}
	var b strings.Builder
	for _, r := range resp.Results {
		fmt.Fprintf(&b, "%s: %s", r.User, verdict(r.ErrorCode, r.ErrorMessage))
		for _, c := range r.CredentialInfos {
			fmt.Fprintf(&b, ", mechanism %d with %d iterations", c.Mechanism, c.Iterations)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
