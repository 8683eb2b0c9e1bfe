//go:build unix

package wire

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const canTry = true

// try reads what is there. false: nothing, and the poller calls again when there is.
func (in *input) try(fd uintptr) bool {
	in.hold(inputBuffer)
	if len(in.f.b) < inputBuffer {
		in.resize(inputBuffer)
	}
	for {
		n, err := readNow(fd, in.f.b[in.w:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			in.rest()
			return false
		case err != nil:
			in.failed = &net.OpError{Op: "read", Net: "tcp", Source: in.nc.LocalAddr(), Addr: in.nc.RemoteAddr(), Err: os.NewSyscallError("read", err)}
			return true
		}
		in.n = n
		return true
	}
}
