package wire

import (
	"encoding/binary"
	"io"
	"net"
	"syscall"
	"time"
)

const (
	inputBuffer = 64 << 10 // frames up to this are served where they were read, several from one read
	idleBuffer  = 4 << 10  // what a connection holds that cannot wait without
	frameLength = 4
	headerPeek  = 8 // length, key, version
)

// input reads frames. Where the connection is a socket of its own it has no memory while it waits for one to begin.
type input struct {
	nc   net.Conn
	raw  syscall.RawConn // nil: reads go through nc
	f    *frame          // holds b[r:w]; nil: nothing is there
	r, w int

	n       int // of the last try
	failed  error
	tryRead func(fd uintptr) bool

	patience time.Duration // the deadline that is set, and when it was
	deadline time.Time
}

func newInput(nc net.Conn) *input {
	in := &input{nc: nc}
	if tcp, ok := nc.(*net.TCPConn); ok && canTry {
		if raw, err := tcp.SyscallConn(); err == nil {
			in.raw, in.tryRead = raw, in.try
		}
	}
	return in
}

func (in *input) buffered() int { return in.w - in.r }

// head is the length and the API of the frame that begins, which must be there.
func (in *input) head() (size int, key int16) {
	b := in.f.b[in.r:]
	return int(int32(binary.BigEndian.Uint32(b))), int16(binary.BigEndian.Uint16(b[frameLength:]))
}

// size is the length that the next frame or token has, which must be there.
func (in *input) size() int { return int(int32(binary.BigEndian.Uint32(in.f.b[in.r:]))) }

// whole tells whether a next frame is there already.
func (in *input) whole() bool {
	if in.buffered() < headerPeek {
		return false
	}
	size, _ := in.head()
	return size >= 0 && in.buffered() >= frameLength+size
}

// take removes a frame that is there. It is valid until the next wait.
func (in *input) take(size int) []byte {
	b := in.f.b[in.r+frameLength : in.r+frameLength+size]
	in.r += frameLength + size
	return b
}

// takeInto moves what is there of a larger frame to dst and returns what is missing of it.
func (in *input) takeInto(dst []byte) []byte {
	n := copy(dst, in.f.b[in.r+frameLength:in.w])
	in.r = in.w
	return dst[n:]
}

// wait reads until n bytes are there, n at most inputBuffer.
func (in *input) wait(n int) error {
	for in.buffered() < n {
		if in.f != nil {
			in.makeRoom(n)
		}
		got, err := in.read()
		if in.w += got; err != nil {
			return err
		}
	}
	return nil
}

// makeRoom sees to it that a frame of n bytes fits behind r.
func (in *input) makeRoom(n int) {
	switch {
	case in.r == in.w && in.raw == nil && len(in.f.b) > idleBuffer: // it may be long until the next comes
		in.release()
	case in.r == in.w:
		in.r, in.w = 0, 0
	case n > len(in.f.b):
		in.resize(inputBuffer)
	case in.r+n > len(in.f.b):
		in.r, in.w = 0, copy(in.f.b, in.f.b[in.r:in.w])
	}
}

func (in *input) read() (int, error) {
	if in.raw == nil {
		in.hold(idleBuffer)
		return in.nc.Read(in.f.b[in.w:])
	}
	in.n, in.failed = 0, nil
	if err := in.raw.Read(in.tryRead); err != nil {
		return 0, err
	}
	if in.failed == nil && in.n == 0 {
		return 0, io.EOF
	}
	return in.n, in.failed
}

func (in *input) hold(size int) {
	if in.f == nil {
		in.f = frames.get(size)
	}
}

// resize moves what is there to a buffer of another size.
func (in *input) resize(size int) {
	other := frames.get(size)
	held := copy(other.b, in.f.b[in.r:in.w])
	in.release()
	in.f, in.w = other, held
}

// rest is called before a wait that nobody knows the end of: a client that sent little holds little.
func (in *input) rest() {
	switch {
	case in.r == in.w:
		in.release()
	case in.buffered() <= idleBuffer && len(in.f.b) > idleBuffer:
		in.resize(idleBuffer)
	}
}

// release gives the memory back.
func (in *input) release() {
	if in.f != nil {
		frames.put(in.f)
		in.f = nil
	}
	in.r, in.w = 0, 0
}
