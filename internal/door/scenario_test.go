package door_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/sim"
)

// TestScenarios plays thefts of the simulated shop as live requests through each door that judges, with the guard off and on: what the
// thief gets, and that nobody else loses a request. Staff and jobs have a budget of customers that no reason explains, counted from the
// ledger where the door does not see answers; such a door cannot tell whom an answer will show, so it refuses all of a spent actor's requests. The account
// that a thief uses loses what no reason explains at that moment; nobody else loses anything.
func TestScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of requests")
	}
	cat, err := catalog.Parse("catalog.yaml", sim.Catalog())
	check(t, err)
	for _, c := range []struct {
		scenario string
		lag      float64 // seconds, of a feed that is complete
		lost     float64 // what the feed loses, as declared
		days     int
		most     int // customers that may be lost
	}{
		{scenario: "stolen-key", most: 0},
		{scenario: "stolen-key", lag: 60, lost: 0.00001, most: 0}, // a person who could read that key has left
		{scenario: "stolen-key-careful", most: 0},
		{scenario: "insider-agent", days: 14, most: insiderMonth},
		{scenario: "one-api", most: jobMonth},
		{scenario: "stuffing", most: -1}, // its log-ins succeed: stated
	} {
		if race && c.days > 1 {
			continue // fifty thousand requests, five times as slow
		}
		warm, watched := play(t, c.scenario, 60, max(c.days, 1), 200_000)
		warm, watched = told(warm, c.lag, c.lost), told(watched, c.lag, c.lost)
		name := fmt.Sprintf("%s,lag=%v,lost=%v", c.scenario, c.lag, c.lost)
		off := newStand(t, cat, "")
		off.take(warm)
		without := off.replay(watched, warm)
		t.Logf("%-40s %-10s %4d customers lost in %d requests of the thief; honest %d, refused %d", name, "off", len(without.lost), without.attacks, without.honest, without.refused)
		for _, kind := range []guard.Kind{guard.KindDecide, guard.KindNginx, guard.KindEnvoy, guard.KindMiddleware, guard.KindProxy} {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				s := newStand(t, cat, kind, func(g *guard.Config) {
					count := guard.CountLedger
					if kind.Can().Has(guard.CanCount) {
						hold := true
						count, g.Policy.Hold = guard.CountAnswer, &hold
					}
					g.Budgets = []guard.Budget{
						{Of: "principal:staff", Month: insiderMonth, Action: guard.Deny, Count: count},
						{Of: "principal:service", Month: jobMonth, Action: guard.Deny, Count: count},
					}
					g.Findings = []guard.FindingConfig{{Detector: "*", Action: guard.Deny, For: 30 * 24 * time.Hour}}
				})
				s.take(warm)
				got := s.replay(watched, warm)
				t.Logf("%-40s %-10s %4d customers lost, %d of %d requests let through; honest %d, refused %d and %d of the account that the thief uses",
					name, kind, len(got.lost), got.let, got.attacks, got.honest, got.refused, got.shared)
				if without.attacks == 0 || got.attacks != without.attacks {
					t.Errorf("%d requests of the thief, %d without the guard: the test shows nothing", got.attacks, without.attacks)
				}
				if c.most >= 0 && len(got.lost) > c.most {
					t.Errorf("%d customers were lost, at most %d may be", len(got.lost), c.most)
				}
				if got.refused > 0 {
					t.Errorf("%d of %d honest requests were refused: %v", got.refused, got.honest, got.examples)
				}
			})
		}
	}
}

// The budgets of the scenarios. In these days the honest have at most two customers that no reason explains.
const (
	insiderMonth = 10
	jobMonth     = 5
)
