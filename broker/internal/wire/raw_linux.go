package wire

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow are for sockets, which do not let the caller wait. The runtime is not told of these calls: after an
// idle moment it would wake its monitor thread for the first, which costs as much as the call.
func readNow(fd uintptr, b []byte) (int, error)  { return now(syscall.SYS_READ, fd, b) }
func writeNow(fd uintptr, b []byte) (int, error) { return now(syscall.SYS_WRITE, fd, b) }

func now(call, fd uintptr, b []byte) (int, error) {
	n, _, err := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if err != 0 {
		return -1, err
	}
	return int(n), nil
}
