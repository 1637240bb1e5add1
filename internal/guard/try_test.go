package guard_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
)

// TestTry: made-up requests get what real ones would, and leave nothing behind.
func TestTry(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Routes = []guard.RouteConfig{{Route: "GET /open/*", Policy: guard.Policy{Mode: guard.ModeShadow}}}
	})
	try := func(id guard.Identity) guard.Decision {
		t.Helper()
		d, err := w.g.Try(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	probe := guard.Identity{Key: "main", Credential: "whosaw-probe-1", Principal: "customer:whosaw-probe"}
	w.say(fmt.Sprintf(`{"type":"key","key":"main","state":"retired","since":%d}`, w.now().Add(-time.Hour).UnixMilli()))
	if d := try(probe); d.Action != guard.Allow || !d.Shadow || d.Would != guard.Deny {
		t.Errorf("a route in shadow mode lets it through, and that is not told: %+v", d)
	}
	strict := newWorld(t)
	w = strict
	if d := try(probe); d.Action != guard.Allow {
		t.Errorf("a living key: %+v", d)
	}
	w.say(fmt.Sprintf(`{"type":"key","key":"main","state":"retired","since":%d}`, w.now().Add(-time.Hour).UnixMilli()))
	if d := try(probe); d.Action != guard.Deny || d.Because() != guard.CodeKeyRetired {
		t.Errorf("a retired key: %+v", d)
	}
	kim := guard.Identity{Principal: "staff:kim"}
	if d := try(kim); d.Action != guard.Allow {
		t.Errorf("kim is there: %+v", d)
	}
	w.say(fmt.Sprintf(`{"type":"person","person":"kim","state":"left","since":%d}`, w.now().UnixMilli()))
	if d := try(kim); d.Action != guard.Deny || d.Because() != guard.CodePersonLeft {
		t.Errorf("kim has left: %+v", d)
	}
	if d := try(guard.Identity{Credential: "s-1"}); d.Action != guard.Allow {
		t.Errorf("a session that nobody ended: %+v", d)
	}
	_, err := w.g.Book().Add(t.Context(), guard.Standing{Action: guard.Deny, Filter: whosaw.Filter{{Credential: []string{"s-1"}}}, Reason: "her laptop", Who: "staff:lee"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.decisions("guard"))
	if d := try(guard.Identity{Credential: "s-1"}); d.Action != guard.Deny || d.Because() != guard.CodeStanding {
		t.Errorf("a session that was ended: %+v", d)
	}
	if n := len(w.decisions("guard")); n != before {
		t.Errorf("%d decisions on record of what was only tried", n-before)
	}
}
