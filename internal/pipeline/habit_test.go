package pipeline_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/pipeline"
)

// hearing is a ledger that is started and stopped while its clock goes on.
type hearing struct {
	t    *testing.T
	dir  string
	ms   atomic.Int64 // its clock: the judge reads it too
	live *pipeline.Live
	n    int64
}

func hear(t *testing.T) *hearing {
	h := &hearing{t: t, dir: filepath.Join(t.TempDir(), "data")}
	h.ms.Store(now)
	h.start()
	return h
}

func (h *hearing) start() {
	h.live = start(h.t, h.dir, &told{}, func(c *pipeline.LiveConfig) {
		c.StateDir, c.Now = h.dir, h.now
	})
}

func (h *hearing) now() time.Time { return time.UnixMilli(h.ms.Load()) }

func (h *hearing) pass(d time.Duration) { h.ms.Add(d.Milliseconds()) }

// down stops the server for so long.
func (h *hearing) down(d time.Duration) {
	h.t.Helper()
	stop(h.t, h.live)
	h.pass(d)
	h.start()
}

// send has sources send a record each, every so often.
func (h *hearing) send(n int, every time.Duration, sources ...string) {
	h.t.Helper()
	for range n {
		h.pass(every)
		for _, source := range sources {
			h.n++
			line := fmt.Sprintf(`{"id":"h%d","time":%d,"route":"GET /customers/{id}","subject":"7","outcome":"disclosed","source":%q}`, h.n, h.ms.Load(), source)
			b := stream(h.t, source).Decode(h.ms.Load(), []byte(line+"\n"), h.n*1000, 0)
			out, err := h.live.Take(h.t.Context(), b, anybody)
			if err != nil || out.Accepted != 1 {
				h.t.Fatalf("sent by %s: %+v, %v", source, out, err)
			}
		}
	}
}

// silent names the silent sources, each with how long ago it sent last.
func (h *hearing) silent() string {
	var out []string
	for _, s := range h.live.Sources() {
		if since := s.SilentSince(h.now()); !since.IsZero() {
			out = append(out, fmt.Sprint(s.Source, " ", h.now().Sub(since)))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (h *hearing) expect(when, want string) {
	h.t.Helper()
	if got := h.silent(); got != want {
		h.t.Errorf("%s: silent are %q, want %q", when, got, want)
	}
}

// TestSilentOverRestart: a source that sent before a restart and nothing afterwards is silent, by what was its habit, and not while it
// may still come.
func TestSilentOverRestart(t *testing.T) {
	h := hear(t)
	h.send(40, 5*time.Second, "gone", "here")
	h.down(30 * time.Second)
	h.expect("just started", "")
	h.send(12, 5*time.Second, "here")
	h.expect("after a minute", "")
	h.send(13, 5*time.Second, "here")
	h.expect("after two minutes", "gone 2m35s")
	h.down(8 * time.Hour)
	h.send(30, 5*time.Second, "here")
	h.expect("after a second restart, which nobody could send in", "gone 8h5m5s")
	h.send(1, 5*time.Second, "gone", "here")
	h.expect("when it is back", "")
	h.send(1, 4*time.Minute, "here")
	h.expect("the hours that the server was down are nobody's habit", "gone 4m0s")
}

// TestSilentHabit: who sends every two hours is silent after six, before a restart and after it.
func TestSilentHabit(t *testing.T) {
	h := hear(t)
	h.send(25, 2*time.Hour, "hourly")
	h.down(time.Minute)
	h.pass(5 * time.Hour)
	h.expect("within its habit", "")
	h.pass(2 * time.Hour)
	h.expect("beyond it", "hourly 7h1m0s")
	h.down(8 * 24 * time.Hour)
	h.pass(24 * time.Hour)
	h.expect("what has been gone for a week", "")
}

// TestSilentByTheLedger: where what was written of the sources is gone or damaged, the ledger tells of them; and after a crash what was
// written while the server ran.
func TestSilentByTheLedger(t *testing.T) {
	for _, x := range []struct {
		name   string
		damage func(path string) error
	}{
		{"gone", os.Remove},
		{"damaged", func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) }},
		{"of another version", func(path string) error { return os.WriteFile(path, []byte(`{"version":99}`), 0o600) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := hear(t)
			h.send(40, 5*time.Second, "gw")
			stop(t, h.live)
			if err := x.damage(filepath.Join(h.dir, "sources.json")); err != nil {
				t.Fatal(err)
			}
			h.start()
			h.pass(9 * time.Minute)
			h.expect("while little is known", "")
			h.pass(2 * time.Minute)
			h.expect("after ten minutes", "gw 11m0s")
		})
	}
	h := hear(t)
	h.send(40, 5*time.Second, "gw")
	path := filepath.Join(h.dir, "sources.json")
	running, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, h.live)
	if err := os.WriteFile(path, running, 0o600); err != nil { // as it was when the server was killed
		t.Fatal(err)
	}
	h.start()
	h.pass(3 * time.Minute)
	if got := h.silent(); !strings.HasPrefix(got, "gw ") {
		t.Errorf("after a crash: silent are %q", got)
	}
}
