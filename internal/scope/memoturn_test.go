package scope_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// TestMemoTurnsAt: turns come to an end at a moment of which the blocks do not tell what was issued, after it was asked at another such one.
func TestMemoTurnsAt(t *testing.T) {
	dir := t.TempDir()
	const segment, segments = 20, 10
	l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: segment, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	blocks := index.Attach(l, true)
	t.Cleanup(func() { _ = l.Close(); _ = blocks.Close() })
	n := 0
	access := func() whosaw.Record {
		n++
		return whosaw.Record{
			Time: start + int64(n)*1000, Source: "gw", Position: int64(n), Key: "k", Credential: "c", Route: "GET /me", Status: 200, Fields: []string{"name"},
			Subjects: []string{fmt.Sprint(n)},
		}
	}
	for range segments {
		var list []whosaw.Record
		for range segment {
			list = append(list, access())
		}
		if _, err := l.Append(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		if err := l.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	late := whosaw.Record{Type: whosaw.TypeIssuance, Time: start, Source: "login", Credential: "c", Key: "k", Ref: &whosaw.Reference{}}
	if _, err := l.Append(t.Context(), []whosaw.Record{access(), access(), late}); err != nil {
		t.Fatal(err)
	}
	view, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	e := scope.New(view, nil, scope.Config{Index: blocks, Workers: 1})
	yes, no := true, false
	if a, err := e.Count(t.Context(), whosaw.Filter{{Issued: &yes}}); err != nil || a.Accesses != segments*segment+2 {
		t.Fatal(a.Accesses, err) // side tables are made that know of the late one
	}
	memo := scope.NewMemo(1 << 30)
	over := time.Unix(1, 0) // a block each turn
	for asOf := uint64(segments*segment + 1); asOf <= segments*segment+2; asOf++ {
		turns := 0
		for {
			a, p, err := memo.Count(t.Context(), e, whosaw.Filter{{Issued: &no, AsOf: asOf}}, over)
			if err != nil {
				t.Fatal(err)
			}
			if p.Whole() {
				if uint64(a.Accesses) != asOf {
					t.Errorf("as of %d: %d accesses", asOf, a.Accesses)
				}
				break
			}
			if turns++; turns > segments {
				t.Fatalf("as of %d: after %d turns %d of %d are counted", asOf, turns, p.Counted, p.Of)
			}
		}
	}
}
