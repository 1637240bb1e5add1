package guard

import (
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/rules"
)

// Config is the section guard of whosaw.yaml.
type Config struct {
	// off; shadow: every request is let through, and what would have been done is recorded; enforce. Begin with shadow: `whosaw guard
	// status` shows whom enforcing would have hit.
	Mode Mode `yaml:"mode"`
	// The doors: what asks the guard. A door that is not listed is not answered.
	Doors []DoorConfig `yaml:"doors"`
	// How credentials are checked.
	Tokens Tokens `yaml:"tokens"`
	// What holds on every route that routes does not say otherwise of.
	Policy Policy `yaml:"policy"`
	// Routes with a policy of their own; the first that fits counts.
	Routes []RouteConfig `yaml:"routes"`
	// Caps of new customers for actors that cannot be made anew at will, enforced before an answer leaves.
	Budgets []Budget `yaml:"budgets"`
	// Which findings become standing decisions as they are raised.
	Findings []FindingConfig `yaml:"findings"`
	// How many credentials may pass before their issuance is on record.
	Unconfirmed Unconfirmed `yaml:"unconfirmed"`
	// What is written of the decisions.
	Record Record `yaml:"record"`
}

// Mode says whether decisions are carried out.
type Mode string

// The modes.
const (
	ModeOff     Mode = "off"
	ModeShadow  Mode = "shadow"
	ModeEnforce Mode = "enforce"
)

// DoorConfig is one door.
type DoorConfig struct {
	// Its name, as it stands in records and reasons. Small letters, digits and -.
	Name string `yaml:"name"`
	// decide, nginx, envoy, feed, middleware or proxy. docs/formats/guard.md says what each can enforce.
	Kind Kind `yaml:"kind"`
	// nginx, envoy, decide: an address of the door's own, host:port on loopback or unix:PATH. Whoever reaches it may ask: there is no token
	// to show. Without it a door of kind decide is asked at /v1/decide of the server, with a token of role ingest.
	Listen string `yaml:"listen"`
	// The mode of that socket, in octal. Default 0660: the server's own account and group.
	SocketMode string `yaml:"socket_mode"`
	// nginx, envoy: the cookie that holds the session id, where requests carry no Authorization.
	Cookie string `yaml:"cookie"`
	// feed: true, to say that you know: what reads a feed refuses what standing decisions cover, and follows no policy.
	StandingOnly bool `yaml:"standing_only"`
	// What the door tells of a request beside ip, agent and path: some of country, asn, tls. A standing decision by one of these is
	// refused while a door does not tell it.
	Tells []string `yaml:"tells"`
}

// Policy is what is done on a route. What a route leaves out is as in guard.policy.
type Policy struct {
	// shadow or enforce for this route; empty: as guard.mode. A route enforces nothing while guard.mode is shadow.
	Mode Mode `yaml:"mode"`
	// What is done while the guard cannot judge (it is starting, its ledger is gone): open lets requests through, closed refuses
	// them. Both are counted, logged and shown.
	Fail string `yaml:"fail"`
	// A request without a credential: allow (the service decides), step_up or deny.
	Anonymous Action `yaml:"anonymous"`
	// A credential that is none, is not signed by a key of its issuer, or is over: deny, step_up or allow.
	Invalid Action `yaml:"invalid"`
	// A valid credential that no log-in issued: deny, step_up or allow. Only where there is an issuance feed for its key or client; where there is none
	// nobody can say so.
	Unissued Action `yaml:"unissued"`
	// A valid credential for a customer who does not exist: deny, step_up or allow. Only where there are subject records.
	Nonexistent Action `yaml:"nonexistent"`
	// A credential signed by a key that a person who has left could read, and for which there is no issuance feed: allow, step_up or deny. With a feed, only
	// what was never issued is refused.
	Leaver Action `yaml:"leaver"`
	// A request that can be read as another route too: its path is spelled in a way that back ends take differently (another case, %2F, ;x=1, a dot at the
	// end), or a header or parameter names another method. allow: it is judged as the strictest of the routes it could mean; deny: it is refused.
	Ambiguous Action `yaml:"ambiguous"`
	// Hold answers until their record is durable. Only doors that see answers can.
	Hold *bool `yaml:"hold"`
	// Fields that the action mask masks. Empty: all that the route shows.
	Mask []string `yaml:"mask"`
	// How long a door may do the same again for the same credential and route without asking; a revocation then takes that long at
	// most to reach it. At most 60s. 0: it asks each time.
	TTL time.Duration `yaml:"ttl"`
}

// RouteConfig is a route, or several, with a policy.
type RouteConfig struct {
	// As in the catalog: "GET /me/addresses". "GET /me/*" are all that begin so, "* /me/*" with any method.
	Route string `yaml:"route"`
	// The names of the doors through which the route is reached. Empty: all.
	Doors []string `yaml:"doors"`
	// What is done there.
	Policy Policy `yaml:"policy"`
}

// Budget is a cap of new customers: not shown to the actor in the 90 days before, and without a reason record that explains it.
type Budget struct {
	// Whom it caps, each for itself: principal:CLASS, client:NAME or key:NAME, as in detect.budgets.
	Of string `yaml:"of"`
	// How many new customers a day (UTC). 0: no cap a day.
	Day int64 `yaml:"day"`
	// How many new customers in thirty days. 0: no such cap.
	Month int64 `yaml:"month"`
	// What is done beyond the cap: deny, throttle, mask or step_up.
	Action Action `yaml:"action"`
	// Who counts. answer: doors that see answers, before they leave; every door must be one. ledger: the access records as they come, so that
	// any door can enforce it, later by as much as the records are late.
	Count string `yaml:"count"`
}

// Who counts for a budget.
const (
	CountAnswer = "answer"
	CountLedger = "ledger"
)

// FindingConfig turns findings of a detector into standing decisions.
type FindingConfig struct {
	// The detector, or * for all that are not named. A finding that accuses a key or client as a whole, honest sessions with forged ones,
	// becomes a decision only where its detector is named.
	Detector string `yaml:"detector"`
	// What is done with what the finding's filter covers: deny, throttle, mask or step_up.
	Action Action `yaml:"action"`
	// How long, unless it is undone or the finding judged false or explained before.
	For time.Duration `yaml:"for"`
}

// Unconfirmed bounds what passes before its issuance is on record. Without such a bound the allowance for a late feed is a way in.
type Unconfirmed struct {
	// How long a request waits for the issuance of its credential; at most 300ms.
	Wait time.Duration `yaml:"wait"`
	// How many credentials of a key may pass without issuance within a day. Where the feed of the key is declared complete and
	// no later than wait, none does.
	Pass int `yaml:"pass"`
	// How many requests may wait at once; more do not wait.
	Waiting int `yaml:"waiting"`
}

// Record bounds what is written of decisions. Standing decisions, and what passes unconfirmed, are always written.
type Record struct {
	// Single decision records a second for what was refused, masked or put off. What comes beyond is written as sums of each second.
	Refused int `yaml:"refused"`
	// The same for what was let through.
	Allowed int `yaml:"allowed"`
	// Every door must have its decisions recorded: refuses doors that act without asking.
	Require bool `yaml:"require"`
}

// Tokens says how credentials are checked.
type Tokens struct {
	// Who signs JWTs. A JWT of another issuer is invalid.
	Issuers []Issuer `yaml:"issuers"`
	// Who is asked about opaque tokens (RFC 7662).
	Introspection []Introspection `yaml:"introspection"`
	// Session ids: looked for among the issuances.
	Sessions Sessions `yaml:"sessions"`
	// How long a credential lives at most whose issuance record says no expires. Older ones count as never issued, and their issuances, some 70
	// bytes each in memory, are let go. Give what your services hold to, by a token's exp or a session's end; a log-in that lives on is sent
	// again. 0: nobody says so, and they count and are held for good.
	LongestLife time.Duration `yaml:"longest_life"`
	// How many checked tokens are remembered, some 400 bytes each.
	Cache int `yaml:"cache"`
}

// Issuer signs JWTs. Give one of jwks_file, jwks_url and discovery.
type Issuer struct {
	// The claim iss of its tokens.
	Issuer string `yaml:"issuer"`
	// A file with its keys, read again when it changes.
	JWKSFile string `yaml:"jwks_file"`
	// The address of its keys, https:// (or http:// on loopback).
	JWKSURL string `yaml:"jwks_url"`
	// Ask ISSUER/.well-known/openid-configuration for that address.
	Discovery bool `yaml:"discovery"`
	// The signature algorithms that are taken: some of ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512, EdDSA. Name those
	// that the issuer uses.
	Algorithms []string `yaml:"algorithms"`
	// The values of aud, of which a token must name one. Empty: any.
	Audience []string `yaml:"audience"`
	// How far clocks may disagree.
	Skew time.Duration `yaml:"skew"`
	// A token is not taken for longer after its iat, whatever its exp says. 0: as exp says.
	MaxAge time.Duration `yaml:"max_age"`
	// How often keys are fetched again; a key id that is not known fetches them at once, at most every 10s.
	Refresh time.Duration `yaml:"refresh"`
	// What stands before sub to make the principal.
	Principal string `yaml:"principal"`
	// The realm of its customers and keys.
	Realm string `yaml:"realm"`
}

// Introspection is a server that is asked whether a token is valid.
type Introspection struct {
	// Its address, https:// (or http:// on loopback).
	URL string `yaml:"url"`
	// Who asks: HTTP Basic with the secret from a file or an environment variable.
	Client     string `yaml:"client"`
	SecretFile string `yaml:"secret_file"` // a file that holds the secret
	SecretEnv  string `yaml:"secret_env"`  // an environment variable that holds it
	// Tokens that begin so are asked about here. Empty: all.
	Prefix string `yaml:"prefix"`
	// How long an answer is remembered; at most 60s. A token that is revoked there is taken for that long at most.
	Remember time.Duration `yaml:"remember"`
	// How long one question may take.
	Timeout time.Duration `yaml:"timeout"`
	// What stands before sub to make the principal.
	Principal string `yaml:"principal"`
	// The realm of its customers.
	Realm string `yaml:"realm"`
}

// Sessions are credentials without a signature, known by their issuance.
type Sessions struct {
	// Take session ids.
	Enabled bool `yaml:"enabled"`
	// The realm of their customers.
	Realm string `yaml:"realm"`
}

// Default is what holds where the configuration says nothing.
func Default() Config {
	hold := false
	return Config{
		Mode: ModeOff,
		Policy: Policy{
			Fail: FailClosed, Anonymous: Allow, Invalid: Deny, Unissued: Deny, Nonexistent: Deny, Leaver: Allow, Ambiguous: Allow, Hold: &hold,
		},
		Unconfirmed: Unconfirmed{Wait: 300 * time.Millisecond, Pass: 20, Waiting: 4096},
		Record:      Record{Refused: 200, Allowed: 1},
		Tokens:      Tokens{Cache: 1 << 18},
	}
}

// The fail modes.
const (
	FailOpen   = "open"
	FailClosed = "closed"
)

// Fault is what is wrong with a configuration: the key, below guard, and what to do.
type Fault struct{ Key, Says string }

type faults []Fault

func (f *faults) add(key, format string, args ...any) {
	*f = append(*f, Fault{key, fmt.Sprintf(format, args...)})
}

// maxTTL is the longest time for which a door may go on without asking: a kill takes effect within it.
const maxTTL = 60 * time.Second

// Check finds what cannot work, and what a door cannot enforce.
func (c *Config) Check() []Fault {
	var f faults
	if !slices.Contains([]Mode{ModeOff, ModeShadow, ModeEnforce}, c.Mode) {
		f.add("mode", "%q: give off, shadow or enforce", c.Mode)
	}
	if c.Mode != ModeOff && len(c.Doors) == 0 {
		f.add("doors", "the guard is on, and nothing asks it: list a door, or set mode: off")
	}
	c.checkDoors(&f)
	if c.Mode == ModeShadow {
		c.need(&f, "mode", "shadow", CanShadow, c.doors(nil))
	}
	c.checkPolicy(&f, "policy", &c.Policy, c.doors(nil), false)
	for i := range c.Routes {
		c.checkRoute(&f, i)
	}
	for i := range c.Budgets {
		c.checkBudget(&f, i)
	}
	for i := range c.Findings {
		x := &c.Findings[i]
		key := fmt.Sprintf("findings[%d]", i)
		if x.Detector == "" {
			f.add(key+".detector", "give a detector's name, or * for all")
		}
		if x.For <= 0 || x.For > maxStanding {
			f.add(key+".for", "give how long, above 0 and up to %v: every decision expires", maxStanding)
		}
		c.checkAction(&f, key+".action", x.Action, false, c.doors(nil))
	}
	u := &c.Unconfirmed
	if u.Wait < 0 || u.Wait > maxWait || u.Pass < 0 || u.Pass > maxPass || u.Waiting < 0 {
		f.add("unconfirmed", "wait is 0 to %v, pass 0 to %d, waiting 0 or more: what passes before its issuance is on record must stay few", maxWait, maxPass)
	}
	if c.Record.Refused < 0 || c.Record.Allowed < 0 {
		f.add("record", "refused and allowed must not be below zero")
	}
	if c.Record.Require {
		c.need(&f, "record.require", "record", CanRecord, c.doors(nil))
	}
	c.Tokens.check(&f)
	return f
}

const (
	maxWait     = 300 * time.Millisecond
	maxPass     = 1000
	maxStanding = 366 * 24 * time.Hour
)

// doors gives the doors of these names; nil: all.
func (c *Config) doors(names []string) []*DoorConfig {
	var out []*DoorConfig
	for i := range c.Doors {
		if names == nil || slices.Contains(names, c.Doors[i].Name) {
			out = append(out, &c.Doors[i])
		}
	}
	return out
}

// Door gives the door of a name; nil if there is none.
func (c *Config) Door(name string) *DoorConfig {
	for i := range c.Doors {
		if c.Doors[i].Name == name {
			return &c.Doors[i]
		}
	}
	return nil
}

func (c *Config) checkDoors(f *faults) {
	for i := range c.Doors {
		d := &c.Doors[i]
		key := fmt.Sprintf("doors[%d]", i)
		if !plainName(d.Name) {
			f.add(key+".name", "%q: give 1 to 64 small letters, digits and hyphens", d.Name)
		} else if c.Door(d.Name) != d {
			f.add(key+".name", "%s is another door's name too: give each its own", d.Name)
		}
		if !d.Kind.known() {
			f.add(key+".kind", "%q: give decide, nginx, envoy, feed, middleware or proxy", d.Kind)
		}
		switch needs := d.Kind == KindEnvoy || d.Kind == KindNginx; {
		case needs && d.Listen == "":
			f.add(key+".listen", "a door of kind %s listens on an address of its own: give one, as in 127.0.0.1:7701 or unix:/run/whosaw/%s.sock", d.Kind, d.Name)
		case !needs && d.Kind != KindDecide && d.Listen != "":
			f.add(key+".listen", "a door of kind %s has no address of its own: leave it out", d.Kind)
		}
		if d.SocketMode != "" && (d.Mode() == 0 || !strings.HasPrefix(d.Listen, "unix:")) {
			f.add(key+".socket_mode", "%q: give an octal mode such as 0660, for a listen that is unix:PATH", d.SocketMode)
		}
		if d.Listen != "" {
			if err := checkListen(d.Listen); err != nil {
				f.add(key+".listen", "%v", err)
			}
		}
		if d.Cookie != "" && d.Kind != KindNginx && d.Kind != KindEnvoy {
			f.add(key+".cookie", "only doors of kind nginx and envoy read a cookie: others send the credential itself")
		}
		if d.Kind == KindFeed && !d.StandingOnly {
			f.add(key+".standing_only", "kind feed does %s: policy (unissued, fail, …) cannot be enforced at door %s; use a door of kind %s, or say standing_only: true", d.Kind.Can(), d.Name, which(CanJudge))
		}
		if d.Kind != KindFeed && d.StandingOnly {
			f.add(key+".standing_only", "only a door of kind feed is so: leave it out")
		}
		for _, t := range d.Tells {
			if !slices.Contains(originMembers, t) {
				f.add(key+".tells", "%q: give some of %s", t, strings.Join(originMembers, ", "))
			}
		}
	}
}

// Mode is the mode of the door's socket; 0 if it is none.
func (d *DoorConfig) Mode() fs.FileMode {
	if d.SocketMode == "" {
		return 0o660
	}
	n, err := strconv.ParseUint(d.SocketMode, 8, 32)
	if err != nil || n > 0o777 {
		return 0
	}
	return fs.FileMode(n)
}

// originMembers are what a door must be told to tell.
var originMembers = []string{"country", "asn", "tls"}

// judging are doors that ask about each request; the others hold what stands against a credential, and know no policy.
func judging(doors []*DoorConfig) []*DoorConfig {
	return slices.DeleteFunc(slices.Clone(doors), func(d *DoorConfig) bool { return !d.Kind.Can().Has(CanJudge) })
}

// checkPolicy judges a policy against the doors it is to hold at. A route's policy may leave members out.
func (c *Config) checkPolicy(f *faults, key string, p *Policy, doors []*DoorConfig, partial bool) {
	if p.Mode != "" && p.Mode != ModeShadow && p.Mode != ModeEnforce {
		f.add(key+".mode", "%q: give shadow or enforce, or leave it out", p.Mode)
	}
	if p.Mode == ModeEnforce && c.Mode == ModeShadow {
		f.add(key+".mode", "guard.mode is shadow, so nothing is enforced here: set guard.mode: enforce, and shadow for the other routes")
	}
	if !(partial && p.Fail == "") && p.Fail != FailOpen && p.Fail != FailClosed {
		f.add(key+".fail", "%q: give open or closed", p.Fail)
	}
	for _, a := range []struct {
		name string
		is   Action
	}{{"anonymous", p.Anonymous}, {"invalid", p.Invalid}, {"unissued", p.Unissued}, {"nonexistent", p.Nonexistent}, {"leaver", p.Leaver}, {"ambiguous", p.Ambiguous}} {
		if partial && a.is == Unstated {
			continue
		}
		switch a.is {
		case Allow, StepUp, Deny:
			c.checkAction(f, key+"."+a.name, a.is, true, doors)
		default:
			f.add(key+"."+a.name, "%q: give allow, step_up or deny", a.is)
		}
	}
	if p.Hold != nil && *p.Hold {
		c.need(f, key+".hold", "hold: true", CanHold, doors)
	}
	if len(p.Mask) > 0 {
		c.need(f, key+".mask", "mask", CanMask, doors)
	}
	if p.TTL < 0 || p.TTL > maxTTL {
		f.add(key+".ttl", "give 0 to %v", maxTTL)
	}
	if partial { // a route on which nobody can be judged has no policy to have
		for _, d := range doors {
			if !d.Kind.Can().Has(CanJudge) {
				f.add(key, "the door %s is of kind %s, which does not ask about requests, so it can follow no policy: name other doors in doors, such as one of %s", d.Name, d.Kind, which(CanJudge))
			}
		}
	}
}

// checkAction judges an action against the doors that are to take it.
func (c *Config) checkAction(f *faults, key string, a Action, judged bool, doors []*DoorConfig) {
	switch {
	case a == Unstated:
		f.add(key, "give what is done: mask, step_up, throttle or deny")
	case a > Allow:
		if judged {
			doors = judging(doors)
		}
		c.need(f, key, a.String(), a.control(), doors)
	case !judged:
		f.add(key, "allow does nothing: leave the entry out, or give mask, step_up, throttle or deny")
	}
}

// need refuses what a door cannot do.
func (c *Config) need(f *faults, key, what string, x Control, doors []*DoorConfig) {
	for _, d := range doors {
		if d.Kind.known() && !d.Kind.Can().Has(x) {
			f.add(key, "%s cannot be enforced at door %s: kind %s does %s; use a door of kind %s there, or leave it out", what, d.Name, d.Kind, d.Kind.Can(), which(x))
		}
	}
}

func (c *Config) checkRoute(f *faults, i int) {
	r := &c.Routes[i]
	key := fmt.Sprintf("routes[%d]", i)
	if _, err := parsePattern(r.Route); err != nil {
		f.add(key+".route", "%v", err)
	}
	for k, name := range r.Doors {
		if c.Door(name) == nil {
			f.add(fmt.Sprintf("%s.doors[%d]", key, k), "%q: there is no door of that name in guard.doors", name)
		}
	}
	names := r.Doors
	doors := c.doors(names)
	if len(names) == 0 { // all that can have a policy
		if doors = judging(c.doors(nil)); len(doors) == 0 {
			doors = c.doors(nil)
		}
	}
	c.checkPolicy(f, key+".policy", &r.Policy, doors, true)
}

func (c *Config) checkBudget(f *faults, i int) {
	b := &c.Budgets[i]
	key := fmt.Sprintf("budgets[%d]", i)
	if err := (rules.Budget{Of: b.Of, Day: b.Day, Month: b.Month}).Check(); err != nil {
		f.add(key, "%v", err)
	}
	for k := range c.Budgets[:i] {
		if c.Budgets[k].Of == b.Of {
			f.add(key+".of", "budgets[%d] caps %s already: give day and month there", k, b.Of)
		}
	}
	doors := c.doors(nil)
	c.checkAction(f, key+".action", b.Action, false, doors)
	switch b.Count {
	case CountAnswer:
		c.need(f, key+".count", "count: answer", CanCount, doors)
	case CountLedger:
		c.need(f, key+".count", "a budget", CanJudge, doors)
	default:
		f.add(key+".count", "%q: give answer or ledger", b.Count)
	}
}

func plainName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range s {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// checkURL takes https, and http to this machine.
func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("give an address as in https://login.shop.example/keys")
	case u.User != nil:
		return fmt.Errorf("leave the name and password out of the address: errors and logs show it")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("http is taken to this machine only: whoever is on the way could put in keys of their own; give https://")
	}
	return nil
}
