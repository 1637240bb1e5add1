package index_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// records makes n accesses with everything that a block tells apart. wide ids are no small integers.
func records(seed uint64, n int, wide bool) []whosaw.Record {
	g := rand.New(rand.NewPCG(seed, 7))
	pick := func(list ...string) string { return list[g.IntN(len(list))] }
	var out []whosaw.Record
	for i := range n {
		r := whosaw.Record{
			Time: 1_764_000_000_000 + g.Int64N(100_000), Source: pick("a", "b"), Position: int64(i), Realm: pick("", "", "eu"),
			Key: pick("", "k1", "k2"), Client: pick("", "app"), Country: pick("", "KR", "JP"), Agent: pick("", "x/1", "y/2", "z/3"),
			TLS: pick("", "t"), Route: pick("GET /me", "GET /o/{id}"), Status: []int{0, 200, 404}[g.IntN(3)], ASN: uint32(g.IntN(4)),
			Credential: pick("", "c"+strconv.Itoa(i)), Outcome: whosaw.Outcome(g.IntN(3)),
		}
		switch g.IntN(4) {
		case 0:
			r.IP = netip.AddrFrom4([4]byte{10, 0, 0, byte(g.IntN(9))})
		case 1:
			r.IP = netip.MustParseAddr("2001:db8::" + strconv.Itoa(1+g.IntN(9)))
		case 2:
			r.IP = netip.AddrFrom16(netip.AddrFrom4([4]byte{10, 0, 0, byte(g.IntN(9))}).As16())
		}
		if g.IntN(3) > 0 {
			r.Fields = [][]string{{"name"}, {"name", "phone"}, {}}[g.IntN(3)]
		}
		if g.IntN(5) == 0 {
			r.Masked = []string{"email"}
		}
		if g.IntN(5) == 0 {
			r.Others = int64(g.IntN(3))
		}
		for range g.IntN(3) {
			id := strconv.Itoa(g.IntN(50))
			if wide {
				id = pick("00"+id, "u-"+id, strconv.FormatUint(1<<40+g.Uint64N(50), 10), id)
			}
			if !slices.Contains(r.Subjects, id) {
				r.Subjects = append(r.Subjects, id)
			}
		}
		out = append(out, r)
	}
	return out
}

// sealed is a ledger of records in segments of 100, with a view of it.
func sealed(t *testing.T, rs []whosaw.Record) (string, *ledger.View) {
	t.Helper()
	dir := t.TempDir()
	l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: 100, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, err := l.Append(context.Background(), rs); err != nil {
		t.Fatal(err)
	}
	// What seals the last full part is the record behind it.
	v, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	return dir, v
}

// store gives a directory's store with all blocks built.
func store(t *testing.T, dir string, v *ledger.View) *index.Store {
	t.Helper()
	s := index.Open(index.Config{Dir: dir, Throwaway: true})
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Build(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	return s
}

// rowsOfChunk says in words what each row of a block must say.
func rowsOfChunk(c *ledger.Chunk) []string {
	var out []string
	for i := range c.N {
		ids := c.SubjectIDs[c.SubjectStart[i]:c.SubjectStart[i+1]]
		line := func(subject string, has, first bool) {
			out = append(out, fmt.Sprintf("%d %q %t %t %q %v %v %q %d %q %q %q %q %t %q %#v %#v %d %d %d", c.Time[i], subject, has, first, c.Key.At(i),
				c.IP.At(i), c.ASN[i], c.Country.At(i), c.ASN[i], c.Agent.At(i), c.Client.At(i), c.TLS.At(i), c.Realm.At(i)+"|"+c.Source.At(i),
				c.Credential.Codes[i] != 0, c.Route.At(i), c.Fields.At(i), c.Masked.At(i), c.Status[i], c.Outcome[i], c.Others[i]))
		}
		if len(ids) == 0 {
			line("", false, true)
		}
		for j, id := range ids {
			line(c.Subject(id), true, j == 0)
		}
	}
	slices.Sort(out)
	return out
}

// must gives what a block's method gives.
type must struct{ *testing.T }

func (m must) ok(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// rowsOfBlock says the same of a block.
func rowsOfBlock(t *testing.T, b *index.Block) []string {
	m := must{t}
	text := func(of func() (index.Column, index.Texts, error)) func(o int) string {
		c, dict, err := of()
		m.ok(err)
		for i := 2; i <= dict.Len(); i++ {
			if cmp.Compare(dict.At(i-1), dict.At(i)) >= 0 {
				t.Error("a dictionary is not sorted")
			}
			if dict.Find(dict.At(i)) != i {
				t.Error("a text is not found")
			}
		}
		return func(o int) string { return dict.At(int(c.At(o))) }
	}
	key, agent, country, client, tls, realm, source := text(b.Key), text(b.Agent), text(b.Country), text(b.Client), text(b.TLS), text(b.Realm), text(b.Source)
	cred, err := b.Credential()
	m.ok(err)
	ips, addrs, err := b.IP()
	m.ok(err)
	asns, numbers, err := b.ASN()
	m.ok(err)
	starts, err := b.Starts()
	m.ok(err)
	m.ok(b.CheckRows(0, b.Rows(), true))
	shapes, err := b.Shapes()
	m.ok(err)
	subjects, err := b.Subjects()
	m.ok(err)
	who := b.Who()
	var out []string
	for o := range b.Origins() {
		for i := int(starts.At(o)); i < int(starts.At(o+1)); i++ {
			v := who.At(i)
			s, err := index.ParseShape(shapes.At(int(v&(1<<b.ShapeBits()-1)) + 1))
			m.ok(err)
			subject := ""
			if s.Subject {
				n, txt, isText := subjects.Get(v >> b.ShapeBits())
				if subject = txt; !isText {
					subject = strconv.FormatUint(n, 10)
				}
			}
			asn := numbers.Value(int(asns.At(o)))
			out = append(out, fmt.Sprintf("%d %q %t %t %q %v %v %q %d %q %q %q %q %t %q %#v %#v %d %d %d", b.Time(i), subject, s.Subject, s.First, key(o),
				addrs.At(int(ips.At(o))), asn, country(o), asn, agent(o), client(o), tls(o), realm(o)+"|"+source(o),
				cred.At(o) == 1, s.Route, s.Fields, s.Masked, s.Status, s.Outcome, s.Others))
		}
	}
	slices.Sort(out)
	return out
}

// TestBlock holds what blocks say against the segments they were built from.
func TestBlock(t *testing.T) {
	for _, wide := range []bool{false, true} {
		dir, v := sealed(t, records(1, 1000, wide))
		s := store(t, dir, v)
		blocks := 0
		for i, p := range v.Parts() {
			b := s.Block(&p)
			if b == nil {
				if p.Segment != (ledger.SegmentID{}) {
					t.Errorf("part %d has no block", i)
				}
				continue
			}
			blocks++
			c, err := v.Load(context.Background(), i, ledger.ColAll)
			must{t}.ok(err)
			if diff := gocmp.Diff(rowsOfChunk(c), rowsOfBlock(t, b)); diff != "" {
				t.Fatalf("part %d differs (-segment +block):\n%s", i, diff)
			}
		}
		if blocks < 5 {
			t.Errorf("%d blocks were looked at", blocks)
		}
	}
}

// TestFind looks for subjects in a block of many stretches: all their rows are found, few others, and of who has none
// mostly nothing.
func TestFind(t *testing.T) {
	const n = 50_000
	dir := t.TempDir()
	l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: n, Throwaway: true})
	must{t}.ok(err)
	defer l.Close()
	g := rand.New(rand.NewPCG(3, 3))
	var rs []whosaw.Record
	for i := range n {
		rs = append(rs, whosaw.Record{
			Time: 1_764_000_000_000 + int64(i), Source: "a", Position: int64(i), Key: "k" + strconv.Itoa(g.IntN(9)),
			Subjects: []string{strconv.Itoa(2 * g.IntN(n/3))},
		})
	}
	_, err = l.Append(context.Background(), rs)
	must{t}.ok(err)
	must{t}.ok(l.Seal(context.Background()))
	v, err := l.View(0)
	must{t}.ok(err)
	p := v.Parts()[0]
	b := store(t, dir, v).Block(&p)
	must{t}.ok(b.CheckRows(0, b.Rows(), false))
	st := store(t, dir, v)
	rows, who := map[uint64][]int{}, b.Who()
	for i := range b.Rows() {
		subject := who.At(i) >> b.ShapeBits()
		rows[subject] = append(rows[subject], i)
	}
	looked, had := 0, 0
	for subject := range uint64(2 * n / 3) {
		spans, known := st.Where(strconv.FormatUint(subject, 10)).In(&p)
		if !known {
			t.Fatal("no finder knows the segment")
		}
		found := 0
		for _, s := range spans {
			looked += s.To - s.From
			for _, i := range rows[subject] {
				if s.From <= i && i < s.To {
					found++
				}
			}
		}
		had += len(rows[subject])
		if found != len(rows[subject]) {
			t.Fatalf("%d of %d rows of subject %d are found", found, len(rows[subject]), subject)
		}
	}
	if had != n || looked > 2*256*n {
		t.Errorf("to find %d rows, %d were looked at", had, looked)
	}
}

// readAll reads all that a block has.
func readAll(b *index.Block) error {
	rows := b.Reader()
	defer rows.Close()
	var err error
	for number := range uint64(50) {
		err = errors.Join(err, rows.RowsOf(index.Span{From: 0, To: b.Rows()}, number, func(int, uint64) error { return nil }))
	}
	for row := range b.Rows() {
		_, _, e := rows.Record(row, func(ledger.TextColumn, uint32) (string, error) { return "", nil })
		_, _, e2 := b.Seq(row)
		err = errors.Join(err, e, e2)
	}
	err = errors.Join(err, b.CheckRows(0, b.Rows(), true))
	_, _, e1 := b.Tops()
	_, e13 := b.Postings()
	_, e2 := b.Principals()
	e3 := b.CheckCredentials()
	_, e4 := b.Starts()
	_, _, e5 := b.Key()
	_, _, e6 := b.Agent()
	_, _, e7 := b.TLS()
	_, _, e8 := b.IP()
	_, _, e9 := b.Source()
	_, _, e10 := b.Client()
	_, _, e11 := b.Country()
	_, _, e12 := b.ASN()
	return errors.Join(err, e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, e12, e13)
}

// TestDamage flips bytes: what was flipped is never read.
func TestDamage(t *testing.T) {
	dir, v := sealed(t, records(2, 300, false))
	must{t}.ok(store(t, dir, v).Close())
	p := v.Parts()[0]
	names, err := filepath.Glob(filepath.Join(dir, index.Dir, "*.idx"))
	must{t}.ok(err)
	good, err := os.ReadFile(names[0])
	must{t}.ok(err)
	for at := 0; at < len(good); at += 5 + at%7 {
		bad := slices.Clone(good)
		bad[at] ^= 1 << (at % 8)
		must{t}.ok(os.WriteFile(names[0], bad, 0o600))
		s := index.Open(index.Config{Dir: dir, Throwaway: true})
		if b := s.Block(&p); b != nil {
			if err := readAll(b); err == nil {
				t.Fatalf("byte %d of %d was flipped and not noticed", at, len(good))
			}
			if s.Block(&p) != nil {
				t.Fatal("a damaged block is given again")
			}
		}
		must{t}.ok(s.Close())
	}
	// It is built again.
	if err := os.WriteFile(names[0], good[:len(good)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if store(t, dir, v).Block(&p) == nil {
		t.Error("a block that was cut is not built again")
	}
}

// TestCutByAByte cuts so little off a mapped block that no look at it is a fault: it reads as zeros there, and is told not to be what it was.
func TestCutByAByte(t *testing.T) {
	dir, v := sealed(t, records(3, 300, false))
	s := store(t, dir, v)
	p := v.Parts()[0]
	b := s.Block(&p)
	must{t}.ok(b.Intact())
	names, err := filepath.Glob(filepath.Join(dir, index.Dir, "*.idx"))
	must{t}.ok(err)
	info, err := os.Stat(names[0])
	must{t}.ok(err)
	must{t}.ok(os.Truncate(names[0], info.Size()-1))
	var damage *index.DamageError
	if err := b.Intact(); !errors.As(err, &damage) || damage.Name != names[0] {
		t.Errorf("it is not told that the file was cut: %v", err)
	}
	if s.Block(&p) != nil {
		t.Error("a block that was cut is given again")
	}
}
