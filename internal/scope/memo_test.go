package scope_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// looked is what a memo, or an engine without one, says of a filter.
type looked struct {
	Count  whosaw.ScopeAnswer
	List   []whosaw.ListRow
	Course []scope.Minute
	Values map[string][]scope.Value
}

var lookedBy = []string{"route", "key", "network", "ip", "asn", "agent_class"}

// lookPlainly has an engine that reads every record say it.
func lookPlainly(ctx context.Context, view *ledger.View, cat *catalog.Catalog, f whosaw.Filter) (out looked, err error) {
	e := scope.New(view, cat, scope.Config{})
	if out.Count, err = e.Count(ctx, f); err != nil {
		return out, err
	}
	if err = e.List(ctx, f, func(row whosaw.ListRow) error { out.List = append(out.List, row); return nil }); err != nil {
		return out, err
	}
	lines, err := e.Timeline(ctx, []whosaw.Filter{f}, time.Minute)
	if err != nil {
		return out, err
	}
	for _, b := range lines[0] {
		if b.Accesses > 0 {
			out.Course = append(out.Course, scope.Minute{Time: b.Time, Accesses: b.Accesses, Disclosures: b.Disclosures, New: b.New})
		}
	}
	out.Values = map[string][]scope.Value{}
	for _, by := range lookedBy {
		rows, err := e.Top(ctx, by, f, 0)
		if err != nil {
			return out, err
		}
		sums := map[string]int64{}
		for _, r := range rows {
			sums[r.Value] += r.Accesses
		}
		for v, n := range sums {
			out.Values[by] = append(out.Values[by], scope.Value{Value: v, Accesses: n})
		}
		slices.SortFunc(out.Values[by], func(a, b scope.Value) int {
			return cmp.Or(cmp.Compare(b.Accesses, a.Accesses), cmp.Compare(a.Value, b.Value))
		})
	}
	return out, nil
}

// lookByMemo has a memo say it, a little at a time if step is given. A partial answer must not be more than the whole.
func lookByMemo(ctx context.Context, m *scope.Memo, e *scope.Engine, f whosaw.Filter, page int, step func() time.Time) (out looked, err error) {
	var p scope.Progress
	var before whosaw.ScopeAnswer
	for first := true; first || !p.Whole(); first = false {
		of := p.Of // grows when a segment gets its block meanwhile: it was counted from its records then, and waits for its turn now
		if out.Count, p, err = m.Count(ctx, e, f, step()); err != nil {
			return out, err
		}
		if !first && of == p.Of && (out.Count.Accesses < before.Accesses || out.Count.Subjects < before.Subjects) {
			return out, errors.New("a count went down while more was read")
		}
		before = out.Count
	}
	for at := int64(0); ; at += int64(page) {
		x, p, err := m.Page(ctx, e, f, at, page, time.Time{})
		if err != nil {
			return out, err
		}
		if !p.Whole() || x.Count.Subjects != out.Count.Subjects {
			return out, errors.New("a page counts otherwise than the count")
		}
		if out.List = append(out.List, x.Rows...); len(x.Rows) < page {
			break
		}
	}
	for p = (scope.Progress{Of: 1}); !p.Whole(); {
		if out.Course, p, err = m.Course(ctx, e, f, step()); err != nil {
			return out, err
		}
	}
	out.Values = map[string][]scope.Value{}
	for _, by := range lookedBy {
		for p = (scope.Progress{Of: 1}); !p.Whole(); {
			var all int
			if out.Values[by], all, p, err = m.Values(ctx, e, by, f, 1000, step()); err != nil {
				return out, err
			}
			if all != len(out.Values[by]) {
				return out, errors.New("values are counted otherwise than they are listed")
			}
		}
		few, _, _, err := m.Values(ctx, e, by, f, 2, time.Time{})
		if err != nil {
			return out, err
		}
		if !slices.Equal(few, out.Values[by][:min(2, len(out.Values[by]))]) {
			return out, errors.New("the first values are not those with most")
		}
		if len(out.Values[by]) == 0 {
			delete(out.Values, by)
		}
	}
	return out, nil
}

var lookedOptions = gocmp.Options{cmpopts.EquateEmpty(), gocmp.Transformer("gaps", func(a whosaw.ScopeAnswer) struct {
	A    any
	Gaps []whosaw.Gap
} {
	gaps := slices.Clone(a.Gaps)
	slices.SortFunc(gaps, func(x, y whosaw.Gap) int { return cmp.Compare(x.Says, y.Says) })
	return struct {
		A    any
		Gaps []whosaw.Gap
	}{[]any{a.Accesses, a.Disclosures, a.Subjects, a.Others, a.Fields, a.Masked, a.NotReached, a.First, a.Last, a.Catalog}, gaps}
})}

// TestMemo has a ledger live on while a memo is asked (memoLife).
func TestMemo(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if was := checks.Value.String(); was == checks.DefValue {
		_ = checks.Value.Set(defaultMemoChecks)
		defer func() { _ = checks.Value.Set(was) }()
	}
	rapid.Check(t, func(t *rapid.T) {
		memoLife(t, rapid.Uint64().Draw(t, "seed"), rapid.IntRange(2, 8).Draw(t, "steps"))
	})
}

// TestMemoEarliestOfGap is a life in which a block's rows had a class for the first time inside of what other rows had covered, and one that
// a random test failed in while pages' rows came to be kept.
func TestMemoEarliestOfGap(t *testing.T) {
	memoLife(t, 241602, 7)
	memoLife(t, 42800416, 7)
}

// lifeTest is what a life needs of a test.
type lifeTest interface {
	Context() context.Context
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// memoLife has a ledger grow, seal, lose its oldest segments and get records weeks late, issuances and words about feeds among them, and asks a memo
// that stays all the while. It must say what an engine says that reads every record and keeps nothing.
func memoLife(t lifeTest, seed uint64, steps int) {
	scope.TopKept(3)
	const week = int64(7 * 86_400_000)
	rng := rand.New(rand.NewPCG(seed, 1))
	dir, err := os.MkdirTemp("", "whosaw-memo-")
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
	memo := scope.NewMemo([]int64{1 << 30, 60_000}[rng.IntN(2)])
	g := memoGen{Rand: rng, texts: rng.IntN(2) == 0}
	for range steps {
		g.day += 3
		var list []whosaw.Record
		for range 1 + rng.IntN(120) {
			list = append(list, g.record())
		}
		if _, err := l.Append(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(5) == 0 {
			if err := l.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if rng.IntN(4) == 0 {
			if _, err := l.Purge(t.Context(), start+g.day*86_400_000-rng.Int64N(week), time.UnixMilli(start)); err != nil {
				t.Fatal(err)
			}
		}
		view, err := l.View(0)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			f := g.filter(view.Last())
			step := func() time.Time { return time.Time{} }
			if rng.IntN(2) == 0 {
				step = func() time.Time { return time.Unix(1, 0) } // the time is always over: a block a worker each time
			}
			want, err := lookPlainly(t.Context(), view, nil, f)
			if err != nil {
				t.Fatal(err)
			}
			e := scope.New(view, nil, scope.Config{Index: blocks, Workers: 1 + rng.IntN(3)})
			got, err := lookByMemo(t.Context(), memo, e, f, 1+rng.IntN(30), step)
			if errors.Is(err, scope.ErrNoMemo) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(want, got, lookedOptions); diff != "" {
				t.Fatalf("seed %d, %d steps, %+v: without (-) and with a memo (+): %s", seed, steps, f, diff)
			}
		}
		if err := view.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// memoGen draws records and filters.
type memoGen struct {
	*rand.Rand
	texts bool  // some subjects are no numbers
	day   int64 // that it is
}

func (g memoGen) record() whosaw.Record {
	const week = int64(7 * 86_400_000)
	at := start + g.day*86_400_000 + g.Int64N(week/2)
	if g.IntN(5) == 0 {
		at = max(start, at-g.Int64N(4*week)) // late
	}
	r := whosaw.Record{Time: at, Source: "gw-" + strconv.Itoa(g.IntN(3)), Position: g.Int64(), Key: "k" + strconv.Itoa(g.IntN(3))}
	r.Credential = "c" + strconv.Itoa(g.IntN(60))
	switch g.IntN(12) {
	case 0:
		r.Type, r.Ref = whosaw.TypeIssuance, &whosaw.Reference{}
		if g.IntN(3) > 0 {
			r.Key = "k0"
		}
		return r
	case 1:
		if g.IntN(4) == 0 {
			return whosaw.Record{
				Type: whosaw.TypeFeed, Time: r.Time, Source: r.Source, Position: r.Position, Key: r.Key,
				Ref: &whosaw.Reference{Of: "issuance", From: start + g.Int64N(week), Until: start + 2*week + g.Int64N(week)},
			}
		}
	}
	ids := []string{"7", "8", "9", "10", "99", "100", "65535", "65536", "131072", "4000000", "67108863", "67108864", "9223372036854775807"}
	if g.texts {
		ids = append(ids, "a", "007", "b9", "18446744073709551616", "zz", "1a")
	}
	id := ids[g.IntN(len(ids))]
	if g.IntN(2) == 0 {
		id = strconv.Itoa(g.IntN(3000))
	}
	switch g.IntN(8) {
	case 0:
	case 1:
		r.Subjects = []string{id, strconv.Itoa(g.IntN(3000))}
	default:
		r.Subjects = []string{id}
	}
	if g.IntN(6) == 0 {
		r.Realm = "jp"
	}
	r.Route, r.Status = []string{"GET /me", "GET /orders", "GET /a"}[g.IntN(3)], 200
	r.Fields = [][]string{{"name"}, {"email", "name"}, {}, nil}[g.IntN(4)]
	if g.IntN(4) == 0 {
		r.Masked, r.Others = []string{"phone"}, int64(g.IntN(4))
	}
	r.IP = netip.AddrFrom4([4]byte{10, 0, byte(g.IntN(8)), byte(g.IntN(256))})
	r.ASN = uint32(g.IntN(4)) * 100
	r.Agent = []string{"", "curl/8.5.0", "okhttp/4.12.0"}[g.IntN(3)]
	return r
}

func (g memoGen) filter(last uint64) whosaw.Filter {
	var f whosaw.Filter
	asOf := uint64(0)
	if g.IntN(3) == 0 {
		asOf = 1 + g.Uint64N(last)
	}
	for range 1 + g.IntN(2)*g.IntN(2) {
		t := whosaw.Term{AsOf: asOf}
		if g.IntN(2) == 0 {
			t.Key = []string{"k" + strconv.Itoa(g.IntN(3))}
		}
		if g.IntN(4) == 0 {
			t.Route = []string{"GET /me", "!GET /a"}[:1+g.IntN(2)]
		}
		if g.IntN(4) == 0 {
			t.IP = []string{"10.0.0.0/22", "10.0.1.7"}[g.IntN(2):][:1]
		}
		if g.IntN(3) == 0 {
			t.From = whosaw.Time(start + g.Int64N(2*7*86_400_000))
			t.To = t.From + whosaw.Time(g.Int64N(2*7*86_400_000)) + 1
		}
		if g.IntN(5) == 0 {
			issued := g.IntN(2) == 0
			t.Issued = &issued
		}
		if g.IntN(8) == 0 {
			t.Subject = []string{"7", strconv.Itoa(g.IntN(3000)), "a"}
		}
		if g.IntN(8) == 0 {
			t.Outcome = []string{"disclosed"}
		}
		f = append(f, t)
	}
	return f
}
