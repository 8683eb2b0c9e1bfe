package meta

import (
	"github.com/leatstream/leat/broker/internal/auth"
)

// ScramChange sets or deletes a credential.
type ScramChange struct {
	User       ScramUser
	Delete     bool
	Salt       []byte
	Salted     []byte // the salted password, of which the keys are made
	Iterations int32
}

// maxScramName bounds the names of users, which take memory on every broker.
const maxScramName = 1024

// AlterScram decides on changes of credentials. Each user succeeds or fails alone; one that is named twice fails.
func AlterScram(m *Image, changes []ScramChange) (refused []error, records []Record) {
	refused = make([]error, len(changes))
	named := map[string]int{}
	for _, c := range changes {
		named[c.User.Name]++
	}
	for i, c := range changes {
		if named[c.User.Name] > 1 {
			refused[i] = refuse(ErrDuplicate, "A user credential cannot be altered twice in the same request")
			continue
		}
		if refused[i] = checkScram(m, c); refused[i] != nil {
			continue
		}
		if c.Delete {
			records = append(records, ScramUnset{c.User})
		} else {
			records = append(records, ScramSet{c.User, auth.NewScramCredential(c.User.Mechanism, c.Salt, c.Salted, c.Iterations)})
		}
	}
	return refused, records
}

func checkScram(m *Image, c ScramChange) error {
	_, known := m.scram.get(c.User)
	switch {
	case c.User.Name == "":
		return refuse(ErrBadCredential, "Username must not be empty")
	case len(c.User.Name) > maxScramName:
		return refuse(ErrBadCredential, "Username is longer than %d bytes", maxScramName)
	case c.User.Mechanism != auth.ScramSHA256 && c.User.Mechanism != auth.ScramSHA512:
		return refuse(ErrScramMechanism, "Unknown SCRAM mechanism")
	case c.Delete && !known:
		return refuse(ErrNoCredential, "Attempt to delete a user credential that does not exist")
	case c.Delete:
		return nil
	case c.Iterations < auth.ScramMinIterations:
		return refuse(ErrBadCredential, "Too few iterations")
	case c.Iterations > auth.ScramMaxIterations:
		return refuse(ErrBadCredential, "Too many iterations")
	case len(c.Salt) == 0 || len(c.Salted) == 0:
		return refuse(ErrBadCredential, "Salt and salted password must not be empty")
	default:
		return nil
	}
}

// DescribeScram lists the credentials of one user.
func DescribeScram(m *Image, name string) ([]ScramUser, error) {
	var out []ScramUser
	for _, mechanism := range []auth.ScramMechanism{auth.ScramSHA256, auth.ScramSHA512} {
		u := ScramUser{name, mechanism}
		if _, ok := m.scram.get(u); ok {
			out = append(out, u)
		}
	}
	if out == nil {
		return nil, refuse(ErrNoCredential, "Attempt to describe a user credential that does not exist: %s", name)
	}
	return out, nil
}
