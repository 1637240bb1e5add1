package scope_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// accesses makes n disclosed accesses, a second apart, each with what more adds.
func accesses(n int, more func(i int) string) []send {
	var lines []send
	for i := range n {
		lines = append(lines, send{"gw", int64(i), fmt.Sprintf(`{"time":%d,%s}`, start+int64(i)*1000, more(i))})
	}
	return lines
}

func count(t *testing.T, view *ledger.View, f whosaw.Filter) whosaw.ScopeAnswer {
	t.Helper()
	a, err := scope.New(view, nil, scope.Config{}).Count(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestManyFields: of each subject any number of fields is known exactly, however they come together.
func TestManyFields(t *testing.T) {
	const fields, subjects = 150, 7
	view := openView(t, accesses(fields*subjects, func(i int) string {
		subject, field := i%subjects, i/subjects
		if field%subjects == subject {
			return fmt.Sprintf(`"subject":%d,"masked":["f%03d"]`, subject, field)
		}
		return fmt.Sprintf(`"subject":%d,"fields":["f%03d"]`, subject, field)
	}), 100)
	a := count(t, view, whosaw.Filter{{}})
	if len(a.Fields) != fields || len(a.Masked) != fields {
		t.Fatalf("%d fields and %d masked, want %d of each", len(a.Fields), len(a.Masked), fields)
	}
	for f, n := range a.Fields {
		if n != subjects-1 || a.Masked[f] != 1 {
			t.Errorf("%s was shown to %d and masked to %d, want %d and 1", f, n, a.Masked[f], subjects-1)
		}
	}
}

// TestEmptyLedger: every question has an answer, with lists that are empty and not null.
func TestEmptyLedger(t *testing.T) {
	view := openView(t, nil, 8)
	e := scope.New(view, nil, scope.Config{})
	all := whosaw.Filter{{}}
	a := count(t, view, all)
	want := whosaw.ScopeAnswer{Filter: all, Fields: map[string]int64{}, Masked: map[string]int64{}, NotReached: []string{}, Gaps: []whosaw.Gap{}}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("count (-want +got):\n%s", diff)
	}
	if err := e.List(t.Context(), all, func(whosaw.ListRow) error { return errors.New("a row") }); err != nil {
		t.Error(err)
	}
	if rows, err := e.Top(t.Context(), "ip", all, 0); err != nil || rows == nil || len(rows) != 0 {
		t.Errorf("top: %v, %v", rows, err)
	}
	if s, err := e.Subject(t.Context(), nil, "7", all, 0, ""); err != nil || s.Accesses == nil || len(s.Accesses) != 0 || s.Next != "" {
		t.Errorf("subject: %v, %v", s, err)
	}
	if lines, err := e.Timeline(t.Context(), []whosaw.Filter{all}, time.Hour); err != nil || len(lines) != 1 || len(lines[0]) != 0 {
		t.Errorf("timeline: %v, %v", lines, err)
	}
	if sizes, _, err := e.Overlap(t.Context(), nil); err != nil || len(sizes) != 0 {
		t.Errorf("overlap: %v, %v", sizes, err)
	}
}

// TestWrongQuestions: an error says which argument and what to give instead, and repeats no value.
func TestWrongQuestions(t *testing.T) {
	e := scope.New(openView(t, nil, 8), nil, scope.Config{})
	yes := true
	for _, f := range []struct {
		filter whosaw.Term
		member string
	}{
		{whosaw.Term{Country: []string{"secret"}}, "country"},
		{whosaw.Term{Key: []string{""}}, "key"},
		{whosaw.Term{Subject: []string{strings.Repeat("secret", 50)}}, "subject"},
		{whosaw.Term{IP: []string{"secret"}}, "ip"},
		{whosaw.Term{ASN: []string{"secret"}}, "asn"},
		{whosaw.Term{Status: []string{"7"}}, "status"},
		{whosaw.Term{Outcome: []string{"secret"}}, "outcome"},
		{whosaw.Term{Credential: []string{"a secret; cookie=value"}}, "credential"},
		{whosaw.Term{From: 2000000000000, To: 1900000000000, Issued: &yes}, "to"},
	} {
		_, err := e.Count(t.Context(), whosaw.Filter{{}, f.filter})
		if err == nil || !strings.Contains(err.Error(), "member "+f.member) || strings.Contains(err.Error(), "secret") {
			t.Errorf("member %s: %v", f.member, err)
		}
	}
	for name, ask := range map[string]func() error{
		"top by \"colour\" is not known: give one of ip": func() error { _, err := e.Top(t.Context(), "colour", whosaw.Filter{{}}, 0); return err },
		"limit -1 is negative":                           func() error { _, err := e.Top(t.Context(), "ip", whosaw.Filter{{}}, -1); return err },
		"give a number of accesses":                      func() error { _, err := e.Subject(t.Context(), nil, "7", whosaw.Filter{{}}, -1, ""); return err },
		"give one of 1 to 256":                           func() error { _, err := e.Subject(t.Context(), nil, "", whosaw.Filter{{}}, 1, ""); return err },
		"ask again without it":                           func() error { _, err := e.Subject(t.Context(), nil, "7", whosaw.Filter{{}}, 1, "AAAA"); return err },
		"give a whole number of milliseconds":            func() error { _, err := e.Timeline(t.Context(), nil, 0); return err },
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
}

// TestCursor: pages go on where the last one ended and see what the first one saw, whatever comes in between. A
// cursor of a longer ledger is refused.
func TestCursor(t *testing.T) {
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), SegmentRecords: 4, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	add := func(i int) {
		t.Helper()
		r := whosaw.Record{
			Time: start + int64(i%7)*1000, Source: "gw", Position: int64(i), Subjects: []string{"customer-7"}, Fields: []string{"name"},
		}
		if _, err := l.Append(t.Context(), []whosaw.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	page := func(cursor string, limit int) (whosaw.SubjectAnswer, error) {
		t.Helper()
		view, err := l.View(0)
		if err != nil {
			t.Fatal(err)
		}
		defer view.Close()
		return scope.New(view, nil, scope.Config{}).Subject(t.Context(), nil, "customer-7", whosaw.Filter{{}}, limit, cursor)
	}
	for i := range 20 {
		add(i)
	}
	all, err := page("", 100)
	if err != nil || len(all.Accesses) != 20 {
		t.Fatalf("%d accesses, %v", len(all.Accesses), err)
	}
	var got []whosaw.Record
	for cursor, i := "", 20; ; i++ {
		a, err := page(cursor, 3)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a.Accesses...)
		if strings.Contains(a.Next, "customer") {
			t.Errorf("cursor %s names the subject", a.Next)
		}
		if cursor = a.Next; cursor == "" {
			break
		}
		add(i)
	}
	if diff := cmp.Diff(all.Accesses, got, cmp.Comparer(func(a, b whosaw.Record) bool { return a.Position == b.Position })); diff != "" {
		t.Errorf("pages beside one page (-one +pages):\n%s", diff)
	}
	last, err := page("", 1)
	if err != nil {
		t.Fatal(err)
	}
	shorter := scope.New(openView(t, accesses(2, func(int) string { return `"subject":7` }), 8), nil, scope.Config{})
	if _, err := shorter.Subject(t.Context(), nil, "customer-7", whosaw.Filter{{}}, 1, last.Next); err == nil || !strings.Contains(err.Error(), "not one of this ledger") {
		t.Errorf("a cursor of another ledger: %v", err)
	}
}

// FuzzCursor: no cursor makes a question panic or loop; it is refused or gives a page.
func FuzzCursor(f *testing.F) {
	view := openView(f, accesses(20, func(int) string { return `"subject":7,"fields":["name"]` }), 8)
	e := scope.New(view, nil, scope.Config{})
	first, err := e.Subject(context.Background(), nil, "7", whosaw.Filter{{}}, 3, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(first.Next)
	f.Add("")
	f.Add("AQ")
	f.Add("!")
	f.Fuzz(func(t *testing.T, cursor string) {
		a, err := e.Subject(context.Background(), nil, "7", whosaw.Filter{{}}, 3, cursor)
		if err == nil && len(a.Accesses) > 3 {
			t.Errorf("a page of 3 has %d accesses", len(a.Accesses))
		}
		if err != nil && cursor != "" && len(cursor) > 8 && strings.Contains(err.Error(), cursor) {
			t.Errorf("the error repeats the cursor: %v", err)
		}
	})
}

// TestManyGaps: keys that an attacker makes up do not bury the answer, and none of their accesses is left out.
func TestManyGaps(t *testing.T) {
	view := openView(t, accesses(1000, func(i int) string { return fmt.Sprintf(`"subject":7,"fields":["name"],"key":"k%03d"`, i/2) }), 100)
	a := count(t, view, whosaw.Filter{{}})
	var sum int64
	for _, g := range a.Gaps {
		if g.Kind != whosaw.GapNoFeed {
			t.Errorf("gap %s", g.Kind)
		}
		sum += g.Count
	}
	if len(a.Gaps) != 200 || sum != 1000 {
		t.Errorf("%d gaps of %d accesses, want 200 of 1000", len(a.Gaps), sum)
	}
	if last := a.Gaps[199]; !strings.Contains(last.Says, "301 further") || last.Count != 602 || *last.From != whosaw.Time(start+398*1000) {
		t.Errorf("last gap: %+v", last)
	}
}

// TestLost: what senders lost is told of each time at which they did, beside what was rejected; and what was read of a source by hand
// takes no time from what its batches say.
func TestLost(t *testing.T) {
	const day = 86_400_000
	said := func(id, note string, count int64, from, until int64) send {
		return send{"whosaw", 0, fmt.Sprintf(`{"type":"act","id":%q,"time":%d,"kind":"rejected","of":"gw","count":%d,"from":%d,"until":%d,"note":%q}`,
			id, start+9*day, count, from, until, note)}
	}
	view := openView(t, []send{
		{"gw", 1, fmt.Sprintf(`{"time":%d,"subject":7,"fields":["name"]}`, start)},
		said("a", "lost by the sender", 10, start+day, start+day+1000),
		said("b", "lost by the sender", 7, start+3*day, start+3*day+1000),
		said("c", "batch", 2, start+5*day, start+5*day+1000),
		said("d", "batch", 1, start+6*day, start+6*day+1000),
		said("e", "lines 100", 1, start+5*day, start+5*day+1000),
	}, 4)
	gaps := func(from, to int64) (out []int64) {
		for _, g := range count(t, view, whosaw.Filter{{From: whosaw.Time(from), To: whosaw.Time(to)}}).Gaps {
			if g.Kind == whosaw.GapRejected {
				out = append(out, g.Count)
			}
		}
		return out
	}
	for _, c := range []struct {
		name     string
		from, to int64
		want     []int64
	}{
		{"all", 0, 0, []int64{17, 3}},
		{"the first loss", start + day, start + 2*day, []int64{17}},
		{"the smaller one after it", start + 3*day, start + 4*day, []int64{17}},
		{"the first batch", start + 5*day, start + 6*day, []int64{3}},
		{"the second", start + 6*day, start + 7*day, []int64{3}},
		{"neither", start + 7*day, start + 8*day, nil},
	} {
		if d := cmp.Diff(c.want, gaps(c.from, c.to)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

// TestSharedEngine: one engine answers many at once, and all get the same.
func TestSharedEngine(t *testing.T) {
	lines := accesses(600, func(i int) string {
		return fmt.Sprintf(`"subject":%d,"fields":["name"],"key":"k%d","credential":"c%d"`, i%50, i%3, i%40)
	})
	for i := range 20 {
		lines = append(lines, send{"log", int64(i), fmt.Sprintf(`{"type":"issuance","time":%d,"credential":"c%d"}`, start, i)})
	}
	e := scope.New(openView(t, lines, 64), nil, scope.Config{Workers: 3})
	no := false
	filter := whosaw.Filter{{Issued: &no}, {Key: []string{"k1"}, AsOf: 300}}
	want, err := e.Count(t.Context(), filter)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got, err := e.Count(t.Context(), filter)
			if err != nil || !cmp.Equal(want, got) {
				t.Errorf("%v (-want +got):\n%s", err, cmp.Diff(want, got))
			}
		})
	}
	wg.Wait()
}

// TestCancel: a question that is called off says so, and the next one is answered.
func TestCancel(t *testing.T) {
	e := scope.New(openView(t, accesses(100, func(i int) string { return fmt.Sprintf(`"subject":%d,"fields":["name"],"key":"k"`, i) }), 16), nil, scope.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	all := whosaw.Filter{{}}
	for name, ask := range map[string]func() error{
		"count":    func() error { _, err := e.Count(ctx, all); return err },
		"list":     func() error { return e.List(ctx, all, func(whosaw.ListRow) error { return nil }) },
		"subject":  func() error { _, err := e.Subject(ctx, nil, "7", all, 1, ""); return err },
		"top":      func() error { _, err := e.Top(ctx, "key", all, 1); return err },
		"timeline": func() error { _, err := e.Timeline(ctx, []whosaw.Filter{all}, time.Hour); return err },
		"overlap":  func() error { _, _, err := e.Overlap(ctx, []whosaw.Filter{all}); return err },
		"against":  func() error { _, _, err := e.Against(ctx, []whosaw.Filter{all}, []whosaw.Filter{all}); return err },
	} {
		if err := ask(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s called off: %v", name, err)
		}
	}
	if a, err := e.Count(t.Context(), all); err != nil || a.Subjects != 100 {
		t.Errorf("after that: %d subjects, %v", a.Subjects, err)
	}
	stop := errors.New("enough")
	rows := 0
	if err := e.List(t.Context(), all, func(whosaw.ListRow) error { rows++; return stop }); err != stop || rows != 1 {
		t.Errorf("yield's error: %v after %d rows", err, rows)
	}
}

// TestDays holds days whose midnight is skipped, comes twice, or is taken back.
func TestDays(t *testing.T) {
	for _, c := range []struct {
		zone  string
		times []string
		days  []string // of each time
		start map[string]string
	}{
		{
			"Africa/Cairo", // 25 April begins at 01:00; 30 October has its last hour twice
			[]string{
				"2025-04-24T21:59:59.999Z", "2025-04-24T22:00:00Z", "2025-10-30T20:59:59.999Z", "2025-10-30T21:00:00Z",
				"2025-10-30T21:59:59.999Z", "2025-10-30T22:00:00Z",
			},
			[]string{"2025-04-24", "2025-04-25", "2025-10-30", "2025-10-30", "2025-10-30", "2025-10-31"},
			map[string]string{
				"2025-04-24": "2025-04-23T22:00:00.000Z", "2025-04-25": "2025-04-24T22:00:00.000Z",
				"2025-10-30": "2025-10-29T21:00:00.000Z", "2025-10-31": "2025-10-30T22:00:00.000Z",
			},
		},
		{
			"America/Havana", // 2 November begins twice
			[]string{"2025-11-02T03:59:59.999Z", "2025-11-02T04:00:00Z", "2025-11-02T05:00:00Z", "2025-11-03T04:59:59.999Z", "2025-11-03T05:00:00Z"},
			[]string{"2025-11-01", "2025-11-02", "2025-11-02", "2025-11-02", "2025-11-03"},
			map[string]string{
				"2025-11-01": "2025-11-01T04:00:00.000Z", "2025-11-02": "2025-11-02T04:00:00.000Z", "2025-11-03": "2025-11-03T05:00:00.000Z",
			},
		},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Logf("SKIPPED %s: no time zone database: %v", c.zone, err)
			continue
		}
		var lines []send
		want := map[string]int64{}
		for i, at := range c.times {
			lines = append(lines, send{"gw", int64(i), fmt.Sprintf(`{"time":%q,"subject":%d,"fields":["name"],"key":"k"}`, at, i)})
			want[c.days[i]]++
		}
		e := scope.New(openView(t, lines, 100), nil, scope.Config{Zone: zone})
		rows, err := e.Top(t.Context(), "key", whosaw.Filter{{}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for _, r := range rows {
			got[r.Day] = r.Accesses
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.zone, diff)
		}
		buckets, err := e.Timeline(t.Context(), []whosaw.Filter{{{}}}, 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		starts := map[string]int64{}
		for _, b := range buckets[0] {
			if b.Accesses > 0 {
				starts[b.Time.String()] = b.Accesses
			}
		}
		wantStarts := map[string]int64{}
		for day, n := range want {
			wantStarts[c.start[day]] = n
		}
		if diff := cmp.Diff(wantStarts, starts); diff != "" {
			t.Errorf("%s: starts of days (-want +got):\n%s", c.zone, diff)
		}
	}
}
