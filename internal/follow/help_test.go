package follow_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/follow"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// start is the event time of the first line; line n is n seconds later, so no two lines have the same identity.
var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func line(n int) string {
	return fmt.Sprintf(`{"time":%d,"subject":"%d","route":"GET /me","request":"%d"}`+"\n", start.UnixMilli()+int64(n)*1000, n, n)
}

func lines(from, to int) string {
	var s string
	for n := from; n < to; n++ {
		s += line(n)
	}
	return s
}

// identity is what the ledger knows a record without an id by.
type identity struct {
	source   string
	position int64
	time     int64
}

// keeper is a sink that keeps records the way the ledger does: one that comes again is a repeat.
type keeper struct {
	mu       sync.Mutex
	by       map[identity]string
	count    map[string]int // by request
	repeats  int
	rejects  []ingest.RejectedLine
	conflict []string
	changed  chan struct{}
	fail     error
	types    pipeline.Types
	gate     chan struct{} // if not nil, a batch waits for two of it
}

func newKeeper() *keeper {
	return &keeper{by: map[identity]string{}, count: map[string]int{}, changed: make(chan struct{})}
}

func (l *keeper) Take(ctx context.Context, b *ingest.Batch, from pipeline.Sender) (pipeline.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return pipeline.Outcome{}, err
	}
	l.mu.Lock()
	gate := l.gate
	l.mu.Unlock()
	if gate != nil {
		<-gate
		<-gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { close(l.changed); l.changed = make(chan struct{}) }()
	if l.fail != nil {
		return pipeline.Outcome{}, l.fail
	}
	l.types = from.Types
	out := pipeline.Outcome{Lines: b.Lines, Rejects: b.Rejects}
	for i := range b.Records {
		r := &b.Records[i]
		id := identity{r.Source, r.Position, r.Time}
		was, known := l.by[id]
		switch {
		case !known:
			l.by[id] = r.Request
			l.count[r.Request]++
			out.Accepted++
		case was == r.Request:
			l.repeats++
			out.Duplicates++
		default:
			l.conflict = append(l.conflict, r.Request)
		}
	}
	l.rejects = append(l.rejects, b.Rejects...)
	return out, nil
}

// wait waits until ok holds. It is asked whenever something came, and now and then.
func (l *keeper) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		l.mu.Lock()
		done, changed := ok(), l.changed
		l.mu.Unlock()
		if done {
			return
		}
		tick := time.NewTimer(20 * time.Millisecond)
		select {
		case <-changed:
		case <-tick.C:
		case <-deadline.C:
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("waited in vain for %s: %d records, %d repeats, %d rejects %v, conflicts %v", what, len(l.count), l.repeats, len(l.rejects), l.rejects, l.conflict)
		}
		tick.Stop()
	}
}

// has waits until exactly the lines from..to are there, each once.
func (l *keeper) has(t *testing.T, from, to int) {
	t.Helper()
	l.wait(t, fmt.Sprintf("lines %d to %d", from, to), func() bool { return len(l.count) >= to-from })
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := from; n < to; n++ {
		if c := l.count[fmt.Sprint(n)]; c != 1 {
			t.Errorf("line %d is there %d times", n, c)
		}
	}
	if len(l.count) != to-from {
		t.Errorf("there are %d lines, want %d to %d", len(l.count), from, to)
	}
	if len(l.conflict) > 0 {
		t.Errorf("conflicts: %v", l.conflict)
	}
}

func (l *keeper) repeated() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.repeats
}

// clock runs with the machine's and can be put forward.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// rig is a log directory, a follower and what it gave.
type rig struct {
	t     *testing.T
	dir   string
	state *sqlite.DB
	sink  *keeper
	clock *clock
	cfg   follow.Config

	f    *follow.Follower
	stop context.CancelFunc
	done chan error
}

func newRig(t *testing.T, change ...func(*follow.Config)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), sink: newKeeper(), clock: &clock{}}
	var err error
	if r.state, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db")); err != nil {
		t.Fatal(err)
	}
	r.cfg = follow.Config{Path: r.path("access.log"), Source: "web", Format: "records", Poll: 10 * time.Millisecond}
	for _, c := range change {
		c(&r.cfg)
	}
	t.Cleanup(func() {
		r.halt()
		if err := r.state.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) start() {
	r.t.Helper()
	f, err := follow.New(follow.Options{Logs: []follow.Config{r.cfg}, Sink: r.sink, State: r.state, Now: r.clock.now})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r.f, r.stop, r.done = f, cancel, done
	go func() { done <- f.Run(ctx) }()
}

// halt stops the follower the graceful way.
func (r *rig) halt() {
	if r.stop == nil {
		return
	}
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
	r.stop = nil
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	f, err := os.OpenFile(r.path(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) rename(from, to string) {
	r.t.Helper()
	if err := os.Rename(r.path(from), r.path(to)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) remove(name string) {
	r.t.Helper()
	if err := os.Remove(r.path(name)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) run(name string, args ...string) {
	r.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = r.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// older makes a file look as if it was last written d ago.
func (r *rig) older(name string, d time.Duration) {
	r.t.Helper()
	then := time.Now().Add(-d)
	if err := os.Chtimes(r.path(name), then, then); err != nil {
		r.t.Fatal(err)
	}
}

// status waits until the log's status is as wanted.
func (r *rig) status(what string, ok func(follow.LogStatus) bool) {
	r.t.Helper()
	r.sink.wait(r.t, what, func() bool {
		all := r.f.Status()
		return len(all) == 1 && ok(all[0])
	})
}
