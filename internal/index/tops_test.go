package index_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// TestTops holds what a block says of its largest against its rows: what is listed is at least the distinct subjects there, and what is not has no
// more than the rest. There are more codes than are looked at by day, and more days and codes than are kept.
func TestTops(t *testing.T) {
	const n = 60_000
	g := rand.New(rand.NewPCG(3, 1))
	var rs []whosaw.Record
	for i := range n {
		x := g.Float64()
		who := int(x * x * 30_000)
		r := whosaw.Record{
			Time: 1_764_000_000_000 + g.Int64N(4*86_400_000), Source: "a", Position: int64(i), Route: "GET /me", Subjects: []string{strconv.Itoa(g.IntN(400))},
			IP: netip.AddrFrom4([4]byte{10, 0, byte(who >> 8), byte(who)}), Credential: "c" + strconv.Itoa(who/2), Principal: "p" + strconv.Itoa(who/8),
			Agent: "a/" + strconv.Itoa(who%3000),
		}
		if i%9 == 0 {
			r.Realm = "eu"
		}
		rs = append(rs, r)
	}
	dir := t.TempDir()
	l, err := ledger.Open(ledger.Config{Dir: dir, Throwaway: true})
	must{t}.ok(err)
	defer l.Close()
	_, err = l.Append(t.Context(), rs)
	must{t}.ok(err)
	must{t}.ok(l.Seal(t.Context()))
	v, err := l.View(0)
	must{t}.ok(err)
	defer v.Close()
	p := v.Parts()[0]
	b := store(t, dir, v).Block(&p)
	tops, ok, err := b.Tops()
	if err != nil || !ok {
		t.Fatalf("there are none: %v", err)
	}
	texts, err := v.Texts(0)
	must{t}.ok(err)
	defer texts.Close()
	principals, err := b.Principals()
	must{t}.ok(err)
	must{t}.ok(b.CheckCredentials())
	credentials, _ := b.Credentials()
	ips, _, err := b.IP()
	must{t}.ok(err)
	agents, _, err := b.Agent()
	must{t}.ok(err)
	type key struct {
		day  int64
		code uint64
	}
	rows := make([]int64, len(tops.Rows))
	seen := [5]map[key]map[string]bool{}
	for m := range seen {
		seen[m] = map[key]map[string]bool{}
	}
	single := b.Reader()
	defer single.Close()
	for row := range b.Rows() {
		r, _, err := single.Record(row, texts.At)
		must{t}.ok(err)
		o, err := single.OriginOf(row)
		must{t}.ok(err)
		day := r.Time / 86_400_000
		rows[day-tops.FirstDay]++
		for m, code := range map[index.TopsOf]uint64{
			index.TopsIP: ips.At(o), index.TopsPrincipal: principals.At(row), index.TopsCredential: credentials.At(row), index.TopsAgent: agents.At(o),
		} {
			k := key{day, code}
			if seen[m][k] == nil {
				seen[m][k] = map[string]bool{}
			}
			seen[m][k][r.Realm+" "+r.Subjects[0]] = true
		}
	}
	for i := range rows {
		if rows[i] != tops.Rows[i] {
			t.Errorf("day %d has %d rows, not %d", i, rows[i], tops.Rows[i])
		}
	}
	for _, m := range []index.TopsOf{index.TopsIP, index.TopsPrincipal, index.TopsCredential, index.TopsAgent} {
		list := tops.Of(m)
		listed := 0
		for i := range rows {
			day, before := tops.FirstDay+int64(i), int64(1<<62)
			list.Each(day, func(x index.Top) bool {
				k := key{x.Day, x.Code}
				if n := int64(len(seen[m][k])); x.Day != day || n == 0 || n > x.Changes || x.Changes > before {
					t.Errorf("list %d: code %d of day %d has %d subjects, it says %d after %d", m, x.Code, x.Day, n, x.Changes, before)
				}
				before = x.Changes
				delete(seen[m], k)
				listed++
				return true
			})
		}
		if listed == 0 || len(seen[m]) == 0 {
			t.Errorf("list %d has %d, and leaves out %d", m, listed, len(seen[m]))
		}
		for k, who := range seen[m] {
			if int64(len(who)) > list.Rest(k.day) {
				t.Errorf("list %d: code %d of day %d has %d subjects, and the rest at most %d", m, k.code, k.day, len(who), list.Rest(k.day))
			}
		}
	}
	if list := tops.Of(index.TopsIP); list.Rest(tops.FirstDay-1) != 0 || list.Rest(tops.FirstDay+int64(len(rows))) != 0 {
		t.Error("days without rows have a rest")
	}
}

// TestPostings holds the rows of the credentials with the most changes against all rows, and that they are found by their strings.
func TestPostings(t *testing.T) {
	var rs []whosaw.Record
	for i := range 20_000 {
		who := "own-" + strconv.Itoa(i) // thousands with one row each
		switch {
		case i%50 == 0:
			who = "desk-" + strconv.Itoa(i/50%7)
		case i%50 < 3:
			who = "bulk" // too many rows
		}
		rs = append(rs, whosaw.Record{
			Time: 1_764_000_000_000 + int64(i)*7000, Source: "a", Position: int64(i), Route: "GET /me", Subjects: []string{strconv.Itoa(i % 977)},
			IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(i * 7)}), Credential: who,
		})
	}
	dir := t.TempDir()
	l, err := ledger.Open(ledger.Config{Dir: dir, Throwaway: true})
	must{t}.ok(err)
	defer l.Close()
	_, err = l.Append(t.Context(), rs)
	must{t}.ok(err)
	must{t}.ok(l.Seal(t.Context()))
	v, err := l.View(0)
	must{t}.ok(err)
	defer v.Close()
	p := v.Parts()[0]
	b := store(t, dir, v).Block(&p)
	posted, err := b.Postings()
	must{t}.ok(err)
	texts, err := v.Texts(0)
	must{t}.ok(err)
	defer texts.Close()
	must{t}.ok(b.CheckCredentials())
	credentials, _ := b.Credentials()
	rows, names := map[uint64][]int{}, map[string]uint64{}
	for row := range b.Rows() {
		code := credentials.At(row)
		rows[code] = append(rows[code], row)
		s, err := texts.At(ledger.TextCredential, uint32(code))
		must{t}.ok(err)
		names[s] = code
	}
	for name, code := range names {
		var got []int
		must{t}.ok(posted.Rows(code, func(row int) { got = append(got, row) }))
		found := slices.Contains(posted.Find(name), code)
		switch has := posted.Posted(code); {
		case has != (len(got) > 0):
			t.Fatalf("%s: posted is %t, it has %d rows", name, has, len(got))
		case has && !slices.Equal(got, rows[code]):
			t.Fatalf("%s has rows %v, want %v", name, got, rows[code])
		case has && !found:
			t.Fatalf("%s is posted and not found", name)
		case strings.HasPrefix(name, "desk-") && !has:
			t.Fatalf("%s is among the largest and not posted", name)
		case name == "bulk" && (has || !found):
			t.Fatalf("of %d rows of %s %d are posted; it is found: %t", len(rows[code]), name, len(got), found)
		}
	}
	if posted.Find("nobody") != nil || posted.Posted(1<<30) {
		t.Error("what is not there is found")
	}
}
