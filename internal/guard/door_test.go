package guard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/guard"
)

// base is a configuration without fault, with one door of a kind.
func base(kind guard.Kind) guard.Config {
	c := guard.Default()
	c.Mode = guard.ModeEnforce
	d := guard.DoorConfig{Name: "edge", Kind: kind}
	if kind == guard.KindEnvoy || kind == guard.KindNginx {
		d.Listen = "127.0.0.1:0"
	}
	d.StandingOnly = kind == guard.KindFeed
	c.Doors = []guard.DoorConfig{d}
	return c
}

// asks are the ways in which a configuration can ask a door for a control: at least one for each.
var asks = map[guard.Control][]func(c *guard.Config){
	guard.CanDeny: {
		func(c *guard.Config) {
			c.Findings = []guard.FindingConfig{{Detector: "*", Action: guard.Deny, For: time.Hour}}
		},
	},
	guard.CanJudge: {
		func(c *guard.Config) {
			c.Routes = []guard.RouteConfig{{Route: "GET /me", Doors: []string{"edge"}, Policy: guard.Policy{Unissued: guard.Deny}}}
		},
		func(c *guard.Config) {
			c.Budgets = []guard.Budget{{Of: "principal:staff", Day: 5, Action: guard.Deny, Count: guard.CountLedger}}
		},
	},
	guard.CanStepUp: {
		func(c *guard.Config) {
			c.Findings = []guard.FindingConfig{{Detector: "*", Action: guard.StepUp, For: time.Hour}}
		},
		func(c *guard.Config) {
			c.Routes = []guard.RouteConfig{{Route: "GET /me", Doors: []string{"edge"}, Policy: guard.Policy{Nonexistent: guard.StepUp}}}
		},
	},
	guard.CanThrottle: {
		func(c *guard.Config) {
			c.Findings = []guard.FindingConfig{{Detector: "spreader", Action: guard.Throttle, For: time.Hour}}
		},
		func(c *guard.Config) {
			c.Budgets = []guard.Budget{{Of: "client:app", Day: 5, Action: guard.Throttle, Count: guard.CountLedger}}
		},
	},
	guard.CanMask: {
		func(c *guard.Config) {
			c.Findings = []guard.FindingConfig{{Detector: "*", Action: guard.Mask, For: time.Hour}}
		},
		func(c *guard.Config) { c.Policy.Mask = []string{"door_code"} },
		func(c *guard.Config) {
			c.Routes = []guard.RouteConfig{{Route: "GET /me", Doors: []string{"edge"}, Policy: guard.Policy{Mask: []string{"phone"}}}}
		},
	},
	guard.CanCount: {
		func(c *guard.Config) {
			c.Budgets = []guard.Budget{{Of: "principal:staff", Day: 5, Action: guard.Deny, Count: guard.CountAnswer}}
		},
	},
	guard.CanHold: {
		func(c *guard.Config) { yes := true; c.Policy.Hold = &yes },
		func(c *guard.Config) {
			yes := true
			c.Routes = []guard.RouteConfig{{Route: "GET /me", Doors: []string{"edge"}, Policy: guard.Policy{Hold: &yes}}}
		},
	},
	guard.CanFail: {
		func(c *guard.Config) {
			c.Routes = []guard.RouteConfig{{Route: "GET /me", Doors: []string{"edge"}, Policy: guard.Policy{Fail: guard.FailOpen}}}
		},
	},
	guard.CanShadow: {
		func(c *guard.Config) {
			c.Routes = []guard.RouteConfig{{Route: "GET /me", Doors: []string{"edge"}, Policy: guard.Policy{Mode: guard.ModeShadow}}}
		},
		func(c *guard.Config) { c.Mode = guard.ModeShadow },
	},
	guard.CanRecord: {
		func(c *guard.Config) { c.Record.Require = true },
	},
}

// Every control that a configuration can ask of every kind of door is enforced there, or the configuration is refused with
// the key and the cure. What "enforced" means is held by TestEnforced.
func TestEveryDoorEveryControl(t *testing.T) {
	for _, kind := range guard.Kinds() {
		plain := base(kind)
		if faults := plain.Check(); len(faults) > 0 {
			t.Fatalf("a plain configuration with a door of kind %s is refused: %v", kind, faults)
		}
		for _, x := range guard.Controls() {
			ways := asks[x]
			if len(ways) == 0 {
				t.Fatalf("no configuration asks for %s: add one", x)
			}
			for i, ask := range ways {
				t.Run(fmt.Sprintf("%s/%s/%d", kind, x, i), func(t *testing.T) {
					c := base(kind)
					ask(&c)
					faults := c.Check()
					if kind.Can().Has(x) {
						if len(faults) > 0 && kind.Can() == guard.KindProxy.Can() {
							t.Fatalf("refused although the door can: %v", faults)
						}
						for _, f := range faults { // another control of the same configuration may be what the door lacks
							if strings.Contains(f.Says, x.String()+" cannot be enforced") {
								t.Errorf("%s: %s", f.Key, f.Says)
							}
						}
						return
					}
					if len(faults) == 0 {
						t.Fatalf("a door of kind %s cannot do %s, and the configuration is taken: it would be silently off", kind, x)
					}
					named := false
					for _, f := range faults {
						if f.Key == "" || f.Says == "" {
							t.Errorf("a fault without key or cure: %+v", f)
						}
						named = named || strings.Contains(f.Says, "edge") && strings.Contains(f.Says, string(kind)) && strings.Contains(f.Says, string(guard.KindProxy))
					}
					if !named {
						t.Errorf("no fault names the door, its kind, and a kind that can: %v", faults)
					}
				})
			}
		}
	}
}

// A route without doors of its own is held at all doors that judge; where none does, nobody would hold it.
func TestRouteWithoutAJudge(t *testing.T) {
	c := base(guard.KindFeed)
	c.Routes = []guard.RouteConfig{{Route: "GET /me", Policy: guard.Policy{Unissued: guard.Deny}}}
	if faults := c.Check(); len(faults) != 1 || faults[0].Key != "routes[0].policy" {
		t.Errorf("got %v", faults)
	}
	c = base(guard.KindFeed)
	c.Doors[0].StandingOnly = false
	if faults := c.Check(); len(faults) != 1 || faults[0].Key != "doors[0].standing_only" {
		t.Errorf("got %v", faults)
	}
}

// An action that a door cannot take becomes a stricter one, never none.
func TestFitIsNeverWeaker(t *testing.T) {
	for _, kind := range guard.Kinds() {
		for a := guard.Allow; a <= guard.Deny; a++ {
			got := kind.Can().Fit(a)
			if got < a {
				t.Errorf("%s: %s became %s", kind, a, got)
			}
			if got != a && kind.Can() == guard.KindProxy.Can() {
				t.Errorf("%s can do everything, yet %s became %s", kind, a, got)
			}
		}
	}
	if got := guard.KindNginx.Can().Fit(guard.Throttle); got != guard.Deny {
		t.Errorf("nginx answers throttle with %s", got)
	}
}
