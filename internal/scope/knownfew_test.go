package scope_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// fewWorld is a growing ledger with more reference records than questions hold.
type fewWorld struct {
	*ledger.Ledger
	g  *rand.Rand
	at int64
}

// grow appends accesses, and records of all kinds that explain them.
func (w *fewWorld) grow(t *rapid.T, n int) {
	var rs []whosaw.Record
	for range n {
		w.at++
		r := w.access()
		r.Source, r.Position, r.Time = "web", w.at, start+w.at/8 // several at once
		switch w.g.IntN(12) {
		case 0, 1, 2:
			r.Type, r.Ref, r.Fields, r.Status = whosaw.TypeIssuance, &whosaw.Reference{}, nil, 0
			if w.g.IntN(3) == 0 {
				r.Subjects = nil
			}
		case 3:
			r.Type, r.Ref, r.Fields, r.Status = whosaw.TypeReason, &whosaw.Reference{Kind: "order", From: start + w.at/8 - 2, Until: start + w.at/8 + 2}, nil, 0
		case 4:
			a, b := strconv.Itoa(w.g.IntN(3)), strconv.Itoa(w.g.IntN(3))
			r = whosaw.Record{
				Type: whosaw.TypeSubject, Source: "web", Position: w.at, Time: start + w.at/8, Realm: r.Realm, Subjects: []string{a},
				Ref: &whosaw.Reference{State: []string{"active", "deleted"}[w.g.IntN(2)], Contacts: []string{b}},
			}
		}
		rs = append(rs, r)
	}
	if _, err := w.Append(context.Background(), rs); err != nil {
		t.Fatal(err)
	}
}

// access makes one as a page has it.
func (w *fewWorld) access() whosaw.Record {
	r := whosaw.Record{
		Realm: []string{"", "", "b"}[w.g.IntN(3)], Credential: "c" + strconv.Itoa(w.g.IntN(16)), Key: []string{"", "k", "k2"}[w.g.IntN(3)],
		Principal: []string{"", "customer:1", "customer:2", "staff:kim"}[w.g.IntN(4)],
		Time:      start + w.g.Int64N(w.at/8+1), Subjects: []string{strconv.Itoa(w.g.IntN(3))}, Fields: []string{"name"}, Status: 200,
	}
	if w.g.IntN(10) == 0 {
		r.Credential = ""
	}
	return r
}

// TestFew judges accesses by views of a growing ledger, older ones too, with the issuances of few credentials kept between them: all that is said is what
// each view says alone, with all its records.
func TestFew(t *testing.T) {
	defer scope.ManyReferences(scope.ManyReferences(14))
	defer scope.JudgedAtOnce(scope.JudgedAtOnce(3))
	yes, no := true, false
	few, explained, older, listed := 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		defer scope.MaxFew(scope.MaxFew(rapid.SampledFrom([]int{9, 1000}).Draw(t, "kept")))
		dir, err := os.MkdirTemp("", "whosaw-few-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: 30, Throwaway: true})
		if err != nil {
			t.Fatal(err)
		}
		blocks, known := index.Attach(l, true), &scope.Known{}
		defer func() { _ = l.Close(); _ = blocks.Close() }()
		w := &fewWorld{Ledger: l, g: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))}
		var views []*ledger.View
		forget := func() {
			for _, v := range views {
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
			}
			views = nil
		}
		defer forget()
		for range rapid.IntRange(4, 24).Draw(t, "steps") {
			switch rapid.IntRange(0, 11).Draw(t, "what") {
			case 0:
				if err := l.Seal(ctx); err != nil {
					t.Fatal(err)
				}
			case 1:
				if _, err := l.Purge(ctx, start+w.at/24, time.UnixMilli(start+w.at)); err != nil {
					t.Fatal(err)
				}
				forget() // what retention removed can be read no more
			case 2: // nothing but accesses
				if _, err := l.Append(ctx, []whosaw.Record{{Source: "api", Position: w.at, Time: start + w.at, ID: fmt.Sprint(w.g.Uint64()), Subjects: []string{"1"}}}); err != nil {
					t.Fatal(err)
				}
			default:
				w.grow(t, rapid.SampledFrom([]int{1, 1, 2, 3, 40}).Draw(t, "records"))
			}
			v, err := l.View(0)
			if err != nil {
				t.Fatal(err)
			}
			views = append(views, v)
			for range 5 {
				i := len(views) - 1
				if w.g.IntN(3) == 0 {
					i = w.g.IntN(len(views))
				}
				var list []whosaw.Record
				for range w.g.IntN(4) {
					list = append(list, w.access())
				}
				before := known.FewKept()
				got, err := scope.New(views[i], nil, scope.Config{Index: blocks, Known: known}).Judge(ctx, list)
				want, err2 := scope.New(views[i], nil, scope.Config{}).Judge(ctx, list)
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("view up to %d of %d (-alone +kept):\n%s", views[i].Last(), w.at, diff)
				}
				if known.FewKept() > 0 {
					few++
				}
				if before > views[i].Last() {
					older++
				}
				f := whosaw.Filter{{Explained: &yes}}
				if w.g.IntN(2) == 0 {
					f = whosaw.Filter{{Issued: &no, Key: []string{"k"}}}
				}
				f[0].AsOf = uint64(w.g.Int64N(2)) * views[i].Last() / 2
				alone := subjectPages(t, scope.New(views[i], nil, scope.Config{}), f, 1000)
				paged := subjectPages(t, scope.New(views[i], nil, scope.Config{Index: blocks, Known: known}), f, 1+w.g.IntN(6))
				if diff := cmp.Diff(alone, paged, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
					t.Fatalf("accesses by the view up to %d of %d, %+v (-alone +kept):\n%s", views[i].Last(), w.at, f, diff)
				}
				listed += len(alone)
				for _, j := range want {
					if j.Explained {
						explained++
					}
				}
			}
		}
	})
	if few == 0 || explained == 0 || older == 0 || listed == 0 {
		t.Errorf("%d lists were judged by few records, %d accesses are explained, %d views were older than what is kept, %d accesses were listed", few, explained, older, listed)
	}
}

// subjectPages gives all accesses to a customer that match, asked page by page.
func subjectPages(t *rapid.T, e *scope.Engine, f whosaw.Filter, page int) (all []whosaw.Record) {
	t.Helper()
	for cursor := ""; ; {
		a, err := e.Subject(context.Background(), nil, "1", f, page, cursor)
		if err != nil {
			t.Fatal(err)
		}
		if cursor = a.Next; cursor == "" {
			return append(all, a.Accesses...)
		}
		if len(a.Accesses) != page {
			t.Fatalf("a page of %d accesses has %d", page, len(a.Accesses))
		}
		all = append(all, a.Accesses...)
	}
}

// issuing is a ledger of issuances alone, and what is kept of it.
type issuing struct {
	*testing.T
	ledger *ledger.Ledger
	blocks *index.Store
	known  *scope.Known
	at     int64
}

func newIssuing(t *testing.T) *issuing {
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), SegmentRecords: 10, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &issuing{T: t, ledger: l, blocks: index.Attach(l, true), known: &scope.Known{}}
	t.Cleanup(func() { _ = l.Close(); _ = w.blocks.Close() })
	w.issue("a", "a", "a", "a", "a", "a", "a", "a", "a")
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// issue issues credentials, and gives a view up to these.
func (w *issuing) issue(credentials ...string) *ledger.View {
	w.Helper()
	for _, c := range credentials {
		w.at++
		r := whosaw.Record{Type: whosaw.TypeIssuance, Source: "web", Position: w.at, Time: start + w.at, Credential: c, Ref: &whosaw.Reference{}}
		if _, err := w.ledger.Append(w.Context(), []whosaw.Record{r}); err != nil {
			w.Fatal(err)
		}
	}
	v, err := w.ledger.View(0)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = v.Close() })
	return v
}

// judge says whether credentials were issued, by a view.
func (w *issuing) judge(ctx context.Context, v *ledger.View, credentials ...string) (issued []bool, err error) {
	var list []whosaw.Record
	for _, c := range credentials {
		list = append(list, whosaw.Record{Credential: c, Time: start})
	}
	got, err := scope.New(v, nil, scope.Config{Index: w.blocks, Known: w.known}).Judge(ctx, list)
	for _, j := range got {
		issued = append(issued, j.Issued)
	}
	return issued, err
}

func (w *issuing) ask(v *ledger.View, credential string, want bool) {
	w.Helper()
	got, err := w.judge(w.Context(), v, credential)
	if err != nil {
		w.Fatal(err)
	}
	if got[0] != want {
		w.Errorf("%s by the view up to %d: issued is %t, want %t", credential, v.Last(), got[0], want)
	}
}

// TestFewOlder asks an older view about a credential that was issued since, then a newer one.
func TestFewOlder(t *testing.T) {
	defer scope.ManyReferences(scope.ManyReferences(4))
	w := newIssuing(t)
	older, newer := w.issue("b"), w.issue("c")
	w.ask(newer, "b", true)
	w.ask(older, "c", false)
	w.ask(newer, "c", true)
	w.ask(older, "c", false)
	if w.known.FewKept() != newer.Last() {
		t.Error("the test does not ask what is kept")
	}
}

// briefContext is over once it was asked some times.
type briefContext struct {
	context.Context
	left int
}

func (c *briefContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestFewGivenUp has questions given up wherever they ask whether to go on: older views do not see what these have read by then.
func TestFewGivenUp(t *testing.T) {
	defer scope.ManyReferences(scope.ManyReferences(4))
	given := 0
	for asked := 0; ; asked++ {
		w := newIssuing(t)
		older := w.issue("b")
		w.ask(older, "b", true)
		w.ask(older, "d", false)
		w.issue("d", "a", "b", "a", "a", "a", "a", "a")
		if err := w.ledger.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		newer := w.issue("c", "d")
		_, err := w.judge(&briefContext{t.Context(), asked}, newer, "c", "d")
		w.ask(older, "d", false)
		w.ask(older, "c", false)
		w.ask(newer, "c", true)
		w.ask(newer, "d", true)
		if err == nil {
			if w.known.FewKept() != newer.Last() {
				t.Error("the test does not ask what is kept")
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		given++
	}
	if given < 4 {
		t.Errorf("only %d questions were given up", given)
	}
}

// TestFewBound asks about more credentials than are kept: those asked for last are, and of the same view no other ones are forgotten before.
func TestFewBound(t *testing.T) {
	defer scope.ManyReferences(scope.ManyReferences(4))
	defer scope.MaxFew(scope.MaxFew(5))
	w := newIssuing(t)
	v := w.issue("b", "c")
	for i, x := range []struct {
		credential string
		issued     bool
		kept       int
	}{
		{"a", true, 1}, {"b", true, 2}, {"b", true, 2}, {"x", false, 3}, {"c", true, 4}, {"y", false, 5}, {"z", false, 1}, {"a", true, 2},
	} {
		w.ask(v, x.credential, x.issued)
		if got := w.known.FewCredentials(); got != x.kept {
			t.Errorf("after question %d, about %s, the records of %d credentials are kept, want %d", i, x.credential, got, x.kept)
		}
	}
}

// countedContext counts how often it is asked for its end: once at least whenever work is dealt out to workers.
type countedContext struct {
	context.Context
	asked atomic.Int64
}

func (c *countedContext) Done() <-chan struct{} {
	c.asked.Add(1)
	return c.Context.Done()
}

// TestManyUnexplained looks for the one explained access among many to a customer: all are judged, more and more at once.
func TestManyUnexplained(t *testing.T) {
	defer scope.ManyReferences(scope.ManyReferences(4))
	defer scope.JudgedAtOnce(scope.JudgedAtOnce(3))
	w := newIssuing(t)
	w.issue("b")
	const accesses = 600
	list := []whosaw.Record{{
		Type: whosaw.TypeReason, Source: "web", Position: 1000, Time: start, Principal: "staff:kim", Ref: &whosaw.Reference{Kind: "order", From: start + 100, Until: start + 101},
	}}
	for at := int64(100); at < 100+accesses; at++ {
		list = append(list, whosaw.Record{
			Source: "web", Position: 1000 + at, Time: start + at, Subjects: []string{"1"}, Fields: []string{"name"}, Status: 200, Principal: "staff:kim", Credential: "a",
		})
	}
	if _, err := w.ledger.Append(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if err := w.ledger.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, yes, ctx := w.issue("c"), true, &countedContext{Context: t.Context()}
	a, err := scope.New(v, nil, scope.Config{Index: w.blocks, Known: w.known}).Subject(ctx, nil, "1", whosaw.Filter{{Explained: &yes}}, 2, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Accesses) != 1 || a.Accesses[0].Time != start+100 || a.Next != "" {
		t.Errorf("%d explained accesses, and more: %q", len(a.Accesses), a.Next)
	}
	if n := ctx.asked.Load(); n > accesses/2 {
		t.Errorf("work was dealt out %d times to judge %d accesses", n, accesses)
	}
}
