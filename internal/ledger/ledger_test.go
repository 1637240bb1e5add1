package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

var ctx = context.Background()

// model is what a ledger should hold.
type model struct {
	records []whosaw.Record
	known   map[string]int
}

func (m *model) identity(r *whosaw.Record) string {
	if r.ID != "" {
		return fmt.Sprintf("id %q %q %d", r.ID, r.Realm, r.Time)
	}
	return fmt.Sprintf("at %q %d %d %d", r.Source, r.Position, r.Type, r.Time)
}

// append gives the receipt that is due.
func (m *model) append(r whosaw.Record) ledger.Receipt {
	if m.known == nil {
		m.known = map[string]int{}
	}
	key := m.identity(&r)
	i, ok := m.known[key]
	if !ok {
		m.known[key] = len(m.records)
		m.records = append(m.records, r)
		return ledger.Receipt{Ack: ledger.Accepted, Sequence: uint64(len(m.records))}
	}
	old := m.records[i]
	if r.ID != "" {
		r.Source, r.Position = old.Source, old.Position
	}
	if cmp.Equal(old, r, same) {
		return ledger.Receipt{Ack: ledger.Repeat, Sequence: uint64(i + 1)}
	}
	return ledger.Receipt{Ack: ledger.Conflict, Sequence: uint64(i + 1)}
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func open(t fataler, cfg ledger.Config) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closing(t fataler, l *ledger.Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func view(t fataler, l *ledger.Ledger, asOf uint64) *ledger.View {
	t.Helper()
	v, err := l.View(asOf)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func canonical(t fataler, r *whosaw.Record) []byte {
	t.Helper()
	b, err := ledger.Encode(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkRecords compares the records of a view with those it should hold.
func checkRecords(t fataler, v *ledger.View, want []whosaw.Record) {
	t.Helper()
	if v.Last() != uint64(len(want)) {
		t.Fatalf("last sequence is %d, want %d", v.Last(), len(want))
	}
	n := 0
	err := v.Records(ctx, 0, func(seq uint64, r *whosaw.Record) error {
		if n++; seq != uint64(n) {
			t.Fatalf("sequence %d came as number %d", seq, n)
		}
		if !bytes.Equal(canonical(t, r), canonical(t, &want[n-1])) {
			t.Fatalf("sequence %d: %s", seq, cmp.Diff(want[n-1], *r, same))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n != len(want) {
		t.Fatalf("%d records came, want %d", n, len(want))
	}
}

// check compares everything that a view says with the records it should hold.
func check(t fataler, v *ledger.View, want []whosaw.Record) {
	t.Helper()
	checkRecords(t, v, want)
	checkParts(t, v, want)
	var seqs []uint64
	err := v.References(ctx, func(seq uint64, r *whosaw.Record) error {
		seqs = append(seqs, seq)
		if diff := cmp.Diff(want[seq-1], *r, same); diff != "" {
			t.Fatalf("reference %d: %s", seq, diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var due []uint64
	for i := range want {
		if want[i].Type != whosaw.TypeAccess {
			due = append(due, uint64(i+1))
		}
	}
	if !slices.Equal(seqs, due) {
		t.Fatalf("references came with sequences %v, want %v", seqs, due)
	}
	checkSome(t, v, want)
}

// checkSome asks for issuances of some credentials, and sees what it is asked about.
func checkSome(t fataler, v *ledger.View, want []whosaw.Record) {
	t.Helper()
	wanted := func(kind whosaw.Type, realm, credential string) bool {
		return kind == whosaw.TypeIssuance && (realm+credential == "shops1" || credential == "s2" || credential == "")
	}
	var seqs, due []uint64
	for i := range v.Parts() {
		err := v.SomeReferences(ctx, i, func(seq uint64, kind whosaw.Type, realm, credential string) bool {
			if r := &want[seq-1]; r.Type != kind || r.Realm != realm || r.Credential != credential {
				t.Fatalf("reference %d is asked for as %v of %q in %q", seq, kind, credential, realm)
			}
			return wanted(kind, realm, credential)
		}, func(seq uint64, r *whosaw.Record) error {
			seqs = append(seqs, seq)
			if diff := cmp.Diff(want[seq-1], *r, same); diff != "" {
				t.Fatalf("reference %d: %s", seq, diff)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range want {
		if wanted(want[i].Type, want[i].Realm, want[i].Credential) {
			due = append(due, uint64(i+1))
		}
	}
	if !slices.Equal(seqs, due) {
		t.Fatalf("some references came with sequences %v, want %v", seqs, due)
	}
}

// checkParts compares what the parts say of themselves, and their columns.
func checkParts(t fataler, v *ledger.View, want []whosaw.Record) {
	t.Helper()
	next, segments := uint64(1), map[ledger.SegmentID]bool{}
	for i, p := range v.Parts() {
		if p.First != next || p.Last < p.First || p.Last > uint64(len(want)) {
			t.Fatalf("part %d is of %d to %d, and begins at %d", i, p.First, p.Last, next)
		}
		next = p.Last + 1
		due := ledger.Part{First: p.First, Last: p.Last, MinTime: math.MaxInt64, MaxTime: math.MinInt64, Bytes: p.Bytes, Segment: p.Segment}
		if p.Segment != (ledger.SegmentID{}) {
			if segments[p.Segment] {
				t.Fatalf("part %d has the id of another segment", i)
			}
			segments[p.Segment] = true
		}
		for _, r := range want[p.First-1 : p.Last] {
			due.MinTime, due.MaxTime = min(due.MinTime, r.Time), max(due.MaxTime, r.Time)
			if r.Type == whosaw.TypeAccess {
				due.Accesses++
			} else {
				due.References++
			}
		}
		if p != due || p.Bytes <= 0 {
			t.Fatalf("part %d says %+v, want %+v", i, p, due)
		}
		all, err := v.Load(ctx, i, ledger.ColAll)
		if err != nil {
			t.Fatal(err)
		}
		if all.N != p.Accesses || len(all.Seq) != all.N {
			t.Fatalf("part %d has %d accesses, want %d", i, all.N, p.Accesses)
		}
		for row, seq := range all.Seq {
			if got := all.Record(row); !cmp.Equal(got, want[seq-1], same) {
				t.Fatalf("row %d of part %d: %s", row, i, cmp.Diff(want[seq-1], got, same))
			}
		}
		for col := range 20 {
			cols := ledger.Columns(1) << col & ledger.ColAll
			some, err := v.Load(ctx, i, cols)
			if err != nil {
				t.Fatal(err)
			}
			checkColumns(t, some, all, cols)
		}
	}
	if next != v.Last()+1 {
		t.Fatalf("the parts end before %d, the view at %d", next, v.Last())
	}
}

// checkColumns compares columns that were loaded for themselves with those that came with all.
func checkColumns(t fataler, some, all *ledger.Chunk, cols ledger.Columns) {
	t.Helper()
	if some.N != all.N || !slices.Equal(some.Seq, all.Seq) || !slices.Equal(some.Time, all.Time) {
		t.Fatal("sequences or times differ")
	}
	for _, c := range []struct {
		col       ledger.Columns
		some, all ledger.Strings
	}{
		{ledger.ColRealm, some.Realm, all.Realm}, {ledger.ColSource, some.Source, all.Source},
		{ledger.ColRoute, some.Route, all.Route}, {ledger.ColPrincipal, some.Principal, all.Principal},
		{ledger.ColCredential, some.Credential, all.Credential}, {ledger.ColKey, some.Key, all.Key},
		{ledger.ColClient, some.Client, all.Client}, {ledger.ColCountry, some.Country, all.Country},
		{ledger.ColAgent, some.Agent, all.Agent}, {ledger.ColTLS, some.TLS, all.TLS},
		{ledger.ColRest, some.ID, all.ID}, {ledger.ColRest, some.Reason, all.Reason}, {ledger.ColRest, some.Request, all.Request},
	} {
		if cols&c.col == 0 {
			if len(c.some.Codes) > 0 {
				t.Fatalf("a column that was not asked for came with %b", cols)
			}
			continue
		}
		if len(c.some.Codes) != some.N || c.some.Dict[0] != "" {
			t.Fatalf("column %b has %d rows of %d", cols, len(c.some.Codes), some.N)
		}
		for i := range some.N {
			if c.some.At(i) != c.all.At(i) {
				t.Fatalf("row %d of column %b differs", i, cols)
			}
		}
	}
	for i := range some.N {
		ok := true
		switch cols {
		case ledger.ColFields:
			ok = cmp.Equal(some.Fields.At(i), all.Fields.At(i))
		case ledger.ColMasked:
			ok = cmp.Equal(some.Masked.At(i), all.Masked.At(i))
		case ledger.ColIP:
			ok = some.IP.At(i) == all.IP.At(i)
		case ledger.ColASN:
			ok = some.ASN[i] == all.ASN[i]
		case ledger.ColStatus:
			ok = some.Status[i] == all.Status[i]
		case ledger.ColOutcome:
			ok = some.Outcome[i] == all.Outcome[i]
		case ledger.ColOthers:
			ok = some.Others[i] == all.Others[i]
		case ledger.ColRest:
			ok = some.Bytes[i] == all.Bytes[i] && some.Position[i] == all.Position[i]
		case ledger.ColSubjects:
			ok = slices.Equal(some.SubjectIDs[some.SubjectStart[i]:some.SubjectStart[i+1]],
				all.SubjectIDs[all.SubjectStart[i]:all.SubjectStart[i+1]])
		}
		if !ok {
			t.Fatalf("row %d of column %b differs", i, cols)
		}
	}
}

// TestModel appends, seals, reopens and asks in any order, and compares with a plain list.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "ledger")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		cfg := ledger.Config{Dir: dir, Throwaway: true, SegmentRecords: rapid.IntRange(1, 40).Draw(t, "segment")}
		l := open(t, cfg)
		var m model
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0:
				if err := l.Seal(ctx); err != nil {
					t.Fatal(err)
				}
			case 1:
				closing(t, l)
				l = open(t, cfg)
			case 2:
				asOf := rapid.IntRange(0, len(m.records)).Draw(t, "as of")
				want := m.records[:asOf]
				if asOf == 0 {
					want = m.records
				}
				check(t, view(t, l, uint64(asOf)), want)
			default:
				batch := rapid.SliceOfN(genRecord, 1, 30).Draw(t, "batch")
				for range rapid.IntRange(0, 4).Draw(t, "repeats") {
					if len(m.records) > 0 {
						batch = append(batch, rapid.SampledFrom(m.records).Draw(t, "repeat"))
					}
				}
				receipts, err := l.Append(ctx, batch)
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range batch {
					if due := m.append(r); receipts[i] != due {
						t.Fatalf("record %d of the batch: %+v, want %+v", i, receipts[i], due)
					}
				}
			}
		}
		check(t, view(t, l, 0), m.records)
		closing(t, l)
		cfg.ReadOnly = true
		l = open(t, cfg)
		check(t, view(t, l, 0), m.records)
		if _, err := l.Append(ctx, m.records); err == nil && len(m.records) > 0 {
			t.Fatal("a read-only ledger took records")
		}
		closing(t, l)
	})
}

// numbered gives distinct records, every seventh not an access.
func numbered(from, n int) []whosaw.Record {
	all := make([]whosaw.Record, n)
	for i := range all {
		k := from + i
		all[i] = whosaw.Record{
			Time: 1_760_000_000_000 + int64(k), Source: "log", Position: int64(k) * 100,
			Subjects: []string{fmt.Sprint(k % 50)}, Principal: fmt.Sprintf("customer:%d", k%40), Key: "k1",
		}
		if k%7 == 6 {
			all[i].Type, all[i].Ref = whosaw.TypeIssuance, &whosaw.Reference{Expires: int64(k)}
		}
	}
	return all
}

func appendAll(t fataler, l *ledger.Ledger, records []whosaw.Record, want ledger.Ack) {
	t.Helper()
	receipts, err := l.Append(ctx, records)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range receipts {
		if r.Ack != want {
			t.Fatalf("record %d was answered with %d, want %d", i, r.Ack, want)
		}
	}
}

// TestViewStays reads one view while appends and seals go on.
func TestViewStays(t *testing.T) {
	l := open(t, ledger.Config{Dir: t.TempDir(), SegmentRecords: 64, Throwaway: true})
	defer closing(t, l)
	all := numbered(0, 2000)
	appendAll(t, l, all[:100], ledger.Accepted)
	early := view(t, l, 0)
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for range 10 {
				checkRecords(report{t}, early, all[:100])
				v := view(report{t}, l, 0)
				checkRecords(report{t}, v, all[:v.Last()])
			}
		})
	}
	for at := 100; at < len(all); at += 50 {
		appendAll(t, l, all[at:at+50], ledger.Accepted)
	}
	readers.Wait()
	check(t, early, all[:100])
	check(t, view(t, l, 0), all)
}

// report lets goroutines other than the test's fail it.
type report struct{ *testing.T }

func (r report) Fatal(args ...any)            { r.Error(args...); panic("test failed") }
func (r report) Fatalf(f string, args ...any) { r.Errorf(f, args...); panic("test failed") }

// TestConcurrentAppend has many callers at once, of which each brings records of the others too.
func TestConcurrentAppend(t *testing.T) {
	cfg := ledger.Config{Dir: t.TempDir(), SegmentRecords: 100}
	l := open(t, cfg)
	all := numbered(0, 1200)
	var mu sync.Mutex
	sequences := map[int]uint64{}
	var callers sync.WaitGroup
	for c := range 8 {
		callers.Go(func() {
			for at := c * 100; at < c*100+400; at += 20 {
				receipts, err := l.Append(ctx, all[at:at+20])
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, r := range receipts {
					if old, ok := sequences[at+i]; r.Ack == ledger.Conflict || ok && old != r.Sequence {
						t.Errorf("record %d: %+v, before %d", at+i, r, old)
					}
					sequences[at+i] = r.Sequence
				}
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	order := make([]whosaw.Record, 1100)
	for i, seq := range sequences {
		order[seq-1] = all[i]
	}
	check(t, view(t, l, 0), order)
	closing(t, l)
	l = open(t, cfg)
	check(t, view(t, l, 0), order)
	closing(t, l)
}

// TestRepeats brings records again from everywhere: the same batch, the open log, one segment,
// many, and after a reopen; in and out of order.
func TestRepeats(t *testing.T) {
	cfg := ledger.Config{Dir: t.TempDir(), SegmentRecords: 50, Throwaway: true}
	l := open(t, cfg)
	all := numbered(0, 620)
	appendAll(t, l, all[300:], ledger.Accepted)
	appendAll(t, l, all[:300], ledger.Accepted) // late
	appendAll(t, l, all, ledger.Repeat)
	closing(t, l)
	l = open(t, cfg)
	backwards := slices.Clone(all)
	slices.Reverse(backwards)
	appendAll(t, l, backwards, ledger.Repeat)
	for i := range all {
		all[i].Agent = "another"
	}
	appendAll(t, l, all, ledger.Conflict)
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, all, ledger.Conflict)
	if last := view(t, l, 0).Last(); last != 620 {
		t.Fatalf("%d records, want 620", last)
	}
	// With an id, where a record was read is no part of it.
	named := whosaw.Record{ID: "x", Realm: "shop", Time: all[0].Time, Source: "a", Position: 1}
	appendAll(t, l, []whosaw.Record{named}, ledger.Accepted)
	named.Source, named.Position = "b", 2
	appendAll(t, l, []whosaw.Record{named}, ledger.Repeat)
	named.Realm = "other"
	appendAll(t, l, []whosaw.Record{named, named}[:1], ledger.Accepted)
	named.Key = "k"
	appendAll(t, l, []whosaw.Record{named}, ledger.Conflict)
	named.Time++
	appendAll(t, l, []whosaw.Record{named}, ledger.Accepted)
	closing(t, l)
}

func TestAppendRefusesWithoutHarm(t *testing.T) {
	l := open(t, ledger.Config{Dir: t.TempDir()})
	bad := []whosaw.Record{{Time: 1}, {Status: 5000}}
	if _, err := l.Append(ctx, bad); err == nil {
		t.Fatal("a record with status 5000 was taken")
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if receipts, err := l.Append(canceled, bad[:1]); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	} else if err != nil && receipts != nil {
		t.Fatal("receipts came with an error")
	}
	appendAll(t, l, []whosaw.Record{{Time: 2}}, ledger.Accepted)
	closing(t, l)
	if _, err := l.Append(ctx, bad[:1]); !errors.Is(err, ledger.ErrClosed) {
		t.Fatalf("a closed ledger answered %v", err)
	}
	if _, err := l.View(0); !errors.Is(err, ledger.ErrClosed) {
		t.Fatalf("a closed ledger answered %v", err)
	}
	closing(t, l)
}

func TestReadingStops(t *testing.T) {
	l := open(t, ledger.Config{Dir: t.TempDir(), SegmentRecords: 10, Throwaway: true})
	defer closing(t, l)
	appendAll(t, l, numbered(0, 100), ledger.Accepted)
	v := view(t, l, 0)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	nothing := func(uint64, *whosaw.Record) error { return nil }
	if _, err := v.Load(canceled, 0, ledger.ColAll); !errors.Is(err, context.Canceled) {
		t.Errorf("load went on: %v", err)
	}
	if err := v.Records(canceled, 0, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("records went on: %v", err)
	}
	if err := v.References(canceled, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("references went on: %v", err)
	}
	enough := errors.New("enough")
	if err := v.Records(ctx, 37, func(seq uint64, _ *whosaw.Record) error {
		if seq == 37 {
			return enough
		}
		return fmt.Errorf("sequence %d came first", seq)
	}); err != enough {
		t.Error(err)
	}
	if _, err := v.Load(ctx, 99, 0); err == nil {
		t.Error("a part that is not there was loaded")
	}
}
