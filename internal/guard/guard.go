package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// Options are what a guard stands on.
type Options struct {
	Config  Config // checked
	Catalog *catalog.Catalog
	DB      *sqlite.DB
	// Write makes records of whosaw's own durable, and gives the sequence of the first.
	Write func(ctx context.Context, records []whosaw.Record) (uint64, error)
	// Health says why the ledger cannot be written at present; nil: it can.
	Health func() error
	// Alarm tells people at once that the guard cannot judge, or that it can again; nil: the log alone does.
	Alarm func(ctx context.Context, title, says string) error
	// Path gives a path of the configuration as seen from here; nil: as it is.
	Path func(string) string
	// Client fetches keys and asks about tokens; nil: one that follows no redirects.
	Client *http.Client
	Logger *slog.Logger
	Now    func() time.Time // with the monotonic clock
}

// Guard judges requests. Its methods are safe for concurrent use. [Guard.Run] must be running.
type Guard struct {
	cfg      Config
	catalog  *catalog.Catalog
	log      *slog.Logger
	now      func() time.Time
	state    *State
	tokens   *verifier
	book     *Book
	budgets  *budgets
	pending  unconfirmed
	record   *recorder
	policies []routePolicy // the last fits everything
	capitals bool          // routes of policies have capitals
	doors    map[string]*DoorConfig
	resolver sync.Pool
	count    counters
	health   func() error
	alarm    func(ctx context.Context, title, says string) error
	later    sync.WaitGroup // requests in shadow mode whose issuance is waited for after they were let through
	lateMost chan struct{}
	forgot   uint16 // the day on which budgets last forgot; of Run's goroutine

	switched  atomic.Pointer[Mode] // nil: the configuration's mode holds
	switching sync.Mutex
}

type routePolicy struct {
	pattern pattern
	Policy
}

// New gives a guard that knows nothing yet: [Guard.Load] what is in the ledger.
func New(ctx context.Context, o Options) (*Guard, error) {
	if o.Path == nil {
		o.Path = func(s string) string { return s }
	}
	if o.Client == nil {
		o.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	g := &Guard{
		cfg: o.Config, catalog: o.Catalog, log: o.Logger, now: o.Now, state: NewState(o.Config.Tokens.LongestLife), health: o.Health, alarm: o.Alarm,
		doors: map[string]*DoorConfig{}, lateMost: make(chan struct{}, o.Config.Unconfirmed.Waiting),
	}
	g.resolver.New = func() any { return g.catalog.Resolver() }
	for i := range g.cfg.Doors {
		g.doors[g.cfg.Doors[i].Name] = &g.cfg.Doors[i]
	}
	for _, r := range g.cfg.Routes {
		p, err := parsePattern(r.Route)
		if err != nil {
			return nil, fmt.Errorf("guard.routes: %w", err)
		}
		g.policies = append(g.policies, routePolicy{p, r.Policy.merge(g.cfg.Policy)})
		g.capitals = g.capitals || p.path != strings.ToLower(p.path)
	}
	g.policies = append(g.policies, routePolicy{pattern{prefix: true}, g.cfg.Policy})
	var err error
	if g.tokens, err = newVerifier(&g.cfg.Tokens, o.Path, o.Client, o.Logger, o.Now); err != nil {
		return nil, err
	}
	g.budgets = newBudgets(g.cfg.Budgets)
	g.record = newRecorder(&g.cfg.Record, o.Write, o.Logger, o.Now)
	g.book, err = openBook(ctx, o.DB, g.record.write, &g.cfg, o.Logger, o.Now)
	return g, err
}

// Config is the configuration.
func (g *Guard) Config() *Config { return &g.cfg }

// Book holds the standing decisions.
func (g *Guard) Book() *Book { return g.book }

// State is what the guard knows of the world.
func (g *Guard) State() *State { return g.state }

// Run fetches keys, writes records and lets decisions expire until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, x := range g.tokens.issuers {
		running.Go(func() { x.run(ctx) })
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		g.Tend(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			running.Wait()
			g.later.Wait()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := g.record.flush(last); err != nil {
				g.log.Error("decisions of the last second are not on record", "error", err)
			}
			g.book.tend(last)
			return
		}
	}
}

// Tend does what [Guard.Run] does once a second: it writes decisions, lets what has expired go, and asks after the ledger. Only who turns the
// clock by hand calls it.
func (g *Guard) Tend(ctx context.Context) {
	err := g.record.flush(ctx)
	if err == nil && g.health != nil {
		err = g.health()
	}
	if ctx.Err() != nil {
		return
	}
	was := g.state.broken.Load()
	if err != nil && was == nil {
		g.log.Error("the ledger cannot be written: each route does what its fail mode says", "error", err)
		g.tell(ctx, "The guard cannot judge", "The ledger cannot be written, so each route does what its fail mode says: closed routes refuse everybody, open ones let everybody through.")
	}
	if err == nil && was != nil {
		g.log.Warn("the ledger can be written again")
		g.tell(ctx, "The guard judges again", "The ledger can be written again.")
	}
	g.state.Break(err)
	g.book.tend(ctx)
	g.state.Age(g.now().UnixMilli())
	if today := dayOf(g.now()); g.budgets.any() && today != g.forgot {
		g.budgets.forget(g.now())
		g.forgot = today
	}
}

// alarmTime is how long telling people may take.
const alarmTime = 30 * time.Second

// tell tells people, beside what Run does.
func (g *Guard) tell(ctx context.Context, title, says string) {
	if g.alarm == nil {
		return
	}
	g.later.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), alarmTime)
		defer cancel()
		if err := g.alarm(ctx, title, says); err != nil {
			g.log.Error("people could not be told", "about", title, "error", err)
		}
	})
}

// ErrDoor says that a door is not configured.
var ErrDoor = errors.New("there is no door of that name: list it in guard.doors")

// Decide judges a request. It waits, for at most Unconfirmed.Wait, only for an issuance that is late; and for the server
// that is asked about an opaque token.
func (g *Guard) Decide(ctx context.Context, q *Request) Decision {
	now := g.now()
	ms := now.UnixMilli()
	d := Decision{Would: Allow}
	what := g.resolve(q, ms)
	d.Route = what.route
	p := g.policyOf(&what)
	door := g.doors[q.Door]
	if door == nil {
		d.Action, d.Would, d.Reasons = Deny, Deny, []Reason{{Code: CodeBadRequest, Says: ErrDoor.Error()}}
		return d
	}
	d.Hold = p.Hold != nil && *p.Hold
	if code, err := g.state.Sound(); err != nil {
		d.fail(p, Reason{Code: code, Says: says[code]})
	} else if late := g.judge(ctx, q, &what, p, &d, now, g.shadow(p)); late {
		return g.judgeLater(ctx, *q, what, door, p, d, now)
	}
	g.finish(q, what.subjects, door, p, &d, now)
	return d
}

// shadow reports whether nothing is enforced.
func (g *Guard) shadow(p *Policy) bool { return g.Mode() != ModeEnforce || p.Mode == ModeShadow }

// judgeLater lets a request through in shadow mode, and judges it when its issuance has come or is too late: what enforcing would have
// done is known, and nobody was made to wait for it.
func (g *Guard) judgeLater(ctx context.Context, q Request, what asked, door *DoorConfig, p *Policy, d Decision, now time.Time) Decision {
	what.own()
	ctx = context.WithoutCancel(ctx)
	work := func() {
		later := Decision{Would: Allow, Route: d.Route, Hold: d.Hold}
		g.judge(ctx, &q, &what, p, &later, now, false)
		g.finish(&q, what.subjects, door, p, &later, now)
	}
	select {
	case g.lateMost <- struct{}{}:
		g.later.Go(func() {
			defer func() { <-g.lateMost }()
			work()
		})
	default:
		g.count.crowded.Add(1)
		g.finish(&q, what.subjects, door, p, &d, now)
	}
	d.Action, d.Would, d.Shadow, d.TTL = Allow, Allow, true, 0
	d.Reasons = []Reason{{Code: CodeUnconfirmed, Says: says[CodeUnconfirmed]}}
	return d
}

// fail is what is decided while nothing can be.
func (d *Decision) fail(p *Policy, r Reason) {
	a := Deny
	if p.Fail == FailOpen {
		a = Allow
	}
	d.TTL = 0
	d.weigh(a, r)
}

// judge weighs all that is on record. With hurry it waits for no issuance, and reports whether it would have.
func (g *Guard) judge(ctx context.Context, q *Request, what *asked, p *Policy, d *Decision, now time.Time, hurry bool) (late bool) {
	id, why := g.tokens.identify(ctx, q.Credential)
	if id.Scheme == SchemeNone && why == nil {
		id.Realm = q.Realm // a credential's realm is its issuer's, whatever the question says
	}
	ms := now.UnixMilli()
	switch {
	case why != nil && why.code == CodeUnverifiable:
		d.Identity = id
		d.fail(p, Reason{Code: why.code, Says: why.says})
		return false
	case why != nil:
		d.weigh(p.Invalid, Reason{Code: why.code, Says: why.says})
	case id.Scheme == SchemeNone:
		d.weigh(p.Anonymous, Reason{Code: CodeAnonymous, Says: says[CodeAnonymous]})
	default:
		late = g.judgeCredential(ctx, &id, what, p, d, now, hurry)
	}
	d.Identity = id
	c := candidate{
		id: &d.Identity, route: d.Route, subjects: what.subjects, ip: q.IP.Unmap().WithZone(""), country: q.Country, asn: asnText(q.ASN), agent: q.Agent, tls: q.TLS, now: ms,
		later: g.doors[q.Door].Kind.Can().Has(CanCount),
	}
	g.judgeReadings(c, what, p, d)
	g.judgeStanding(&c, p, d)
	if g.budgets.any() && id.Scheme != SchemeNone && why == nil {
		g.judgeBudget(&d.Identity, what.subjects, d, now)
		for i := range what.others {
			if x := &what.others[i]; x.Known && !x.Same {
				g.judgeBudget(&d.Identity, x.Subjects, d, now)
			}
		}
	}
	g.judgeAmbiguous(what, p, d)
	if len(d.Reasons) == 0 {
		d.Reasons = []Reason{{Code: CodeOK}}
	}
	if d.Would == Allow && d.Because() == CodeOK {
		d.TTL = p.TTL
	}
	return late
}

// sessionKey stands for the key of a session id where issuances are looked for: one that names a key is a signed token's, whose id is no secret.
const sessionKey = "\x00session"

// judgeCredential weighs what is on record of a valid credential.
func (g *Guard) judgeCredential(ctx context.Context, id *Identity, what *asked, p *Policy, d *Decision, now time.Time, hurry bool) (late bool) {
	if id.Scheme == SchemeSession {
		id.Key = sessionKey
		defer func() { id.Key = "" }()
	}
	ms := now.UnixMilli()
	f := g.look(id, what, ms)
	if !f.issued && f.feed.Known && id.Credential != "" && !g.pending.known(id, now) {
		switch {
		case hurry:
			late = g.cfg.Unconfirmed.Wait > 0
		case g.await(ctx, id, g.cfg.Unconfirmed.Wait):
			f = g.look(id, what, ms)
		}
	}
	id.Issued = f.issued
	if f.owner != "" {
		id.Principal = f.owner
	}
	if id.Scheme == SchemeSession {
		id.Verified = f.issued
		if !f.issued && !f.feed.Known {
			d.weigh(p.Invalid, Reason{Code: CodeUnissued, Says: "no log-in is on record for a session id, and nothing else vouches for it"})
			return late
		}
	}
	if f.personLeft {
		d.weigh(Deny, Reason{Code: CodePersonLeft, Says: says[CodePersonLeft]})
	}
	g.judgeKey(id, &f, p, d, ms)
	if f.issued {
		return false
	}
	if f.feed.Known && !late {
		g.judgeUnissued(ctx, id, &f, p, d, now)
	}
	if f.subject == subjectUnknown && p.Nonexistent > Allow {
		d.weigh(p.Nonexistent, Reason{Code: CodeNonexistent, Says: says[CodeNonexistent]})
	}
	return late
}

// judgeKey weighs the state of the key.
func (g *Guard) judgeKey(id *Identity, f *facts, p *Policy, d *Decision, now int64) {
	k := &f.key
	switch {
	case k.State == "revoked" && k.Since <= now:
		d.weigh(Deny, Reason{Code: CodeKeyRevoked, Says: says[CodeKeyRevoked]})
	case k.Until != 0 && k.Until <= now:
		d.weigh(Deny, Reason{Code: CodeKeyExpired, Says: says[CodeKeyExpired]})
	case k.State == "retired" && k.Since <= now && (id.IssuedAt.IsZero() || id.IssuedAt.UnixMilli() > k.Since || !f.issued && f.feed.Known):
		// What was signed before the key was retired lives on until it ends; a date in a token is its maker's word, so its issuance must
		// be on record where issuances are.
		d.weigh(Deny, Reason{Code: CodeKeyRetired, Says: says[CodeKeyRetired]})
	}
	if k.Left != "" && !f.feed.Known {
		d.weigh(p.Leaver, Reason{Code: CodeKeyLeaver, Says: says[CodeKeyLeaver]})
	}
}

// judgeUnissued lets a few credentials through before their issuance is on record, and no more.
func (g *Guard) judgeUnissued(ctx context.Context, id *Identity, f *facts, p *Policy, d *Decision, now time.Time) {
	if p.Unissued <= Allow {
		d.weigh(Allow, Reason{Code: CodeUnissued, Says: says[CodeUnissued]})
		return
	}
	most := g.cfg.Unconfirmed.Pass
	if f.key.Left != "" || f.feed.Complete() && time.Duration(f.feed.Lag)*time.Millisecond <= g.cfg.Unconfirmed.Wait {
		most = 0 // nothing of it is late: what is not on record now never was issued
	}
	if d.Would > Allow || id.Credential == "" {
		most = 0 // it does not pass anyway
	}
	ok, fresh := g.pending.take(id, most, now, g.state.issued)
	if ok && fresh {
		// On record before it passes: the count outlives a restart.
		if _, err := g.record.write(ctx, []whosaw.Record{passRecord(id, d.Route, now)}); err != nil {
			g.count.unkept.Add(1)
			ok = false
		} else {
			g.pending.keep(id)
		}
	}
	if !ok {
		d.weigh(p.Unissued, Reason{Code: CodeUnissued, Says: says[CodeUnissued]})
		return
	}
	d.weigh(Allow, Reason{Code: CodeUnconfirmed, Says: says[CodeUnconfirmed]})
}

// judgeStanding weighs the standing decisions that cover the request.
func (g *Guard) judgeStanding(c *candidate, p *Policy, d *Decision) {
	if c.explained == nil {
		c.explained = func() bool {
			if len(c.subjects) == 0 { // a customer's own session asks for its own page, as far as anybody knows before the answer
				return c.id.Issued && strings.HasPrefix(c.id.Principal, defaultPrefix)
			}
			return !slices.ContainsFunc(c.subjects, func(s string) bool { return !g.state.explained(c.id, s, c.now) })
		}
	}
	g.book.index.Load().find(c, func(s *Standing) {
		if slices.ContainsFunc(d.Reasons, func(r Reason) bool { return r.Decision == s.ID }) {
			return // it covers another reading of the request, and was weighed
		}
		if s.Action == Mask && d.Would <= Mask {
			d.Masked = append(d.Masked, s.Mask...)
			if len(s.Mask) == 0 {
				d.Masked = append(d.Masked, p.Mask...)
			}
		}
		d.TTL = 0
		d.weigh(s.Action, Reason{Code: CodeStanding, Says: says[CodeStanding], Decision: s.ID, Finding: s.Finding})
	})
}

// judgeBudget weighs what the actor has left, before it is known what the answer shows.
func (g *Guard) judgeBudget(id *Identity, subjects []string, d *Decision, now time.Time) {
	g.budgets.each(id, func(b *Budget, a *actor) {
		if !a.over(b, g.explains(id), now) {
			return
		}
		fresh := len(subjects) == 0
		for _, s := range subjects {
			fresh = fresh || a.fresh(g.budgets.hash(s), now) && !g.state.explainedNear(id, s, now.UnixMilli())
		}
		if fresh && (b.Count == CountLedger || len(subjects) > 0) {
			d.Retry = untilTomorrow(now)
			d.weigh(b.Action, Reason{Code: CodeBudget, Says: says[CodeBudget]})
		}
	})
}

// explains gives whether a reason explains what an actor was shown.
func (g *Guard) explains(id *Identity) func(subject string, at int64) bool {
	return func(subject string, at int64) bool { return g.state.explainedNear(id, subject, at) }
}

// Observe judges an answer before it leaves: whose data it shows, and which fields. Only doors that can count ask it.
func (g *Guard) Observe(ctx context.Context, a *Answer) Decision {
	now := g.now()
	d := Decision{Would: Allow}
	what := g.resolve(&a.Request, now.UnixMilli())
	d.Route = what.route
	subjects := a.Subjects
	if len(subjects) == 0 {
		subjects = what.subjects
	}
	p := g.policyOf(&what)
	door := g.doors[a.Door]
	if door == nil || !door.Kind.Can().Has(CanCount) {
		d.Action, d.Would, d.Reasons = Deny, Deny, []Reason{{Code: CodeBadRequest, Says: "this door does not see answers, or is not configured"}}
		return d
	}
	d.Hold = p.Hold != nil && *p.Hold
	if code, err := g.state.Sound(); err != nil {
		d.fail(p, Reason{Code: code, Says: says[code]})
		g.finish(&a.Request, subjects, door, p, &d, now)
		return d
	}
	id := a.Identity
	if id == (Identity{}) && a.Credential != "" {
		var why *refusal
		if id, why = g.tokens.identify(ctx, a.Credential); why == nil && id.Scheme != SchemeNone {
			var first Decision
			g.judgeCredential(ctx, &id, &what, &Policy{}, &first, now, true)
		}
	}
	d.Identity = id
	c := candidate{
		id: &d.Identity, route: d.Route, subjects: subjects, ip: a.IP.Unmap().WithZone(""), country: a.Country, asn: asnText(a.ASN), agent: a.Agent, tls: a.TLS,
		now: now.UnixMilli(),
	}
	if len(subjects) == 0 {
		c.explained = func() bool { return true } // nobody is shown, so there is nothing to explain
	}
	what.show(subjects)
	g.judgeReadings(c, &what, p, &d)
	g.judgeStanding(&c, p, &d)
	if g.budgets.any() && len(subjects) > 0 && d.Would <= Mask && g.shows(a, &what, now) {
		g.spend(&d.Identity, subjects, &d, now)
	}
	if d.Would == Mask && len(d.Masked) == 0 {
		d.Masked = slices.Clone(p.Mask)
	}
	g.judgeAmbiguous(&what, p, &d)
	if len(d.Reasons) == 0 {
		d.Reasons = []Reason{{Code: CodeOK}}
	}
	g.finish(&a.Request, subjects, door, p, &d, now)
	return d
}

// shows reports whether an answer shows anything of its customers: what it says of itself, or where it says nothing, what the catalog says of its route.
func (g *Guard) shows(a *Answer, what *asked, now time.Time) bool {
	if a.Fields != nil || a.Masked != nil {
		return len(a.Fields)+len(a.Masked) > 0
	}
	v := g.catalog.At(now.UnixMilli())
	on := func(route string) bool {
		var rt *catalog.Route
		if v != nil {
			rt = v.Route(route)
		}
		return catalog.Show(rt, nil, nil, a.Status, whosaw.OutcomeUnstated, a.Others, true).Outcome == whosaw.OutcomeDisclosed
	}
	if on(what.route) || what.unclear {
		return true
	}
	return slices.ContainsFunc(what.others, func(x catalog.Reading) bool { return x.Known && on(x.Route) })
}

// spend takes the new customers of an answer from the budgets of its actor: all of them, or none.
func (g *Guard) spend(id *Identity, subjects []string, d *Decision, now time.Time) {
	var open []string
	for _, s := range subjects {
		if !g.state.explainedNear(id, s, now.UnixMilli()) {
			open = append(open, s)
		}
	}
	slices.Sort(open) // a customer who is there twice counts once
	open = slices.Compact(open)
	if len(open) == 0 {
		return
	}
	take := func(take bool) (all bool) {
		all = true
		g.budgets.each(id, func(b *Budget, a *actor) {
			if !a.spend(g.budgets, b, open, g.explains(id), now, take) {
				all = false
				d.Retry = untilTomorrow(now)
				d.weigh(b.Action, Reason{Code: CodeBudget, Says: says[CodeBudget]})
			}
		})
		return all
	}
	if take(false) { // what one budget refuses must not be spent from another
		take(true)
	}
}

func untilTomorrow(now time.Time) time.Duration {
	return now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
}

// finish turns what would be done into what the door does, and has it recorded.
func (g *Guard) finish(q *Request, subjects []string, door *DoorConfig, p *Policy, d *Decision, now time.Time) {
	if fit := door.Kind.Can().Fit(d.Would); fit != d.Would {
		d.weigh(fit, Reason{Code: CodeEscalated, Says: says[CodeEscalated]})
		d.Reasons[0], d.Reasons[1] = d.Reasons[1], d.Reasons[0] // what decided stays first
	}
	if d.Would == Mask && d.Masked != nil {
		slices.Sort(d.Masked)
		d.Masked = slices.Compact(d.Masked)
	}
	d.Action = d.Would
	if g.shadow(p) {
		d.Shadow, d.Action, d.TTL = true, Allow, 0
	}
	g.count.note(d)
	g.record.note(q, subjects, door.Name, d, now)
}

// says are the sentences of the codes.
var says = map[Code]string{
	CodeAnonymous:   "no credential was presented",
	CodeUnissued:    "its signature may be right, but no log-in issued it",
	CodeUnconfirmed: "its issuance is not on record yet: let through against the count of its key",
	CodeNonexistent: "the customer it names does not exist",
	CodeKeyRevoked:  "its key was revoked",
	CodeKeyRetired:  "its key was retired, and it was not issued before",
	CodeKeyExpired:  "its key's validity is over",
	CodeKeyLeaver:   "a person who could read its key has left, and no feed says what was issued",
	CodePersonLeft:  "the person behind it has left",
	CodeAmbiguous:   "it can be read as another route too, and is judged as the strictest of those it could mean",
	CodeStanding:    "a standing decision covers it",
	CodeBudget:      "its actor has been shown as many new customers as it may",
	CodeNotReady:    "the guard is loading what the ledger holds",
	CodeNoState:     "the ledger cannot be written or followed",
	CodeEscalated:   "the door cannot do what was decided, and does the next stricter thing",
}

// counters are counted since the start.
type counters struct {
	by      sync.Map // counted to *atomic.Int64: as many as there are actions, codes and modes
	crowded atomic.Int64
	unkept  atomic.Int64

	ambiguous atomic.Int64
}

type counted struct {
	action Action
	code   Code
	shadow bool
}

func (c *counters) note(d *Decision) {
	k := counted{d.Would, d.Because(), d.Shadow}
	n, ok := c.by.Load(k)
	if !ok {
		n, _ = c.by.LoadOrStore(k, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}

// Count is how often something was decided since the start.
type Count struct {
	Action Action `json:"action"`
	Code   Code   `json:"code"`
	Shadow bool   `json:"shadow,omitempty"`
	N      int64  `json:"count"`
}

// Counts lists what was decided since the start.
func (g *Guard) Counts() []Count {
	var out []Count
	g.count.by.Range(func(k, v any) bool {
		c := k.(counted)
		out = append(out, Count{c.action, c.code, c.shadow, v.(*atomic.Int64).Load()})
		return true
	})
	slices.SortFunc(out, func(a, b Count) int {
		if a.Action != b.Action {
			return int(b.Action) - int(a.Action)
		}
		if a.Code != b.Code {
			return strings.Compare(string(a.Code), string(b.Code))
		}
		return strings.Compare(fmt.Sprint(a.Shadow), fmt.Sprint(b.Shadow))
	})
	return out
}
