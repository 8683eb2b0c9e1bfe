package security

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzJAAS reads any text; what it says of a password that is there is not in an error.
func FuzzJAAS(f *testing.F) {
	f.Add(`M required user_alice="secret" a=b;`)
	f.Add(`M required "a\"=;`)
	f.Fuzz(func(t *testing.T, text string) {
		j, err := ParseJAAS(text)
		if err != nil {
			return
		}
		for name, password := range j.Users() {
			if name == "" || !strings.Contains(text, name) && !strings.Contains(text, `\`) {
				t.Errorf("user %q with %q of %q", name, password, text)
			}
		}
	})
}

// FuzzStore reads any file as a store of certificates.
func FuzzStore(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	f.Add([]byte{0x30, 0x82, 1, 0, 2, 1, 3})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		if bytes.Contains(content, []byte("ENCRYPTED")) && len(content) > 4<<10 {
			return // time is spent where a key says how often to hash
		}
		s := Store{What: "ssl.keystore", Location: filepath.Join(dir, "store"), Password: "password-of-store", KeyPassword: "password-of-key"}
		if err := os.WriteFile(s.Location, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Pair()
		_, terr := s.Trusted()
		for _, e := range []error{err, terr} {
			if e == nil {
				continue
			}
			if !strings.Contains(e.Error(), s.What) && !strings.Contains(e.Error(), s.Location) || strings.Contains(e.Error(), "password-of") {
				t.Errorf("it says %v", e)
			}
		}
	})
}
