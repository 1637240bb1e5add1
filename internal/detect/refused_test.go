package detect_test

import (
	"testing"

	"github.com/whosaw/whosaw"
)

// login is a try to log in from an address.
func login(t int64, from int, fits bool) whosaw.Record {
	r := whosaw.Record{Time: t, Route: "POST /login", Status: 200, Outcome: whosaw.OutcomeNone, IP: ip(from), ASN: 64496, Client: "web", Agent: chrome}
	if !fits {
		r.Status, r.Outcome = 401, whosaw.OutcomeRefused
	}
	return r
}

// logins are honest ones: one in twenty begins with a mistyped password.
func (w *world) logins(days, n int) {
	for d := range days {
		for range n {
			t, from := start+int64(d)*day+w.rng.Int64N(day), w.rng.IntN(1<<20)
			if w.rng.IntN(20) == 0 {
				for range 1 + w.rng.IntN(4) {
					w.add(login(t, from, false))
					t += 9 * second
				}
			}
			w.add(login(t, from, true))
		}
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(70)
	w.logins(6, 800)
	for i := range 2000 {
		r := login(start+3*day+int64(i)*20*second, 5_000_000+w.rng.IntN(400)*256, w.rng.IntN(80) == 0)
		r.ASN = 64500
		w.attack(r)
	}
	fs := caught(t, w, "refused")
	if fs[0].Accesses > 60 {
		t.Errorf("after %d tries: %v", fs[0].Accesses, fs[0])
	}
}

// The log-in is down: it answers 503, and then 429 to those who hammer. And one address that asks all day for one account.
func TestHonestRefused(t *testing.T) {
	w := newWorld(71)
	w.logins(8, 1000)
	for i := range 5000 {
		r := login(start+3*day+int64(i)*second, w.rng.IntN(1<<20), false)
		r.Status, r.Outcome = []int{503, 429}[i%2], []whosaw.Outcome{whosaw.OutcomeNone, whosaw.OutcomeRefused}[i%2]
		w.add(r)
		w.add(login(start+4*day+int64(i)*10*second, 77, false))
	}
	quiet(t, w)
}
