//go:build !linux

package wire

import (
	"net"

	"github.com/leatstream/leat/broker/internal/storage"
)

func sendfile(net.Conn, storage.Chunk) (bool, error) { return false, nil }
