package connect

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
)

func TestHostilePluginsAreNamedAndDisturbNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("numbers", 1)
	want := map[string]string{
		"crash":   "segmentation fault, so to say",
		"rubbish": "not a leat plugin: it printed \"Welcome to my plugin!\"",
		"mute":    "did not say hello within",
		"future":  "another version of the plugin protocol",
		"broken":  "a frame that is no record batch",
		"jumpy":   "batch 7 of claim \"c\" came where 2 was due",
	}
	var src strings.Builder
	for name := range want {
		fmt.Fprintf(&src, "source: bad-%s\nplugin: %s\nto: bad-%s\n---\n", name, name, name)
	}
	src.WriteString("source: good\nplugin: generate\nconfig: {rate: 200, value: '{{seq}}'}\nto: numbers\n")
	r := w.start(src.String())
	for name, text := range want {
		t.Run(name, func(t *testing.T) {
			s := r.wait("bad-"+name, "a named error", func(s Status) bool { return strings.Contains(s.LastError, text) && s.Restarts > 0 })
			if s.State == "running" && name != "broken" && name != "jumpy" {
				t.Errorf("%+v", s)
			}
		})
	}
	before := r.status("good")
	r.wait("good", "still running", func(s Status) bool { return s.Records > before.Records })
	if s := r.status("good"); s.Restarts > 0 || s.State != "running" {
		t.Errorf("the good one was disturbed: %+v", s)
	}
	if n := r.status("bad-crash").Restarts; n > 40 {
		t.Errorf("%d restarts: no backoff", n)
	}
}

// A runtime can be stopped while plugins hang in any way.
func TestStopDoesNotWaitForHangingPlugins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("in", 1)
	r := w.start("source: mute\nplugin: mute\nto: a\n---\nsource: sleepy\nplugin: sleepy\nto: b\n---\nsource: frozen\nplugin: generate\nconfig: {value: '{{seq}}'}\nto: c\n")
	frozen := r.wait("frozen", "running", func(s Status) bool { return s.State == "running" && s.PID > 0 })
	r.wait("sleepy", "started", func(s Status) bool { return s.PID > 0 })
	if err := syscall.Kill(frozen.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	sleepy := r.status("sleepy").PID
	begin := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
	for _, pid := range []int{frozen.PID, sleepy} {
		w.gone(pid)
	}
}

func (w *world) gone(pid int) {
	w.t.Helper()
	w.until(fmt.Sprintf("process %d ends", pid), func() bool {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(raw, []byte(") Z "))
	}, func() any { return nil })
}

func TestHangingPluginIsFoundAndReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start("source: frozen\nplugin: generate\nconfig: {value: '{{seq}}', rate: 100}\nto: c\n")
	old := r.wait("frozen", "running", func(s Status) bool { return s.State == "running" && s.PID > 0 })
	if err := syscall.Kill(old.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s := r.wait("frozen", "replaced", func(s Status) bool { return s.State == "running" && s.PID > 0 && s.PID != old.PID })
	if !strings.Contains(s.LastError, "hangs") {
		t.Errorf("%+v", s)
	}
	w.gone(old.PID)
}

// What a plugin starts ends with it.
func TestChildrenOfPluginsEndWithThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(w.dir, "pid")
	r := w.start("source: f\nplugin: forked\nconfig: {path: '" + path + "'}\nto: c\n")
	pid := 0
	w.until("a child", func() bool {
		raw, _ := os.ReadFile(path)
		pid, _ = strconv.Atoi(string(raw))
		return pid > 0
	}, func() any { return r.Status() })
	_ = r.stop()
	w.gone(pid)
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("in", 1)
	out := filepath.Join(w.dir, "picked")
	w.produce("in", "a", "poison 1", "later 1", "b", "poison 2", "c")
	r := w.start("sink: pick\nplugin: picky\nconfig: {path: '" + out + "'}\nfrom: in\n")
	r.wait("pick", "all seen to", func(s Status) bool { return s.Drained && s.Records == 6 })
	if raw, _ := os.ReadFile(out); string(raw) != "a\nlater 1\nb\nc\n" {
		t.Errorf("written: %q", raw)
	}
	if s := r.status("pick"); s.DeadLetters != 2 || s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
	var got []string
	w.records("pick.dead-letter", func(_ int32, rec *batch.Record) {
		got = append(got, string(rec.Value))
		for k, want := range map[string]string{"topic": "in", "partition": "0", "connector.name": "pick", "stage": "TASK_PUT", "exception.class.name": "picky.no", "exception.message": "the target does not want it"} {
			if have := headerOf(rec, "__connect.errors."+k); have != want {
				t.Errorf("header %s is %q, not %q", k, have, want)
			}
		}
		if at := headerOf(rec, "__connect.errors.offset"); at != map[string]string{"poison 1": "1", "poison 2": "4"}[string(rec.Value)] {
			t.Errorf("%s at offset %s", rec.Value, at)
		}
	})
	if strings.Join(got, ",") != "poison 1,poison 2" {
		t.Errorf("dead letters %v", got)
	}
	w.produce("in", "d", "fatal 1", "e")
	s := r.wait("pick", "stopped for good", func(s Status) bool { return s.State == "failed" })
	if !strings.Contains(s.LastError, "the target is full") || !strings.Contains(s.LastError, "offset 7") {
		t.Errorf("%+v", s)
	}
	if err := r.stop(); err == nil || !strings.Contains(err.Error(), "the target is full") {
		t.Errorf("Run returned %v", err)
	}
}

func (w *world) produce(topic string, values ...string) {
	w.t.Helper()
	p, err := w.client.NewProducer(kafka.ProducerOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer p.Close()
	b := p.NewBatcher(kafka.BatcherOptions{})
	done := make(chan error, len(values))
	for _, v := range values {
		if err := b.Add(w.t.Context(), topic, 0, 1, nil, []byte(v), nil, func(err error) { done <- err }); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := b.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	for range values {
		if err := <-done; err != nil {
			w.t.Fatal(err)
		}
	}
}

const secret = `s3cr"et<&>of many characters`

func TestSecretsAreNotShown(t *testing.T) {
	w := newWorld(t)
	t.Setenv("LEAT_TEST_TOKEN", secret)
	r := w.start("source: c\nplugin: chatty\nconfig: {token: '${env:LEAT_TEST_TOKEN}'}\nto: c\n")
	s := r.wait("c", "a failure", func(s Status) bool { return strings.Contains(s.LastError, "cannot log in") && s.DeadLetters > 0 })
	_ = r.stop()
	all := fmt.Sprintf("%+v\n%+v\n%s", s, r.Status(), w.log)
	w.records("c.dead-letter", func(_ int32, rec *batch.Record) { all += fmt.Sprintf("%s", rec.Headers) })
	for _, part := range []string{"s3cr", "many characters"} {
		if strings.Contains(all, part) {
			t.Errorf("the secret shows:\n%s", all)
		}
	}
	if !strings.Contains(w.log.String(), "logged in with ***") {
		t.Error("the log of the plugin is missing")
	}
}
