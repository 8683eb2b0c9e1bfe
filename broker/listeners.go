package broker

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/internal/meta"
)

// listener is where to listen, what is spoken there, and what clients are told.
type listener struct {
	name       string
	protocol   string
	addr       string
	advertised string
}

func (l listener) tls() bool  { return strings.HasSuffix(l.protocol, "SSL") }
func (l listener) sasl() bool { return strings.HasPrefix(l.protocol, "SASL_") }

// named is an address with the name of its listener; "" where it was given without one.
type named struct{ name, addr string }

func (c Config) listeners(config *meta.BrokerConfig) ([]listener, error) {
	controllers := config.List("controller.listener.names")
	told, err := readListeners(config.List("advertised.listeners"), controllers)
	if err != nil {
		return nil, err
	}
	asked, err := c.asked(config, told, controllers)
	if err != nil {
		return nil, err
	}
	protocols, err := protocolMap(config.List("listener.security.protocol.map"))
	if err != nil {
		return nil, err
	}
	var out []listener
	for i, a := range asked {
		l := listener{name: a.name, addr: a.addr}
		if l.protocol = protocols[strings.ToUpper(a.name)]; l.protocol == "" {
			return nil, &ConfigError{fmt.Sprintf("listener.security.protocol.map does not say what the listener %s speaks", a.name),
				fmt.Sprintf("add %s:SASL_SSL, or another of PLAINTEXT, SSL, SASL_PLAINTEXT", a.name)}
		}
		if err := checkAddr("listen on", l.addr); err != nil {
			return nil, err
		}
		if l.advertised, err = c.advertise(a.name, i, told); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o listener) bool { return o.name == l.name && c.Listen == nil }) {
			return nil, &ConfigError{fmt.Sprintf("two listeners are named %s", l.name), "give each a name of its own, and map both to a protocol with listener.security.protocol.map"}
		}
		out = append(out, l)
	}
	if inter := config.String("inter.broker.listener.name"); inter != "" && c.Listen == nil &&
		!slices.ContainsFunc(out, func(l listener) bool { return strings.EqualFold(l.name, inter) }) {
		return nil, &ConfigError{fmt.Sprintf("inter.broker.listener.name is %s, but no listener has that name", inter), "name one of listeners"}
	}
	return out, nil
}

// asked are the addresses to listen on.
func (c Config) asked(config *meta.BrokerConfig, told []named, controllers []string) ([]named, error) {
	_, said := c.Properties["listeners"]
	switch {
	case c.Listen != nil:
		var out []named
		for _, addr := range c.Listen {
			name, rest, ok := strings.Cut(addr, "://")
			if !ok {
				name, rest = "PLAINTEXT", addr
			}
			if rest != "" {
				out = append(out, named{name, rest})
			}
		}
		return out, nil
	case !said && len(told) > 0: // only the advertised addresses are said: the same ports, on loopback if nothing else is meant
		host := "127.0.0.1"
		if c.Insecure {
			host = ""
		}
		var out []named
		for _, t := range told {
			_, port, err := net.SplitHostPort(t.addr)
			if err != nil {
				return nil, checkAddr("advertise", t.addr)
			}
			out = append(out, named{t.name, net.JoinHostPort(host, port)})
		}
		return out, nil
	default:
		return readListeners(config.List("listeners"), controllers)
	}
}

// advertise is what clients of a listener are told: what Config says for its place, or the property for its name. Without a
// host it leads to the one that they have reached.
func (c Config) advertise(name string, at int, told []named) (string, error) {
	advertised := ""
	if at < len(c.Advertised) {
		advertised = c.Advertised[at]
	}
	if i := slices.IndexFunc(told, func(t named) bool { return strings.EqualFold(t.name, name) }); c.Advertised == nil && i >= 0 {
		advertised = told[i].addr
	}
	if advertised == "" {
		return "", nil
	}
	if err := checkAddr("advertise", advertised); err != nil {
		return "", err
	}
	if host, _, _ := net.SplitHostPort(advertised); host != "" && wildcard(host) {
		return "", &ConfigError{fmt.Sprintf("clients cannot connect to the advertised address %s", advertised), "advertise a name or an address that they can reach"}
	}
	return advertised, nil
}

// readListeners reads NAME://HOST:PORT as Kafka writes listeners. The controller's are left out: they have no client.
func readListeners(list, controllers []string) ([]named, error) {
	out := []named{}
	for _, l := range list {
		name, addr, ok := strings.Cut(l, "://")
		if !ok {
			return nil, &ConfigError{fmt.Sprintf("the listener %q has no protocol", l), "write it as PLAINTEXT://" + l}
		}
		if !slices.ContainsFunc(controllers, func(c string) bool { return strings.EqualFold(c, name) }) {
			out = append(out, named{name, addr})
		}
	}
	return out, nil
}

// protocolMap reads NAME:PROTOCOL. A protocol is also the name of a listener that speaks it.
func protocolMap(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range protocols {
		out[p] = p
	}
	for _, entry := range list {
		name, protocol, ok := strings.Cut(entry, ":")
		if protocol = strings.ToUpper(strings.TrimSpace(protocol)); !ok || !slices.Contains(protocols, protocol) {
			return nil, &ConfigError{fmt.Sprintf("listener.security.protocol.map has %q", entry), "write NAME:PROTOCOL, a protocol is one of " + strings.Join(protocols, ", ")}
		}
		out[strings.ToUpper(strings.TrimSpace(name))] = protocol
	}
	return out, nil
}

var protocols = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

func checkAddr(what, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		if n, perr := strconv.ParseUint(port, 10, 16); perr == nil && (n > 0 || what == "listen on") {
			return nil
		}
	}
	return &ConfigError{fmt.Sprintf("cannot %s %q", what, addr), "an address is HOST:PORT, such as 127.0.0.1:9092"}
}

// checkReach refuses listeners that other machines can reach without proving who they are, or where they would send
// passwords that others can read, unless that was said aloud.
func (p *plan) checkReach(insecure bool) error {
	for _, l := range p.listeners {
		host, _, _ := net.SplitHostPort(l.addr)
		if insecure || loopback(host) {
			continue
		}
		v := p.config.ForListener(l.name, "")
		switch {
		case l.protocol == "SASL_PLAINTEXT" && readable(v.List("sasl.enabled.mechanisms")) && !v.Bool("allow.plain.without.tls"):
			return &ConfigError{fmt.Sprintf("clients on other machines would send passwords or tokens to %s that everybody on the way can read", l.addr),
				"use SASL_SSL or SCRAM, or say that you want this with allow.plain.without.tls=true"}
		case l.sasl(), l.protocol == "SSL" && v.String("ssl.client.auth") == "required":
		case l.protocol == "SSL":
			return &ConfigError{fmt.Sprintf("%s can be reached by other machines, and nobody has to authenticate", l.addr),
				"set ssl.client.auth=required or use SASL_SSL, " + meant}
		default:
			return &ConfigError{fmt.Sprintf("%s can be reached by other machines, and nobody has to authenticate", l.addr),
				"listen on 127.0.0.1, use SASL_SSL (docs/security.md), " + meant}
		}
	}
	return nil
}

const meant = "or say that you want this with --insecure, or ALLOW_PLAINTEXT_LISTENER=yes in the environment"

// readable tells whether one of the mechanisms sends what proves who a client is as it is.
func readable(mechanisms []string) bool {
	return slices.Contains(mechanisms, "PLAIN") || slices.Contains(mechanisms, "OAUTHBEARER")
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// showListeners makes the listeners what tools are shown, whatever flag or property they come from.
func showListeners(config *meta.BrokerConfig, listeners []listener) {
	var at, told []string
	for _, l := range listeners {
		at = append(at, l.name+"://"+l.addr)
		if l.advertised != "" {
			told = append(told, l.name+"://"+l.advertised)
		}
	}
	config.Started("listeners", strings.Join(at, ","))
	if len(told) > 0 {
		config.Started("advertised.listeners", strings.Join(told, ","))
	}
}
