package detect

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"

	"github.com/whosaw/whosaw/internal/rules"
)

// ruling is what the rule of a detector says, as the engine uses it.
type ruling struct {
	on        bool
	technique string
	watched   []kind // in order of preference; none if it is off
	bank      bank
	h         float64 // of sequential tests
	envelope  envelope
}

// knobs are the settings of single detectors.
type knobs struct {
	declaredFloor  float64 // unissued: the least p0 where a loss is declared
	networksOnTop  int64   // unissued: that silence supports
	borrowed       int64   // unissued: of the realm's issued credentials, that speak for a key with few
	factsPerDay    int     // unissued: findings of single credentials
	issuedSkew     int64   // unissued: waited on top of the lag in a log that was sorted
	reasonsAtLeast int64   // unexplained: openings that a route must have had explained
	explainedEach  int64   // unexplained: and for each that was not, until its rate is known
	reasonSkew     int64   // unexplained
	ownFloor       float64 // unexplained: the least p0 of a principal by its own past
	ownTimes       float64 // unexplained: of its second worst day
	ownDays        int     // unexplained: that it needs
	budgetSkew     int64   // budget, of what nothing explains
	keySkew        int64   // key_state
	timesBlind     int64   // canary
	driftAfter     int64   // field_drift
	leastSpread    int64   // spreader
	timesMedian    int64   // spreader
	timesSecond    int64   // spreader
	enoughPast     int     // spreader
	timesYear      int64   // spreader
	leftSkew       int64   // offboarded
	asleep         int64   // offboarded
	leastParty     int64   // field_drift: others whom a page must show in a day
	leastVolume    int64   // volume: new customers in an hour
	timesVolume    int64   // volume: of the busiest such hour
	volumeDays     int     // volume: days that it needs
	dormantAfter   int64   // dormant: how long nobody must have logged in
	fewDormant     float64 // dormant: the least p0 of a unit that few share, for sessions of customers themselves
	warmUp         int64   // stranger: how long a log must have run
	enoughVisits   int     // stranger: on how many days a customer must have come
	sessionPages   int     // monotone: pages of a session that are looked at
}

// Detectors names the detectors, in the order of the documentation. Each has a rule.
func Detectors() []string { return slices.Clone(detectorNames[:]) }

// Units names the kinds of units, as they stand before the colon in a finding's unit.
func Units() []string { return append(kindNames[:len(kindNames):len(kindNames)], "route") }

// Check reports rules that this engine cannot go by together with the rest of the configuration.
func (c Config) Check() error {
	c = c.withDefaults()
	for i := range c.Rules.Rules {
		if r := &c.Rules.Rules[i]; !slices.Contains(detectorNames[:], r.Detector) {
			return fmt.Errorf("%s: %q is no detector of this whosaw", r.File, r.Detector)
		}
	}
	if err := CheckNetworks(c.Networks); err != nil {
		return fmt.Errorf("detect.networks: %w", err)
	}
	if r := c.Rules.Of(detectorNames[unexplained]); r.Off == "" && r.Setting("own_p1") > 0 && !(r.Setting("own_p1") >= 1.4*r.Setting("own_floor") && r.Setting("own_p1") < 1 && r.Setting("own_floor") > 0) {
		return fmt.Errorf("%s: settings: own_p1 %v: give 1.4 times own_floor (%v) at least, and below 1; 0 leaves the test by a principal's own past out", r.File, r.Setting("own_p1"), r.Setting("own_floor"))
	}
	if own := c.ownAllowance(); own >= c.AlarmsPerMonth {
		return fmt.Errorf("the rules' own alarms_per_month add up to %v, the server allows %v: lower them, or raise detect.alarms_per_month", own, c.AlarmsPerMonth)
	}
	return nil
}

// Fingerprint is another wherever engines may judge otherwise: by other rules, another load, other sizes.
func (c Config) Fingerprint() [sha256.Size]byte {
	c = c.withDefaults()
	h := sha256.New()
	list := c.Rules.Fingerprint()
	h.Write(list[:])
	c.Rules = nil
	fmt.Fprintf(h, "%+v", c)
	return [sha256.Size]byte(h.Sum(nil))
}

// Threshold is the h of the sequential tests whose rules have no allowance of their own: ln(tests x trials a month / allowed alarms a
// month). With the defaults it is ln(133 x 3e9 / 1) = 26.7.
func (c Config) Threshold() float64 {
	c = c.withDefaults()
	n := 0
	for d := range nSequential {
		if r := c.Rules.Of(detectorNames[d]); r != nil && r.Off == "" && r.AlarmsPerMonth == 0 {
			n += testsOf(d, r)
		}
	}
	return math.Log(float64(max(1, n)) * c.TrialsPerMonth / max(math.SmallestNonzeroFloat64, c.AlarmsPerMonth-c.ownAllowance()))
}

// ThresholdOf is the h of one detector's tests: its own allowance's, or the shared one; 0 if it runs none.
func (c Config) ThresholdOf(name string) float64 {
	c = c.withDefaults()
	r, d := c.Rules.Of(name), detector(slices.Index(detectorNames[:], name))
	switch {
	case r == nil || d >= nSequential || !r.Sequential():
		return 0
	case r.AlarmsPerMonth > 0:
		return math.Log(float64(testsOf(d, r)) * c.TrialsPerMonth / r.AlarmsPerMonth)
	}
	return c.Threshold()
}

// ownAllowance is what the rules with an allowance of their own take of the server's.
func (c Config) ownAllowance() float64 {
	sum := 0.0
	for i := range c.Rules.Rules {
		if r := &c.Rules.Rules[i]; r.Off == "" && r.Sequential() {
			sum += r.AlarmsPerMonth
		}
	}
	return sum
}

// testsOf counts the tests that every trial of a rule may drive: a unit kind and an attack rate each; traversal looks both ways, and
// stranger at networks and devices.
func testsOf(d detector, r *rules.Rule) int {
	n := len(r.Units) * len(r.P1)
	if d == unexplained && ownTested(r) {
		n++
	}
	if d == traversal || d == stranger {
		n *= 2
	}
	return n
}

// ownTested reports whether a rule of unexplained looks at principals by their own past.
func ownTested(r *rules.Rule) bool {
	return r.Setting("own_p1") > 0 && slices.Contains(r.Units, kindNames[kindPrincipal])
}

// readRules makes the rulings. A detector without a rule, as one that is off, watches nothing.
func (e *Engine) readRules() {
	for d := range nDetectors {
		r, x := e.cfg.Rules.Of(detectorNames[d]), &e.rule[d]
		if r == nil {
			panic("BUG: detector " + detectorNames[d] + " has no rule")
		}
		x.on, x.technique = r.Off == "", r.Technique()
		if x.on {
			for _, name := range r.Units {
				x.watched = append(x.watched, kind(slices.Index(kindNames[:], name)))
			}
		}
		x.bank.n = copy(x.bank.p1[:], r.P1)
		if d == traversal {
			x.bank.n += copy(x.bank.p1[len(r.P1):], r.P1)
			e.upward = 1<<len(r.P1) - 1
			e.downward = e.upward << len(r.P1)
		}
		if d == stranger {
			x.bank.n += copy(x.bank.p1[len(r.P1):], r.P1)
			e.strangeNetwork = 1<<len(r.P1) - 1
			e.strangeDevice = e.strangeNetwork << len(r.P1)
		}
		if d == unexplained && x.on && ownTested(r) {
			e.ownTest = uint8(x.bank.n)
			x.bank.p1[x.bank.n] = r.Setting("own_p1")
			x.bank.n++
		}
		x.h = e.cfg.ThresholdOf(detectorNames[d])
		p := &r.P0
		x.envelope = envelope{d: d, young: p.Young, floor: p.Floor, ceiling: p.Ceiling, times: p.Times, units: int32(p.Enough), bank: &x.bank, byNet: d != unexplained}
	}
	for _, k := range [...]kind{kindPrincipal, kindCredential} {
		if e.watches(unexplained, k) {
			e.ofCustomers = append(e.ofCustomers, k)
		}
	}
	of := func(d detector) *rules.Rule { return e.cfg.Rules.Of(detectorNames[d]) }
	e.othersDormant = e.rule[dormant].envelope
	e.othersDormant.floor = of(dormant).Setting("floor_of_others")
	e.houseDormant = e.othersDormant
	e.houseDormant.byNet = false // a principal's days
	e.houseDormant.units = int32(of(dormant).Setting("house_days"))
	e.orderWeights = e.rule[traversal].bank.weights(e.rule[traversal].envelope.floor)
	u, w, s := of(unissued), of(unexplained), of(spreader)
	e.knobs = knobs{
		declaredFloor: u.Setting("declared_floor"), networksOnTop: int64(u.Setting("networks_on_top")), borrowed: int64(u.Setting("borrowed")),
		factsPerDay:    int(u.Setting("facts_per_day")),
		issuedSkew:     int64(u.Setting("tolerance")),
		reasonsAtLeast: int64(w.Setting("reasons_at_least")), explainedEach: int64(w.Setting("explained_for_each")), reasonSkew: int64(w.Setting("tolerance")),
		ownFloor: w.Setting("own_floor"), ownTimes: w.Setting("own_times"), ownDays: int(w.Setting("own_days")),
		budgetSkew: int64(of(budget).Setting("tolerance")),
		keySkew:    int64(of(keyState).Setting("tolerance")), timesBlind: int64(of(canary).Setting("times_blind")), driftAfter: int64(of(fieldDrift).Setting("learns_for")),
		leastSpread: int64(s.Setting("least")), timesMedian: int64(s.Setting("times_median")), timesSecond: int64(s.Setting("times_second")), enoughPast: int(s.Setting("days")), timesYear: int64(s.Setting("times_year")),
		leftSkew: int64(of(offboarded).Setting("tolerance")), asleep: int64(of(offboarded).Setting("asleep")),
		leastParty: int64(of(fieldDrift).Setting("others")), leastVolume: int64(of(volume).Setting("least")), timesVolume: int64(of(volume).Setting("times_busiest")),
		volumeDays:   int(of(volume).Setting("days")),
		dormantAfter: int64(of(dormant).Setting("after")), fewDormant: of(dormant).Setting("floor_of_few"),
		warmUp: int64(of(stranger).Setting("warm_up")), enoughVisits: int(of(stranger).Setting("visits")), sessionPages: int(of(monotone).Setting("pages")),
	}
}

// watches reports whether a detector's rule names a kind of unit.
func (e *Engine) watches(d detector, k kind) bool { return slices.Contains(e.rule[d].watched, k) }
