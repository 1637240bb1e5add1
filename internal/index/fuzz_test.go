package index

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// seed gives the bytes of the files beside a small segment.
func seed(f *testing.F) (block, digest, side []byte) {
	f.Helper()
	l, err := ledger.Open(ledger.Config{Dir: f.TempDir(), SegmentRecords: 100, Throwaway: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	var rs []whosaw.Record
	for i := range 120 {
		r := whosaw.Record{
			Time: 1_764_000_000_000 + int64(i)*70_000, Source: "gw", Position: int64(i), Key: []string{"", "k1", "k2"}[i%3], Agent: []string{"x", "y"}[i%2],
			IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 7)}), ASN: uint32(i % 7), Country: []string{"KR", "JP"}[i%7%2], Route: "GET /me", Status: 200,
			Credential: fmt.Sprint("c", i%5), Subjects: []string{fmt.Sprint(i % 11)}, Fields: []string{"name"},
		}
		if i%10 == 0 {
			r = whosaw.Record{Type: whosaw.TypeIssuance, Time: r.Time, Source: "gw", Position: r.Position, Credential: r.Credential, Key: r.Key}
		}
		rs = append(rs, r)
	}
	ctx := context.Background()
	if _, err := l.Append(ctx, rs); err != nil {
		f.Fatal(err)
	}
	if err := l.Seal(ctx); err != nil {
		f.Fatal(err)
	}
	v, err := l.View(0)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = v.Close() })
	c, err := v.Load(ctx, 0, Columns|rest)
	if err != nil {
		f.Fatal(err)
	}
	made, err := build(ledger.SegmentID{}, c)
	if err != nil {
		f.Fatal(err)
	}
	block = made.block
	d, err := makeDigest(c, func(fn func(seq uint64, r *whosaw.Record) error) error { return v.PartReferences(ctx, 0, fn) })
	if err != nil {
		f.Fatal(err)
	}
	if digest, err = d.encode(ledger.SegmentID{}); err != nil {
		f.Fatal(err)
	}
	b, err := parse(block, ledger.SegmentID{})
	if err != nil {
		f.Fatal(err)
	}
	x := MakeIssued(c, 120, 6, []uint64{1, 5, 1 << 40}, func(i int) bool { return i%2 == 0 })
	return block, digest, x.encode(ledger.SegmentID{}, b.sum)
}

// mended makes the checksums of a block right again, so that what lies behind them is reached.
func mended(b []byte) []byte {
	b = append([]byte{}, b...)
	if len(b) < headSize+tailSize {
		return b
	}
	binary.LittleEndian.PutUint32(b[headSize-4:], checksum(b[:headSize-4]))
	tail := b[len(b)-tailSize:]
	body := len(b) - tailSize - int(binary.LittleEndian.Uint32(tail))
	if body < headSize {
		return b
	}
	pages := (body + pageSize - 1) / pageSize
	if sums := len(b) - tailSize - 4*pages; sums >= body {
		for page := range pages {
			binary.LittleEndian.PutUint32(b[sums+4*page:], checksum(b[page*pageSize:min(body, (page+1)*pageSize)]))
		}
	}
	binary.LittleEndian.PutUint32(tail[4:], checksum(b[body:len(b)-tailSize]))
	return b
}

// FuzzBlock reads blocks that nobody wrote, their checksums right: whatever they say, nothing panics.
func FuzzBlock(f *testing.F) {
	block, _, _ := seed(f)
	f.Add(block)
	f.Add(block[:len(block)-1])
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := parse(mended(in), ledger.SegmentID{})
		if err != nil || b.Rows() > 1<<16 || b.Origins() > 1<<16 {
			return
		}
		b.name = "fuzz"
		readAll(b)
	})
}

// readAll reads everything a block has.
func readAll(b *Block) {
	dst := make([]uint64, b.Origins())
	for m := range members {
		c, err := b.column(m)
		if err != nil {
			return
		}
		c.Fill(dst, 0)
		allow := c.Allowed()
		for o := range b.Origins() {
			_ = allow[c.At(o)]
			_ = allow[dst[o]]
		}
		c.Pass(0, b.Origins(), allow, func(int) {})
		if m != memberIP && m != memberASN && m != memberCredential {
			if _, dict, err := b.strings(m); err == nil {
				for code := range min(dict.Len(), 1<<10) + 2 {
					_ = dict.Find(dict.At(code))
				}
			}
		}
	}
	key, _, err := b.Key()
	if err != nil {
		return
	}
	for code := range 4 {
		key.Range(code)
		key.Pair(code, code)
	}
	if _, dict, err := b.IP(); err == nil {
		for code := range min(dict.Len(), 1<<10) + 2 {
			if a := dict.At(code); a.IsValid() {
				dict.Between(a, a)
			}
		}
	}
	if _, dict, err := b.ASN(); err == nil {
		for code := range dict.Len() + 2 {
			dict.Value(code)
		}
	}
	if shapes, err := b.Shapes(); err == nil {
		for code := range shapes.Len() + 1 {
			_, _ = ParseShape(shapes.At(code))
		}
	}
	if tops, ok, err := b.Tops(); err == nil && ok {
		for m := range topsLists {
			for day := range min(len(tops.Rows), 100) {
				tops.Of(m).Each(tops.FirstDay+int64(day), func(Top) bool { return true })
				tops.Of(m).Rest(tops.FirstDay + int64(day))
			}
		}
	}
	if p, err := b.Postings(); err == nil {
		p.Find("c1")
		for i := range p.len() {
			p.Posted(p.code(i))
			_ = p.Rows(p.code(i), func(row int) { _, _, _ = b.WhoOf(row) })
		}
	}
	subjects, err := b.Subjects()
	if err != nil || b.CheckRows(0, b.Rows(), true) != nil {
		return
	}
	who, rows := b.Who(), b.Reader()
	defer rows.Close()
	for row := range b.Rows() {
		if subject, _, _ := b.WhoOf(row); subject > b.LargestSubject() {
			panic("a subject above the largest")
		}
		_, _, _ = subjects.Get(who.At(row) >> b.ShapeBits())
		b.Time(row)
		_, _, _ = rows.Record(row, func(ledger.TextColumn, uint32) (string, error) { return "", nil })
	}
}

// FuzzDigest reads digests that nobody wrote.
func FuzzDigest(f *testing.F) {
	_, digest, _ := seed(f)
	f.Add(digest[:len(digest)-4])
	f.Fuzz(func(t *testing.T, in []byte) {
		in = binary.LittleEndian.AppendUint32(in, checksum(in))
		d, err := parseDigest(in, ledger.SegmentID{})
		if err != nil {
			return
		}
		if _, err := d.encode(ledger.SegmentID{}); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}

// FuzzIssued reads side tables that nobody wrote.
func FuzzIssued(f *testing.F) {
	block, _, side := seed(f)
	f.Add(side[:len(side)-4])
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := parse(block, ledger.SegmentID{})
		if err != nil {
			t.Fatal(err)
		}
		in = binary.LittleEndian.AppendUint32(in, checksum(in))
		x := parseIssued(in, &ledger.Part{Last: 120}, b)
		if x == nil {
			return
		}
		for row := range b.Rows() {
			x.Row(row)
		}
		n := 0
		x.Unissued(func(uint64) bool { n++; return true })
		x.Own(func(uint64) bool { n++; return true })
		if n != x.unissued.steps.n+x.OwnLen() {
			t.Errorf("%d hashes were given, not %d and %d", n, x.unissued.steps.n, x.OwnLen())
		}
	})
}

// FuzzFinder reads finders that nobody wrote, their checksums right: whatever they say, nothing panics.
func FuzzFinder(f *testing.F) {
	s := Open(Config{Dir: f.TempDir(), Throwaway: true})
	f.Cleanup(func() { _ = s.Close() })
	for i := range uint64(finderFan + 1) {
		keys := []uint64{hashOfInt(i) << keyStretch, hashOfInt(i)<<keyStretch | 1, hashOfText("a")<<keyStretch | 2}
		slices.Sort(keys)
		if err := s.addFinder(&ledger.Part{First: i + 1, Segment: ledger.SegmentID{1}}, 3<<stretchBits, keys); err != nil {
			f.Fatal(err)
		}
	}
	for _, x := range s.finders().list {
		b, err := os.ReadFile(x.name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[finderHead:])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < finderTail {
			return
		}
		b := append(binary.LittleEndian.AppendUint32([]byte(finderMagic), finderVersion), in...)
		if n := int(binary.LittleEndian.Uint32(in[len(in)-finderTail:])); n <= len(in)-finderTail {
			tail := b[len(b)-finderTail:]
			binary.LittleEndian.PutUint32(tail[4:], updateChecksum(checksum(b[:finderHead]), b[len(b)-finderTail-n:len(b)-finderTail]))
		}
		name := filepath.Join(t.TempDir(), "x"+finderSuffix)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := openFinder(name)
		if err != nil {
			return
		}
		defer x.file.Close()
		for bucket := range x.buckets() {
			if from, to := x.starts[bucket], x.starts[bucket+1]; to <= uint32(len(b)) {
				x.sums[bucket] = checksum(b[from:to])
			}
			_ = x.each(bucket, func(found) {})
			_ = x.find(uint64(bucket)<<(hashBits-x.bucketBits()), func(int, uint32) {})
		}
		_ = x.find(hashOfInt(1), func(int, uint32) {})
	})
}
