//go:build unix

package wire

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// tryWrite writes what the socket takes at once, and returns what is left.
func (c *conn) tryWrite(b []byte) (rest []byte, err error) {
	closed := c.in.raw.Write(func(fd uintptr) bool {
		n := 0
		for n, err = writeNow(fd, b); errors.Is(err, unix.EINTR); n, err = writeNow(fd, b) {
		}
		b = b[max(n, 0):]
		return true
	})
	switch {
	case closed != nil:
		return b, closed
	case err == nil || errors.Is(err, unix.EAGAIN):
		return b, nil
	}
	return b, &net.OpError{Op: "write", Net: "tcp", Source: c.nc.LocalAddr(), Addr: c.nc.RemoteAddr(), Err: os.NewSyscallError("write", err)}
}
