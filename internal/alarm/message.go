package alarm

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/report"
)

// Message is what a channel tells: a finding without what could name a customer, or a test.
type Message struct {
	ID        string           `json:"id"`                // the finding's; of an update or reminder, with .update or .reminder and its number. The same at every try
	Kind      string           `json:"kind,omitempty"`    // update or reminder, or deadline where it is no finding; of a finding empty
	Finding   string           `json:"finding,omitempty"` // of an update or reminder: the finding's id
	Test      bool             `json:"test"`
	Time      whosaw.Time      `json:"time"`      // event time of the access that raised it
	Seen      whosaw.Time      `json:"seen"`      // the latest event time known then
	RaisedAt  whosaw.Time      `json:"raised_at"` // when this server raised it
	Detector  string           `json:"detector"`
	Unit      string           `json:"unit"`
	Realm     string           `json:"realm,omitempty"`
	Filter    whosaw.Filter    `json:"filter,omitempty"`   // what is accused, if it can be told whole
	Withheld  map[string]int64 `json:"withheld,omitempty"` // values of the filter that are not told, by member
	Accesses  int64            `json:"accesses"`
	Subjects  int64            `json:"subjects"`
	Statistic float64          `json:"statistic"`
	Threshold float64          `json:"threshold"`
	Title     string           `json:"title"`
	Says      string           `json:"says"`
	Severity  Severity         `json:"severity"`
	Technique string           `json:"technique"`
	Link      string           `json:"link,omitempty"` // where a person can judge it
}

// Severity says how much was shown, no more: it is no measure of how sure the finding is.
type Severity string

// The severities.
const (
	Info     Severity = "info"     // a test
	Medium   Severity = "medium"   // somebody tried, and no customer's data was shown
	High     Severity = "high"     // the data of somebody was shown
	Critical Severity = "critical" // the data of many was shown
)

// many subjects make a finding critical.
const many = 1000

func severity(f *whosaw.Finding) Severity {
	switch {
	case f.Subjects >= many:
		return Critical
	case f.Subjects > 0:
		return High
	}
	return Medium
}

// message makes what may leave the machine out of a finding.
func message(f *whosaw.Finding, raised time.Time, link string) *Message {
	m := &Message{
		ID: f.ID, Time: f.Time, Seen: f.Seen, RaisedAt: millis(raised), Detector: f.Detector, Unit: openUnit(f.Unit),
		Realm: realmOf(f.Filter), Accesses: f.Accesses, Subjects: f.Subjects, Statistic: f.Statistic, Threshold: f.Threshold,
		Severity: severity(f), Technique: f.Technique, Title: title(f.Detector),
		Link: strings.ReplaceAll(link, "{id}", url.PathEscape(f.ID)),
	}
	var hidden []string
	m.Withheld, hidden = withhold(f)
	if len(m.Withheld) == 0 {
		m.Filter = f.Filter
	}
	m.Says = f.Says
	if m.Says == "" || names(m.Says, hidden) {
		m.Says = m.Title + ": " + figure.Of(f.Accesses, "access", "accesses") + " so far, which showed the data of " +
			figure.Of(f.Subjects, "customer", "customers") + ". Who it is is not established."
	}
	return m
}

// again makes an update or a reminder of a finding that was told before. now is its last step of growth, without an id if it did not
// grow.
func (m *Message) again(kind string, serial int64, now *whosaw.Finding, at time.Time) {
	m.Finding, m.Kind = m.ID, kind
	m.ID = fmt.Sprintf("%s.%s%d", m.ID, kind, serial)
	if now.ID != "" {
		m.Accesses, m.Subjects, m.Seen = now.Accesses, now.Subjects, now.Seen
		grown := *now
		grown.Subjects = m.Subjects
		m.Severity = severity(&grown)
	}
	counts := figure.Of(m.Accesses, "access", "accesses") + " so far, which showed the data of " + figure.Of(m.Subjects, "customer", "customers")
	if kind == kindReminder {
		age := max(0, at.Sub(time.UnixMilli(int64(m.RaisedAt)))).Round(time.Hour)
		m.Says = "Nobody has taken this finding for " + figure.Of(int64(age/time.Hour), "hour", "hours") + ": " + m.Title + ". " + counts + "."
		return
	}
	m.Says = m.Title + ", and it grows: " + counts + "."
	if len(now.Filter) > 0 {
		m.Says += " It shows in another place too: " + clip(unitWords(openUnit(now.Unit)), 120) + "."
	}
}

// of is the id of the finding that a message is about.
func (m *Message) of() string { return cmp.Or(m.Finding, m.ID) }

// test makes a message that says it is one.
// It has no finding to open, so it links to nothing.
func test(id string, now time.Time) *Message {
	at := millis(now)
	return &Message{ID: id, Test: true, Time: at, Seen: at, RaisedAt: at, Severity: Info,
		Title: "Test alarm", Says: "This is a test alarm: nothing was found. Alarms will arrive here like this one."}
}

// title says in a few words what a detector found.
func title(detector string) string {
	switch detector {
	case "unissued":
		return "Credentials that were never issued are accepted"
	case "nonexistent":
		return "Someone tries customer ids"
	case "traversal":
		return "Customers are opened in order of their numbers"
	case "unexplained":
		return "Customers are opened without a reason on record"
	case "field_drift":
		return "A page began to show what it should not"
	case "refused":
		return "Passwords or tokens are tried at a log-in"
	case "dormant":
		return "Customers who have long not logged in are opened"
	case "stranger":
		return "Customers are opened from where they never came"
	case "monotone":
		return "Sessions show nothing but customers' data"
	case "volume":
		return "A page shows far more new customers than usual"
	case "spreader":
		return "Far more customers are opened than before"
	case "budget":
		return "A budget of new customers is spent"
	case "canary":
		return "A planted customer was opened"
	case "key_policy":
		return "A signing key breaks its policy"
	case "offboarded":
		return "Something of a person who has left is used"
	case "offboarding":
		return "An offboarding is overdue"
	case "key_state":
		return "A key is accepted that should not be"
	}
	return "Finding of the detector " + report.Safe(detector)
}

const hiddenValue = "(withheld)"

// openUnit is the unit as it may be told: of a principal who may be a person, only the kind.
func openUnit(unit string) string {
	kind, value, _ := strings.Cut(unit, ":")
	switch {
	case kind == "credential":
		return "credential:" + hiddenValue
	case kind == "principal" && !machine(value):
		role, _, ok := strings.Cut(value, ":")
		if !ok || (role != "customer" && role != "staff") {
			return "principal:" + hiddenValue
		}
		return "principal:" + role + ":" + hiddenValue
	}
	return unit
}

// machine reports whether a principal is no person: a service or a partner company.
func machine(principal string) bool {
	return strings.HasPrefix(principal, "service:") || strings.HasPrefix(principal, "partner:")
}

// withhold counts what of a finding is not told, and lists it: nothing of that may stand in the text either.
func withhold(f *whosaw.Finding) (counts map[string]int64, hidden []string) {
	hide := func(member string, values []string) {
		for _, v := range values {
			if counts == nil {
				counts = map[string]int64{}
			}
			counts[member]++
			plain, _ := whosaw.ParseValue(v)
			hidden = append(hidden, plain)
		}
	}
	for i := range f.Filter {
		t := &f.Filter[i]
		hide("subject", t.Subject)
		hide("credential", t.Credential)
		for _, p := range t.Principal {
			if plain, _ := whosaw.ParseValue(p); !machine(plain) {
				hide("principal", []string{p})
			}
		}
	}
	if openUnit(f.Unit) != f.Unit {
		_, value, _ := strings.Cut(f.Unit, ":")
		hidden = append(hidden, value)
	}
	return counts, hidden
}

// names reports whether a text holds one of the values. "7" in "17 tries" counts too: then a plainer text is told.
func names(text string, values []string) bool {
	for _, v := range values {
		if v != "" && strings.Contains(text, v) {
			return true
		}
		// A principal customer:7 may stand in a text as customer 7.
		if _, id, ok := strings.Cut(v, ":"); ok && id != "" && strings.Contains(text, id) {
			return true
		}
		if q := report.Safe(v); q != "" && strings.Contains(text, q) {
			return true
		}
	}
	return false
}

// subject is one line for people: of a mail, or the text of a log.
func (m *Message) subject() string {
	s := m.Title
	if m.Kind != "" && m.Kind != kindNote {
		s = strings.ToUpper(m.Kind[:1]) + m.Kind[1:] + ": " + s
	}
	if !m.Test {
		s += ": " + clip(unitWords(m.Unit), 80)
	}
	return s
}

func unitWords(unit string) string {
	kind, value, _ := strings.Cut(unit, ":")
	switch kind {
	case "ip":
		kind = "address"
	}
	return kind + " " + value
}

// lines are the text for people.
func (m *Message) lines() []string {
	out := []string{report.Safe(m.Says), ""}
	if m.Test {
		return append(out, "Sent at "+minute(m.RaisedAt)+" UTC, as "+m.ID+".")
	}
	if m.Kind == kindNote {
		out = append(out, "About: "+clip(unitWords(m.Unit), 80)+".")
		if m.Link != "" {
			out = append(out, "See it: "+m.Link)
		}
		return append(out, "Sent as "+m.ID+".")
	}
	what := "Accused: "
	if m.bare() {
		what = "About: "
	} else {
		out = append(out, m.evidence())
	}
	what += clip(unitWords(m.Unit), 300)
	if m.Realm != "" {
		what += " in realm " + clip(m.Realm, 60)
	}
	out = append(out, what+".")
	if n := len(m.Withheld); n > 0 {
		out = append(out, "The accusation is narrower than that; what it names is not told here.")
	}
	by := "Detector " + report.Safe(m.Detector)
	if m.Technique != "" {
		by += ", " + report.Safe(m.Technique)
	}
	out = append(out, by+". Finding "+report.Safe(m.of())+".", "", "Nobody has judged this yet.")
	if m.Link != "" {
		out = append(out, "Judge it: "+m.Link)
	}
	return out
}

// bare reports whether the finding rests on what is on record alone: it accuses no access.
func (m *Message) bare() bool { return len(m.Filter) == 0 && len(m.Withheld) == 0 && m.Accesses == 0 }

func (m *Message) evidence() string {
	return "Up to " + minute(m.Seen) + " UTC: " + figure.Of(m.Accesses, "access", "accesses") + "; the data of " +
		figure.Of(m.Subjects, "customer", "customers") + " was shown."
}

// clip is harmless text of at most n characters.
func clip(s string, n int) string {
	if len(s) > 4*n {
		s = strings.ToValidUTF8(s[:4*n], "")
	}
	r := []rune(report.Safe(s))
	if len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return string(r)
}

func millis(t time.Time) whosaw.Time { return whosaw.Time(t.UnixMilli()) }

func minute(t whosaw.Time) string {
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02 15:04")
}
