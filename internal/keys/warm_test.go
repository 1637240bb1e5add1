package keys_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
)

// TestWarmIsCold: a keeper that was asked while the history grew, segments were sealed, time passed and old segments went says what one says that reads
// everything for the first time. What that one says is held against a count of its own by TestPreviewIsExact.
func TestWarmIsCold(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 11))
		w := newWorld(t, false)
		warm := w.keeper
		w.say(`{"type":"person","person":"kim","state":"left","principals":["staff:ksy"]}`)
		differ, sessions, never := 0, int64(0), int64(0)
		for step := range 60 {
			w.clock = w.clock.Add(time.Duration(rng.IntN(9)) * time.Hour)
			w.grow(rng, 5+rng.IntN(60))
			if step == 40 {
				if _, err := w.led.Purge(t.Context(), w.clock.Add(-4*24*time.Hour).UnixMilli(), w.clock); err != nil {
					t.Fatal(err)
				}
			}
			w.open()
			for _, q := range []struct {
				realm, key string
				days       int
			}{{"", "k", 7}, {"", "k", 1}, {"", "other", 3}, {"r", "k", 7}, {"", "silent", 7}} {
				want, err := w.keeper.Preview(t.Context(), q.realm, q.key, q.days)
				check(t, err)
				got, err := warm.Preview(t.Context(), q.realm, q.key, q.days)
				check(t, err)
				if d := cmp.Diff(want, got); d != "" {
					t.Fatalf("seed %d step %d, %v: %s", seed, step, q, d)
				}
				sessions, never = sessions+want.Sessions, never+want.Never
			}
			if step >= 40 {
				continue // that the person left went with the old segments
			}
			want, err := w.keeper.Offboarding(t.Context(), "", "kim")
			check(t, err)
			got, err := warm.Offboarding(t.Context(), "", "kim")
			check(t, err)
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("seed %d step %d: %s", seed, step, d)
			}
			differ = max(differ, len(want.Items))
		}
		if differ < 5 || sessions == 0 || never == 0 {
			t.Errorf("seed %d: the history says too little: %d items, %d sessions, %d never issued", seed, differ, sessions, never)
		}
	}
}

// grow appends records of all kinds that previews and offboardings look at.
func (w *world) grow(rng *rand.Rand, n int) {
	w.t.Helper()
	now := w.clock.UnixMilli()
	principals := []string{"customer:1", "customer:2", "service:dispatch", "staff:kim", "staff:ksy", "staff:park", ""}
	var list []whosaw.Record
	for range n {
		w.pos++
		r := whosaw.Record{
			Time: now - rng.Int64N(30*3_600_000), Source: "test", Position: w.pos, Credential: fmt.Sprint("c", rng.IntN(80)), Key: []string{"k", "other", "silent"}[rng.IntN(3)],
			Principal: principals[rng.IntN(len(principals))], Realm: []string{"", "", "r"}[rng.IntN(3)],
		}
		if rng.IntN(20) == 0 {
			r.Time -= int64(rng.IntN(12)) * 24 * 3_600_000 // late
		}
		switch rng.IntN(6) {
		case 0:
			r.Type, r.Ref = whosaw.TypeIssuance, &whosaw.Reference{Expires: []int64{0, now + 3_600_000, now + 100*3_600_000}[rng.IntN(3)]}
			if r.Key == "silent" {
				r.Key = "other"
			}
			if w.pos > 900 && rng.IntN(40) == 0 {
				r.Key = "" // of the whole realm
			}
		default:
			r.Route, r.Status, r.Subjects = "GET /me", 200, []string{"1"}
			if rng.IntN(8) == 0 {
				r.Credential = ""
			}
		}
		check(w.t, r.Validate(now))
		list = append(list, r)
	}
	_, err := w.led.Append(w.t.Context(), list)
	check(w.t, err)
}
