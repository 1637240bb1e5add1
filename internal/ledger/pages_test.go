package ledger_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// paged gives records whose strings fill several pages, with some that are alike and some that are missing.
func paged(n int) []whosaw.Record {
	rs := make([]whosaw.Record, n)
	for i := range rs {
		r := &rs[i]
		r.Time, r.Source, r.Position, r.Route, r.Subjects = 1_764_000_000_000+int64(i), "web", int64(i+1), "GET /me", []string{strconv.Itoa(i)}
		if i%7 > 0 {
			r.Credential = "c-" + strconv.Itoa(i/3*7919)
		}
		if i%3 > 0 {
			r.ID = "id " + strconv.Itoa(i)
		}
		if i%11 == 0 {
			r.Reason = "ticket " + strconv.Itoa(i)
		}
		r.Request = strconv.FormatInt(int64(i)*1_000_003, 36)
	}
	return rs
}

// TestTexts reads strings one by one, from a segment of this version and from one without pages.
func TestTexts(t *testing.T) {
	all := paged(1000)
	dir := t.TempDir()
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 1 << 20})
	appendAll(t, l, all, ledger.Accepted)
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	same := func(v *ledger.View, part int) {
		t.Helper()
		c, err := v.Load(ctx, part, ledger.ColAll)
		if err != nil {
			t.Fatal(err)
		}
		x, err := v.Texts(part)
		if err != nil {
			t.Fatal(err)
		}
		for i := c.N - 1; i >= 0; i-- {
			at := i * 389 % c.N
			for col, s := range map[ledger.TextColumn]*ledger.Strings{
				ledger.TextCredential: &c.Credential, ledger.TextID: &c.ID, ledger.TextReason: &c.Reason, ledger.TextRequest: &c.Request,
			} {
				if got, err := x.At(col, s.Codes[at]); err != nil || got != s.At(at) {
					t.Fatalf("row %d: %q, %v; want %q", at, got, err, s.At(at))
				}
			}
		}
		if _, err := x.At(ledger.TextID, uint32(c.N+1)); err == nil {
			t.Fatal("a code that no row has is read")
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	same(view(t, l, 0), 0)
	closing(t, l)

	l = open(t, ledger.Config{Dir: copied(t, filepath.Join("testdata", "v1")), ReadOnly: true})
	same(view(t, l, 0), 0)
	closing(t, l)
}

// TestLongTexts reads back strings that fill pages of more than some kilobytes, which compress: they are as they were, a repeat is
// known by them, and the segment is sound.
func TestLongTexts(t *testing.T) {
	rng := newShop().rng
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_./:;"[rng.IntN(32)]
		}
		return string(b)
	}
	all := make([]whosaw.Record, 400)
	for i := range all {
		r := &all[i]
		r.Time, r.Source, r.Subjects = 1_764_000_000_000+int64(i), "web", []string{strconv.Itoa(i)}
		r.Credential, r.ID, r.Reason, r.Request = word(60), word(40), word(300), word(33+i%7)
	}
	all[250].Request = word(700_000)
	dir := t.TempDir()
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 1 << 20})
	appendAll(t, l, all, ledger.Accepted)
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	checkRecords(t, view(t, l, 0), all)
	x, err := view(t, l, 0).Texts(0)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range all { // each string came once, so its code is its place
		if got, err := x.At(ledger.TextRequest, uint32(i+1)); err != nil || got != want.Request {
			t.Fatalf("row %d: %d bytes, %v; want %d", i, len(got), err, len(want.Request))
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	closing(t, l)
	if _, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	l = open(t, ledger.Config{Dir: dir, SegmentRecords: 1 << 20})
	appendAll(t, l, all, ledger.Repeat)
	closing(t, l)
}

// TestTextsFlipped flips bits of a segment: a string that is read is the right one, or there is an error.
func TestTextsFlipped(t *testing.T) {
	dir := t.TempDir()
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 1 << 20})
	appendAll(t, l, paged(600), ledger.Accepted)
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	v := view(t, l, 0)
	c, err := v.Load(ctx, 0, ledger.ColAll)
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "ledger", "*.seg"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	whole, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for at := 16; at < len(whole)-16; at += 23 {
		b := append([]byte(nil), whole...)
		b[at] ^= 1 << (at % 8)
		if err := os.WriteFile(names[0], b, 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := v.Texts(0)
		if err != nil {
			t.Fatal(err)
		}
		for row := 0; row < c.N; row += 31 {
			got, err := x.At(ledger.TextRequest, c.Request.Codes[row])
			if err != nil {
				found++
			} else if got != c.Request.At(row) {
				t.Fatalf("a bit flipped at %d: row %d is %q, not %q", at, row, got, c.Request.At(row))
			}
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Fatal("no flipped bit was met")
	}
	if err := os.WriteFile(names[0], whole, 0o600); err != nil {
		t.Fatal(err)
	}
	closing(t, l)
}
