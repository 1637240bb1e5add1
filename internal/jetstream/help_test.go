package jetstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/jetstream"
	"github.com/whosaw/whosaw/internal/pipeline"
)

const childEnv = "WHOSAW_NATS_CHILD" // DIR PORT: this process is a NATS server, to be killed

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(childEnv)); len(args) == 2 {
		port, _ := strconv.Atoi(args[1])
		s, err := startServer(server.Options{StoreDir: args[0], Port: port})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(s.ClientURL())
		io.Copy(io.Discard, os.Stdin) // until the parent goes, if it does not kill
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startServer runs a real server on loopback, with its streams on disk.
func startServer(o server.Options) (*server.Server, error) {
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.Host, o.JetStream, o.NoSigs, o.NoLog = "127.0.0.1", true, true, true
	s, err := server.NewServer(&o)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		s.Shutdown()
		return nil, errors.New("the NATS server did not start")
	}
	return s, nil
}

func newServer(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	s, err := startServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// killable is a server in a process of its own.
type killable struct {
	t   *testing.T
	dir string
	url string
	cmd *exec.Cmd
	in  io.Closer
}

func newKillable(t *testing.T) *killable {
	k := &killable{t: t, dir: t.TempDir()}
	k.start("-1")
	t.Cleanup(k.kill)
	return k
}

func (k *killable) start(port string) {
	k.t.Helper()
	k.cmd = exec.Command(os.Args[0])
	k.cmd.Env = append(os.Environ(), childEnv+"="+filepath.Join(k.dir, "js")+" "+port)
	k.cmd.Stderr = os.Stderr
	out, err := k.cmd.StdoutPipe()
	if err == nil {
		k.in, err = k.cmd.StdinPipe()
	}
	if err == nil {
		err = k.cmd.Start()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		k.t.Fatalf("the NATS server did not start: %v", err)
	}
	k.url = strings.TrimSpace(line)
}

func (k *killable) kill() {
	if k.cmd == nil {
		return
	}
	k.cmd.Process.Kill()
	k.cmd.Wait() // killed
	k.in.Close()
	k.cmd = nil
}

func (k *killable) restart() { k.start(k.url[strings.LastIndex(k.url, ":")+1:]) }

// connect gives a client for publishing and looking.
func connect(t testing.TB, url string, o ...nats.Option) js.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond)}, o...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	client, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func makeStream(t testing.TB, client js.JetStream) {
	t.Helper()
	_, err := client.CreateOrUpdateStream(context.Background(), js.StreamConfig{Name: "ACCESS", Subjects: []string{"access.>"}, Storage: js.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
}

// start is the time of every line, so that only positions tell lines apart.
var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func line(name any) string {
	return fmt.Sprintf(`{"time":%d,"subject":"7","route":"GET /me","request":"%v"}`+"\n", start.UnixMilli(), name)
}

func publish(t *testing.T, client js.JetStream, subject, data string, o ...js.PublishOpt) uint64 {
	t.Helper()
	ack, err := client.Publish(t.Context(), subject, []byte(data), o...)
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

// ledger is a sink that keeps records the way the ledger does.
type ledger struct {
	mu       sync.Mutex
	at       map[int64]string // by position
	count    map[string]int   // by request
	types    pipeline.Types
	repeats  int
	rejects  []ingest.RejectedLine
	conflict []string
	greatest int // batch
	bombs    int // in one batch at most
	fail     error
	gate     chan struct{} // if not nil, each batch waits for one
	kept     func()        // called when a batch is durable
}

func newLedger() *ledger { return &ledger{at: map[int64]string{}, count: map[string]int{}} }

func (l *ledger) Take(ctx context.Context, b *ingest.Batch, from pipeline.Sender) (pipeline.Outcome, error) {
	if l.gate != nil {
		select {
		case <-l.gate:
		case <-ctx.Done():
			return pipeline.Outcome{}, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return pipeline.Outcome{}, l.fail
	}
	l.types = from.Types
	l.greatest = max(l.greatest, len(b.Records))
	out := pipeline.Outcome{Lines: b.Lines, Rejects: b.Rejects}
	bombs := 0
	defer func() { l.bombs = max(l.bombs, bombs) }()
	for i := range b.Records {
		r := &b.Records[i]
		if strings.HasPrefix(r.Request, "bomb") {
			bombs++
		}
		if !from.Types.Has(r.Type) {
			out.Rejects = append(out.Rejects, ingest.RejectedLine{Reject: ingest.Reject{Source: r.Source, Line: b.LineOf[i], Position: r.Position, Reason: "not allowed"}})
			continue
		}
		was, known := l.at[r.Position]
		switch {
		case !known:
			l.at[r.Position] = r.Request
			l.count[r.Request]++
			out.Accepted++
		case was == r.Request:
			l.repeats++
			out.Duplicates++
		default:
			l.conflict = append(l.conflict, r.Request)
		}
	}
	l.rejects = append(l.rejects, out.Rejects...)
	if l.kept != nil {
		l.kept()
	}
	return out, nil
}

// eventually asks until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (l *ledger) has(t *testing.T, names ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d lines", len(names)), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.count) >= len(names)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range names {
		if l.count[n] != 1 {
			t.Errorf("line %s is there %d times", n, l.count[n])
		}
	}
	if len(l.count) != len(names) || len(l.conflict) > 0 {
		t.Errorf("%d lines, want %d; conflicts %v", len(l.count), len(names), l.conflict)
	}
}

// run starts a consumer. stop ends it and waits.
func run(t *testing.T, c jetstream.Config, sink jetstream.Sink) (cons *jetstream.Consumer, stop func()) {
	t.Helper()
	if c.Stream == "" {
		c.Stream = "ACCESS"
	}
	cons, err := jetstream.New(jetstream.Options{Config: c, Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- cons.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return cons, stop
}

// settled waits until NATS has nothing for the consumer any more.
func settled(t *testing.T, client js.JetStream) *js.ConsumerInfo {
	t.Helper()
	var info *js.ConsumerInfo
	eventually(t, "every message to be acknowledged", func() bool {
		c, err := client.Consumer(t.Context(), "ACCESS", "whosaw")
		if err != nil {
			return false
		}
		info = c.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	})
	return info
}
