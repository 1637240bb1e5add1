package alarm_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// finding makes the nth finding of a detector.
func finding(n int, detector, unit string, subjects int64) alarm.Raised {
	at := whosaw.Time(1_760_000_000_000 + int64(n))
	kind, value, _ := strings.Cut(unit, ":")
	term := whosaw.Term{Realm: []string{"shop"}}
	if kind == "key" {
		term.Key = []string{value}
	}
	return alarm.Raised{Sequence: uint64(1000 + n), Finding: whosaw.Finding{
		ID: fmt.Sprintf("f-%04d", n), Time: at, Seen: at, Detector: detector, Unit: unit, Filter: whosaw.Filter{term},
		Accesses: subjects + 3, Subjects: subjects, Statistic: 31.5, Threshold: 25.8, Says: "Someone does something.", Technique: "T1606",
	}}
}

func key(n int) alarm.Raised { return finding(n, "unissued", fmt.Sprintf("key:k%d", n), 12) }

func openState(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// told is one try that reached a channel.
type told struct {
	id string
	at time.Time
}

// sink is a channel that answers as it is bid.
type sink struct {
	mu     sync.Mutex
	tries  []told
	answer func(n int, m *alarm.Message) error // of the nth try; nil: takes everything
}

func (s *sink) Send(_ context.Context, m *alarm.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries = append(s.tries, told{m.ID, time.Now()})
	if s.answer != nil {
		return s.answer(len(s.tries), m)
	}
	return nil
}

// be changes how it answers and forgets what it was told.
func (s *sink) be(answer func(n int, m *alarm.Message) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.tries = answer, nil
}

func (s *sink) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []string{}
	for _, t := range s.tries {
		out = append(out, t.id)
	}
	return out
}

// world is a dispatcher in a bubble of false time.
type world struct {
	t      *testing.T
	path   string
	db     *sqlite.DB
	d      *alarm.Dispatcher
	nag    alarm.NagConfig
	offset atomic.Int64 // nanoseconds of the wall clock from the bubble's
	stop   func()
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())).Round(0) }

// set puts the wall clock off by d.
func (w *world) set(d time.Duration) { w.offset.Store(int64(d)) }

func bubble(t *testing.T, do func(t *testing.T, w *world)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: path, db: openState(t, path), nag: alarm.NagConfig{Off: true}}
		do(t, w)
		if w.stop != nil {
			w.stop()
		}
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// start makes a dispatcher and runs it.
func (w *world) start(channels ...alarm.Channel) {
	w.t.Helper()
	w.make(channels...)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.d.Run(ctx) }()
	w.stop = func() { cancel(); <-done; w.stop = nil }
}

func (w *world) make(channels ...alarm.Channel) {
	w.t.Helper()
	d, err := alarm.New(w.db, channels, alarm.Options{Config: alarm.Config{Nag: w.nag}, Now: w.now, Chance: func() float64 { return 0 }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.d = d
}

// restart stops the process gracefully and starts another on the same file.
func (w *world) restart(channels ...alarm.Channel) {
	w.t.Helper()
	w.stop()
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.db = openState(w.t, w.path)
	w.start(channels...)
}

func (w *world) raise(findings ...alarm.Raised) alarm.Outcome {
	w.t.Helper()
	out, err := w.d.Raise(w.t.Context(), findings...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// settle waits until nothing more happens at this instant.
func (w *world) settle() { synctest.Wait() }

func (w *world) pass(d time.Duration) { time.Sleep(d); synctest.Wait() } // false time: it costs none

func (w *world) status(channel string) alarm.ChannelStatus {
	w.t.Helper()
	s, err := w.d.Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range s.Channels {
		if c.Name == channel {
			return c
		}
	}
	w.t.Fatalf("no status of channel %s", channel)
	return alarm.ChannelStatus{}
}

func wantIDs(t *testing.T, s *sink, want ...string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, s.ids()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestToldOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a, b := &sink{}, &sink{}
		channels := []alarm.Channel{{Name: "a", Sender: a}, {Name: "b", Sender: b}}
		w.start(channels...)
		if out := w.raise(key(1), key(2)); out != (alarm.Outcome{New: 2}) {
			t.Errorf("raising gave %+v", out)
		}
		w.settle()
		// A replay, in the same life and in the next ones, with one finding more each.
		if out := w.raise(key(1), key(2), key(3)); out != (alarm.Outcome{New: 1}) {
			t.Errorf("raising again gave %+v", out)
		}
		w.settle()
		w.restart(channels...)
		w.raise(key(1), key(2), key(3), key(4))
		w.pass(3 * time.Hour)
		wantIDs(t, a, "f-0001", "f-0002", "f-0003", "f-0004")
		wantIDs(t, b, "f-0001", "f-0002", "f-0003", "f-0004")
		if s := w.status("a"); s.Sent != 4 || s.Pending != 0 || s.LastSent == nil || s.Oldest != nil || s.Error != "" {
			t.Errorf("status %+v", s)
		}
	})
}

// What was raised before anybody ran, or while the process was down, is told at the next start.
func TestPendingIsToldAfterRestart(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a := &sink{}
		w.make(alarm.Channel{Name: "a", Sender: a})
		w.raise(key(1), key(2))
		w.settle()
		wantIDs(t, a)
		w.stop = func() {}
		w.restart(alarm.Channel{Name: "a", Sender: a})
		w.settle()
		wantIDs(t, a, "f-0001", "f-0002")
	})
}

// A channel that is added later is not told of the past; one that is taken away keeps what it had not told, visibly.
func TestChannelsComeAndGo(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a, b := &sink{answer: func(int, *alarm.Message) error { return errors.New("down") }}, &sink{}
		w.start(alarm.Channel{Name: "a", Sender: a})
		w.raise(key(1))
		w.settle()
		w.restart(alarm.Channel{Name: "b", Sender: b})
		w.raise(key(1), key(2))
		w.settle()
		wantIDs(t, b, "f-0002")
		if s := w.status("a"); s.Kind != "" || s.Pending != 1 || s.Error != "down" {
			t.Errorf("status of the channel that went: %+v", s)
		}
		a.be(nil)
		w.restart(alarm.Channel{Name: "a", Sender: a})
		w.settle()
		wantIDs(t, a, "f-0001")
	})
}

func TestRetrySchedule(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a := &sink{answer: func(n int, _ *alarm.Message) error {
			if n < 14 {
				return errors.New("down")
			}
			return nil
		}}
		w.start(alarm.Channel{Name: "a", Sender: a})
		w.raise(key(1))
		w.pass(12 * time.Hour)
		var pauses []time.Duration
		for i := 1; i < len(a.tries); i++ {
			pauses = append(pauses, a.tries[i].at.Sub(a.tries[i-1].at))
		}
		s, h := time.Second, time.Hour
		want := []time.Duration{10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 320 * s, 640 * s, 1280 * s, 2560 * s, h, h, h, h}
		if diff := cmp.Diff(want, pauses); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
		if st := w.status("a"); st.Sent != 1 || st.Error != "" {
			t.Errorf("status %+v", st)
		}
	})
}

func TestChanceShortensPauses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a := &sink{answer: func(int, *alarm.Message) error { return errors.New("down") }}
		d, err := alarm.New(w.db, []alarm.Channel{{Name: "a", Sender: a}}, alarm.Options{
			Config: alarm.Config{RetryFirst: 4 * time.Second, RetryMost: 8 * time.Second, Nag: alarm.NagConfig{Off: true}}, Chance: func() float64 { return 0.5 }})
		if err != nil {
			t.Fatal(err)
		}
		w.d = d
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.Run(ctx) }()
		w.raise(key(1))
		w.pass(20 * time.Second)
		cancel()
		<-done
		// 3/4 of 4, 8, 8, 8 seconds.
		start := a.tries[0].at
		var at []float64
		for _, try := range a.tries {
			at = append(at, try.at.Sub(start).Seconds())
		}
		if diff := cmp.Diff([]float64{0, 3, 9, 15}, at); diff != "" {
			t.Errorf("tries at (-want +got):\n%s", diff)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a := &sink{answer: func(n int, _ *alarm.Message) error {
			if n == 1 {
				return &alarm.Fault{Kind: alarm.Retry, Err: errors.New("busy"), After: 7 * time.Minute}
			}
			return nil
		}}
		w.start(alarm.Channel{Name: "a", Sender: a})
		w.raise(key(1))
		w.pass(time.Hour)
		if len(a.tries) != 2 || a.tries[1].at.Sub(a.tries[0].at) != 7*time.Minute {
			t.Errorf("tries %v", a.tries)
		}
	})
}

// A channel that hangs or is down takes nothing from the others.
func TestDeadChannelHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		dead := &sink{answer: func(int, *alarm.Message) error { return errors.New("down") }}
		hung := senderFunc(func(ctx context.Context, _ *alarm.Message) error { <-ctx.Done(); return ctx.Err() })
		good := &sink{}
		w.start(alarm.Channel{Name: "dead", Sender: dead}, alarm.Channel{Name: "hung", Sender: hung}, alarm.Channel{Name: "good", Sender: good})
		w.raise(key(1), key(2))
		w.settle()
		wantIDs(t, good, "f-0001", "f-0002")
		w.pass(26 * time.Hour)
		w.raise(key(3))
		w.settle()
		wantIDs(t, good, "f-0001", "f-0002", "f-0003")
		s := w.status("dead")
		if s.Pending != 3 || s.Sent != 0 || s.Error != "down" || s.Oldest == nil || w.now().Sub(time.UnixMilli(int64(*s.Oldest))) < 26*time.Hour {
			t.Errorf("status %+v", s)
		}
		if s := w.status("hung"); s.Error == "" || s.Pending != 3 {
			t.Errorf("status %+v", s)
		}
	})
}

type senderFunc func(context.Context, *alarm.Message) error

func (f senderFunc) Send(ctx context.Context, m *alarm.Message) error { return f(ctx, m) }

func TestDeadChannelComesBack(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		down := func(int, *alarm.Message) error { return errors.New("down") }
		a := &sink{answer: down}
		w.start(alarm.Channel{Name: "a", Sender: a})
		for n := range 20 {
			w.raise(key(n))
			w.pass(20 * time.Minute)
		}
		a.be(nil)
		w.pass(time.Hour)
		got := a.ids()
		slices.Sort(got)
		var want []string
		for n := range 20 {
			want = append(want, key(n).Finding.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("told within the hour (-want +got):\n%s", diff)
		}
		// A test that succeeds ends the pause.
		a.be(down)
		w.raise(key(21))
		w.pass(3 * time.Hour)
		a.be(nil)
		if err := w.d.Test(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		w.settle()
		if ids := a.ids(); len(ids) != 2 || !strings.HasPrefix(ids[0], "test-") || ids[1] != "f-0021" {
			t.Errorf("after the test: %v", ids)
		}
	})
}

// One message that the other side cannot bear, by its word or by failing, does not keep the others back, and is not given up.
func TestOneBadMessage(t *testing.T) {
	for name, fault := range map[string]error{
		"refused": &alarm.Fault{Kind: alarm.Refused, Err: errors.New("no")},
		"fails":   errors.New("the server answered 500"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				var mended atomic.Bool
				a := &sink{answer: func(_ int, m *alarm.Message) error {
					if m.ID == "f-0001" && !mended.Load() {
						return fault
					}
					return nil
				}}
				w.start(alarm.Channel{Name: "a", Sender: a})
				w.raise(key(1), key(2), key(3))
				w.pass(time.Minute)
				if ids := a.ids(); !slices.Contains(ids, "f-0002") || !slices.Contains(ids, "f-0003") {
					t.Errorf("told %v", ids)
				}
				if s := w.status("a"); s.Pending != 1 || s.Sent != 2 || s.Error == "" || (s.Refused == 1) != (name == "refused") {
					t.Errorf("status %+v", s)
				}
				w.pass(24 * time.Hour)
				if n := len(a.ids()); n < 24 || n > 40 {
					t.Errorf("%d tries in a day, want about one an hour", n)
				}
				mended.Store(true)
				w.pass(time.Hour)
				if s := w.status("a"); s.Pending != 0 || s.Sent != 3 || s.Refused != 0 {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

// A wrong secret refuses all: the channel itself is the trouble then, and is not hammered. A restart asks again at once.
func TestAllRefused(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a := &sink{answer: func(int, *alarm.Message) error { return &alarm.Fault{Kind: alarm.Refused, Err: errors.New("401")} }}
		w.start(alarm.Channel{Name: "a", Sender: a})
		var all []alarm.Raised
		for n := range 100 {
			all = append(all, key(n))
		}
		w.raise(all...)
		w.settle()
		if n := len(a.ids()); n != 4 {
			t.Errorf("%d tries at once, want 4", n)
		}
		w.pass(time.Hour)
		if n := len(a.ids()); n > 20 {
			t.Errorf("%d tries in an hour", n)
		}
		a.be(nil)
		w.restart(alarm.Channel{Name: "a", Sender: a})
		w.settle()
		if n := len(a.ids()); n != 100 {
			t.Errorf("%d told after the restart, want 100", n)
		}
	})
}

// Told to some is told; the remark is kept.
func TestToldToSome(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a := &sink{answer: func(int, *alarm.Message) error {
			return &alarm.Fault{Kind: alarm.Told, Err: errors.New("1 of 2 recipients were refused")}
		}}
		w.start(alarm.Channel{Name: "a", Sender: a})
		w.raise(key(1))
		w.pass(3 * time.Hour)
		wantIDs(t, a, "f-0001")
		if s := w.status("a"); s.Sent != 1 || !strings.Contains(s.Error, "1 of 2") || s.FailedAt == nil {
			t.Errorf("status %+v", s)
		}
	})
}

func TestQuietHours(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) { // it is 2000-01-01 00:00 UTC, a Saturday, 01:00 in Berlin
		night, loud := &sink{}, &sink{}
		w.start(alarm.Channel{Name: "loud", Sender: loud}, alarm.Channel{Name: "night", Sender: night, Quiet: &alarm.QuietConfig{
			From: "22:00", To: "07:00", Zone: "Europe/Berlin", PassDetectors: []string{"canary"}, PassSubjects: 1000}})
		w.raise(key(1), finding(2, "canary", "key:k", 1), finding(3, "traversal", "key:k", 1000), finding(4, "traversal", "key:k", 999))
		w.settle()
		wantIDs(t, loud, "f-0001", "f-0002", "f-0003", "f-0004")
		wantIDs(t, night, "f-0002", "f-0003")
		if s := w.status("night"); !s.Quiet || s.Held != 2 || s.Pending != 2 {
			t.Errorf("status %+v", s)
		}
		w.pass(6*time.Hour - time.Second) // 06:59:59 in Berlin
		wantIDs(t, night, "f-0002", "f-0003")
		w.pass(31 * time.Second)
		wantIDs(t, night, "f-0002", "f-0003", "f-0001", "f-0004")
		w.pass(15*time.Hour - 31*time.Second) // 21:59:59
		w.raise(key(5))
		w.settle()
		w.pass(time.Second)
		w.raise(key(6))
		w.settle()
		wantIDs(t, night, "f-0002", "f-0003", "f-0001", "f-0004", "f-0005")
		if s := w.status("night"); s.Held != 1 {
			t.Errorf("status %+v", s)
		}
		// A restart in the night tells nothing early and forgets nothing.
		w.restart(alarm.Channel{Name: "night", Sender: night, Quiet: &alarm.QuietConfig{From: "22:00", To: "07:00", Zone: "Europe/Berlin"}})
		w.pass(8 * time.Hour)
		wantIDs(t, night, "f-0002", "f-0003", "f-0001", "f-0004", "f-0005")
		w.pass(time.Hour + 30*time.Second)
		wantIDs(t, night, "f-0002", "f-0003", "f-0001", "f-0004", "f-0005", "f-0006")
	})
}

func TestSuppression(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a := &sink{}
		w.start(alarm.Channel{Name: "a", Sender: a})
		until := func(d time.Duration) whosaw.Time { return whosaw.Time(w.now().Add(d).UnixMilli()) }
		realm := "shop"
		id, err := w.d.Suppress(t.Context(), alarm.Suppression{Detector: "traversal", Unit: "key:job", Realm: &realm,
			Reason: "the nightly export", Who: "kim", Until: until(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		out := w.raise(finding(1, "traversal", "key:job", 5), finding(2, "traversal", "key:other", 5), finding(3, "canary", "key:job", 5))
		if out != (alarm.Outcome{New: 3, Suppressed: 1}) {
			t.Errorf("outcome %+v", out)
		}
		w.settle()
		wantIDs(t, a, "f-0002", "f-0003")
		r, err := w.d.Finding(t.Context(), "f-0001")
		if err != nil || r.SuppressedBy != id || r.State != alarm.Open {
			t.Errorf("finding %+v, %v", r, err)
		}
		w.pass(time.Hour - time.Millisecond)
		w.raise(finding(4, "traversal", "key:job", 5))
		w.pass(time.Millisecond) // it has expired
		w.raise(finding(5, "traversal", "key:job", 5))
		w.settle()
		wantIDs(t, a, "f-0002", "f-0003", "f-0005")
		list, err := w.d.Suppressions(t.Context(), false)
		if err != nil || len(list) != 0 {
			t.Errorf("%v, %v hold after the expiry", list, err)
		}
		list, err = w.d.Suppressions(t.Context(), true)
		if err != nil || len(list) != 1 || list[0].Findings != 2 || list[0].Who != "kim" || list[0].Lifted != nil {
			t.Errorf("%+v, %v", list, err)
		}
		// Lifting ends it at once, and what it kept from being told stays untold.
		id, err = w.d.Suppress(t.Context(), alarm.Suppression{Unit: "key:job", Reason: "again", Who: "kim", Until: until(2 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		w.raise(finding(6, "canary", "key:job", 5))
		w.pass(time.Minute)
		for range 2 {
			if err := w.d.Lift(t.Context(), id, "sam"); err != nil {
				t.Fatal(err)
			}
		}
		w.raise(finding(7, "canary", "key:job", 5), finding(6, "canary", "key:job", 5))
		w.pass(3 * time.Hour)
		wantIDs(t, a, "f-0002", "f-0003", "f-0005", "f-0007")
		s, err := w.d.Status(t.Context())
		if err != nil || s.Findings != 7 || s.Suppressed != 3 || s.Open != 4 {
			t.Errorf("status %+v, %v", s, err)
		}
		if err := w.d.Lift(t.Context(), 99, "sam"); !errors.Is(err, alarm.ErrUnknown) {
			t.Errorf("lifting what is not there gave %v", err)
		}
	})
}

func TestSuppressionAsksForReasonAndEnd(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.make()
		hour := whosaw.Time(w.now().Add(time.Hour).UnixMilli())
		for want, s := range map[string]alarm.Suppression{
			"name a detector":  {Reason: "r", Who: "w", Until: hour},
			"give a reason":    {Unit: "key:k", Reason: " ", Who: "w", Until: hour},
			"say who":          {Unit: "key:k", Reason: "r", Until: hour},
			"until when":       {Unit: "key:k", Reason: "r", Who: "w"},
			"must be to come":  {Unit: "key:k", Reason: "r", Who: "w", Until: whosaw.Time(w.now().UnixMilli())},
			"a year is the lo": {Unit: "key:k", Reason: "r", Who: "w", Until: hour + 400*86_400_000},
		} {
			if _, err := w.d.Suppress(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v gave %v, want %q", s, err, want)
			}
		}
	})
}

// A clock that is set wrong and right again loses nothing, tells nothing twice and delays by an hour at most.
func TestClockJumps(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var yes atomic.Bool
		a := &sink{answer: func(_ int, m *alarm.Message) error {
			if !yes.Load() && m.ID == "f-0001" {
				return &alarm.Fault{Kind: alarm.Refused, Err: errors.New("no")}
			}
			return nil
		}}
		channel := alarm.Channel{Name: "a", Sender: a, Quiet: &alarm.QuietConfig{From: "03:00", To: "04:00"}}
		w.set(10 * 365 * 24 * time.Hour) // ten years ahead
		w.start(channel)
		w.raise(key(1)) // refused: due ten years and an hour ahead
		w.settle()
		yes.Store(true)
		w.set(0)
		w.pass(look)
		wantIDs(t, a, "f-0001", "f-0001")

		w.set(-10 * 365 * 24 * time.Hour)
		w.raise(key(2), key(1))
		w.settle()
		wantIDs(t, a, "f-0001", "f-0001", "f-0002")

		// The jump lands in quiet hours and out of them.
		hour := 3*time.Hour + 30*time.Minute - w.now().Sub(w.now().Truncate(24*time.Hour))
		w.set(time.Duration(w.offset.Load()) + hour)
		w.raise(key(3))
		w.pass(look)
		wantIDs(t, a, "f-0001", "f-0001", "f-0002")
		w.set(time.Duration(w.offset.Load()) + 12*time.Hour)
		w.pass(look)
		wantIDs(t, a, "f-0001", "f-0001", "f-0002", "f-0003")

		// A suppression does not hold before it began: an alarm too many is the better mistake.
		if _, err := w.d.Suppress(t.Context(), alarm.Suppression{Unit: "key:k4", Reason: "r", Who: "w", Until: whosaw.Time(w.now().Add(time.Hour).UnixMilli())}); err != nil {
			t.Fatal(err)
		}
		w.set(time.Duration(w.offset.Load()) - 24*time.Hour)
		w.raise(key(4))
		w.pass(look)
		w.restart(channel)
		w.pass(24 * time.Hour)
		wantIDs(t, a, "f-0001", "f-0001", "f-0002", "f-0003", "f-0004")
	})
}

const look = 31 * time.Second

// A full disk: raising says so and is to be repeated; what was told is not told again while the mark cannot be written.
func TestDiskFull(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		limit := func(pages string) {
			t.Helper()
			err := w.db.Write(t.Context(), func(tx *sql.Tx) error {
				_, err := tx.Exec("PRAGMA max_page_count = " + pages)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		a := &sink{}
		w.start(alarm.Channel{Name: "a", Sender: a})
		limit("1") // SQLite takes this as: no larger than it is
		big := key(1)
		big.Finding.Says = strings.Repeat("x", 500_000)
		_, err := w.d.Raise(t.Context(), key(2), big)
		if err == nil || !strings.Contains(err.Error(), "free some space") {
			t.Fatalf("raising on a full disk gave %v", err)
		}
		w.settle()
		wantIDs(t, a)
		limit("1000000")
		w.raise(key(2), big)
		w.settle()
		wantIDs(t, a, "f-0002", "f-0001")
	})
}

// What was told and cannot be marked is not told again for as long as that lasts, nor is anything else.
func TestMarkCannotBeWritten(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		exec := func(query string) {
			t.Helper()
			err := w.db.Write(t.Context(), func(tx *sql.Tx) error { _, err := tx.Exec(query); return err })
			if err != nil {
				t.Fatal(err)
			}
		}
		a := &sink{}
		w.start(alarm.Channel{Name: "a", Sender: a})
		w.settle()
		exec("CREATE TRIGGER full BEFORE UPDATE ON delivery BEGIN SELECT RAISE(ABORT, 'full'); END")
		w.raise(key(1), key(2))
		w.pass(time.Hour)
		wantIDs(t, a, "f-0001")
		exec("DROP TRIGGER full")
		w.pass(time.Minute)
		wantIDs(t, a, "f-0001", "f-0002")
		if s := w.status("a"); s.Sent != 2 {
			t.Errorf("status %+v", s)
		}
	})
}

// The process dies after the other side has taken a message and before that is marked: it comes again, under the same id, and only that one.
func TestKilledBetweenSendAndMark(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var dead *sqlite.DB
		a := &sink{}
		a.answer = func(n int, _ *alarm.Message) error {
			if n == 2 { // the state file goes away under the dispatcher, as when the process is killed here
				dead = w.db
				return dead.Close()
			}
			return nil
		}
		w.start(alarm.Channel{Name: "a", Sender: a})
		w.raise(key(1), key(2), key(3))
		w.settle()
		wantIDs(t, a, "f-0001", "f-0002") // and no third before the second is marked
		w.pass(time.Hour)
		wantIDs(t, a, "f-0001", "f-0002")
		w.stop()
		a.mu.Lock()
		a.answer = nil
		a.mu.Unlock()
		w.db = openState(t, w.path)
		w.start(alarm.Channel{Name: "a", Sender: a})
		w.raise(key(1), key(2), key(3))
		w.settle()
		wantIDs(t, a, "f-0001", "f-0002", "f-0002", "f-0003")
	})
}

// A graceful stop lets what is being sent be taken and marked; what hangs is cut off and told after the start.
func TestGracefulStop(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var ids []string
		slow := senderFunc(func(ctx context.Context, m *alarm.Message) error {
			ids = append(ids, m.ID)
			timer := time.NewTimer(map[string]time.Duration{"f-0001": 3 * time.Second, "f-0002": 20 * time.Second}[m.ID])
			defer timer.Stop()
			select {
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		channel := alarm.Channel{Name: "slow", Sender: slow}
		w.start(channel)
		w.raise(key(1), key(2))
		w.settle()
		began := time.Now()
		w.restart(channel) // in the middle of the first
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the stop took %v, want 3s", took)
		}
		w.settle()
		began = time.Now()
		w.restart(channel) // in the middle of the second
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the stop took %v, want 5s", took)
		}
		w.pass(time.Minute)
		if diff := cmp.Diff([]string{"f-0001", "f-0002", "f-0002"}, ids); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		if s := w.status("slow"); s.Sent != 2 || s.Pending != 0 {
			t.Errorf("status %+v", s)
		}
	})
}
