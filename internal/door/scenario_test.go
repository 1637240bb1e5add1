package door_test

import (
	"fmt"
	"slices"
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
		list     int // of the first list, which a door that sees no answers cannot hold
	}{
		{scenario: "stolen-key", most: 0},
		{scenario: "stolen-key", lag: 60, lost: 0.00001, most: 0}, // a person who could read that key has left
		{scenario: "stolen-key-careful", most: 0},
		{scenario: "insider-agent", days: 14, most: insiderMonth},
		{scenario: "one-api", most: jobMonth},
		{scenario: "bulk-job", days: 6, most: jobMonth, list: 30},
		{scenario: "slow-drip", days: 6, most: jobMonth},
		{scenario: "stuffing", most: -1}, // its log-ins succeed: stated
	} {
		if race && c.days > 1 {
			continue // fifty thousand requests, five times as slow
		}
		warm, watched := play(t, sim.Config{Scenario: c.scenario, Seed: 1, Customers: 60, Days: max(c.days, 1), Share: 200_000})
		warm, watched = told(warm, c.lag, c.lost), told(watched, c.lag, c.lost)
		name := fmt.Sprintf("%s,lag=%v,lost=%v", c.scenario, c.lag, c.lost)
		issued := issuances(warm, watched)
		off := newStandIn(t, memory(t), cat, "")
		off.take(warm)
		without := off.replay(watched, issued)
		t.Logf("%-40s %-10s %4d customers lost in %d requests of the thief; honest %d, refused %d", name, "off", len(without.lost), without.attacks, without.honest, without.refused)
		for _, kind := range []guard.Kind{guard.KindDecide, guard.KindNginx, guard.KindEnvoy, guard.KindMiddleware, guard.KindProxy} {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				s := newStandIn(t, memory(t), cat, kind, func(g *guard.Config) {
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
				got := s.replay(watched, issued)
				t.Logf("%-40s %-10s %4d customers lost, %d of %d requests let through; honest %d, refused %d and %d of the account that the thief uses",
					name, kind, len(got.lost), got.let, got.attacks, got.honest, got.refused, got.shared)
				if without.attacks == 0 || got.attacks != without.attacks {
					t.Errorf("%d requests of the thief, %d without the guard: the test shows nothing", got.attacks, without.attacks)
				}
				most := c.most
				if c.list > 0 && !kind.Can().Has(guard.CanCount) {
					most = c.list
				}
				if most >= 0 && len(got.lost) > most {
					t.Errorf("%d customers were lost, at most %d may be", len(got.lost), most)
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

// TestScenariosWithoutFeed plays thefts of a key of a shop that records no log-ins: nothing says which credential was issued, so only what the
// thief does gives him away. Of the first, who tries numbers, at most 20 customers may be lost at each door, and the finding's filter must cover
// nobody else, though others come with the same key. Who forges only customers who exist, from homes and with their own programs, is found later or not
// in so short a time, and nothing at a door tells him from them: then the test holds that nobody is refused on a guess.
func TestScenariosWithoutFeed(t *testing.T) {
	if testing.Short() || race {
		t.Skip("a hundred thousand requests")
	}
	cat, err := catalog.Parse("catalog.yaml", sim.Catalog())
	check(t, err)
	for _, c := range []struct {
		scenario string
		seed     uint64
		attacks  int // of the thief's requests
		most     int // customers that may be lost; -1: stated
	}{
		{"stolen-key", 1, 200, 20}, // at night, from 16 addresses of five hosting companies
		{"stolen-key", 2, 200, 20}, // by day and night, from 2,313
		{"stolen-key-careful", 1, 200, -1},
	} {
		history, watched := play(t, sim.Config{Scenario: c.scenario, Seed: c.seed, Customers: 3000, Days: 6, Share: 20_000})
		all := slices.Concat(history, watched)
		issued := issuances(all)
		warm, live := around(unfed(all), c.attacks, 1000)
		name := fmt.Sprintf("%s,seed=%d,no feed", c.scenario, c.seed)
		off := newStandIn(t, memory(t), cat, "")
		off.take(warm)
		without := off.replay(live, issued)
		t.Logf("%-40s %-10s %4d customers lost in %d requests of the thief; honest %d, %d of them with his key", name, "off", len(without.lost), without.attacks, without.honest, without.besides)
		for _, kind := range []guard.Kind{guard.KindDecide, guard.KindNginx, guard.KindEnvoy, guard.KindMiddleware, guard.KindProxy} {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				s := newStandIn(t, memory(t), cat, kind, func(g *guard.Config) {
					if kind.Can().Has(guard.CanCount) {
						hold := true
						g.Policy.Hold = &hold
					}
					g.Findings = []guard.FindingConfig{{Detector: "*", Action: guard.Deny, For: 30 * 24 * time.Hour}}
				})
				s.take(warm)
				if n := len(s.live.Findings()); n > 0 {
					t.Errorf("%d findings before there was anything to find", n)
				}
				got := s.replay(live, issued)
				t.Logf("%-40s %-10s %4d customers lost, %d of %d requests let through; honest %d, refused %d", name, kind, len(got.lost), got.let, got.attacks, got.honest, got.refused)
				if got.attacks < c.attacks || got.attacks != without.attacks {
					t.Errorf("%d requests of the thief, %d without the guard: the test shows nothing", got.attacks, without.attacks)
				}
				if c.most >= 0 && (len(got.lost) > c.most || 2*len(got.lost) > len(without.lost)) {
					t.Errorf("%d customers were lost, at most %d may be; %d are without the guard", len(got.lost), c.most, len(without.lost))
				}
				if got.refused > 0 {
					t.Errorf("%d of %d honest requests were refused: %v", got.refused, got.honest, got.examples)
				}
			})
		}
	}
}
