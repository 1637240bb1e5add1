package pipeline_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	l.b.Reset()
	return s
}

// A server that starts again goes on from the state it wrote, and finds and tells what one that saw all would; a state that does
// not serve is said, and the ledger replayed.
func TestStateOverRestarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	lines := append(shop(), theft("backup", "203.0.113.9", 5, 1, 400)...)
	k, log := &told{}, &logged{}
	seen := new(atomic.Int64)
	with := func(change ...func(*pipeline.LiveConfig)) *pipeline.Live {
		return start(t, dir, k, append([]func(*pipeline.LiveConfig){func(c *pipeline.LiveConfig) {
			c.StateDir, c.Build, c.Logger = dir, "one", slog.New(slog.NewTextHandler(log, nil))
			c.Watch, c.WatchBack = func(*detect.Shown) { seen.Add(1) }, 100*365*24*time.Hour
		}}, change...)...)
	}
	l := with()
	s := stream(t, "log")
	for at := 0; at < len(lines); at += 500 {
		end := min(len(lines), at+500)
		take(t, l, s, int64(at), lines[at:end], anybody)
		stop(t, l)
		if said := log.take(); !strings.Contains(said, "is written") {
			t.Fatalf("no state was written: %s", said)
		}
		seen.Store(0)
		l = with()
		said := log.take()
		if !strings.Contains(said, "go on where they stopped") {
			t.Fatalf("the state was not read: %s", said)
		}
		if err := l.CaughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, l)
	heard := make(chan struct{})
	seen.Store(0)
	l = with(func(c *pipeline.LiveConfig) {
		c.Watch = func(*detect.Shown) {
			if seen.Add(1) == 1900 {
				close(heard)
			}
		}
	})
	select {
	case <-heard: // of what was before the start
	case <-time.After(20 * time.Second):
		t.Errorf("the watcher was told of %d accesses from before the start", seen.Load())
	}
	stop(t, l)
	log.take()
	path := filepath.Join(dir, "detect", "serve.state")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	fresh := &told{}
	l = start(t, dir, fresh)
	if err := l.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := l.Findings()
	stop(t, l)
	if d := cmp.Diff(fresh.by, k.by); d != "" || len(want) == 0 {
		t.Errorf("%d findings told (-by a replay +over restarts):\n%s", len(want), d)
	}

	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte{}, whole...)
	damaged[len(damaged)/2] ^= 1
	for name, c := range map[string]struct {
		file   []byte
		change func(*pipeline.LiveConfig)
		says   string
	}{
		"damaged":               {damaged, func(*pipeline.LiveConfig) {}, "damaged"},
		"cut off":               {whole[:len(whole)/3], func(*pipeline.LiveConfig) {}, "damaged"},
		"another program":       {whole, func(c *pipeline.LiveConfig) { c.Build = "two" }, "another configuration"},
		"another configuration": {whole, func(c *pipeline.LiveConfig) { c.Detect.AlarmsPerMonth = 2 }, "another configuration"},
	} {
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		other := &told{}
		l := start(t, dir, other, func(lc *pipeline.LiveConfig) {
			lc.StateDir, lc.Build, lc.Logger = dir, "one", slog.New(slog.NewTextHandler(log, nil))
			c.change(lc)
		})
		if err := l.CaughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if said := log.take(); !strings.Contains(said, c.says) || !strings.Contains(said, "replayed") {
			t.Errorf("%s: %s", name, said)
		}
		if len(l.Findings()) != len(want) || len(other.by) != len(want) {
			t.Errorf("%s: %d findings, %d told, want %d", name, len(l.Findings()), len(other.by), len(want))
		}
		stop(t, l)
		log.take()
	}
}

// A case reads what a server wrote, and gives the same answer.
func TestCaseReadsState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	l := start(t, dir, &told{}, func(c *pipeline.LiveConfig) { c.StateDir = dir })
	take(t, l, stream(t, "log"), 0, append(shop(), theft("backup", "203.0.113.9", 5, 1, 400)...), anybody)
	stop(t, l)
	c := open(t, dir)
	with := investigate(t, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "detect")); err != nil {
		t.Fatal(err)
	}
	without := investigate(t, open(t, dir))
	if d := cmp.Diff(without.Investigation, with.Investigation); d != "" || len(with.Findings) == 0 {
		t.Errorf("answers (-replayed +from the state):\n%s", d)
	}
}
