package generate

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"text/template"
	"time"
)

const maxHex = 1 << 20

// generator has the functions of templates. They draw from a source of randomness that begins anew with each record.
type generator struct {
	seed       uint64
	n          int64
	rnd        *rand.PCG
	key, value bytes.Buffer
}

func (g *generator) begin(n int64) {
	g.n = n
	g.rnd = rand.NewPCG(g.seed, uint64(n))
}

func (g *generator) parse(text string) (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{
		"seq": func() int64 { return g.n },
		"int": func(lo, hi int64) (int64, error) {
			if hi < lo || hi-lo < 0 {
				return 0, fmt.Errorf("int %d %d: the first must not be greater", lo, hi)
			}
			if hi-lo == 1<<63-1 {
				return lo + int64(g.rnd.Uint64()>>1), nil
			}
			return lo + rand.New(g.rnd).Int64N(hi-lo+1), nil
		},
		"float": func(lo, hi float64) string {
			return strconv.FormatFloat(lo+rand.New(g.rnd).Float64()*(hi-lo), 'f', 3, 64)
		},
		"pick": func(of ...any) (any, error) {
			if len(of) == 0 {
				return nil, errors.New("pick: from what?")
			}
			return of[rand.New(g.rnd).IntN(len(of))], nil
		},
		"bool": func() bool { return g.rnd.Uint64()&1 == 1 },
		"uuid": func() string {
			b := g.bytes(16)
			b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4 (RFC 9562)
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
		},
		"hex": func(n int) (string, error) {
			if n < 0 || n > maxHex {
				return "", fmt.Errorf("hex %d: at most %d", n, maxHex)
			}
			return hex.EncodeToString(g.bytes((n + 1) / 2))[:n], nil
		},
		"now": func() string { return time.Now().UTC().Format(time.RFC3339Nano) },
	}).Parse(text)
}

func (g *generator) bytes(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		v := g.rnd.Uint64()
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
	}
	return b[:n]
}
