package broker_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestStories plays every file of testdata against a broker of its own. A story is a list of commands with what they
// answer; `go test ./broker -run TestStories -rewrite` writes the answers anew.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &story{t: t}
		datadriven.RunTest(t, path, s.play)
	})
}

// story is one broker and a connection to it that speaks whatever version a command names.
type story struct {
	t    *testing.T
	c    *brokertest.Cluster
	conn net.Conn
	corr int32

	dir     string              // the data directory, once it was asked for
	ids     map[string][16]byte // of topics that the story remembers
	members map[string]string   // what members of groups are called in the story

	max map[int16]int16 // newest version served, by API
}

var storyCommands = map[string]func(*story, *datadriven.TestData) string{}

// command makes a command known to stories, by a line of its own beside what it does.
func command(name string, does func(*story, *datadriven.TestData) string) struct{} {
	if storyCommands[name] != nil {
		panic("there are two commands " + name)
	}
	storyCommands[name] = does
	return struct{}{}
}

func (s *story) play(t *testing.T, d *datadriven.TestData) string {
	s.t = t
	if s.c == nil && d.Cmd != "broker" {
		t.Fatalf("%s: a story begins with the command broker", d.Pos)
	}
	cmd := storyCommands[d.Cmd]
	if cmd == nil {
		t.Fatalf("%s: no command %q", d.Pos, d.Cmd)
	}
	return cmd(s, d)
}

var _ = command("broker", (*story).broker)

// broker starts one; the input is properties.
func (s *story) broker(d *datadriven.TestData) string {
	properties := map[string]string{}
	for _, l := range lines(d.Input) {
		name, value, _ := strings.Cut(l, "=")
		properties[name] = value
	}
	s.c = brokertest.Start(s.t, 1, brokertest.InMemory(), brokertest.CrashableFS(), brokertest.Properties(properties))
	s.dial()
	return "ready"
}

func (s *story) dial() {
	if s.conn != nil {
		s.conn.Close()
	}
	conn, err := s.c.DialContext(s.t.Context(), "", "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.conn = conn
	s.t.Cleanup(func() { conn.Close() })
}

var _ = command("restart", (*story).restart)

func (s *story) restart(*datadriven.TestData) string {
	s.c.Restart()
	s.dial()
	return "ready"
}

var _ = command("power-loss", (*story).powerLoss)

func (s *story) powerLoss(*datadriven.TestData) string {
	s.c.PowerLoss(0, 1)
	s.dial()
	return "ready"
}

// send asks in the version that the command names, or in the newest, and reads the answer.
func (s *story) send(d *datadriven.TestData, req kmsg.Request) kmsg.Response {
	s.t.Helper()
	req.SetVersion(int16(argInt(d, "version", int(min(req.MaxVersion(), s.newest(req.Key()))))))
	s.corr++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("story")).AppendRequest(nil, req, s.corr)
	if err := s.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.conn.Write(frame); err != nil {
		s.t.Fatalf("%s: %v", d.Pos, err)
	}
	var size [4]byte
	if _, err := io.ReadFull(s.conn, size[:]); err != nil {
		s.t.Fatalf("%s: no answer: %v", d.Pos, err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(s.conn, body); err != nil {
		s.t.Fatalf("%s: %v", d.Pos, err)
	}
	if got := int32(binary.BigEndian.Uint32(body)); got != s.corr {
		s.t.Fatalf("%s: answer to %d, not to %d", d.Pos, got, s.corr)
	}
	body = body[4:]
	if req.IsFlexible() && req.Key() != 18 {
		body = body[1:]
	}
	resp := req.ResponseKind()
	if err := resp.ReadFrom(body); err != nil {
		s.t.Fatalf("%s: the answer cannot be read: %v", d.Pos, err)
	}
	// What was read must be the whole answer.
	if again := resp.AppendTo(nil); !bytes.Equal(again, body) && req.Key() != 1 {
		s.t.Errorf("%s: the answer is %d bytes, read as %d", d.Pos, len(body), len(again))
	}
	return resp
}

// newest is the version that the broker says it serves.
func (s *story) newest(key int16) int16 {
	if key == apiVersions().Key() {
		return 3
	}
	if s.max == nil {
		s.max = map[int16]int16{}
		for _, k := range s.send(&datadriven.TestData{}, apiVersions()).(*kmsg.ApiVersionsResponse).ApiKeys {
			s.max[k.ApiKey] = k.MaxVersion
		}
	}
	return s.max[key]
}

func apiVersions() *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "story", "1"
	return req
}

func lines(input string) []string {
	return slices.DeleteFunc(strings.Split(input, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
}

func argInt(d *datadriven.TestData, name string, def int) int {
	if v := argString(d, name, ""); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			panic(fmt.Sprintf("%s: %s=%s is no number", d.Pos, name, v))
		}
		return n
	}
	return def
}

func argString(d *datadriven.TestData, name, def string) string {
	for _, a := range d.CmdArgs {
		if a.Key == name && len(a.Vals) == 1 {
			return a.Vals[0]
		}
	}
	return def
}

// bare are the arguments without a value.
func bare(d *datadriven.TestData) []string {
	var out []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			out = append(out, a.Key)
		}
	}
	return out
}

// verdict is how stories show an error; ok without one.
func verdict(code int16, message *string) string {
	if code == 0 {
		return "ok"
	}
	name := fmt.Sprint(code)
	if k := kerr.TypedErrorForCode(code); k != nil {
		name = k.Message
	}
	if message == nil || *message == "" {
		return name
	}
	return name + ": " + *message
}

func list(v []int32) string { return strings.ReplaceAll(strings.Trim(fmt.Sprint(v), "[]"), " ", ",") }

func str(p *string) string {
	if p == nil {
		return "null"
	}
	return *p
}
