package scope_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// TestJoinsOfMany asks whose pages were opened that name nobody, of a ledger with too many issuances to hold them all: who they were issued to is looked up, be it
// asked what was issued or not. All is what a plain count over the records says.
func TestJoinsOfMany(t *testing.T) {
	defer scope.ManyReferences(scope.ManyReferences(30))
	cat, err := catalog.Parse("c.yaml", []byte("routes:\n  GET /me: {subject: credential, fields: [name]}\n  GET /c/{id}: [name]\n"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), SegmentRecords: 50, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	blocks := index.Attach(l, true)
	t.Cleanup(func() { l.Close(); blocks.Close() })
	type session struct{ realm, credential string }
	type opened struct {
		session
		subject string // named; "": nobody
		asn     uint32
	}
	g := rand.New(rand.NewPCG(5, 6))
	owner, list := map[session]string{}, []opened{}
	for at := int64(1); at <= 600; at++ {
		s := session{[]string{"", "jp"}[g.IntN(2)], "c" + strconv.Itoa(g.IntN(80))}
		r := whosaw.Record{
			Source: "web", Position: at, Time: start + at, Realm: s.realm, Credential: s.credential, Key: "k", ASN: uint32(g.IntN(3)),
			Agent: "a" + strconv.Itoa(g.IntN(5)), Country: []string{"KR", "US"}[g.IntN(2)],
		}
		switch g.IntN(4) {
		case 0:
			r.Type, r.Ref, r.Subjects = whosaw.TypeIssuance, &whosaw.Reference{}, []string{strconv.Itoa(g.IntN(40))}
			owner[s] = r.Subjects[0]
		case 1:
			r.Route, r.Status, r.Subjects = "GET /c/{id}", 200, []string{strconv.Itoa(g.IntN(60))}
			list = append(list, opened{s, r.Subjects[0], r.ASN})
		default:
			r.Route, r.Status = "GET /me", 200
			list = append(list, opened{s, "", r.ASN})
		}
		if _, err := l.Append(t.Context(), []whosaw.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	view := viewOf(t, l)
	yes, no := true, false
	for _, issued := range []*bool{nil, &yes, &no} {
		for _, asn := range []string{"", "2"} {
			term, want := whosaw.Term{Issued: issued}, map[string]int64{}
			if asn != "" {
				term.ASN = []string{asn}
			}
			accesses := int64(0)
			for _, x := range list {
				to, ok := owner[x.session]
				if asn != "" && strconv.Itoa(int(x.asn)) != asn || issued != nil && *issued != ok {
					continue
				}
				if accesses++; x.subject == "" {
					x.subject = to
				}
				if x.subject != "" {
					want[fmt.Sprintf("%q %s", x.realm, x.subject)]++
				}
			}
			if len(want) == 0 {
				t.Fatal("the test asks for nothing")
			}
			e := scope.New(view, cat, scope.Config{Index: blocks, Known: &scope.Known{}})
			count, err := e.Count(t.Context(), whosaw.Filter{term})
			if err != nil {
				t.Fatal(err)
			}
			if count.Accesses != accesses || count.Subjects != int64(len(want)) {
				t.Errorf("issued %v, network %q: %d accesses to %d subjects, want %d to %d", issued, asn, count.Accesses, count.Subjects, accesses, len(want))
			}
			got := map[string]int64{}
			err = e.List(t.Context(), whosaw.Filter{term}, func(row whosaw.ListRow) error {
				got[fmt.Sprintf("%q %s", row.Realm, row.Subject)] = row.Accesses
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("issued %v, network %q: list (-plain +scope):\n%s", issued, asn, diff)
			}
			id := slices.Sorted(maps.Keys(want))[0][len(`"" `):]
			page, err := e.Subject(t.Context(), new(""), id, whosaw.Filter{term}, 1000, "")
			if err != nil {
				t.Fatal(err)
			}
			if n := int64(len(page.Accesses)); n != want[`"" `+id] {
				t.Errorf("issued %v, network %q: %d accesses to %s, want %d", issued, asn, n, id, want[`"" `+id])
			}
		}
	}
}

// TestTwoMomentsOfMany asks about two moments at once, of a ledger with too many issuances to hold them all: what was issued and explained at each is what a
// plain count over the records until then says.
func TestTwoMomentsOfMany(t *testing.T) {
	defer scope.ManyReferences(scope.ManyReferences(30))
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), SegmentRecords: 40, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	blocks := index.Attach(l, true)
	t.Cleanup(func() { l.Close(); blocks.Close() })
	const records = 600
	g := rand.New(rand.NewPCG(8, 9))
	list := make([]whosaw.Record, records)
	for i := range list {
		r := whosaw.Record{
			Source: "web", Position: int64(i) + 1, Time: start + int64(i), Credential: "c" + strconv.Itoa(g.IntN(100)), Subjects: []string{strconv.Itoa(g.IntN(3))},
		}
		if g.IntN(4) == 0 {
			r.Type, r.Ref = whosaw.TypeIssuance, &whosaw.Reference{}
		} else {
			r.Key, r.Status, r.Fields = []string{"k", "l"}[g.IntN(2)], 200, []string{"name"}
		}
		list[i] = r
	}
	if _, err := l.Append(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	view := viewOf(t, l)
	matches := func(term *whosaw.Term, at int) bool {
		r, owner, issued := &list[at], "", false
		if uint64(at) >= term.AsOf || r.Key != term.Key[0] {
			return false
		}
		for i := range list[:term.AsOf] {
			if x := &list[i]; x.Type == whosaw.TypeIssuance && x.Credential == r.Credential {
				owner, issued = x.Subjects[0], true
			}
		}
		if term.Issued != nil && *term.Issued != issued {
			return false
		}
		return term.Explained == nil || *term.Explained == (issued && owner == r.Subjects[0])
	}
	yes, no := true, false
	for _, moments := range [][2]uint64{{records, 450}, {450, records}, {records, 40}, {205, 333}} {
		for _, ask := range []whosaw.Filter{
			{{Issued: &yes}, {Issued: &no}}, {{Issued: &no}, {Issued: &no}}, {{Explained: &yes}, {Explained: &yes}}, {{Explained: &no}, {Issued: &yes}},
		} {
			for i := range ask {
				ask[i].Key, ask[i].AsOf = []string{[]string{"k", "l"}[i]}, moments[i]
			}
			accesses, one := int64(0), 0
			for i := range list {
				if list[i].Type == whosaw.TypeAccess && (matches(&ask[0], i) || matches(&ask[1], i)) {
					if accesses++; list[i].Subjects[0] == "1" {
						one++
					}
				}
			}
			if one == 0 {
				t.Fatalf("%+v: nothing is asked for", ask)
			}
			e := scope.New(view, nil, scope.Config{Index: blocks, Known: &scope.Known{}})
			count, err := e.Count(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			page, err := e.Subject(t.Context(), nil, "1", ask, records, "")
			if err != nil {
				t.Fatal(err)
			}
			if count.Accesses != accesses || len(page.Accesses) != one {
				t.Errorf("%+v: %d accesses, %d of them to one, want %d and %d", ask, count.Accesses, len(page.Accesses), accesses, one)
			}
		}
	}
}
