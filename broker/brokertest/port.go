package brokertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// Ports from firstPort on are below those that systems give to who asks for any, as clients do: nobody gets one while its
// broker is away.
const firstPort, ports = 20_000, 10_000

var lastPort atomic.Uint32

func init() { lastPort.Store(rand.Uint32N(ports)) }

// FreeAddr is an address on loopback, HOST:PORT, that stays free until the test listens there. Each is given once.
func FreeAddr(t testing.TB) string {
	t.Helper()
	var err error
	for range ports {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+lastPort.Add(1)%ports)
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatalf("brokertest: no port is free: %v", err)
	return ""
}

// withPort gives a listener at any port one that stays its own.
func withPort(t testing.TB, listener string) string {
	t.Helper()
	host, ok := strings.CutSuffix(listener, ":0")
	if !ok {
		return listener
	}
	return host + strings.TrimPrefix(FreeAddr(t), "127.0.0.1")
}
