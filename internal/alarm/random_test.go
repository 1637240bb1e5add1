package alarm_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
)

// Random lives of a server: findings, replays, restarts, channels that fail in every way, clocks that jump, suppressions that come and
// go. In the end every finding that no suppression held has been taken by each channel exactly once, and no other by any.
func TestRandomLives(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) { lifetime(t, w, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

// fickle is a channel whose health changes; it counts what it took.
type fickle struct {
	sink
	taken map[string]int
}

func newFickle() *fickle {
	f := &fickle{taken: map[string]int{}}
	f.health(0, nil)
	return f
}

// health sets the share of tries that fail, and what draws them.
func (f *fickle) health(share float64, r *rand.Rand) {
	f.be(func(_ int, m *alarm.Message) error {
		if share > 0 && r.Float64() < share {
			switch r.IntN(3) {
			case 0:
				return &alarm.Fault{Kind: alarm.Refused, Err: errors.New("no")}
			case 1:
				return &alarm.Fault{Kind: alarm.Retry, Err: errors.New("busy"), After: time.Duration(r.IntN(600)) * time.Second}
			}
			return errors.New("down")
		}
		f.taken[m.ID]++
		if share > 0 && r.IntN(4) == 0 {
			return &alarm.Fault{Kind: alarm.Told, Err: errors.New("not by all")}
		}
		return nil
	})
}

func lifetime(t *testing.T, w *world, r *rand.Rand) {
	a, b := newFickle(), newFickle()
	// Each channel draws from its own source: they run at once.
	draws := []*rand.Rand{rand.New(rand.NewPCG(r.Uint64(), 1)), rand.New(rand.NewPCG(r.Uint64(), 2))}
	channels := []alarm.Channel{{Name: "a", Sender: a},
		{Name: "b", Sender: b, Quiet: &alarm.QuietConfig{From: "21:00", To: "06:00", Zone: "Asia/Kolkata", PassSubjects: 50}}}
	w.start(channels...)
	var all []alarm.Raised
	told := map[string]bool{} // no suppression held when it was raised
	var holding []int64       // suppressions of key:k1 that were made and not lifted, and do not end in this life
	for range 60 {
		switch r.IntN(10) {
		case 0, 1, 2: // new findings, and some old ones with them
			batch := []alarm.Raised{}
			for range r.IntN(4) {
				f := finding(len(all), "unissued", fmt.Sprintf("key:k%d", r.IntN(3)), int64(r.IntN(100)))
				all, batch = append(all, f), append(batch, f)
				told[f.Finding.ID] = f.Finding.Unit != "key:k1" || len(holding) == 0
			}
			if len(all) > 0 {
				batch = append(batch, all[r.IntN(len(all))])
			}
			w.raise(batch...)
		case 3:
			w.restart(channels...)
			w.raise(all...) // the replay
		case 4:
			w.pass(time.Duration(r.IntN(7200)) * time.Second)
		case 5:
			a.health(r.Float64(), draws[0])
			b.health(r.Float64(), draws[1])
		case 6: // the clock is set, within half a year: suppressions end later
			w.set(time.Duration(r.IntN(180*24)) * time.Hour)
			if len(holding) > 0 { // one that was made later than it is now does not hold
				for _, id := range holding {
					if err := w.d.Lift(t.Context(), id, "sam"); err != nil {
						t.Fatal(err)
					}
				}
				holding = nil
			}
		case 7:
			id, err := w.d.Suppress(t.Context(), alarm.Suppression{Unit: "key:k1", Reason: "r", Who: "kim",
				Until: whosaw.Time(w.now().Add(360 * 24 * time.Hour).UnixMilli())})
			if err != nil {
				t.Fatal(err)
			}
			holding = append(holding, id)
		case 8:
			for _, id := range holding {
				if err := w.d.Lift(t.Context(), id, "sam"); err != nil {
					t.Fatal(err)
				}
			}
			holding = nil
		case 9:
			if err := w.d.Test(t.Context(), []string{"a", "b"}[r.IntN(2)]); err != nil && errors.Is(err, alarm.ErrUnknown) {
				t.Fatal(err)
			}
		}
		w.settle()
	}
	a.health(0, nil)
	b.health(0, nil)
	w.pass(11 * time.Hour) // a night and every pause
	for name, f := range map[string]*fickle{"a": a, "b": b} {
		for _, raised := range all {
			id := raised.Finding.ID
			want := 0
			if told[id] {
				want = 1
			}
			if f.taken[id] != want {
				t.Errorf("channel %s took %s %d times, want %d", name, id, f.taken[id], want)
			}
			delete(f.taken, id)
		}
		for id := range f.taken {
			if !strings.HasPrefix(id, "test-") {
				t.Errorf("channel %s was told %s, which was never raised", name, id)
			}
		}
		if s := w.status(name); s.Pending != 0 || s.Held != 0 {
			t.Errorf("status %+v", s)
		}
	}
}
