package wire

import (
	"errors"
	"io"
	"net"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/storage"
	"golang.org/x/sys/unix"
)

const sendfileMax = 1 << 30

// sendfile sends the range without copying it through the process. The offset is explicit: TCPConn.ReadFrom would use
// and move the position that all readers of the file share. false: not a socket, or not a file on disk.
func sendfile(nc net.Conn, c storage.Chunk) (bool, error) {
	tcp, ok := nc.(*net.TCPConn)
	fd := c.File().Fd()
	if !ok || fd == vfs.InvalidFd {
		return false, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false, err
	}
	offset, left := c.Pos, c.Len
	var failed error
	err = raw.Write(func(sock uintptr) bool {
		for left > 0 {
			n, err := unix.Sendfile(int(sock), int(fd), &offset, min(left, sendfileMax))
			switch {
			case errors.Is(err, unix.EAGAIN):
				return false // the poller calls again when there is room
			case errors.Is(err, unix.EINTR):
			case err != nil:
				failed = err
				return true
			case n == 0:
				failed = io.ErrUnexpectedEOF
				return true
			default:
				left -= n
			}
		}
		return true
	})
	return true, errors.Join(err, failed)
}
