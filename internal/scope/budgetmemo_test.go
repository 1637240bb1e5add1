package scope_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// TestMemoryNeverLess: a question that may use little memory is given up or answered as ever, from blocks and from a memo too; and what a memo
// keeps of one that was given up is in no later answer.
func TestMemoryNeverLess(t *testing.T) {
	const n = 3000
	for name, subject := range map[string]func(i int) string{
		"number": func(i int) string { return fmt.Sprint(i + 1) },
		"text":   func(i int) string { return fmt.Sprintf("customer-%d", i) },
	} {
		dir := t.TempDir()
		l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: n / 3, Throwaway: true})
		if err != nil {
			t.Fatal(err)
		}
		blocks := index.Attach(l, true)
		t.Cleanup(func() { _ = l.Close(); _ = blocks.Close() })
		var list []whosaw.Record
		for i := range n + 400 {
			r := whosaw.Record{
				Time: start + int64(i)*1000, Source: "gw", Position: int64(i), Route: "GET /me", Status: 200, Fields: []string{"name"},
				Subjects: []string{subject(i % n)},
			}
			if i >= n {
				r.Others = int64(i - n) // more kinds in the open part than there are bitmaps
			}
			list = append(list, r)
		}
		if _, err := l.Append(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		view, err := l.View(0)
		if err != nil {
			t.Fatal(err)
		}
		defer view.Close()
		all := whosaw.Filter{{}}
		ask := func(memory int64, memo *scope.Memo) (looked, error) {
			e := scope.New(view, nil, scope.Config{Index: blocks, Memory: memory, Workers: 1 + int(memory/1000)%2})
			var out looked
			var err error
			if memo == nil {
				if out.Count, err = e.Count(t.Context(), all); err != nil {
					return out, err
				}
				err = e.List(t.Context(), all, func(row whosaw.ListRow) error { out.List = append(out.List, row); return nil })
				return out, err
			}
			if out.Count, _, err = memo.Count(t.Context(), e, all, time.Time{}); err != nil {
				return out, err
			}
			out.Course, _, err = memo.Course(t.Context(), e, all, time.Time{})
			return out, err
		}
		plain, err := ask(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := ask(0, scope.NewMemo(1<<30))
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for memory := int64(1000); memory < 1<<20; memory += memory/3 + 1000 {
			got, err := ask(memory, nil)
			if errors.Is(err, scope.ErrMemory) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			} else if diff := gocmp.Diff(plain, got, lookedOptions); diff != "" {
				t.Errorf("%s ids, %d bytes: with enough (-) and with these (+): %s", name, memory, diff)
			}
			memo := scope.NewMemo(1 << 30)
			for _, memory := range []int64{memory, 0} {
				got, err := ask(memory, memo)
				if errors.Is(err, scope.ErrMemory) && memory > 0 {
					refused++
				} else if err != nil {
					t.Fatal(err)
				} else if diff := gocmp.Diff(kept, got, lookedOptions); diff != "" {
					t.Errorf("%s ids, a memo with %d bytes: with enough (-) and with these (+): %s", name, memory, diff)
				}
			}
		}
		if refused == 0 {
			t.Errorf("%s ids: nothing was refused", name)
		}
	}
}
