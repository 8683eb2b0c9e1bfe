package http

import (
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/leatstream/leat/connect/sdk"
)

// SourceConfig is `config:` of a source.
type SourceConfig struct {
	Listen      string        `cfg:"listen" default:"127.0.0.1:8088" doc:"Address to listen on. Other machines reach it only if token is set or insecure is true." example:"127.0.0.1:8088"`
	Path        string        `cfg:"path" default:"/" doc:"Path that takes records; everything else gets 404."`
	Format      string        `cfg:"format" default:"json" enum:"json,lines,raw" doc:"What a request's body holds: one JSON value; JSON values one per line; any bytes."`
	KeyHeader   string        `cfg:"key_header" doc:"Request header whose value becomes the record's key." example:"X-Device"`
	Headers     []string      `cfg:"headers" doc:"Request headers to keep as record headers." example:"[X-GitHub-Event]"`
	Token       sdk.Secret    `cfg:"token" doc:"If set, requests must carry it: Authorization: Bearer TOKEN."`
	Insecure    bool          `cfg:"insecure" default:"false" doc:"Allow an address beyond this machine without a token."`
	MaxBody     sdk.Size      `cfg:"max_body" default:"1000000B" min:"1B" max:"16MiB" doc:"Larger bodies get 413."`
	MaxRequests int           `cfg:"max_requests" default:"256" min:"1" max:"100000" doc:"Requests at once; more get 503."`
	Timeout     time.Duration `cfg:"timeout" default:"30s" min:"100ms" max:"1h" doc:"A request that is not durable by then gets 503."`
}

// Validate refuses an open door that nobody asked for.
func (c *SourceConfig) Validate() []sdk.Problem {
	var problems []sdk.Problem
	host, _, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil:
		problems = append(problems, sdk.Problem{Path: "listen", Code: "http.address", Message: "listen must be HOST:PORT: " + err.Error(), Hint: "for example: listen: 127.0.0.1:8088"})
	case !loopback(host) && c.Token == "" && !c.Insecure:
		problems = append(problems, sdk.Problem{
			Path: "listen", Code: "http.open", Message: c.Listen + " can be reached from other machines, and anybody could write",
			Hint: "set token, listen on 127.0.0.1, or say insecure: true",
		})
	}
	if !strings.HasPrefix(c.Path, "/") {
		problems = append(problems, sdk.Problem{Path: "path", Code: "http.path", Message: "path must begin with /", Hint: "for example: path: /events"})
	}
	return problems
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// SinkConfig is `config:` of a sink.
type SinkConfig struct {
	URL         string            `cfg:"url,required" doc:"Where each record is sent." example:"https://example.org/events"`
	Method      string            `cfg:"method" default:"POST" enum:"POST,PUT,PATCH" doc:"HTTP method."`
	ContentType string            `cfg:"content_type" default:"application/json" doc:"Content-Type of the requests."`
	Headers     map[string]string `cfg:"headers" doc:"Further request headers."`
	Token       sdk.Secret        `cfg:"token" doc:"Sent as Authorization: Bearer TOKEN."`
	Timeout     time.Duration     `cfg:"timeout" default:"10s" min:"10ms" max:"1h" doc:"For one request."`
}

// Validate checks the URL.
func (c *SinkConfig) Validate() []sdk.Problem {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return []sdk.Problem{{Path: "url", Code: "http.url", Message: "url must be a whole http or https address", Hint: "for example: url: https://example.org/events"}}
	}
	return nil
}

// Connector is the http connector.
func Connector() sdk.Connector {
	return sdk.Connector{
		Name: "http", Version: "1.0.0", Summary: "Takes records as a webhook, and posts records.",
		Source: sdk.Source[SourceConfig]{Summary: "A webhook that answers 202 once the record is durable.", Run: runSource, Check: checkSource},
		Sink:   sdk.Sink[SinkConfig]{Summary: "One request per record, with retries.", Open: openSink},
	}
}
