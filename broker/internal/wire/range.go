package wire

import (
	"net"

	"github.com/leatstream/leat/broker/internal/storage"
)

const copyBuffer = 128 << 10

// sendRange sends a range of a file: from the file to the socket where both can, else through memory.
func sendRange(nc net.Conn, c storage.Chunk) error {
	if done, err := sendfile(nc, c); done || err != nil {
		return err
	}
	f := frames.get(min(c.Len, copyBuffer))
	defer frames.put(f)
	for c.Len > 0 {
		part := f.b[:min(c.Len, len(f.b))]
		if err := c.ReadInto(part); err != nil {
			return err
		}
		if _, err := nc.Write(part); err != nil {
			return err
		}
		c.Pos += int64(len(part))
		c.Len -= len(part)
	}
	return nil
}
