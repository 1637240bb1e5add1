package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

// told keeps findings by id, as a store does.
type told struct {
	mu    sync.Mutex
	order []string
	by    map[string]whosaw.Finding
	calls int
	fail  func(call int) error
}

func (k *told) raise(_ context.Context, raised []pipeline.Raised) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	if k.fail != nil {
		if err := k.fail(k.calls); err != nil {
			return err
		}
	}
	if k.by == nil {
		k.by = map[string]whosaw.Finding{}
	}
	for _, r := range raised {
		if _, ok := k.by[r.ID]; !ok {
			k.order = append(k.order, r.ID)
		}
		k.by[r.ID] = r.Finding
	}
	return nil
}

func start(t *testing.T, dir string, k *told, change ...func(*pipeline.LiveConfig)) *pipeline.Live {
	t.Helper()
	led, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: 700})
	if err != nil {
		t.Fatal(err)
	}
	cfg := pipeline.LiveConfig{
		Ledger: led, Catalog: catalog.Rules(), Raise: k.raise,
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.UnixMilli(now) },
	}
	for _, fn := range change {
		fn(&cfg)
	}
	l, err := pipeline.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l
}

func stop(t *testing.T, l *pipeline.Live) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func stream(t *testing.T, source string) *ingest.Stream {
	t.Helper()
	s, err := ingest.NewStream(ingest.StreamOptions{Source: source})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var anybody = pipeline.Sender{Name: "token:test", Types: pipeline.AllTypes}

func take(t *testing.T, l *pipeline.Live, s *ingest.Stream, base int64, lines []string, from pipeline.Sender) pipeline.Outcome {
	t.Helper()
	out, err := l.Take(t.Context(), s.Decode(now, []byte(strings.Join(lines, "\n")+"\n"), base, 0), from)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLiveIsReplay: many senders at once, in batches of any size, through seals and a restart: the findings are those
// that a replay of the resulting ledger gives, each told, none told that is not there.
func TestLiveIsReplay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	k := &told{}
	lines := append(append(shop(), theft("backup", "203.0.113.9", 5, 1, 400)...), theft("old", "192.0.2.77", 7, 1000, 300)...)
	rng := rand.New(rand.NewPCG(3, 4))
	var sent int64
	for round := range 3 {
		l := start(t, dir, k)
		part := lines[round*len(lines)/3 : (round+1)*len(lines)/3]
		var senders sync.WaitGroup
		var mu sync.Mutex
		for n := range 4 {
			mine := part[n*len(part)/4 : (n+1)*len(part)/4]
			seed := rng.Uint64()
			senders.Go(func() {
				rng := rand.New(rand.NewPCG(seed, 0))
				s := stream(t, fmt.Sprintf("sender-%d-%d", round, n))
				for at := 0; at < len(mine); {
					end := min(len(mine), at+1+rng.IntN(90))
					out := take(t, l, s, int64(at), mine[at:end], anybody)
					if rng.IntN(5) == 0 {
						if again := take(t, l, s, int64(at), mine[at:end], anybody); again.Accepted != 0 || again.Duplicates != out.Lines {
							t.Errorf("sent again: %+v", again)
						}
					}
					mu.Lock()
					sent += out.Accepted
					mu.Unlock()
					at = end
				}
			})
		}
		senders.Wait()
		if round < 2 {
			stop(t, l)
			continue
		}
		if err := l.CaughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		live := l.Findings()
		stop(t, l)
		c := open(t, dir)
		again := investigate(t, c)
		if d := cmp.Diff(again.Findings, live); d != "" || len(live) == 0 {
			t.Errorf("%d findings (-replayed +live):\n%s", len(live), d)
		}
		for _, f := range again.Findings {
			if d := cmp.Diff(f, k.by[f.ID]); d != "" {
				t.Errorf("finding told (-replayed +told):\n%s", d)
			}
		}
		if len(k.by) != len(again.Findings) {
			t.Errorf("%d findings told, %d are there", len(k.by), len(again.Findings))
		}
		if got := again.All.Scope.Accesses; got != 1500+700 || sent != int64(len(lines)) {
			t.Errorf("%d accesses in the ledger, %d lines accepted of %d", got, sent, len(lines))
		}
	}
}

// TestNewestRemoved: where retention removed what came last, as old records that were sent late, the detectors are at the end
// after a start, and go on from there.
func TestNewestRemoved(t *testing.T) {
	dir := t.TempDir()
	led, err := ledger.Open(ledger.Config{Dir: dir, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range []int64{now - 1000, now - 400*86_400_000} {
		r := whosaw.Record{Source: "log", Position: int64(i), Time: at, Route: "GET /me", Status: 200, Subjects: []string{"7"}}
		if _, err := led.Append(t.Context(), []whosaw.Record{r}); err != nil {
			t.Fatal(err)
		}
		if err := led.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	gone, err := led.Purge(t.Context(), now-86_400_000, time.UnixMilli(now))
	if err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
	if err := led.Close(); err != nil {
		t.Fatal(err)
	}
	l := start(t, dir, &told{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.CaughtUp(ctx); err != nil || l.Judged() != 2 {
		t.Fatalf("judged up to %d, %v; want 2", l.Judged(), err)
	}
	take(t, l, stream(t, "log"), 2, []string{fmt.Sprintf(`{"time":%d,"subject":7}`, now)}, anybody)
	if err := l.CaughtUp(ctx); err != nil || l.Judged() != l.Last() || l.Last() != 4 {
		t.Fatalf("judged up to %d of %d, %v; want 4", l.Judged(), l.Last(), err)
	}
}

// TestAskAfterRemoval: what retention removed is in no answer any more, also where nothing came since the last question.
func TestAskAfterRemoval(t *testing.T) {
	l := start(t, t.TempDir(), &told{})
	for i, at := range []int64{now - 400*86_400_000, now} {
		take(t, l, stream(t, "log"), int64(i), []string{fmt.Sprintf(`{"time":%d,"subject":7,"fields":["name"]}`, at)}, pipeline.Sender{Types: pipeline.AllTypes})
		if err := l.Ledger().Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ask := func() (accesses, purged int64) {
		t.Helper()
		q, err := l.Ask(scope.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		answer, err := q.Count(t.Context(), whosaw.Filter{{}})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range answer.Gaps {
			if g.Kind == whosaw.GapPurged {
				purged += g.Count
			}
		}
		return answer.Accesses, purged
	}
	if n, purged := ask(); n != 2 || purged != 0 {
		t.Fatalf("%d accesses, %d removed; want 2 and none", n, purged)
	}
	if gone, err := l.Ledger().Purge(t.Context(), now-86_400_000, time.UnixMilli(now)); err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
	if n, purged := ask(); n != 1 || purged != 1 {
		t.Errorf("%d accesses, %d removed; want 1 of each", n, purged)
	}
}

// TestRaiseIsTriedAgain: a store that fails for a time loses no finding.
func TestRaiseIsTriedAgain(t *testing.T) {
	k := &told{fail: func(call int) error {
		if call <= 2 {
			return errors.New("the disk is full")
		}
		return nil
	}}
	l := start(t, t.TempDir(), k)
	take(t, l, stream(t, "log"), 0, append(shop(), theft("backup", "203.0.113.9", 5, 1, 400)...), anybody)
	if err := l.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(l.Findings()); n == 0 || len(k.order) != n {
		t.Errorf("%d findings, %d told", n, len(k.order))
	}
}

// TestBackPressure: while findings cannot be kept, senders are slowed, nothing is lost, and nothing is judged out of order.
func TestBackPressure(t *testing.T) {
	gate := make(chan struct{})
	k := &told{fail: func(int) error { <-gate; return nil }}
	dir := filepath.Join(t.TempDir(), "case")
	l := start(t, dir, k, func(c *pipeline.LiveConfig) { c.Backlog = 500 })
	s := stream(t, "log")
	take(t, l, s, 0, append(shop(), theft("backup", "203.0.113.9", 5, 1, 400)...), anybody)
	var sent int
	for i := 0; ; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		line := fmt.Sprintf(`{"time":"2026-03-06T00:%02d:%02dZ","route":"GET /me","status":200,"fields":["name"],"subject":1}`, i/60%60, i%60)
		_, err := l.Take(ctx, s.Decode(now, []byte(strings.Repeat(line+"\n", 100)), int64(1_000_000+100_000*i), 0), anybody)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if sent += 100; sent > 100_000 {
			t.Fatal("nobody was slowed")
		}
	}
	close(gate)
	if err := l.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	live := l.Findings()
	stop(t, l)
	again := investigate(t, open(t, dir))
	if d := cmp.Diff(again.Findings, live); d != "" {
		t.Errorf("findings (-replayed +live):\n%s", d)
	}
	if got := again.All.Scope.Accesses; got != int64(1500+400+sent) {
		t.Errorf("%d accesses, %d were acknowledged", got, 1900+sent)
	}
}

// TestReadFromLedgerMakesRoom: batches in memory that the judge has read from the ledger instead, because one before them was not
// held, do not count as waiting: else nobody would be taken any more.
func TestReadFromLedgerMakesRoom(t *testing.T) {
	const backlog = 400
	dir := filepath.Join(t.TempDir(), "case")
	l := start(t, dir, &told{})
	take(t, l, stream(t, "log"), 0, append(shop(), theft("backup", "203.0.113.9", 5, 1, 400)...), anybody)
	stop(t, l)

	entered, gate, open := make(chan struct{}), make(chan struct{}), make(chan struct{})
	k := &told{fail: func(int) error {
		select {
		case entered <- struct{}{}:
			<-gate
		case <-open:
		}
		return nil
	}}
	l = start(t, dir, k, func(c *pipeline.LiveConfig) { c.Backlog = backlog })
	s := stream(t, "more")
	honest := func(n int) []string {
		lines := make([]string, backlog+50)
		for i := range lines {
			lines[i] = fmt.Sprintf(`{"time":"2026-03-06T0%d:%02d:%02dZ","route":"GET /me","status":200,"fields":["name"],"subject":1}`, n, i/60, i%60)
		}
		return lines
	}
	<-entered // the judge is still with what was there before
	take(t, l, s, 1_000_000, honest(1), anybody)
	take(t, l, s, 2_000_000, theft("old", "192.0.2.77", 7, 1000, backlog+50), anybody)
	take(t, l, s, 3_000_000, honest(3), anybody) // more than is held
	gate <- struct{}{}
	<-entered // with the second theft: there is room for one more, behind the one that is not held
	take(t, l, s, 4_000_000, honest(4), anybody)
	close(open)
	gate <- struct{}{}
	if err := l.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := l.Take(ctx, s.Decode(now, []byte(honest(5)[0]+"\n"), 5_000_000, 0), anybody); err != nil {
		t.Fatalf("everything is judged, and a record is not taken: %v", err)
	}
}

// TestRightsOfSenders: who may not send issuances cannot whitewash; the lines are rejects with number, reason and cure, and a
// scope says that they are missing, once, however often they are sent.
func TestRightsOfSenders(t *testing.T) {
	rejectFile := filepath.Join(t.TempDir(), "rejects.jsonl")
	log, err := ingest.OpenRejectLog(rejectFile, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, t.TempDir(), &told{}, func(c *pipeline.LiveConfig) { c.Rejects = log })
	s := stream(t, "gateway")
	lines := append([]string{"no record"}, shop()[:20]...) // 10 issuances, 10 accesses
	lines = append(lines, `{"type":"act","kind":"received","time":"2026-03-02T00:00:00Z"}`)
	accesses := pipeline.Sender{Name: "token:gw", Types: pipeline.SetOf(whosaw.TypeAccess)}
	for range 2 {
		out := take(t, l, s, 0, lines, accesses)
		if out.Lines != 22 || out.Accepted+out.Duplicates != 10 || len(out.Rejects) != 12 {
			t.Fatalf("%d lines, %d accepted, %d repeats, %d rejects", out.Lines, out.Accepted, out.Duplicates, len(out.Rejects))
		}
		for i, r := range out.Rejects {
			if i > 0 && r.Line <= out.Rejects[i-1].Line || r.Reason == "" || r.Hint == "" || len(r.Raw) == 0 {
				t.Errorf("reject %+v", r)
			}
		}
	}
	// One of them again with other content: a conflict.
	changed := strings.Replace(lines[2], `"status":200`, `"status":404`, 1)
	if out := take(t, l, s, int64(len(lines[0])+len(lines[1])+2), []string{changed}, accesses); len(out.Rejects) != 1 || out.Accepted != 0 {
		t.Errorf("a conflict gives %+v", out)
	}
	q, err := l.Ask(scope.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	answer, err := q.Count(t.Context(), whosaw.Filter{{}})
	if err != nil {
		t.Fatal(err)
	}
	var rejected int64
	for _, g := range answer.Gaps {
		if g.Kind == whosaw.GapRejected {
			rejected += g.Count
		}
	}
	if answer.Accesses != 10 || rejected != 13 {
		t.Errorf("%d accesses, a gap of %d rejected lines; truth 10 and 13", answer.Accesses, rejected)
	}
	var received []string
	err = q.View.References(t.Context(), func(_ uint64, r *whosaw.Record) error {
		if r.Ref.Kind == "received" {
			received = append(received, fmt.Sprint(r.Ref.Person, " ", r.Ref.Of, " ", r.Ref.Count))
		}
		return nil
	})
	if err != nil || len(received) != 3 || received[0] != "token:gw gateway 10" {
		t.Errorf("senders on record: %q, %v", received, err)
	}
	st := l.Sources()
	if len(st) != 1 || st[0].Accepted != 10 || st[0].Duplicates != 10 || st[0].Rejected != 25 {
		t.Errorf("sources %+v", st)
	}
}

// TestClosingRefuses: what comes while the server stops is refused, not half taken.
func TestClosingRefuses(t *testing.T) {
	l := start(t, t.TempDir(), &told{})
	stop(t, l)
	_, err := l.Take(t.Context(), stream(t, "log").Decode(now, []byte(shop()[0]+"\n"), 0, 0), anybody)
	if !errors.Is(err, pipeline.ErrClosing) {
		t.Errorf("taken while closed: %v", err)
	}
}
