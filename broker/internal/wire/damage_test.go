package wire_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func request(key, version int16, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return append(binary.BigEndian.AppendUint32(b, 1), body...)
}

func sized(size int32, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(size)), b...)
}

// TestDamageCostsItsConnectionOnly sends frames that no client sends.
func TestDamageCostsItsConnectionOnly(t *testing.T) {
	s := serve(t, rig(t).API, defaults)
	neighbour := s.dial()
	neighbour.works()
	good := framed(apitest.Frame(metadata(), 1))
	for name, c := range map[string]struct {
		send []byte
		cut  bool // and no more comes
	}{
		"negative size":           {send: sized(-1, request(3, 1))},
		"smallest size":           {send: sized(-1<<31, request(3, 1))},
		"size of nothing":         {send: sized(0, request(3, 1))},
		"no room for a header":    {send: sized(7, request(3, 1))},
		"too large for control":   {send: sized(2<<20, request(3, 1))},
		"too large for anything":  {send: sized(1<<31-1, request(0, 9))},
		"one byte beyond produce": {send: sized(100<<20+1, request(0, 9))},
		"HTTP":                    {send: []byte("GET / HTTP/1.1\r\nHost: leat\r\n\r\n")},
		"TLS":                     {send: []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello there, is this TLS?")},
		"unknown key":             {send: framed(request(999, 0, 0, 0))},
		"negative key":            {send: framed(request(-3, 0, 0, 0))},
		"unknown version":         {send: framed(request(3, 99, 0, 0))},
		"negative version":        {send: framed(request(3, -1, 0, 0))},
		"produce of old":          {send: framed(request(0, 0, 0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0))},
		"header without client":   {send: framed(request(3, 1))},
		"client beyond the frame": {send: framed(request(3, 1, 0x7f, 0xff, 'x'))},
		"tags without end":        {send: framed(request(3, 12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f))},
		"array of two billion":    {send: framed(request(3, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff))},
		"fetch of two billion":    {send: framed(request(1, 4, append([]byte{0xff, 0xff}, bytes.Repeat([]byte{0x7f}, 40)...)...))},
		"cut in its size":         {send: good[:3], cut: true},
		"cut in its header":       {send: good[:9], cut: true},
		"cut before its end":      {send: good[:len(good)-1], cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			x := s.dial()
			x.t = t
			x.send(c.send)
			if c.cut {
				if err := x.Conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			x.gone()
			s.log.wait(t, x.name)
			neighbour.t = t
			neighbour.works()
			if said := s.log.naming(x.name); len(said) != 1 || strings.Count(said[0], "\n") != 1 {
				t.Errorf("it takes %d lines: %q", len(said), said)
			}
		})
	}
}

// TestClientsThatLeaveAreNotLogged: nothing is wrong with a client that is done.
func TestClientsThatLeaveAreNotLogged(t *testing.T) {
	s := serve(t, rig(t).API, defaults)
	x := s.dial()
	x.works()
	x.Close()
	y := s.dial()
	y.works()
	if err := y.Conn.(*net.TCPConn).SetLinger(0); err != nil { // a reset, as of a killed process
		t.Fatal(err)
	}
	y.Close()
	s.shutdown(5 * time.Second)
	if said := append(s.log.naming(x.name), s.log.naming(y.name)...); len(said) > 0 {
		t.Errorf("%q", said)
	}
}

// TestSlowAndPipelinedFrames: a frame byte by byte, and many at once with the last cut in the middle.
func TestSlowAndPipelinedFrames(t *testing.T) {
	s := serve(t, rig(t).API, defaults)
	x := s.dial()
	for _, b := range framed(apitest.Frame(metadata(), 3)) {
		x.send([]byte{b})
	}
	if got := binary.BigEndian.Uint32(x.next()); got != 3 {
		t.Fatalf("answer to %d", got)
	}
	const n = 500 // more than are under way at once
	var all []byte
	for i := range int32(n) {
		all = append(all, framed(apitest.Frame(metadata(), i))...)
	}
	x.send(all[:len(all)-3])
	for i := range uint32(n - 1) {
		if got := binary.BigEndian.Uint32(x.next()); got != i {
			t.Fatalf("answer to %d, not to %d", got, i)
		}
	}
	x.send(all[len(all)-3:])
	if got := binary.BigEndian.Uint32(x.next()); got != n-1 {
		t.Fatalf("answer to %d", got)
	}
}

// TestAnnouncedMemoryIsBounded: connections that announce much and send little take the budget, not more.
func TestAnnouncedMemoryIsBounded(t *testing.T) {
	cfg := defaults
	cfg.Budget, cfg.Connections = 32<<20, 200
	s := serve(t, rig(t).API, cfg)
	x := s.dial()
	x.works()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 100 {
		s.dial().send(sized(16<<20, request(0, 9, 0, 0)))
	}
	y := s.dial() // came later, and so everything before it was accepted
	if err := y.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	y.send(framed(apitest.Frame(versions(), 1)))
	_, _ = y.Read(make([]byte, 1)) // may wait for memory, which the others hold until their time is over
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2*cfg.Budget {
		t.Errorf("the heap grew by %d MiB, the budget is %d MiB", grown>>20, cfg.Budget>>20)
	}
}

// TestAPanicCostsItsConnection: an API without groups panics when it is asked for them.
func TestAPanicCostsItsConnection(t *testing.T) {
	a := rig(t).API
	a.Groups = nil
	s := serve(t, a, defaults)
	x, neighbour := s.dial(), s.dial()
	x.send(framed(apitest.Frame(kmsg.NewPtrListGroupsRequest(), 1)))
	x.gone()
	if said := s.log.wait(t, x.name); len(said) != 1 || !strings.Contains(said[0], "panic") {
		t.Errorf("%q", said)
	}
	neighbour.works()
}

func TestMaxConnections(t *testing.T) {
	cfg := defaults
	cfg.Connections = 2
	s := serve(t, rig(t).API, cfg)
	a, b := s.dial(), s.dial()
	a.works()
	b.works()
	c := s.dial()
	c.gone()
	s.log.wait(t, c.name)
	a.Close()
	for range 1000 { // until the server has noticed
		d := s.dial()
		d.send(framed(apitest.Frame(versions(), 1)))
		if n, _ := d.Read(make([]byte, 1)); n == 1 {
			b.works()
			return
		}
		d.Close()
	}
	t.Fatal("a place that became free is not given away")
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	cfg := defaults
	cfg.Idle = 100 * time.Millisecond
	s := serve(t, rig(t).API, cfg)
	x := s.dial()
	x.works()
	x.gone()
	if said := s.log.naming(x.name); len(said) > 0 {
		t.Errorf("%q", said)
	}
}
