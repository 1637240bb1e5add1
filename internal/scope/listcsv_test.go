package scope_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// fewWrites takes some writes, then none.
type fewWrites struct {
	bytes.Buffer
	left int
	then func() error
}

func (w *fewWrites) Write(b []byte) (int, error) {
	if w.left--; w.left < 0 {
		if err := w.then(); err != nil {
			return 0, err
		}
	}
	return w.Buffer.Write(b)
}

// TestCSVOfMany writes a list of so many subjects that all workers make its text: the rows are those of a plain count, and whoever stops
// taking them, or goes, has the beginning of it and the reason.
func TestCSVOfMany(t *testing.T) {
	t.Parallel()
	const subjects, accesses = 400_000, 150_000
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), SegmentRecords: 40_000, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	blocks := index.Attach(l, true)
	t.Cleanup(func() { l.Close(); blocks.Close() })
	type sum struct{ first, last, n int64 }
	seen := map[int]sum{}
	rng := rand.New(rand.NewPCG(7, 7))
	var batch []whosaw.Record
	for i := range int64(accesses) {
		subject, at := rng.IntN(subjects), start+rng.Int64N(90*86_400_000)
		s, again := seen[subject]
		if !again {
			s = sum{at, at, 0}
		}
		seen[subject] = sum{min(s.first, at), max(s.last, at), s.n + 1}
		batch = append(batch, whosaw.Record{
			Time: at, Source: "gw", Position: i + 1, Route: "GET /c/{id}", Status: 200, Fields: []string{"name"}, Subjects: []string{strconv.Itoa(subject)},
		})
		if len(batch) == 10_000 {
			if _, err := l.Append(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			batch = nil
		}
	}
	view, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var want bytes.Buffer
	want.WriteString("subject,first,last,accesses,fields\n")
	for subject := range subjects {
		if s, ok := seen[subject]; ok {
			fmt.Fprintf(&want, "%d,%s,%s,%d,name\n", subject, whosaw.Time(s.first), whosaw.Time(s.last), s.n)
		}
	}
	e := scope.New(view, nil, scope.Config{Index: blocks, Workers: 4})
	all := fewWrites{left: 1 << 30}
	for range 2 { // the second in memory that the first has used
		all.Reset()
		if err := e.WriteCSV(t.Context(), whosaw.Filter{{}}, &all); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(all.Bytes(), want.Bytes()) {
			t.Fatalf("%d bytes that differ from the %d of a plain count", all.Len(), want.Len())
		}
	}
	full := errors.New("the disk is full")
	for _, left := range []int{0, 1, 5, 40} {
		w := fewWrites{left: left, then: func() error { return full }}
		if err := e.WriteCSV(t.Context(), whosaw.Filter{{}}, &w); !errors.Is(err, full) {
			t.Errorf("after %d writes: %v", left, err)
		}
		if !bytes.HasPrefix(want.Bytes(), w.Bytes()) {
			t.Errorf("what was written before the error after %d writes is not the beginning of the list", left)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the reader has gone")
		w = fewWrites{left: left, then: func() error { cancel(gone); return nil }}
		if err := e.WriteCSV(ctx, whosaw.Filter{{}}, &w); !errors.Is(err, gone) {
			t.Errorf("whoever goes after %d writes: %v", left, err)
		}
		if !bytes.HasPrefix(want.Bytes(), w.Bytes()) || w.Len() == want.Len() {
			t.Errorf("%d bytes were written for a reader who went after %d writes", w.Len(), left)
		}
		cancel(nil)
	}
}
