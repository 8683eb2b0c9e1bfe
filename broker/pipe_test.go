package broker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func TestPipeCarriesBothWaysAtOnce(t *testing.T) {
	a, b := newPipe(memAddr("a"), memAddr("b"))
	defer a.Close()
	payload := bytes.Repeat([]byte("0123456789abcdef"), pipeBuffer/4) // four buffers' worth
	go func() {
		_, _ = io.Copy(b, b) // an echo
		b.Close()
	}()
	sent := make(chan error, 1)
	go func() {
		_, err := a.Write(payload)
		sent <- err
	}()
	got := make([]byte, len(payload))
	if _, err := io.ReadFull(a, got); err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("echo differs (%v)", err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func TestPipeClose(t *testing.T) {
	a, b := newPipe(memAddr("a"), memAddr("b"))
	if _, err := a.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if got, err := io.ReadAll(b); string(got) != "last words" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("write to a closed reader: %v", err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("read after own close: %v", err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("write after own close: %v", err)
	}
}

func TestPipeCloseWakesWaiters(t *testing.T) {
	a, b := newPipe(memAddr("a"), memAddr("b"))
	read, write := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := a.Read(make([]byte, 1))
		read <- err
	}()
	go func() {
		_, err := a.Write(make([]byte, 2*pipeBuffer))
		write <- err
	}()
	b.Close()
	if err := <-read; !errors.Is(err, io.EOF) {
		t.Fatalf("read: %v", err)
	}
	if err := <-write; !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("write: %v", err)
	}
}

func TestPipeDeadlines(t *testing.T) {
	a, b := newPipe(memAddr("a"), memAddr("b"))
	if err := a.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read: %v", err)
	}
	var timeout net.Error
	if _, err := a.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("%v is not a timeout", err)
	}
	if err := a.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil { // time enough to fill the buffer on any machine
		t.Fatal(err)
	}
	if n, err := a.Write(make([]byte, 2*pipeBuffer)); n != pipeBuffer || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if err := a.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = b.Write([]byte("y")) }()
	if _, err := a.Read(make([]byte, 1)); err != nil {
		t.Fatalf("after the deadline was taken back: %v", err)
	}
}
