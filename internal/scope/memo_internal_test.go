package scope

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

type sized int64

func (s sized) bytes() int64 { return int64(s) }

// TestMemoForgetsLarge: of filters of which too much would have to be kept, however many and long they are, little is kept.
func TestMemoForgetsLarge(t *testing.T) {
	m := NewMemo(1000)
	held := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := held()
	const filters, length = 1000, 10_000
	var last memoKey
	for i := range filters {
		last = memoKey{what: "count", filter: strings.Repeat(string(rune(0x4e00+i)), length/3)}
		if m.keep(&memory{key: last, sums: sized(600)}) {
			t.Fatal("too much was kept")
		}
	}
	if !m.tooLarge(last) || m.tooLarge(memoKey{what: "count"}) {
		t.Error("it is not known what was too large")
	}
	if n := int64(held() - before); n > filters*length/10 {
		t.Errorf("%d bytes are held of what was not kept", n)
	}
	for i := range maxLarge {
		m.keep(&memory{key: memoKey{what: "count", filter: strconv.Itoa(i)}, sums: sized(600)})
	}
	if len(m.large) > maxLarge {
		t.Errorf("%d are remembered", len(m.large))
	}
}

// TestMemoPanicEndsTheTurn: what panics while it reads for a key, as somebody above recovers from, does not have others wait for it for ever.
func TestMemoPanicEndsTheTurn(t *testing.T) {
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	blocks := index.Attach(l, true)
	defer func() { _ = errors.Join(l.Close(), blocks.Close()) }()
	ctx := context.Background()
	r := whosaw.Record{Time: 1_764_000_000_000, Source: "a", IP: netip.MustParseAddr("10.0.0.1"), Subjects: []string{"7"}, Outcome: whosaw.OutcomeDisclosed}
	if _, err := l.Append(ctx, []whosaw.Record{r}); err != nil {
		t.Fatal(err)
	}
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	v, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	m, e := NewMemo(1<<20), New(v, nil, Config{Index: blocks})
	first := true
	kind := memoKind{what: "test", more: func(_ context.Context, _ *question, _ sums, blocks []int, _ time.Time) (sums, []asked, []int, error) {
		if first {
			first = false
			panic("BUG: for the test")
		}
		done := make([]asked, len(blocks))
		for i, part := range blocks {
			done[i].part = part
		}
		return sized(1), done, nil, nil
	}}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
		}()
		_, _ = m.know(ctx, e, whosaw.Filter{{}}, kind, time.Time{})
	}()
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	k, err := m.know(within, e, whosaw.Filter{{}}, kind, time.Time{})
	if err != nil || !k.Whole() || k.Of != 1 {
		t.Errorf("who comes behind waits, or knows nothing: %+v, %v", k, err)
	}
}
