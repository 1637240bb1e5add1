package drill_test

import (
	"encoding/json"
	"maps"
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

// brute is a run held in memory, and answered by plain loops.
type brute struct {
	lines     []line
	issuances map[string][]line
	reasons   map[string][]line // by subject; "": any
	canary    map[string]bool
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

func newBrute(t *testing.T, cfg drill.Config) *brute {
	t.Helper()
	b := &brute{issuances: map[string][]line{}, reasons: map[string][]line{}, canary: map[string]bool{}}
	seen := map[string]bool{}
	_, err := sim.Run(sim.Config{
		Scenario: cfg.Scenario, Seed: cfg.Seed, Customers: cfg.Customers, Days: cfg.Days, Start: sim.Example().Start,
		Observe: func(text []byte, label sim.Label) error {
			var l line
			if err := json.Unmarshal(text, &l); err != nil {
				return err
			}
			if seen[l.ID] {
				return nil // a line that came twice
			}
			seen[l.ID] = true
			l.attack, l.event, l.disclosed, l.labelSubjects = label.Attack, label.Event, label.Disclosed, slices.Clone(label.Subjects)
			if l.Subject != "" {
				l.Subjects = []string{l.Subject}
			}
			l.class = agentClass(l.Agent)
			b.add(l)
			return nil
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.lines {
		b.lines[i].isIssued = b.issued(&b.lines[i])
		b.lines[i].isClear = b.explained(&b.lines[i])
	}
	return b
}

func (b *brute) add(l line) {
	switch l.Type {
	case "", "access":
		b.lines = append(b.lines, l)
	case "issuance":
		b.issuances[l.Credential] = append(b.issuances[l.Credential], l)
	case "reason":
		b.reasons[l.Subject] = append(b.reasons[l.Subject], l)
	case "subject":
		b.canary[l.Subject] = b.canary[l.Subject] || l.State == "canary"
	}
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
		in := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
		if in(m.Key, l.Key) && in(m.Client, l.Client) && in(m.Principal, l.Principal) && in(m.Credential, l.Credential) &&
			in(m.Country, l.Country) && in(m.AgentClass, l.class) && in(m.ASN, strconv.Itoa(l.ASN)) && in(m.Outcome, l.outcome()) &&
			(len(m.IP) == 0 || slices.ContainsFunc(m.IP, func(s string) bool { return inNetwork(s, l.IP) })) &&
			(m.Issued == nil || *m.Issued == l.isIssued) && (m.Explained == nil || *m.Explained == l.isClear) &&
			(m.From == 0 || l.Time.UnixMilli() >= int64(m.From)) &&
			(len(m.Subject) == 0 || slices.ContainsFunc(l.Subjects, func(s string) bool { return slices.Contains(m.Subject, s) })) {
			return true
		}
	}
	return false
}

func inNetwork(network, address string) bool {
	if strings.Contains(network, "/") {
		return netip.MustParsePrefix(network).Contains(netip.MustParseAddr(address))
	}
	return netip.MustParseAddr(network) == netip.MustParseAddr(address)
}

// tally is what this test counts of an attacker for one set of findings.
type tally struct {
	Noticed        bool
	Seen           whosaw.Time
	Lost, Findings int64
	Missed, Caught int64
}

// count works a score out from lines and labels alone.
func (b *brute) count(t *testing.T, attacker string, findings []drill.Found) tally {
	t.Helper()
	var out tally
	for _, f := range findings {
		out.Findings++
		if !out.Noticed || f.Seen < out.Seen {
			out.Noticed, out.Seen = true, f.Seen
		}
	}
	lost := map[string]bool{}
	for i := range b.lines {
		l := &b.lines[i]
		if l.attack == attacker && l.disclosed && (!out.Noticed || l.Time.UnixMilli() <= int64(out.Seen)) {
			for _, s := range l.labelSubjects {
				lost[s] = lost[s] || !b.canary[s]
			}
		}
		matched := slices.ContainsFunc(findings, func(f drill.Found) bool { return b.matches(f.Filter, l) })
		switch {
		case l.attack == attacker && !matched:
			out.Missed++
		case l.attack == "" && matched:
			out.Caught++
		}
	}
	for _, real := range lost {
		if real {
			out.Lost++
		}
	}
	return out
}

// check holds an outcome against the brute count.
func (b *brute) check(t *testing.T, o *drill.Outcome) {
	t.Helper()
	var all, honest int64
	events := map[string]int64{}
	attacks := map[string]int64{}
	for i := range b.lines {
		l := &b.lines[i]
		all++
		switch {
		case l.attack != "":
			attacks[l.attack]++
		default:
			honest++
			if l.event != "" {
				events[l.event]++
			}
		}
	}
	if o.Accesses != all || o.Honest != honest {
		t.Errorf("%d accesses, %d honest; counted %d, %d", o.Accesses, o.Honest, all, honest)
	}
	got := map[string]int64{}
	for _, e := range o.Events {
		got[e.Name] = e.Accesses
	}
	if d := cmp.Diff(events, got); d != "" {
		t.Errorf("events (-counted +drill):\n%s", d)
	}
	for _, f := range o.Findings {
		checkMembers(t, f.Filter)
		var matches, attack int64
		by := map[string]int64{}
		for i := range b.lines {
			if b.matches(f.Filter, &b.lines[i]) {
				matches++
				if a := b.lines[i].attack; a != "" {
					attack++
					by[a]++
				}
			}
		}
		if f.Matches != matches || f.Attack != attack || (f.Attacker != "") != (2*attack > matches) || f.Attacker != "" && slices.ContainsFunc(
			slices.Collect(maps.Values(by)), func(n int64) bool { return n > by[f.Attacker] }) {
			t.Errorf("%s on %s belongs to %q, matches %d, of them %d attacks; counted %d, %d", f.Detector, f.Unit, f.Attacker, f.Matches, f.Attack, matches, attack)
		}
	}
	if len(o.Attackers) != len(attacks) {
		t.Errorf("%d attackers, counted %d", len(o.Attackers), len(attacks))
	}
	for _, a := range o.Attackers {
		if a.Accesses != attacks[a.Name] {
			t.Errorf("%s made %d accesses, counted %d", a.Name, a.Accesses, attacks[a.Name])
		}
		for _, s := range append(slices.Clone(a.Scores), a.All) {
			own := slices.DeleteFunc(slices.Clone(o.Findings), func(f drill.Found) bool {
				return f.Attacker != a.Name || s.Detector != "" && f.Detector != s.Detector
			})
			got := tally{Noticed: s.Noticed, Lost: s.Lost, Findings: int64(s.Findings), Missed: s.Missed, Caught: s.Caught}
			if s.Seen != nil {
				got.Seen = *s.Seen
				if *s.After != int64(*s.Seen)-int64(a.First) {
					t.Errorf("%s: after %d", s.Detector, *s.After)
				}
			}
			if d := cmp.Diff(b.count(t, a.Name, own), got); d != "" {
				t.Errorf("%s by %q (-counted +drill):\n%s", a.Name, s.Detector, d)
			}
		}
	}
}
