package index_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// manySegments is a ledger of small segments, with some subjects that are integers and some that are none.
func manySegments(t *rapid.T, dir string, throwaway bool) (*ledger.Ledger, *index.Store) {
	l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: throwaway})
	if err != nil {
		t.Fatal(err)
	}
	return l, index.Attach(l, throwaway)
}

// appendSome appends accesses of random subjects, as many as fill some segments.
func appendSome(t *rapid.T, l *ledger.Ledger, g *rand.Rand, n, people int, at *int64) {
	var rs []whosaw.Record
	for range n {
		*at++
		r := whosaw.Record{Time: 1_764_000_000_000 + *at, Source: "a", Position: *at, Key: "k" + strconv.Itoa(g.IntN(3))}
		for range g.IntN(3) {
			id := strconv.Itoa(g.IntN(people))
			if g.IntN(4) == 0 {
				id = "u-" + id
			}
			if !slices.Contains(r.Subjects, id) {
				r.Subjects = append(r.Subjects, id)
			}
		}
		rs = append(rs, r)
	}
	if _, err := l.Append(context.Background(), rs); err != nil {
		t.Fatal(err)
	}
	if err := l.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// holds looks for every subject in every part: all rows that it has are found. It gives how many rows are pointed at in vain, and how
// many parts no finder knows.
func holds(t *rapid.T, l *ledger.Ledger, s *index.Store, people int) (vain, unknown int) {
	v, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	parts := v.Parts()
	for n := range people {
		for _, id := range []string{strconv.Itoa(n), "u-" + strconv.Itoa(n), "0" + strconv.Itoa(n)} {
			where := s.Where(id)
			for i := range parts {
				p := &parts[i]
				b := s.Block(p)
				if b == nil {
					continue
				}
				spans, known := where.In(p)
				if !known {
					unknown++
					continue
				}
				vain += vainly(t, b, spans, id)
			}
		}
	}
	return vain, unknown
}

// vainly gives how many stretches of spans have no row of a subject; all its rows must lie in them.
func vainly(t *rapid.T, b *index.Block, spans []index.Span, id string) (vain int) {
	subjects, err := b.Subjects()
	if err != nil {
		t.Fatal(err)
	}
	shapes, err := b.Shapes()
	if err != nil {
		t.Fatal(err)
	}
	var number uint64
	var ok bool
	if k, err := strconv.ParseUint(id, 10, 64); err == nil && strconv.FormatUint(k, 10) == id {
		number, ok = subjects.FindInt(k)
	} else {
		number, ok = subjects.FindText(id)
	}
	had := make([]bool, len(spans))
	if ok {
		r := b.Reader()
		defer r.Close()
		err := r.RowsOf(index.Span{From: 0, To: b.Rows()}, number, func(row int, shape uint64) error {
			if !index.NamesSubject(shapes.At(int(shape) + 1)) {
				return nil
			}
			at := slices.IndexFunc(spans, func(s index.Span) bool { return s.From <= row && row < s.To })
			if at < 0 {
				return fmt.Errorf("row %d of %s is not in %v", row, id, spans)
			}
			had[at] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range had {
		if !x {
			vain++
		}
	}
	return vain
}

// TestFinders appends, reopens, loses and damages files, and purges: whatever finders say, no row is missed, and what no finder
// knows is known again when the index was built.
func TestFinders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "whosaw-finders-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		people, at := rapid.SampledFrom([]int{5, 40, 400}).Draw(t, "people"), int64(0)
		l, s := manySegments(t, dir, true)
		defer func() { _ = l.Close(); _ = s.Close() }()
		files := func() []string {
			names, err := filepath.Glob(filepath.Join(dir, index.Dir, "*.sub"))
			if err != nil {
				t.Fatal(err)
			}
			return names
		}
		build := func() {
			v, err := l.View(0)
			if err == nil {
				err = errors.Join(s.Build(context.Background(), v), v.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		reopen := func() {
			if err := errors.Join(l.Close(), s.Close()); err != nil {
				t.Fatal(err)
			}
			l, s = manySegments(t, dir, true)
		}
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			appendSome(t, l, g, rapid.IntRange(1, 900).Draw(t, "accesses"), people, &at)
			switch rapid.IntRange(0, 4).Draw(t, "then") {
			case 1:
				reopen()
			case 2: // a byte is flipped
				reopen()
				if names := files(); len(names) > 0 {
					name := names[g.IntN(len(names))]
					b, err := os.ReadFile(name)
					if err == nil {
						b[g.IntN(len(b))] ^= 1 << g.IntN(8)
						err = os.WriteFile(name, b, 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				holds(t, l, s, min(people, 12))
				build()
			case 3: // a file is lost
				if names := files(); len(names) > 0 {
					reopen()
					if err := os.Remove(names[g.IntN(len(names))]); err != nil {
						t.Fatal(err)
					}
					build()
				}
			case 4: // the oldest go
				before, err := l.View(0)
				if err != nil {
					t.Fatal(err)
				}
				parts := before.Parts()
				until := int64(1_764_000_000_000) + at/2
				gone, err := l.Purge(context.Background(), until, time.UnixMilli(until))
				if err != nil {
					t.Fatal(err)
				}
				build()
				for i := range gone {
					if _, known := s.Where("1").In(&parts[i]); known {
						t.Fatal("a finder knows of a segment that was purged")
					}
				}
				if err := before.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if _, unknown := holds(t, l, s, min(people, 12)); unknown > 0 {
				t.Fatalf("%d times no finder knew a part", unknown)
			}
		}
		if n := len(files()); n > 7+7+3 {
			t.Fatalf("%d finders", n)
		}
	})
}
