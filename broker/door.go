package broker

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"

	"github.com/leatstream/leat/broker/internal/wire"
)

// door is a listener and what clients are told about it.
type door struct {
	listener   net.Listener
	host       string // as it was asked for
	advertised string // HOST:PORT, or :PORT at the host that the client has reached; "" where it is the listener's own
	meets      wire.Door
}

func openDoors(ctx context.Context, listeners []listener) ([]*door, error) {
	var doors []*door
	for _, l := range listeners {
		host, _, err := net.SplitHostPort(l.addr)
		if err != nil {
			return doors, err
		}
		var cfg net.ListenConfig
		nl, err := cfg.Listen(ctx, "tcp", l.addr)
		if err != nil {
			return doors, listenError(l.addr, err)
		}
		doors = append(doors, &door{listener: nl, host: host, advertised: l.advertised})
	}
	return doors, nil
}

// port is the one that was found.
func (d *door) port() int {
	if a, ok := d.listener.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// addr is where this machine reaches the door.
func (d *door) addr() string {
	host := d.host
	if wildcard(host) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(d.port()))
}

// told is where a client on clientHost is sent: the advertised address, or the host as it was asked for. A door on every
// interface has no one host: then it is the address from which this machine reaches the client.
func (d *door) told(clientHost string) (string, int32) {
	port := int32(d.port())
	if d.advertised != "" {
		host, number, err := net.SplitHostPort(d.advertised)
		n, perr := strconv.ParseUint(number, 10, 16)
		if errors.Join(err, perr) == nil {
			port = int32(n)
		}
		if host != "" {
			return host, port
		}
	}
	if !wildcard(d.host) {
		return d.host, port
	}
	return hostToward(clientHost), port
}

// hostToward asks the routing table; nothing is sent.
func hostToward(client string) string {
	if net.ParseIP(client) != nil {
		conn, err := net.Dial("udp", net.JoinHostPort(client, "9"))
		if err == nil {
			defer conn.Close()
			if a, ok := conn.LocalAddr().(*net.UDPAddr); ok {
				return a.IP.String()
			}
		}
	}
	if name, err := os.Hostname(); err == nil && client != "" {
		return name
	}
	return "127.0.0.1"
}
