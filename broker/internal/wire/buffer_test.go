//go:build unix

package wire_test

import (
	"net"
	"testing"

	"github.com/leatstream/leat/broker/internal/wire"
	"golang.org/x/sys/unix"
)

// kept is what the kernel keeps of a connection: for sending, and of what has come.
func kept(t *testing.T, nc net.Conn) (send, receive int) {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sendErr, receiveErr error
	err = raw.Control(func(fd uintptr) {
		send, sendErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		receive, receiveErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	if err != nil || sendErr != nil || receiveErr != nil {
		t.Fatal(err, sendErr, receiveErr)
	}
	return send, receive
}

// TestTheKernelKeepsWhatTheConfigurationSays of a connection, and what it thinks right where that says nothing.
func TestTheKernelKeepsWhatTheConfigurationSays(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	met := func(cfg wire.Config) (untouched, met [2]int) {
		s := serve(t, rig(t).API, cfg)
		far, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { far.Close() })
		near, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		untouched[0], untouched[1] = kept(t, near)
		s.srv.ServeConn(near, wire.Door{})
		met[0], met[1] = kept(t, near)
		return untouched, met
	}
	cfg := defaults
	cfg.SendBuffer, cfg.ReceiveBuffer = 64<<10, 48<<10
	_, got := met(cfg)
	for i, want := range []int{cfg.SendBuffer, cfg.ReceiveBuffer} {
		if got[i] != want && got[i] != 2*want { // Linux doubles it, for its own records
			t.Errorf("buffers of %v where %d and %d were asked for", got, cfg.SendBuffer, cfg.ReceiveBuffer)
		}
	}
	cfg.SendBuffer, cfg.ReceiveBuffer = -1, -1
	if before, got := met(cfg); got != before {
		t.Errorf("buffers of %v, of %v before: nothing was asked for", got, before)
	}
}
