package drill_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/drill"
	"github.com/whosaw/whosaw/internal/sim"
)

// line is a record as encoding/json reads it, with its label. It shares nothing with the product's decoder, ledger or scope.
type line struct {
	Type, ID, Subject            string
	Time                         time.Time
	Subjects, Fields, Masked     []string
	Status                       int
	Principal, Credential        string
	Key, Client, Country         string
	IP                           string
	ASN                          int
	Agent, State                 string
	Since, From, Until           *time.Time
	attack, event, class         string
	labelSubjects                []string
	disclosed, isIssued, isClear bool
}

// brute works everything out from the lines and their labels by plain loops. It reads the run twice: for what is
// true about the world, then access by access.
type brute struct {
	cfg       drill.Config
	issuances map[string][]line
	reasons   map[string][]line // by subject; "": any
	canary    map[string]bool
}

func newBrute(t *testing.T, cfg drill.Config) *brute {
	t.Helper()
	b := &brute{cfg: cfg, issuances: map[string][]line{}, reasons: map[string][]line{}, canary: map[string]bool{}}
	b.read(t, false, func(l *line) {
		switch l.Type {
		case "issuance":
			b.issuances[l.Credential] = append(b.issuances[l.Credential], *l)
		case "reason":
			b.reasons[l.Subject] = append(b.reasons[l.Subject], *l)
		case "subject":
			b.canary[l.Subject] = b.canary[l.Subject] || l.State == "canary"
		}
	})
	return b
}

// read gives the accesses, each once however often its line came, or all other records.
func (b *brute) read(t *testing.T, accesses bool, fn func(*line)) {
	t.Helper()
	seen := map[string]bool{}
	_, err := sim.Run(sim.Config{
		Scenario: b.cfg.Scenario, Seed: b.cfg.Seed, Customers: b.cfg.Customers, Days: b.cfg.Days, Start: sim.Example().Start,
		Observe: func(text []byte, label sim.Label) error {
			if bytes.Contains(text, []byte(`"type":"`)) == accesses {
				return nil
			}
			var l line
			if err := json.Unmarshal(text, &l); err != nil {
				return err
			}
			if seen[l.ID] {
				return nil
			}
			seen[l.ID] = true
			l.attack, l.event, l.disclosed, l.labelSubjects = label.Attack, label.Event, label.Disclosed, label.Subjects
			if l.Subject != "" {
				l.Subjects = []string{l.Subject}
			}
			if accesses {
				l.class = agentClass(l.Agent)
				l.isIssued = b.issued(&l)
				l.isClear = b.explained(&l)
			}
			fn(&l)
			return nil
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// classes caches what the contract makes of an agent.
var classes = map[string]string{}

func agentClass(agent string) string {
	class, ok := classes[agent]
	if !ok {
		class = whosaw.AgentClass(agent)
		classes[agent] = class
	}
	return class
}

func (b *brute) issued(l *line) bool {
	for _, i := range b.issuances[l.Credential] {
		who := i.Principal
		if who == "" && i.Subject != "" {
			who = "customer:" + i.Subject
		}
		if (i.Key == "" || l.Key == "" || i.Key == l.Key) && (who == "" || l.Principal == "" || who == l.Principal) {
			return true
		}
	}
	return false
}

func (b *brute) explained(l *line) bool {
	if l.Principal == "" || len(l.Subjects) == 0 {
		return false
	}
	for _, s := range l.Subjects {
		ok := l.isIssued && l.Principal == "customer:"+s
		for _, of := range []string{s, ""} {
			for _, r := range b.reasons[of] {
				from := r.Time
				if r.From != nil {
					from = *r.From
				}
				ok = ok || (r.Principal == "" || r.Principal == l.Principal) && !l.Time.Before(from) && (r.Until == nil || l.Time.Before(*r.Until))
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

func (l *line) outcome() string {
	switch {
	case l.Status == 404 || l.Status == 410:
		return "absent"
	case l.Status == 401 || l.Status == 403 || l.Status == 429:
		return "refused"
	case l.Status/100 == 2 && len(l.Fields)+len(l.Masked) > 0:
		return "disclosed"
	}
	return "none"
}

// checkMembers fails the test if a filter uses a member that matches does not look at.
func checkMembers(t *testing.T, f whosaw.Filter) {
	t.Helper()
	for _, m := range f {
		m.Key, m.Client, m.Principal, m.Credential, m.Country, m.AgentClass, m.ASN, m.IP = nil, nil, nil, nil, nil, nil, nil, nil
		m.Outcome, m.Subject, m.Issued, m.Explained, m.From = nil, nil, nil, nil, 0
		if d := cmp.Diff(whosaw.Term{}, m); d != "" {
			t.Fatalf("a finding's filter uses a member that is not looked at here: %s", d)
		}
	}
}

// matches holds an access against a filter.
func (b *brute) matches(f whosaw.Filter, l *line) bool {
	for i := range f {
		m := &f[i]
		if in(m.Key, l.Key) && in(m.Client, l.Client) && in(m.Principal, l.Principal) && in(m.Credential, l.Credential) &&
			in(m.Country, l.Country) && in(m.AgentClass, l.class) && in(m.ASN, strconv.Itoa(l.ASN)) && in(m.Outcome, l.outcome()) &&
			(len(m.IP) == 0 || slices.ContainsFunc(m.IP, func(s string) bool { return inNetwork(s, l.IP) })) &&
			(m.Issued == nil || *m.Issued == l.isIssued) && (m.Explained == nil || *m.Explained == l.isClear) &&
			(m.From == 0 || l.Time.UnixMilli() >= int64(m.From)) &&
			(len(m.Subject) == 0 || slices.ContainsFunc(l.Subjects, func(s string) bool { return in(m.Subject, s) })) {
			return true
		}
	}
	return false
}

// in holds a value against a member's list: "!x" must not be it, of the others one must.
func in(list []string, value string) bool {
	some, one := false, false
	for _, s := range list {
		switch {
		case strings.HasPrefix(s, "!!"):
			s = s[1:]
		case strings.HasPrefix(s, "!"):
			if s[1:] == value {
				return false
			}
			continue
		}
		some, one = true, one || s == value
	}
	return one || !some
}

func inNetwork(network, address string) bool {
	if strings.Contains(network, "/") {
		return netip.MustParsePrefix(network).Contains(netip.MustParseAddr(address))
	}
	return netip.MustParseAddr(network) == netip.MustParseAddr(address)
}

// tally is what this test counts of an attacker for one detector's findings, or all.
type tally struct {
	Noticed        bool
	Seen           whosaw.Time
	Lost, Findings int64
	Later          int64
	Missed, Caught int64
}

// counted is what is counted in one walk over the accesses.
type counted struct {
	all, honest int64
	events      map[string]int64
	attacks     map[string]int64
	lost        map[string]map[string]int64 // attacker, subject, first disclosed
	began       map[string]int64            // attacker, first time somebody was disclosed
	first       map[string]map[string]bool  // attacker, whom that access showed
	found       []map[string]int64          // by finding: accesses matched up to it, by attacker
	tallies     map[[2]string]*tally        // attacker, detector
}

// check holds an outcome against the count.
func (b *brute) check(t *testing.T, o *drill.Outcome) {
	t.Helper()
	c := &counted{
		events: map[string]int64{}, began: map[string]int64{}, first: map[string]map[string]bool{}, attacks: map[string]int64{}, lost: map[string]map[string]int64{},
		found: make([]map[string]int64, len(o.Findings)), tallies: map[[2]string]*tally{},
	}
	own := map[[2]string][]int{} // findings of a tally
	for _, a := range o.Attackers {
		for _, d := range append([]drill.Score{a.All}, a.Scores...) {
			k := [2]string{a.Name, d.Detector}
			c.tallies[k] = &tally{}
			for i, f := range o.Findings {
				if f.Attacker == a.Name && (d.Detector == "" || d.Detector == f.Detector) {
					own[k] = append(own[k], i)
					n := c.tallies[k]
					n.Findings++
					if !n.Noticed || f.Seen < n.Seen {
						n.Noticed, n.Seen = true, f.Seen
					}
				}
			}
		}
	}
	for i, f := range o.Findings {
		checkMembers(t, f.Filter)
		c.found[i] = map[string]int64{}
	}
	matched := make([]bool, len(o.Findings))
	b.read(t, true, func(l *line) {
		c.add(b, l)
		for i := range o.Findings {
			if matched[i] = b.matches(o.Findings[i].Filter, l); matched[i] && l.Time.UnixMilli() <= int64(o.Findings[i].Seen) {
				c.found[i][l.attack]++
			}
		}
		for k, n := range c.tallies {
			any := slices.ContainsFunc(own[k], func(i int) bool { return matched[i] })
			switch {
			case l.attack == k[0] && !any:
				n.Missed++
			case l.attack == "" && any:
				n.Caught++
			}
		}
	})
	c.compare(t, o)
}

func (c *counted) add(b *brute, l *line) {
	c.all++
	if l.attack == "" {
		c.honest++
		if l.event != "" {
			c.events[l.event]++
		}
		return
	}
	c.attacks[l.attack]++
	if c.lost[l.attack] == nil {
		c.lost[l.attack] = map[string]int64{}
	}
	if !l.disclosed {
		return
	}
	if at, ok := c.began[l.attack]; !ok || l.Time.UnixMilli() < at {
		c.began[l.attack], c.first[l.attack] = l.Time.UnixMilli(), map[string]bool{}
		for _, s := range l.labelSubjects {
			c.first[l.attack][s] = true
		}
	}
	for _, s := range l.labelSubjects {
		if at, ok := c.lost[l.attack][s]; !b.canary[s] && (!ok || l.Time.UnixMilli() < at) {
			c.lost[l.attack][s] = l.Time.UnixMilli()
		}
	}
}

func (c *counted) compare(t *testing.T, o *drill.Outcome) {
	t.Helper()
	if o.Accesses != c.all || o.Honest != c.honest {
		t.Errorf("%d accesses, %d honest; counted %d, %d", o.Accesses, o.Honest, c.all, c.honest)
	}
	events := map[string]int64{}
	for _, e := range o.Events {
		events[e.Name] = e.Accesses
	}
	if d := cmp.Diff(c.events, events); d != "" {
		t.Errorf("events (-counted +drill):\n%s", d)
	}
	for i, f := range o.Findings {
		var matches, attack, most int64
		for name, n := range c.found[i] {
			matches += n
			if name != "" {
				attack += n
				most = max(most, n)
			}
		}
		if f.Matches != matches || f.Attack != attack || (f.Attacker != "") != (2*attack > matches) || f.Attacker != "" && c.found[i][f.Attacker] != most {
			t.Errorf("%s on %s belongs to %q, matches %d, of them %d attacks; counted %v", f.Detector, f.Unit, f.Attacker, f.Matches, f.Attack, c.found[i])
		}
	}
	accesses := map[string]int64{}
	for _, a := range o.Attackers {
		accesses[a.Name] = a.Accesses
		if n := int64(len(c.lost[a.Name])); a.Customers != n {
			t.Errorf("%s was shown %d customers, counted %d", a.Name, a.Customers, n)
		}
		for _, s := range append(slices.Clone(a.Scores), a.All) {
			got := tally{Noticed: s.Noticed, Lost: s.Lost, Later: s.Later, Findings: int64(s.Findings), Missed: s.Missed, Caught: s.Caught}
			if s.Seen != nil {
				got.Seen = *s.Seen
				if *s.After != int64(*s.Seen)-int64(a.First) {
					t.Errorf("%s: after %d", s.Detector, *s.After)
				}
			}
			want := *c.tallies[[2]string{a.Name, s.Detector}]
			for s, at := range c.lost[a.Name] {
				if !want.Noticed || at <= int64(want.Seen) {
					want.Lost++
					if !c.first[a.Name][s] {
						want.Later++
					}
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s by %q (-counted +drill):\n%s", a.Name, s.Detector, d)
			}
		}
	}
	if d := cmp.Diff(c.attacks, accesses); d != "" {
		t.Errorf("attacks (-counted +drill):\n%s", d)
	}
}
