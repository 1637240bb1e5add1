package scope

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
)

// TestDeal: hits that several workers deal out give the lines that a plain sum gives, however little room there is and however
// many sets there are.
func TestDeal(t *testing.T) {
	type sum struct {
		first, last uint64
		accesses    int64
		fields      map[string]bool
	}
	for _, c := range []struct {
		subjects uint64
		sets     int
		memory   int64
	}{{100, 3, 0}, {70_000, 3, 0}, {200_000, 90, 1 << 20}, {40_000, 1 << 10, 0}} {
		q := &question{sets: newSets(), budget: newBudget(c.memory)}
		ids, names := make([]uint64, c.sets), make([][]string, c.sets)
		for i := range ids {
			names[i] = []string{"f" + strconv.Itoa(i%100), "g" + strconv.Itoa(i/100)}
			ids[i] = uint64(q.sets.id(names[i], nil))
		}
		l := &lineup{question: q, people: newTable(q.sets, q.budget), realms: map[uint32]*lines{}, base: 1000}
		to := l.realm(0)
		before := q.budget.left.Load()
		want := map[uint64]*sum{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for worker := range 3 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(worker), c.subjects))
				w := newLiner(l)
				w.dealer(to, c.subjects/2)
				d := w.dealer(to, c.subjects-1) // a later block has greater numbers
				for range 25_000 {
					subject, at, set := rng.Uint64N(c.subjects), rng.Uint64N(lineLength), rng.IntN(c.sets)
					if rng.IntN(10) == 0 {
						w.put1(to, subject, at, uint32(ids[set]))
					} else {
						d.add(w, subject, at, ids[set])
					}
					mu.Lock()
					x := want[subject]
					if x == nil {
						x = &sum{first: at, last: at, fields: map[string]bool{}}
						want[subject] = x
					}
					x.first, x.last, x.accesses = min(x.first, at), max(x.last, at), x.accesses+1
					for _, f := range names[set] {
						x.fields[f] = true
					}
					mu.Unlock()
				}
				w.settleAll()
				if w.over {
					t.Error("a line is said to hold too little")
				}
			})
		}
		wg.Wait()
		rows, next := 0, uint64(0)
		var e entry
		for ; to.next(&next, &e); rows++ {
			x := want[uint64(e.key)]
			if x == nil {
				t.Fatalf("subject %d has a line", e.key)
			}
			got := q.sets.clear(e.set)
			if e.first != 1000+int64(x.first) || e.last != 1000+int64(x.last) || e.accesses != x.accesses || len(got) != len(x.fields) {
				t.Fatalf("subject %d: %+v with %d fields, want %+v with %d", e.key, e, len(got), x, len(x.fields))
			}
			for _, f := range got {
				if !x.fields[f] {
					t.Fatalf("subject %d has field %s", e.key, f)
				}
			}
		}
		if rows != len(want) {
			t.Errorf("%d subjects: %d lines, want %d", c.subjects, rows, len(want))
		}
		pages := 0
		for _, p := range to.pages {
			if p != nil {
				pages++
			}
		}
		if got := before - q.budget.left.Load(); got != int64(pages)*linePage*lineBytes {
			t.Errorf("%d subjects: %d bytes are kept of the budget for %d pages", c.subjects, got, pages)
		}
	}
}
