package http

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/connect/sdk"
)

// drainTime is how long requests under way may take once the connector is to stop.
const drainTime = 5 * time.Second

// webhook answers requests.
type webhook struct {
	config SourceConfig
	claim  *sdk.Claim[int64]
	count  atomic.Int64
	slots  chan struct{}
}

func checkSource(_ context.Context, c SourceConfig) error {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return sdk.Transient(err)
	}
	return l.Close()
}

func runSource(ctx context.Context, c SourceConfig, t *sdk.Task) error {
	claim, err := sdk.OpenClaim[int64](t, "requests")
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return sdk.Transient(err)
	}
	w := &webhook{config: c, claim: claim, slots: make(chan struct{}, c.MaxRequests)}
	w.count.Store(claim.Position)
	server := &http.Server{
		Handler: w, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: c.Timeout, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(t.Log.Handler(), slog.LevelDebug),
	}
	t.Log.Info("listening", "url", "http://"+l.Addr().String()+c.Path)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return sdk.Transient(err)
	case <-ctx.Done():
	}
	// Requests under way get their answer: the runtime goes on acknowledging while it drains.
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(err, server.Close())
	}
	return sdk.ErrStopping
}

func (w *webhook) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	select {
	case w.slots <- struct{}{}:
	default:
		unavailable(rw, "too many requests at once")
		return
	}
	records, status, err := w.read(rw, req)
	if err != nil {
		<-w.slots
		http.Error(rw, err.Error(), status)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), w.config.Timeout)
	defer cancel()
	// Emitting waits for the runtime to take more, for longer than a sender might wait. The slot stays taken.
	delivered := make(chan error, 1)
	go func() {
		defer func() { <-w.slots }()
		delivered <- w.deliver(ctx, records)
	}()
	select {
	case err = <-delivered:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		unavailable(rw, "not durable yet: send it again")
		return
	}
	rw.WriteHeader(http.StatusAccepted)
}

// deliver returns when the records are durable.
func (w *webhook) deliver(ctx context.Context, records []sdk.Record) error {
	last := len(records) - 1
	for _, r := range records[:last] {
		if err := w.claim.Emit(r, w.count.Add(1)); err != nil {
			return err
		}
	}
	return w.claim.Deliver(ctx, records[last], w.count.Add(1))
}

func unavailable(rw http.ResponseWriter, why string) {
	rw.Header().Set("Retry-After", "1")
	http.Error(rw, why, http.StatusServiceUnavailable)
}

// read makes records of a request, or says what is wrong with it.
func (w *webhook) read(rw http.ResponseWriter, req *http.Request) ([]sdk.Record, int, error) {
	if req.URL.Path != w.config.Path {
		return nil, http.StatusNotFound, fmt.Errorf("records go to %s", w.config.Path)
	}
	if req.Method != http.MethodPost && req.Method != http.MethodPut {
		rw.Header().Set("Allow", "POST, PUT")
		return nil, http.StatusMethodNotAllowed, errors.New("send records by POST or PUT")
	}
	if want := w.config.Token.Reveal(); want != "" {
		if subtle.ConstantTimeCompare([]byte(req.Header.Get("Authorization")), []byte("Bearer "+want)) != 1 {
			rw.Header().Set("WWW-Authenticate", "Bearer")
			return nil, http.StatusUnauthorized, errors.New("the token is missing or wrong")
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, req.Body, int64(w.config.MaxBody)))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes", w.config.MaxBody)
		}
		return nil, http.StatusBadRequest, errors.New("the body could not be read")
	}
	values, err := w.values(body)
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	records := make([]sdk.Record, len(values))
	for i, v := range values {
		records[i] = sdk.Record{Value: v, Headers: w.headers(req)}
		if key := req.Header.Get(w.config.KeyHeader); w.config.KeyHeader != "" && key != "" {
			records[i].Key = []byte(key)
		}
	}
	return records, 0, nil
}

func (w *webhook) values(body []byte) ([][]byte, error) {
	if w.config.Format == "raw" {
		return [][]byte{body}, nil
	}
	parts := [][]byte{body}
	if w.config.Format == "lines" {
		parts = bytes.Split(body, []byte("\n"))
	}
	var values [][]byte
	for i, p := range parts {
		p = bytes.TrimSpace(p)
		if len(p) == 0 && w.config.Format == "lines" {
			continue
		}
		if !json.Valid(p) {
			return nil, fmt.Errorf("value %d of the body is not JSON", i+1)
		}
		values = append(values, p)
	}
	if len(values) == 0 {
		return nil, errors.New("the body is empty")
	}
	return values, nil
}

func (w *webhook) headers(req *http.Request) []sdk.Header {
	var out []sdk.Header
	for _, name := range w.config.Headers {
		if v := req.Header.Get(name); v != "" {
			out = append(out, sdk.Header{Key: name, Value: []byte(v)})
		}
	}
	return out
}
