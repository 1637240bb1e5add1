package sim

import (
	"strings"

	"github.com/whosaw/whosaw/internal/draw"
)

// Scenario is what may happen in the shop.
type Scenario struct {
	Name string
	Says string // in one sentence
}

// scenario is a Scenario with its attackers.
type scenario struct {
	Scenario
	attackers []attacker
}

// attacker plans an attack: draws what it does for this seed, and gives the function that makes a day of it. Days are made
// in their order, one at a time.
type attacker struct {
	name string
	plan func(a *attack, d *draw.Draw) func(s *sink)
}

const honest = "honest"

var scenarios = []scenario{
	{Scenario{honest, "Nobody steals."}, nil},
	{Scenario{"stolen-key", "The case: somebody with a copy of the backup key signs a credential for one member number after the other; odd seeds from 16 addresses in a few nights, even seeds from 2,313 addresses over all days."}, []attacker{stolenKey}},
	{Scenario{"stolen-key-careful", "A copy of the log-in key, used for existing members only, from homes in the country, with the victims' own agents, at human hours."}, []attacker{stolenKeyCareful}},
	{Scenario{"insider-agent", "An agent of the help desk opens customers without a ticket, one in 8 to 25 of the day's reads."}, []attacker{insiderAgent}},
	{Scenario{"courier", "A courier opens doors that are not on the day's list."}, []attacker{courier}},
	{Scenario{"partner-tags", "A partner's account counts through order tags and reads other sellers' customers."}, []attacker{partnerTags}},
	{Scenario{"one-api", "A copied service credential reads one customer after the other through one API, at a steady pace for weeks."}, []attacker{oneAPI}},
	{Scenario{"stuffing", "Passwords leaked elsewhere are tried; the few that fit give real sessions."}, []attacker{stuffing}},
	{Scenario{"slow-drip", "One of the house's own services reads some customers more a day than it has reasons for."}, []attacker{slowDrip}},
	{Scenario{"bulk-job", "A service that never reads in bulk reads lists of hundreds of customers at night."}, []attacker{bulkJob}},
	{Scenario{"broken-route", "A customer with a real session counts through order numbers, and a broken route shows other people's orders."}, []attacker{brokenRoute}},
	{Scenario{"mixed", "A stolen key, an insider and stuffing at once."}, []attacker{stolenKey, insiderAgent, stuffing}},
}

// Scenarios lists what may happen, always in the same order, beginning with the honest shop.
func Scenarios() []Scenario {
	var list []Scenario
	for _, s := range scenarios {
		list = append(list, s.Scenario)
	}
	return list
}

func scenarioNames() string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

// attack is one attacker's work in a run.
type attack struct {
	run   *run
	name  string
	mark  uint8 // in events
	parts int64 // attacks among which the share is divided
	drawn map[string]int
	first int // day of the log on which it begins
	last  int // and ends
	make  func(s *sink)
	spent int64 // accesses
}

func (r *run) planAttacks() []*attack {
	var all []*attack
	for _, s := range scenarios {
		if s.Name != r.cfg.Scenario {
			continue
		}
		for i, by := range s.attackers {
			d := r.draw(forAttackPlan, i, 0)
			a := &attack{run: r, name: by.name, mark: uint8(i + 1), parts: int64(len(s.attackers)), drawn: map[string]int{}}
			a.first = r.params.WarmUpDays + min(r.cfg.Days-1, r.params.Attacks.StartDay.from(&d))
			a.last = r.days - 1
			a.make = by.plan(a, &d)
			a.drawn["first_day"], a.drawn["last_day"] = a.first-r.params.WarmUpDays, a.last-r.params.WarmUpDays
			all = append(all, a)
		}
	}
	return all
}

// drawn takes a parameter from its range and notes it for the truth.
func (a *attack) from(d *draw.Draw, name string, r span) int {
	n := r.from(d)
	a.drawn[name] = n
	return n
}

// lasts limits the attack to some days.
func (a *attack) lasts(days int) { a.last = min(a.last, a.first+days-1) }

func (a *attack) on(day int) bool { return day >= a.first && day <= a.last }

// budget is how many accesses the attack may have in all: its share of what the watched days will see, judged by the
// warm-up days.
func (a *attack) budget() int64 {
	r := a.run
	share := int64(r.cfg.Share)
	if share == 0 {
		share = int64(r.params.Attacks.SharePPM)
	}
	return max(1, r.warm*int64(r.cfg.Days)/int64(r.params.WarmUpDays)*share/(1_000_000-share)/a.parts)
}

// quota is how many accesses the attack may have on a day: what is left, spread evenly.
func (a *attack) quota(day int) int64 {
	if !a.on(day) {
		return 0
	}
	left := a.budget() - a.spent
	return max(0, (left+int64(a.last-day))/int64(a.last-day+1))
}

// add adds a record of the attack.
func (a *attack) add(s *sink, e event) {
	e.attack, e.what = a.mark, plain
	if e.kind == kindAccess {
		a.spent++
	}
	s.add(e)
}

func (a *attack) draw(who, day int) draw.Draw {
	return a.run.shop.draw(forAttack|purpose(a.mark)<<8, who, day)
}

// stride goes through all customers once, in an order that only looks random.
type stride struct{ at, step, n int }

func newStride(d *draw.Draw, n int) stride {
	w := stride{at: d.Below(n), step: 1 + d.Below(n), n: n}
	for gcd(w.step, n) != 1 {
		w.step++
	}
	return w
}

func (w *stride) next() int {
	w.at = (w.at + w.step) % w.n
	return w.at
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// victim is the next customer of the order who is there.
func (a *attack) victim(w *stride, t int64) int {
	for {
		if i := w.next(); a.run.here(i, t) {
			return i
		}
	}
}
