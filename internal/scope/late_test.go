package scope_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// weeksLate gives records of ten weeks in an order of arrival in which each is up to six weeks late: accesses of two keys,
// and the issuances of most of their credentials, some of which come long after the accesses.
func weeksLate(rng *rand.Rand) []whosaw.Record {
	const week = int64(7 * 86_400_000)
	type arrival struct {
		at int64
		r  whosaw.Record
	}
	var all []arrival
	add := func(i int, r whosaw.Record) {
		r.Source, r.Position = "gw-"+strconv.Itoa(rng.IntN(3)), int64(i)
		late := int64(0)
		if rng.IntN(3) == 0 {
			late = rng.Int64N(6 * week)
		}
		all = append(all, arrival{r.Time + late, r})
	}
	for i := range 1200 + rng.IntN(800) {
		r := whosaw.Record{
			Time: start + rng.Int64N(10*week), Subjects: []string{strconv.Itoa(rng.IntN(60))}, Route: "GET /me", Status: 200,
			Key: "k" + strconv.Itoa(rng.IntN(2)), Credential: "c" + strconv.Itoa(rng.IntN(80)), Fields: [][]string{{"name"}, {"email", "name"}, {}}[rng.IntN(3)],
		}
		add(i, r)
	}
	for c := range 70 {
		add(10_000+c, whosaw.Record{
			Type: whosaw.TypeIssuance, Time: start + rng.Int64N(10*week), Credential: "c" + strconv.Itoa(c), Key: "k" + strconv.Itoa(c%2), Ref: &whosaw.Reference{},
		})
	}
	slices.SortFunc(all, func(a, b arrival) int { return int(a.at - b.at) })
	records := make([]whosaw.Record, len(all))
	for i := range all {
		records[i] = all[i].r
	}
	return records
}

// told is everything that is answered to a filter.
type told struct {
	Count whosaw.ScopeAnswer
	List  []whosaw.ListRow
	Top   []whosaw.TopRow
}

func tell(t *testing.T, view *ledger.View, blocks *index.Store, f whosaw.Filter) (out told) {
	t.Helper()
	e := scope.New(view, nil, scope.Config{Index: blocks})
	var err error
	if out.Count, err = e.Count(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	out.Count.Filter = nil
	err = e.List(t.Context(), f, func(row whosaw.ListRow) error { out.List = append(out.List, row); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if out.Top, err = e.Top(t.Context(), "key", f, 0); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWeeksLate has records arrive in random orders, weeks late and in small segments whose times overlap. What is told of
// a stretch of event time is what a plain count gives, and what a ledger tells that got the same in order of time; and
// as_of tells again what was told then, although issuances came since.
func TestWeeksLate(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 4))
			records := weeksLate(rng)
			no, yes := false, true
			filters := []whosaw.Filter{{{}}, {{Issued: &no}}, {{Issued: &yes, Key: []string{"k0"}}}}
			for range 4 {
				from := start + rng.Int64N(9*7*86_400_000)
				to := from + 1 + rng.Int64N(3*7*86_400_000)
				filters = append(filters, whosaw.Filter{{From: whosaw.Time(from), To: whosaw.Time(to), Key: []string{"k1"}}})
				filters = append(filters, whosaw.Filter{{From: whosaw.Time(from), To: whosaw.Time(to), Issued: &no}})
			}
			type then struct {
				asOf   uint64
				filter int
				told   told
			}
			var kept []then
			fill := func(records []whosaw.Record, each func(l *ledger.Ledger, blocks *index.Store)) (*ledger.Ledger, *index.Store) {
				l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), SegmentRecords: 100, Throwaway: true})
				if err != nil {
					t.Fatal(err)
				}
				blocks := index.Attach(l, true)
				t.Cleanup(func() { l.Close(); blocks.Close() })
				for at := 0; at < len(records); {
					n := min(1+rng.IntN(150), len(records)-at)
					if _, err := l.Append(t.Context(), records[at:at+n]); err != nil {
						t.Fatal(err)
					}
					at += n
					each(l, blocks)
				}
				return l, blocks
			}
			late, blocks := fill(records, func(l *ledger.Ledger, blocks *index.Store) {
				view, err := l.View(0)
				if err != nil {
					t.Fatal(err)
				}
				defer view.Close()
				i := rng.IntN(len(filters))
				kept = append(kept, then{view.Last(), i, tell(t, view, blocks, filters[i])})
			})
			sorted := slices.Clone(records)
			slices.SortStableFunc(sorted, func(a, b whosaw.Record) int { return int(a.Time - b.Time) })
			inOrder, _ := fill(sorted, func(*ledger.Ledger, *index.Store) {})
			lateView, orderView := viewOf(t, late), viewOf(t, inOrder)
			for _, f := range filters {
				got := tell(t, lateView, blocks, f)
				if diff := cmp.Diff(tell(t, orderView, nil, f), got); diff != "" {
					t.Errorf("%+v: in order of time (-) and late (+): %s", f, diff)
				}
				accesses, subjects := plainCount(records, &f[0])
				if got.Count.Accesses != accesses || got.Count.Subjects != subjects || int64(len(got.List)) != subjects {
					t.Errorf("%+v: %d accesses, %d subjects; a plain count gives %d, %d", f, got.Count.Accesses, got.Count.Subjects, accesses, subjects)
				}
			}
			changed := 0
			for _, k := range kept {
				f := slices.Clone(filters[k.filter])
				f[0].AsOf = k.asOf
				for _, b := range []*index.Store{blocks, nil} {
					if diff := cmp.Diff(k.told, tell(t, lateView, b, f)); diff != "" {
						t.Errorf("as of %d, told then (-) and now (+): %s", k.asOf, diff)
					}
				}
				if !cmp.Equal(k.told, tell(t, lateView, nil, filters[k.filter])) {
					changed++
				}
			}
			if changed < len(kept)/2 {
				t.Errorf("only %d of %d answers changed since: this tests nothing", changed, len(kept))
			}
		})
	}
}

func viewOf(t *testing.T, l *ledger.Ledger) *ledger.View {
	t.Helper()
	view, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { view.Close() })
	return view
}

// plainCount counts by looking at every record.
func plainCount(records []whosaw.Record, term *whosaw.Term) (accesses, subjects int64) {
	issued := map[[2]string]bool{}
	for i := range records {
		if records[i].Type == whosaw.TypeIssuance {
			issued[[2]string{records[i].Credential, records[i].Key}] = true
		}
	}
	seen := map[string]bool{}
	for i := range records {
		r := &records[i]
		switch {
		case r.Type != whosaw.TypeAccess,
			term.From != 0 && r.Time < int64(term.From), term.To != 0 && r.Time >= int64(term.To),
			len(term.Key) > 0 && r.Key != term.Key[0],
			term.Issued != nil && issued[[2]string{r.Credential, r.Key}] != *term.Issued:
			continue
		}
		accesses++
		if len(r.Fields) > 0 {
			seen[r.Subjects[0]] = true
		}
	}
	return accesses, int64(len(seen))
}
