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
