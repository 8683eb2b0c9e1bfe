package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leatstream/leat/broker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

// childDir has this test binary run a broker in that directory, as a process of its own.
const childDir = "LEAT_TEST_BROKER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil { // a broker that has stopped leaves nothing running
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// child runs a broker until it is told to stop, and says on stdout where it is.
func child(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	b, err := broker.New(broker.Config{DataDir: dir, Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	go func() {
		<-b.Ready()
		fmt.Fprintln(os.Stdout, b.Addr())
	}()
	if err := b.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a broker that can be killed.
type process struct {
	cmd  *exec.Cmd
	addr string
}

func startProcess(t testing.TB, dir string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childDir+"="+dir)
	p.cmd.Stderr = t.Output()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker does not say where it is: %v", err)
	}
	p.addr = strings.TrimSpace(line)
	return p
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// TestFirstClientAndMemory holds the footprint that an idle broker may have: until its first client is served it takes less than
// 100 ms of a processor, and 40 MiB of memory. Of the clock, a busy machine takes what it likes.
func TestFirstClientAndMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector multiplies time and memory")
	}
	spent, took, kib := time.Hour, time.Hour, 0
	for range 5 { // other tests use the machine too: the best of a few counts
		begin := time.Now()
		p := startProcess(t, t.TempDir())
		cl, err := kgo.NewClient(kgo.SeedBrokers(p.addr))
		if err != nil {
			t.Fatal(err)
		}
		if err := cl.Ping(testContext(t)); err != nil {
			t.Fatal(err)
		}
		took = min(took, time.Since(begin))
		cl.Close()
		kib = p.resident(t)
		p.kill()
		spent = min(spent, p.cmd.ProcessState.UserTime()+p.cmd.ProcessState.SystemTime())
	}
	t.Logf("first client after %s, of which a processor took %s; %.1f MiB resident", took, spent, float64(kib)/1024)
	if spent > 100*time.Millisecond {
		t.Errorf("it took %s of a processor to serve the first client", spent)
	}
	if kib > 40<<10 {
		t.Errorf("an idle broker uses %d KiB", kib)
	}
}

// resident is how much memory the process has, in KiB; 0 where that is told nowhere.
func (p *process) resident(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	kib, err := strconv.Atoi(regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindStringSubmatch(string(status))[1])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// TestKillNine kills the process while a producer writes, three times: nothing that was acknowledged is lost or out of
// order, and the directory is not locked by the dead.
func TestKillNine(t *testing.T) {
	ctx, dir := testContext(t), t.TempDir()
	acked := int64(0)
	for round := range 3 {
		p := startProcess(t, dir)
		cl, err := kgo.NewClient(kgo.SeedBrokers(p.addr), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"), kgo.MaxProduceRequestsInflightPerBroker(1), kgo.DisableIdempotentWrite())
		if err != nil {
			t.Fatal(err)
		}
		ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, "t")
		end, _ := ends.Lookup("t", 0)
		if round > 0 && (err != nil || end.Offset < acked) {
			t.Fatalf("round %d: %d records, but %d were acknowledged (%v)", round, end.Offset, acked, err)
		}
		for range 50 {
			r, err := cl.ProduceSync(ctx, kgo.StringRecord("x")).First()
			if err != nil {
				t.Fatal(err)
			}
			acked = r.Offset + 1
		}
		cl.Produce(ctx, kgo.StringRecord("on its way"), nil)
		p.kill()
		cl.Close()
	}
}
