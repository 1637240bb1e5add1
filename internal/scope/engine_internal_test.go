package scope

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// heldContext stops whoever asks it whether it is over, until it is let go.
type heldContext struct {
	context.Context
	asked  chan struct{} // closed by the first who asks
	letGo  chan struct{}
	asking sync.Once
}

func hold(ctx context.Context) *heldContext {
	return &heldContext{Context: ctx, asked: make(chan struct{}), letGo: make(chan struct{})}
}

func (c *heldContext) Err() error {
	c.asking.Do(func() { close(c.asked) })
	<-c.letGo
	return c.Context.Err()
}

// TestWorldsWait has worlds made slowly: nobody waits for one that is not theirs, each is made once, and one that was given up is made by the next who needs it.
func TestWorldsWait(t *testing.T) {
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), SegmentRecords: 10, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var rs []whosaw.Record
	for i := range int64(25) {
		rs = append(rs, whosaw.Record{Type: whosaw.TypeIssuance, Source: "web", Position: i + 1, Time: 1_700_000_000_000 + i, Credential: "c", Ref: &whosaw.Reference{}})
	}
	if _, err := l.Append(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
	view, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	type answer struct {
		world *world
		err   error
	}
	for _, moment := range []struct{ slow, other uint64 }{{12, 25}, {25, 12}, {12, 7}} {
		e := New(view, nil, Config{})
		ask := func(ctx context.Context) chan answer {
			out := make(chan answer, 1)
			go func() {
				w, err := e.worldAt(ctx, moment.slow)
				out <- answer{w, err}
			}()
			return out
		}
		ctx, cancel := context.WithCancel(t.Context())
		slow := hold(ctx)
		first := ask(slow)
		<-slow.asked
		if w, err := e.worldAt(t.Context(), moment.other); err != nil || w.asOf != moment.other {
			t.Fatalf("another world than that of %d: %v", moment.slow, err)
		}
		if moment.slow != view.Last() && moment.other != view.Last() { // the other one is kept now
			close(slow.letGo)
			if x := <-first; x.err != nil || x.world.asOf != moment.slow {
				t.Errorf("a world that is not kept: %v", x.err)
			}
			cancel()
			continue
		}
		gone, stop := context.WithCancelCause(t.Context())
		left := errors.New("the reader has gone")
		stop(left)
		if _, err := e.worldAt(gone, moment.slow); !errors.Is(err, left) {
			t.Errorf("whoever goes while another makes the world: %v", err)
		}
		second, third := ask(t.Context()), ask(t.Context())
		cancel()
		close(slow.letGo)
		if x := <-first; !errors.Is(x.err, context.Canceled) {
			t.Errorf("a world that was given up: %v", x.err)
		}
		a, b := <-second, <-third
		if a.err != nil || b.err != nil || a.world != b.world || a.world.asOf != moment.slow {
			t.Errorf("who waited for a world that was given up: %v, %v, the same: %t", a.err, b.err, a.world == b.world)
		}
		if c, err := e.worldAt(t.Context(), moment.slow); err != nil || c != a.world {
			t.Errorf("the world was not kept: %v", err)
		}
	}
}
