package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/connect/sdk"
)

// maxAnswer bounds what is read of an answer, in bytes; what is beyond costs the connection.
const maxAnswer = 64 << 10

type poster struct {
	config SinkConfig
	client *http.Client
}

func openSink(_ context.Context, c SinkConfig, _ *sdk.SinkTask) (sdk.Writer, error) {
	return &poster{config: c, client: &http.Client{
		Timeout:       c.Timeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Write posts the records one after the other: a topic's order is the target's order.
func (p *poster) Write(ctx context.Context, b *sdk.Batch) error {
	return b.Each(func(r *sdk.Record) error { return p.post(ctx, r) })
}

func (p *poster) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

func (p *poster) post(ctx context.Context, r *sdk.Record) error {
	req, err := http.NewRequestWithContext(ctx, p.config.Method, p.config.URL, bytes.NewReader(r.Value))
	if err != nil {
		return sdk.Fatal("http.url", err, "mend url")
	}
	req.Header.Set("Content-Type", p.config.ContentType)
	for name, value := range p.config.Headers {
		req.Header.Set(name, value)
	}
	if t := p.config.Token.Reveal(); t != "" {
		req.Header.Set("Authorization", "Bearer "+t)
	}
	// The same record has the same key each time, so that a receiver can tell a repetition.
	req.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d-%d", r.Topic, r.Partition, r.Offset))
	resp, err := p.client.Do(req)
	if err != nil {
		return sdk.Transient(err)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	closeErr := resp.Body.Close()
	if verdict := judge(resp, answer); verdict != nil {
		return verdict
	}
	if err := errors.Join(err, closeErr); err != nil {
		return sdk.Transient(err)
	}
	return nil
}

// judge says whose fault an answer is: the record's, the moment's or the configuration's.
func judge(resp *http.Response, answer []byte) error {
	status := resp.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	text := strings.TrimSpace(string(answer[:min(len(answer), 200)]))
	err := fmt.Errorf("%s answers %s: %s", resp.Request.URL.Redacted(), resp.Status, text)
	switch status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusConflict, http.StatusLocked:
		return sdk.TransientAfter(err, retryAfter(resp.Header, time.Now()))
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return sdk.Fatal("http.refused", err, "set token or headers so that the target lets leat in")
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		return sdk.Fatal("http.target", err, "mend url or method: the target takes nothing there")
	}
	switch {
	case status >= 500:
		return sdk.TransientAfter(err, retryAfter(resp.Header, time.Now()))
	case status < 400:
		return sdk.Fatal("http.redirect", err, "set url to where it leads: "+resp.Header.Get("Location"))
	}
	return sdk.Poison("http.status", err)
}

// maxRetryAfter keeps a target from putting a connector to sleep for good.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads the header of RFC 9110 §10.2.3, seconds or a date; 0 when there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	pause := time.Duration(0)
	if seconds, err := strconv.ParseInt(v, 10, 32); err == nil {
		pause = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		pause = at.Sub(now)
	}
	return min(max(pause, 0), maxRetryAfter)
}
