package guard_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/guard"
)

// A guard that runs for months holds the issuances of credentials in use, and decides as one that forgot nothing: what has ended is refused, and so
// is a forged credential that bears the name of an issued one and a later end.
func TestEndedIssuancesAreLetGo(t *testing.T) {
	w := newWorld(t)
	w.complete()
	w.advance(0)
	const life = 8 * time.Hour
	issue := func(jti string) guard.Secret {
		now := w.now()
		w.say(fmt.Sprintf(`{"type":"issuance","time":%d,"credential":%q,"key":"main","subject":"7","expires":%d}`, now.UnixMilli(), jti, now.Add(life).UnixMilli()))
		c := w.claims(jti, "7")
		c["exp"] = now.Add(life).Unix()
		return w.token("main", c)
	}
	later := func(jti string) guard.Secret {
		c := w.claims(jti, "7")
		c["exp"] = w.now().Add(400 * 24 * time.Hour).Unix()
		return w.token("main", c)
	}
	first := issue("first")
	w.want(ask(first), guard.Allow, guard.CodeOK)
	w.want(ask(later("first")), guard.Allow, guard.CodeOK) // as far as the ledger knows it is that one
	most := 0
	for hour := range 90 * 24 {
		w.advance(time.Hour)
		jti := fmt.Sprintf("c-%d", hour)
		w.say(fmt.Sprintf(`{"type":"issuance","time":%d,"credential":%q,"key":"main","subject":"7","expires":%d}`, w.now().UnixMilli(), jti, w.now().Add(life).UnixMilli()))
		w.g.Tend(t.Context())
		most = max(most, w.g.Status().Issued)
		switch hour {
		case 6:
			w.want(ask(first), guard.Allow, guard.CodeOK)
		case 8, 40, 2000:
			w.want(ask(first), guard.Deny, guard.CodeExpired)
			w.want(ask(later("first")), guard.Deny, guard.CodeUnissued)
		}
	}
	if most > 24 {
		t.Errorf("%d issuances were held of 2161, 9 are in use at a time", most)
	}
	last := issue("last")
	w.open() // what has ended is not loaded again
	if n := w.g.Status().Issued; n > 24 {
		t.Errorf("%d issuances after a restart", n)
	}
	w.want(ask(last), guard.Allow, guard.CodeOK)
	w.want(ask(later("first")), guard.Deny, guard.CodeUnissued)
}

// An issuance that says no end is held for good, for its credential may be used: unless the configuration says how long credentials live. Then
// an older one is refused, and is not taken for one of a feed that nobody sends.
func TestIssuancesWithoutEnd(t *testing.T) {
	const day = 24 * time.Hour
	for _, longest := range []time.Duration{0, 30 * day} {
		w := newWorld(t, func(c *guard.Config) { c.Tokens.LongestLife = longest })
		w.complete()
		w.advance(0)
		issue := func(jti string) guard.Secret {
			w.say(fmt.Sprintf(`{"type":"issuance","time":%d,"credential":%q,"key":"main","subject":"7"}`, w.now().UnixMilli(), jti))
			c := w.claims(jti, "7")
			c["exp"] = w.now().Add(1000 * day).Unix()
			return w.token("main", c)
		}
		first, renewed := issue("first"), issue("renewed")
		for range 29 {
			w.advance(day)
		}
		w.g.Tend(t.Context())
		w.want(ask(first), guard.Allow, guard.CodeOK)
		issue("renewed")
		w.advance(2 * day)
		w.g.Tend(t.Context())
		held, action, code := w.g.Status().Issued, guard.Allow, guard.CodeOK
		if longest > 0 {
			action, code = guard.Deny, guard.CodeUnissued
		}
		w.want(ask(first), action, code)
		w.want(ask(renewed), guard.Allow, guard.CodeOK)
		for range 60 {
			w.advance(day)
		}
		w.g.Tend(t.Context())
		if n := w.g.Status().Issued; longest == 0 && n != held || longest > 0 && n != 0 {
			t.Errorf("longest life %v: %d issuances are held, %d before", longest, n, held)
		}
		w.want(ask(renewed), action, code)
		w.open()
		w.want(ask(renewed), action, code)
	}
}
