package scope_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// plainDifference compares two lists row by row.
func plainDifference(ctx context.Context, e *scope.Engine, a, b whosaw.Filter, n int) (d scope.Difference, err error) {
	type subject struct{ realm, id string }
	var lists [2][]subject
	var in [2]map[subject]bool
	for i, f := range []whosaw.Filter{a, b} {
		in[i] = map[subject]bool{}
		err := e.List(ctx, f, func(row whosaw.ListRow) error {
			s := subject{row.Realm, row.Subject}
			lists[i], in[i][s] = append(lists[i], s), true
			return nil
		})
		if err != nil {
			return d, err
		}
	}
	only := func(i int) (ids []string) {
		for _, s := range lists[i] {
			if !in[1-i][s] {
				ids = append(ids, s.id)
			}
		}
		return ids
	}
	removed, added := only(0), only(1)
	return scope.Difference{
		Added: int64(len(added)), Removed: int64(len(removed)), Same: int64(len(lists[0]) - len(removed)),
		AddedIDs: added[:min(n, len(added))], RemovedIDs: removed[:min(n, len(removed))],
	}, nil
}

// TestDifference compares lists while a ledger lives on, as they are now and as they were: what a memo says of them is what the lists say, row by row.
func TestDifference(t *testing.T) {
	both, compared := 0, 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 5))
		dir, err := os.MkdirTemp("", "whosaw-difference-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: []int{20, 60, 200}[rng.IntN(3)], Throwaway: true})
		if err != nil {
			t.Fatal(err)
		}
		blocks := index.Attach(l, true)
		defer func() { _ = l.Close(); _ = blocks.Close() }()
		memo := scope.NewMemo(1 << 30)
		g := memoGen{Rand: rng, texts: seed%2 == 0}
		for range 8 {
			g.day += 3
			var list []whosaw.Record
			for range 1 + rng.IntN(120) {
				list = append(list, g.record())
			}
			if _, err := l.Append(t.Context(), list); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(5) == 0 {
				if _, err := l.Purge(t.Context(), start+(g.day-6)*86_400_000, time.UnixMilli(start)); err != nil {
					t.Fatal(err)
				}
			}
			view, err := l.View(0)
			if err != nil {
				t.Fatal(err)
			}
			for range 4 {
				a, b, n := g.filter(view.Last()), g.filter(view.Last()), rng.IntN(5)
				if rng.IntN(2) == 0 { // versions of one filter
					a, b = whosaw.Filter{{AsOf: 1 + rng.Uint64N(view.Last())}}, whosaw.Filter{{AsOf: 1 + rng.Uint64N(view.Last())}}
				}
				got, err := memo.Difference(t.Context(), scope.New(view, nil, scope.Config{Index: blocks}), a, b, n)
				if errors.Is(err, scope.ErrNoMemo) {
					continue
				}
				want, err2 := plainDifference(t.Context(), scope.New(view, nil, scope.Config{}), a, b, n)
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("seed %d, %+v and %+v: by lists (-) and by a memo (+): %s", seed, a, b, diff)
				}
				if compared++; !slices.Contains([]int64{got.Added, got.Removed, got.Same}, 0) {
					both++
				}
			}
			if err := view.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if compared < 100 || both < 30 {
		t.Errorf("%d pairs of lists were compared, of which %d had subjects of all kinds", compared, both)
	}
}
