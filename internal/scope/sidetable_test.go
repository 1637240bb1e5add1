package scope_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// sideLedger is a ledger of segments of 100 records: accesses whose credentials were issued in their segment, long before, later, for
// another key, in another realm, or never.
type sideLedger struct {
	*testing.T
	dir    string
	ledger *ledger.Ledger
	blocks *index.Store
	g      *rand.Rand
	at     int64
}

func newSideLedger(t *testing.T) *sideLedger {
	l := &sideLedger{T: t, dir: t.TempDir(), g: rand.New(rand.NewPCG(7, 11))}
	l.open()
	t.Cleanup(l.close)
	return l
}

func (l *sideLedger) open() {
	l.Helper()
	led, err := ledger.Open(ledger.Config{Dir: l.dir, SegmentRecords: 100, Throwaway: true})
	if err != nil {
		l.Fatal(err)
	}
	l.ledger, l.blocks = led, index.Attach(led, true)
	l.blocks.Hold(5) // most issuances are looked for in files
}

func (l *sideLedger) close() {
	l.Helper()
	if err := errors.Join(l.ledger.Close(), l.blocks.Failure(), l.blocks.Close()); err != nil {
		l.Error(err)
	}
}

// fill appends records, as many as fill some segments, and seals them.
func (l *sideLedger) fill(segments int) {
	l.Helper()
	for range segments {
		var rs []whosaw.Record
		for range 100 {
			l.at++
			r := whosaw.Record{
				Source: "web", Position: l.at, Time: start + l.at*1000, Realm: []string{"", "b"}[l.g.IntN(8)/7],
				Key: []string{"", "k", "k", "other"}[l.g.IntN(4)], Credential: "c" + strconv.Itoa(int(l.at)/20+l.g.IntN(12)),
			}
			kind := l.g.IntN(6)
			if l.at%500 > 400 || l.at%500 == 0 {
				kind = 0 // every fifth segment has issuances alone
			}
			switch kind {
			case 0:
				r.Type, r.Ref = whosaw.TypeIssuance, &whosaw.Reference{}
			case 1: // nobody issues these
				r.Credential = "x" + strconv.FormatInt(l.at, 10)
				fallthrough
			default:
				r.Subjects, r.Fields, r.Status = []string{strconv.Itoa(l.g.IntN(30))}, []string{"name"}, 200
			}
			rs = append(rs, r)
		}
		if _, err := l.ledger.Append(context.Background(), rs); err != nil {
			l.Fatal(err)
		}
		if err := l.ledger.Seal(context.Background()); err != nil {
			l.Fatal(err)
		}
	}
}

func (l *sideLedger) view() *ledger.View {
	l.Helper()
	v, err := l.ledger.View(0)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = v.Close() })
	return v
}

func (l *sideLedger) build() {
	l.Helper()
	if err := l.blocks.BuildIssued(context.Background(), func() (*ledger.View, error) { return l.ledger.View(0) }); err != nil {
		l.Fatal(err)
	}
}

// lacking lists the segments that have no side table on disk.
func (l *sideLedger) lacking() (list []uint64) {
	l.Helper()
	fresh := index.Open(index.Config{Dir: l.dir, Throwaway: true})
	defer func() { _ = fresh.Close() }()
	for _, p := range l.view().Parts() {
		if fresh.SideTable(&p) == nil {
			list = append(list, p.First)
		}
	}
	return list
}

// equal asks with side tables and without, holding all issuances where one is missing and only those that it asks about.
func (l *sideLedger) equal() {
	l.Helper()
	defer scope.ManyReferences(scope.ManyReferences(0))
	l.same()
	scope.ManyReferences(1 << 22)
	l.same()
}

func (l *sideLedger) same() {
	l.Helper()
	v, ctx := l.view(), context.Background()
	yes, no := true, false
	for _, asOf := range []uint64{0, v.Last() - 150, v.Last() - 1} {
		for _, issued := range []*bool{&yes, &no} {
			f := whosaw.Filter{{Issued: issued, AsOf: asOf}}
			got, err := scope.New(v, nil, scope.Config{Index: l.blocks}).Count(ctx, f)
			want, err2 := scope.New(v, nil, scope.Config{}).Count(ctx, f)
			if err := errors.Join(err, err2); err != nil {
				l.Fatal(err)
			}
			if want.Accesses == 0 {
				l.Errorf("as of %d, issued %t: nothing was asked for", asOf, *issued)
			}
			if d := cmp.Diff(want, got); d != "" {
				l.Errorf("as of %d, issued %t:\n%s", asOf, *issued, d)
			}
		}
	}
}

func (l *sideLedger) name(first uint64) string {
	return filepath.Join(l.dir, index.Dir, fmt.Sprintf("%020d.iss", first))
}

// TestSideTableAtSeal asks nothing: each segment has its side table when it is sealed. It is what questions then use.
func TestSideTableAtSeal(t *testing.T) {
	l := newSideLedger(t)
	l.fill(8)
	if first := l.lacking(); first != nil {
		t.Errorf("the segments %v have no side table although they were sealed", first)
	}
	for _, p := range l.view().Parts() {
		if first, last := l.blocks.SideTable(&p).AsOf(); first != p.Last || last != p.Last {
			t.Errorf("the side table of records %d to %d holds as of %d to %d", p.First, p.Last, first, last)
		}
	}
	newest := l.name(l.view().Parts()[7].First)
	before, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	l.equal()
	after, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("a question made the newest segment's side table again, although nothing was issued since")
	}
	l.close()
	l.open() // the next process knows nothing of what was issued before
	l.fill(2)
	l.build()
	l.fill(2)
	if first := l.lacking(); first != nil {
		t.Errorf("the segments %v have no side table after a restart", first)
	}
	l.equal()
}

// TestSideTableLost takes side tables away, as a process that was killed before it had written them, and damages them: they are
// made again, and no answer is another meanwhile.
func TestSideTableLost(t *testing.T) {
	l := newSideLedger(t)
	l.fill(6)
	parts := l.view().Parts()
	l.close()
	whole, err := os.ReadFile(l.name(parts[1].First))
	if err != nil {
		t.Fatal(err)
	}
	for i, harm := range []func(name string) error{
		os.Remove,
		func(name string) error { return os.WriteFile(name, whole[:len(whole)/2], 0o600) },
		func(name string) error { return os.WriteFile(name, whole, 0o600) }, // another segment's
		func(name string) error { return os.Rename(name, name+".tmp") },
		func(name string) error {
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 4
			return os.WriteFile(name, b, 0o600)
		},
	} {
		if err := harm(l.name(parts[i].First)); err != nil {
			t.Fatal(err)
		}
	}
	l.open()
	if n := len(l.lacking()); n != 5 {
		t.Errorf("%d side tables are taken for lost, want 5", n)
	}
	l.build()
	if first := l.lacking(); first != nil {
		t.Errorf("the segments %v have no side table although they were to be made again", first)
	}
	l.equal()
	for _, p := range parts {
		if err := os.Remove(l.name(p.First)); err != nil {
			t.Fatal(err)
		}
	}
	l.close()
	l.open()
	l.equal() // made by the questions, but for a segment without accesses
	if first := l.lacking(); len(first) != 1 || first[0] != 401 {
		t.Errorf("the segments %v have no side table after questions", first)
	}
	l.build()
	if first := l.lacking(); first != nil {
		t.Errorf("the segments %v have no side table after all", first)
	}
}

// TestSideTableBehind seals while side tables are being made for what was there before: that does not wait, and is made up for.
func TestSideTableBehind(t *testing.T) {
	l := newSideLedger(t)
	l.fill(3)
	l.close()
	for _, p := range func() []ledger.Part { l.open(); return l.view().Parts() }() {
		if err := os.Remove(l.name(p.First)); err != nil {
			t.Fatal(err)
		}
	}
	err := l.blocks.BuildIssued(context.Background(), func() (*ledger.View, error) {
		v, err := l.ledger.View(0)
		l.fill(2)
		return v, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(l.lacking()); n != 2 {
		t.Errorf("%d segments have no side table, want the 2 that were sealed meanwhile", n)
	}
	select {
	case <-l.blocks.Lacking():
	default:
		t.Error("nobody was told of the segments that were sealed meanwhile")
	}
	l.build()
	l.fill(1)
	if first := l.lacking(); first != nil {
		t.Errorf("the segments %v have no side table", first)
	}
	l.equal()
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if err := os.Remove(l.name(1)); err != nil {
		t.Fatal(err)
	}
	l.close()
	l.open()
	err = l.blocks.BuildIssued(stopped, func() (*ledger.View, error) { return l.ledger.View(0) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a server that stops goes on making side tables: %v", err)
	}
	l.build()
	if first := l.lacking(); first != nil {
		t.Errorf("the segments %v have no side table", first)
	}
}

// TestSideTablePurged removes segments with issuances: their side tables go with them, and what they issued is issued no more.
func TestSideTablePurged(t *testing.T) {
	l := newSideLedger(t)
	l.fill(6)
	ctx := context.Background()
	gone, err := l.ledger.Purge(ctx, start+250_000, time.UnixMilli(start+l.at*1000))
	if err != nil {
		t.Fatal(err)
	}
	if len(gone) != 2 {
		t.Fatalf("%d segments went, want 2", len(gone))
	}
	v := l.view()
	if err := l.blocks.Prune(v); err != nil {
		t.Fatal(err)
	}
	for _, p := range gone {
		if _, err := os.Stat(l.name(p.First)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the side table of the records from %d on is still there: %v", p.First, err)
		}
	}
	select {
	case <-l.blocks.Lacking():
	default:
		t.Error("nobody was told that side tables do not hold any more")
	}
	l.fill(1) // not yet made up for
	l.build()
	l.fill(1)
	for _, p := range l.view().Parts() {
		if x := l.blocks.SideTable(&p); x == nil || p.Accesses > 0 && x.Gone() != index.Gone(v) {
			t.Errorf("the side table of the records from %d on was not made again", p.First)
		}
	}
	l.equal()
}

// TestSideTableWrittenTo writes over side tables that are in use, so that hashes in them come out greater than any: no answer is another, and nothing ends.
func TestSideTableWrittenTo(t *testing.T) {
	l := newSideLedger(t)
	l.fill(6)
	l.close()
	l.open()
	for _, p := range l.view().Parts() {
		if l.blocks.SideTable(&p) == nil {
			t.Fatal("a segment has no side table")
		}
		f, err := os.OpenFile(l.name(p.First), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		const head = 80 // bytes, of which nobody reads any again
		if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, int(info.Size())-head), head); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l.equal()
}
