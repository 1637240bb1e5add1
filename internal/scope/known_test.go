package scope_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
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

// TestKnown asks views of a growing ledger, older ones too, with what is kept between them: all answers are those that each view gives
// alone, whether issuances and reasons are few enough to be held or not.
func TestKnown(t *testing.T) {
	defer scope.ManyReferences(scope.ManyReferences(0))
	defer scope.MostReasons(scope.MostReasons(0))
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		scope.ManyReferences(rapid.SampledFrom([]int64{0, 1 << 22}).Draw(t, "many issuances"))
		scope.MostReasons(rapid.SampledFrom([]int{0, 6, 1 << 22}).Draw(t, "most reasons"))
		dir, err := os.MkdirTemp("", "whosaw-known-")
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
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		at := int64(0)
		var views []*ledger.View
		var engines []*scope.Engine
		yes, no := true, false
		filters := []whosaw.Filter{{{Issued: &no}}, {{Issued: &yes}}, {{Explained: &no}}, {{Issued: &no, Subject: []string{"3"}}}, {{Explained: &yes}},
			{{Explained: &yes, Principal: []string{"!customer:2"}}}, {{Explained: &no, Principal: []string{"staff:1", "staff:2"}}}, {{Explained: &yes, Principal: []string{"staff:1"}, From: whosaw.Time(start + 50), To: whosaw.Time(start + 150)}},
			{{Explained: &no, From: whosaw.Time(start + 80)}, {Explained: &yes, To: whosaw.Time(start + 40)}},
		}
		for range rapid.IntRange(2, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				if err := l.Seal(ctx); err != nil {
					t.Fatal(err)
				}
			case 1:
				if _, err := l.Purge(ctx, start+at/2, time.UnixMilli(start+at)); err != nil {
					t.Fatal(err)
				}
				for _, v := range views { // what retention removed can be read no more
					if err := v.Close(); err != nil {
						t.Fatal(err)
					}
				}
				views, engines = nil, nil
			default:
				var rs []whosaw.Record
				for range rapid.IntRange(1, 40).Draw(t, "records") {
					at++
					r := whosaw.Record{Source: "web", Position: at, Time: start + at, Credential: "c" + strconv.Itoa(g.IntN(15)), Key: "k"}
					subject := strconv.Itoa(g.IntN(5))
					switch g.IntN(8) {
					case 0, 1:
						r.Type, r.Ref, r.Subjects = whosaw.TypeIssuance, &whosaw.Reference{}, []string{subject}
					case 2:
						r = whosaw.Record{Type: whosaw.TypeReason, Source: "web", Position: at, Time: start + at, Ref: &whosaw.Reference{Kind: "order", From: start + at - g.Int64N(60), Until: start + at + g.Int64N(60)}}
						if g.IntN(3) > 0 {
							r.Subjects = []string{subject}
						}
						if g.IntN(2) == 0 || r.Subjects == nil {
							r.Principal = who(g)
						}
					case 3:
						r = whosaw.Record{Type: whosaw.TypeSubject, Source: "web", Position: at, Time: start + at, Subjects: []string{subject},
							Ref: &whosaw.Reference{Since: start + at - g.Int64N(60), State: "active"}}
						if g.IntN(4) > 0 {
							r.Ref.Contacts = []string{strconv.Itoa(g.IntN(5)), strconv.Itoa(g.IntN(5))}
						}
					default:
						r.Subjects, r.Fields, r.Status, r.Principal = []string{subject}, []string{"name"}, 200, who(g)
						if g.IntN(6) == 0 {
							r.Subjects = append(r.Subjects, strconv.Itoa(g.IntN(5)))
						}
					}
					rs = append(rs, r)
				}
				if _, err := l.Append(ctx, rs); err != nil {
					t.Fatal(err)
				}
			}
			v, err := l.View(0)
			if err != nil {
				t.Fatal(err)
			}
			views = append(views, v)
			engines = append(engines, scope.New(v, nil, scope.Config{Index: blocks, Known: known}))
			for range 3 {
				i := g.IntN(len(views))
				if g.IntN(2) == 0 {
					i = len(views) - 1
				}
				held := func() {}
				if g.IntN(4) == 0 { // another question is on the way
					x, err := known.Lease(ctx, views[g.IntN(len(views))])
					if err != nil {
						t.Fatal(err)
					}
					if x != nil {
						held = x
					}
				}
				f := filters[g.IntN(len(filters))]
				got, err := engines[i].Count(ctx, f)
				want, err2 := scope.New(views[i], nil, scope.Config{}).Count(ctx, f)
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("view up to %d of %d (-alone +kept):\n%s", views[i].Last(), at, diff)
				}
				page, err := engines[i].Subject(ctx, nil, "3", f, 7, "")
				alone, err2 := scope.New(views[i], nil, scope.Config{}).Subject(ctx, nil, "3", f, 7, "")
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(alone.Accesses, page.Accesses, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("accesses to one of view up to %d of %d (-alone +kept):\n%s", views[i].Last(), at, diff)
				}
				judged, err := engines[i].Judge(ctx, page.Accesses)
				plain, err2 := scope.New(views[i], nil, scope.Config{}).Judge(ctx, page.Accesses)
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(plain, judged); diff != "" {
					t.Fatalf("judgements of view up to %d of %d (-alone +kept):\n%s", views[i].Last(), at, diff)
				}
				held()
			}
		}
		for _, v := range views {
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// who is whoever made an access, or may make some.
func who(g *rand.Rand) string {
	switch n := strconv.Itoa(g.IntN(5)); g.IntN(3) {
	case 0:
		return "customer:" + n
	case 1:
		return "staff:" + n
	}
	return ""
}

// TestKnownKept sees what is kept go on from view to view, and not while an older one uses it.
func TestKnownKept(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: 10, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	known, n := &scope.Known{}, int64(0)
	view := func() *ledger.View {
		t.Helper()
		n++
		r := whosaw.Record{Type: whosaw.TypeIssuance, Source: "web", Position: n, Time: start + n, Credential: "c", Key: "k", Ref: &whosaw.Reference{}}
		if _, err := l.Append(ctx, []whosaw.Record{r}); err != nil {
			t.Fatal(err)
		}
		v, err := l.View(0)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	lease := func(v *ledger.View, want uint64) func() {
		t.Helper()
		release, err := known.Lease(ctx, v)
		if err != nil {
			t.Fatal(err)
		}
		if known.Kept() != want {
			t.Fatalf("kept as of %d, want %d", known.Kept(), want)
		}
		return release
	}
	one := view()
	release := lease(one, 1)
	two := view()
	if lease(two, 1) != nil {
		t.Error("what a question uses went on")
	}
	release()
	lease(two, 2)()
	if lease(one, 2) != nil {
		t.Error("an older view has what came after it")
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := known.Lease(gone, view()); err == nil {
		t.Error("a question that was given up has an answer")
	}
	lease(view(), 4)()
}
