package detect

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/issued"
	"github.com/whosaw/whosaw/internal/near"
	"github.com/whosaw/whosaw/internal/reference"
)

// Engine runs the detectors over one ledger. Not safe for concurrent use. What is tagged `state:"-"` is made from the configuration, is a cache that
// changes no answer, or is empty between two records: all else is walked over by State.
type Engine struct {
	cfg   Config             `state:"-"`
	rule  [nDetectors]ruling `state:"-"`
	knobs knobs              `state:"-"`
	cat   *catalog.Catalog   `state:"-"`
	ref   *reference.Index

	count uint64 // records observed
	seen  int64  // greatest event time of any record that may be right: see seenBy
	clock int64  // greatest event time of accesses and issuances that may be right, which says how long the log lasts
	began int64  // the clock's first value
	today int32  // day number of the sure clock
	sure  int64  // the clock, unmoved by a few records from the future: it says which issuance is overdue
	ahead int    // accesses and issuances in a row that lie over an hour beyond it
	next  int64  // the least time among them
	pace  int64  // how far a record moves it, the mean of the last eight or so

	timed    int64 // accesses and issuances met
	backward int64 // how many that were when one last came after a later one

	facts    int // findings of single credentials on factsDay
	factsDay int32

	table    table
	hot      [nDetectors][nKinds]int // units with an excursion
	nosy     int                     // customers and their credentials among them, for unexplained
	spare    []*excursion            `state:"-"`
	evidence int                     // entries in all excursions

	strata      map[uint64]*stratum
	strataFront [256]*stratum `state:"-"` // the latest asked for, by id
	strataList  []*stratum    // in order of creation
	hourly      int           `state:"-"` // strata with rates by the hour: counted again when they are read
	networks    int           // in all strata

	nets                     netTable `state:"-"`
	netClasses, knownClasses int      `state:"-"` // of networks, in all strata: counted again when they are read

	frozen    []span // declared changes: baselines do not learn
	realms    map[uint64]*realm
	realmList []*realm // in order of creation
	realmLast struct {
		id uint64
		x  *realm
	} `state:"-"` // the one asked for last
	keys       map[uint64]*keyWatch
	keyList    []*keyWatch         // in order of the records
	leavers    map[uint64]*leaver  // principals of people who have left
	principals map[uint64][]string // of persons, as records name them
	scopes     map[uint64]*feedScope
	scopeList  []*feedScope  // in order of creation
	scopeLast  [2]*feedScope `state:"-"` // those asked for last, of a key and of a client
	queue      queue
	legacy     bloom  // credentials that nobody could judge when they were first seen
	judged     memory // credentials found never issued
	daily      daily  // credentials counted today

	drifts       bool                      `state:"-"` // a catalog that a person wrote says what pages show
	drifted      map[uint64]struct{}       // fields of routes that it does not list, and that are known
	doors        map[uint64]*stratum       // routes that have refused somebody without credential
	spreads      map[uint64]*spread        // what actors were shown, without a reason, and, under budgets, at all
	peerCaps     map[string]*peerCap       // by class of principals
	budgets      [nKinds]map[uint64]Budget `state:"-"`
	bareBudgets  [nKinds]map[uint64]Budget `state:"-"` // of what nothing explains
	bareNames    []string                  `state:"-"`
	bareBudgeted bool                      `state:"-"`
	budgeted     bool                      `state:"-"`
	owns         map[uint64]*ownRate       // by principal: how often its reasons are missing
	pairs        int                       // in all spreads

	policy      reference.KeyPolicy
	policied    bool  // somebody has set it
	policyClock int64 // the event time up to which keys were judged by it

	history history          // of customers and sessions
	flows   map[uint64]*flow // new customers by route and hour
	pages   map[uint64]*page // on which customers are shown themselves
	people  bool             // a subject record has come

	archive issued.Archive // issuances that the reference records may have forgotten

	known known                      `state:"-"` // changes no answer, so its seed is no chance in the findings
	texts struct{ key, client memo } `state:"-"`
	batch [ahead]expected            `state:"-"` // the records that come together
	lines near.Lines                 `state:"-"` // what they need

	routes routeCache `state:"-"`
	agents agents     `state:"-"`

	opened                        [nDetectors]int // accusations that can cover an access
	dossiers                      map[string]*dossier
	dossierList                   []*dossier            // in order of raising
	precedents                    map[lesson]*precedent // verdicts that speak for what is the same
	judgedNot                     map[lesson]int32      // findings of a unit and detector that were judged explained or false
	covers                        uint64                // accusations that ever covered
	seq                           uint64                // of the record in hand
	steps                         []GrowthStep          `state:"-"` // that nobody has taken
	findings                      []whosaw.Finding      `state:"-"`
	crossed                       [nSequential]uint8    `state:"-"` // bit per kind: its unit stood at or above the threshold at the access in hand
	scratch                       []entry               `state:"-"`
	near                          [nKinds]nearness      `state:"-"`
	asking                        asking                `state:"-"`
	lastWeights                   weights               `state:"-"`
	orderWeights                  weights               `state:"-"` // of traversal
	ownTest                       uint8                 `state:"-"` // of unexplained, by a principal's own rate; 0: there is none
	ownWeights                    weights               `state:"-"`
	upward, downward              uint8                 `state:"-"` // its tests
	strangeNetwork, strangeDevice uint8                 `state:"-"` // those of stranger
	houseDormant                  envelope              `state:"-"` // of dormant, for staff, partners and programs
	othersDormant                 envelope              `state:"-"` // and for accesses that do not say whose they are
	ofCustomers                   []kind                `state:"-"` // watched for customers who open others
	views                         uint64                // accesses looked at, now or later
	stats                         [nDetectors]stat
	canaries                      bool          // a subject record has named one
	now                           view          `state:"-"` // the record in hand
	away                          whosaw.Record `state:"-"` // what the guard refused, as an access
	held                          view          `state:"-"` // a pending access that is judged now

	trace     func(Touch) `state:"-"` // nil: nobody asks
	peak      rise        `state:"-"` // for the trace
	probe     *probe      `state:"-"` // nil: nobody asks about one access
	coveredBy string      `state:"-"` // id of the finding that covered an access last

	onShown   func(*Shown)     `state:"-"` // nil: nobody asks
	shown     Shown            `state:"-"`
	climbs    map[string]Climb // by finding
	climbList []string         // in order of raising
}

type span struct {
	realm, from, until uint64
	moves              moved
}

// moved is what a declared change moves.
type moved uint8

const (
	movesPeople  moved = 1 << iota // who comes
	movesDevices                   // from where, and with what
	movesPages                     // which pages are opened
)

// movedBy gives what a kind of change moves; one that is not known moves everything.
func movedBy(kind string) moved {
	switch kind {
	case "campaign":
		return movesPeople | movesPages
	case "release":
		return movesDevices | movesPages
	case "forced_logout":
		return movesPages
	}
	return movesPeople | movesDevices | movesPages
}

// New gives an engine that has seen nothing. cat may be nil: then only what records state is known.
func New(cfg Config, cat *catalog.Catalog) *Engine {
	cfg = cfg.withDefaults()
	ref := reference.New()
	e := &Engine{
		cfg: cfg, cat: cat, ref: ref,
		strata:     make(map[uint64]*stratum),
		realms:     make(map[uint64]*realm),
		keys:       make(map[uint64]*keyWatch),
		leavers:    make(map[uint64]*leaver),
		principals: make(map[uint64][]string),
		scopes:     make(map[uint64]*feedScope),
		known:      known{seed: maphash.MakeSeed()},
		agents:     agents{seed: maphash.MakeSeed()},
		judged:     newMemory(),
		drifted:    make(map[uint64]struct{}),
		doors:      make(map[uint64]*stratum),
		spreads:    make(map[uint64]*spread),
		peerCaps:   make(map[string]*peerCap),
		owns:       make(map[uint64]*ownRate),
		flows:      make(map[uint64]*flow),
		pages:      make(map[uint64]*page),

		dossiers:   make(map[string]*dossier),
		judgedNot:  make(map[lesson]int32),
		precedents: make(map[lesson]*precedent),
	}
	e.nets = newNetTable(cfg.Networks)
	e.drifts = cat != nil && !cat.Suggested()
	ref.Bound(cfg.MaxIssued, e.archive.Add)
	e.readRules()
	e.setBudgets(cfg.Budgets)
	return e
}

// Observe takes the next record of the ledger and gives the findings it raises, mostly none. Every record must come, in
// sequence order. The record and its strings may be used again by the caller afterwards.
func (e *Engine) Observe(seq uint64, r *whosaw.Record) []whosaw.Finding {
	return e.observe(seq, r, nil)
}

func (e *Engine) observe(seq uint64, r *whosaw.Record, x *expected) []whosaw.Finding {
	e.count++
	e.findings, e.seq = nil, seq
	if r.Type >= whosaw.TypeVerdict {
		switch {
		case r.Type == whosaw.TypeVerdict:
			e.judgement(r)
		case r.Type == whosaw.TypeAct && r.Ref != nil && r.Ref.Kind == KeyPolicyAct:
			e.setKeyPolicy(r)
		case r.Type == whosaw.TypeDecision:
			e.turnedAway(seq, r)
		}
		return e.findings // else what whosaw itself wrote, by the machine's clock, is no news of the shop
	}
	if r.Type == whosaw.TypeAccess {
		e.tick(r.Time)
		e.judgeDue()
		e.keyPolicyDue()
		e.look(&e.now, r, x)
		e.now.seq = seq
		switch {
		case e.probe != nil:
			e.watched(seq, &e.now, func() { e.access(&e.now) })
		case e.trace != nil:
			e.traced(seq, func() { e.access(&e.now) })
		default:
			e.access(&e.now)
		}
		if e.onShown != nil {
			e.tellShown()
		}
		e.judgeDue()
		return e.findings
	}
	e.ref.Apply(seq, r)
	if r.Type != whosaw.TypeIssuance { // which moves the clock first
		e.see(r.Time)
	}
	switch r.Type {
	case whosaw.TypeIssuance:
		e.known.begin()
		e.tick(r.Time)
		e.issuance(r)
		e.logins(r)
		e.givenTo(r)
		e.judgeDue()
	case whosaw.TypeSubject:
		e.people = true
		e.canaries = e.canaries || r.Ref != nil && r.Ref.State == "canary"
	case whosaw.TypeKey, whosaw.TypePerson:
		e.watchKeys(r)
		e.peopleAndKeys(r)
	case whosaw.TypeReason:
		e.reason(r)
	case whosaw.TypeChange:
		e.freeze(r)
	}
	return e.findings
}

// access runs the detectors over one access.
func (e *Engine) access(v *view) {
	e.stats[unissued].accesses++
	e.unissued(v)
	if v.opened() && len(v.subjects) > 0 {
		e.frontier(v)
		if !v.explained {
			e.suspects(v)
			if e.canaries {
				e.canary(v)
			}
		}
		e.harvest(v)
		if v.outcome == whosaw.OutcomeDisclosed && e.rule[volume].on {
			e.volume(v)
		}
		if e.budgeted {
			e.spend(v)
		}
		switch {
		case v.house != 0:
			e.unexplained(v)
		case v.principal != "":
			e.curious(v)
		}
	} else {
		e.bystander(v)
	}
	if e.drifts && v.rt != nil && len(v.r.Fields) > 0 {
		e.drift(v)
	}
	if v.r.Credential == "" && v.r.Principal == "" {
		e.refused(v)
	}
	if len(e.keys)+len(e.leavers) > 0 {
		e.offboarded(v)
	}
	if len(e.keys) > 0 {
		e.keyState(v)
	}
}

// suspects makes the units of an access to somebody's data that nothing explains.
func (e *Engine) suspects(v *view) {
	e.identify(v)
	for k := range nKinds {
		if v.own && (k == kindPrincipal || k == kindCredential) {
			continue // a claim to be the customer it opens: there is nothing to add up
		}
		if u := e.unit(v, k, true); u != nil {
			u.total++
			if k == kindKey {
				u.mixed(v, e.around(v.r.Time))
			}
		}
	}
}

// bystander is an access that is no trial of nonexistent and traversal. If nothing explains it, it meets the filters of
// their findings all the same, and must be counted against the majority.
func (e *Engine) bystander(v *view) {
	if v.explained {
		return
	}
	e.identify(v)
	en := v.entry(0)
	for k := range nKinds {
		// Most principals and credentials look round and then open their own customer: no need to know them yet.
		if u := e.unit(v, k, k != kindPrincipal && k != kindCredential); u != nil {
			u.total++
			if k == kindKey {
				u.mixed(v, e.around(v.r.Time))
			}
			e.witness(u, nonexistent, v, &en)
			e.witness(u, traversal, v, &en)
		}
	}
	e.variety(v)
}

// settle raises the best finding among the units that crossed for the detector at this access. What its filter matches drives the detector
// no more, so all units of the record begin anew; a narrow one says little, and stops nobody else. A unit that crossed within a list, and whose
// last subjects took it below again, is not accused: the order of a list is the server's.
func (e *Engine) settle(d detector, v *view) {
	crossed := e.crossed[d]
	if crossed == 0 {
		return
	}
	e.crossed[d] = 0
	var best *accusation
	var of *unit
	for _, k := range e.rule[d].watched {
		if u := v.units[k]; crossed>>k&1 == 1 {
			if a := e.accuse(d, u, v); a != nil && (best == nil || a.rank < best.rank) {
				best, of = a, u
			}
		}
	}
	if best == nil {
		return
	}
	climb, climbed := e.climb(d, of)
	for k, u := range v.units {
		if u != nil && (!best.narrow || crossed>>k&1 == 1) {
			e.endExcursion(u, d)
		}
	}
	if best.narrow && e.hushed(d, v) {
		return
	}
	if raised := e.raise(best, v); raised && climbed {
		e.keepClimb(e.findings[len(e.findings)-1].ID, climb)
	}
}

// hushed reports whether one of the access's finer units has raised a narrow finding of the detector today.
func (e *Engine) hushed(d detector, v *view) bool {
	for k, u := range v.units {
		if u != nil && (hushes[k] || ofPeople(d)) && u.quiet[d] > e.today {
			return true
		}
	}
	return false
}

// hush keeps the access's units from raising another narrow finding today.
func (e *Engine) hush(d detector, v *view) {
	for k, u := range v.units {
		if u != nil && (hushes[k] || ofPeople(d)) {
			u.quiet[d] = e.today + 1
		}
	}
}

var hushes = [nKinds]bool{kindPrincipal: true, kindCredential: true, kindCell: true, kindNetwork: true, kindIP: true}

// maxFrozen bounds the declared changes that are on at one time.
const maxFrozen = 64

// freeze keeps a declared change: a campaign or a release moves what is normal, and must not be learnt.
func (e *Engine) freeze(r *whosaw.Record) {
	if r.Ref == nil {
		return
	}
	e.frozen = slices.DeleteFunc(e.frozen, func(f span) bool { return f.until+uint64(day) < uint64(e.sure) })
	if len(e.frozen) >= maxFrozen {
		return
	}
	from := r.Ref.From
	if from == 0 {
		from = r.Time
	}
	until := r.Ref.Until
	if until == 0 {
		until = from + day // a change that is not said to last is over after a day
	}
	e.frozen = append(e.frozen, span{text(r.Realm), uint64(from), uint64(until), movedBy(r.Ref.Kind)})
}

func (e *Engine) changing(v *view) bool {
	t := e.around(v.r.Time)
	for i := range e.frozen {
		if f := &e.frozen[i]; f.realm == v.realm && uint64(t) >= f.from && uint64(t) < f.until {
			return true
		}
	}
	return false
}

// changed reports whether a declared change is on that moves something.
func (e *Engine) changed(realm uint64, t int64, what moved) bool {
	t = e.around(t)
	for i := range e.frozen {
		if f := &e.frozen[i]; f.moves&what != 0 && f.realm == realm && uint64(t) >= f.from && uint64(t) < f.until {
			return true
		}
	}
	return false
}

func clone(s string) string { return strings.Clone(s) }
