package report

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
)

// span is a piece of a sentence.
type span struct {
	Text   string
	Strong bool
	Taken  bool // says how many customers were taken
}

// noun gives the form of a word that goes with n.
func noun(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// decimal writes a statistic with two digits.
func decimal(f float64) string {
	switch {
	case math.IsNaN(f):
		return "–"
	case math.IsInf(f, 0) || math.Abs(f) > 1e15:
		return "∞"
	}
	s := strconv.FormatFloat(math.Abs(f), 'f', 2, 64)
	whole, rest, _ := strings.Cut(s, ".")
	n, _ := strconv.ParseInt(whole, 10, 64)
	s = figure.Int(n) + "." + rest
	if f < 0 {
		s = "−" + s
	}
	return s
}

func at(t whosaw.Time, zone *time.Location) time.Time { return time.UnixMilli(int64(t)).In(zone) }

// clock writes "Tue 3 Mar 2026 14:22:47 UTC", day writes "Tue 3 Mar 2026".
func clock(t whosaw.Time, zone *time.Location) string {
	return at(t, zone).Format("Mon 2 Jan 2006 15:04:05 MST")
}

func rfc(t whosaw.Time) string {
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05.000Z")
}

// between writes a period, each part of the date and the zone once where that is enough.
func between(from, to whosaw.Time, zone *time.Location) string {
	a, b := at(from, zone), at(to, zone)
	za, zb := a.Format("MST"), b.Format("MST")
	switch {
	case a.Unix() == b.Unix():
		return "at " + clock(from, zone)
	case za != zb:
		return "from " + clock(from, zone) + " to " + clock(to, zone)
	case a.Format("2006-01-02") == b.Format("2006-01-02"):
		return "on " + a.Format("Mon 2 Jan 2006 15:04:05") + " – " + b.Format("15:04:05 MST")
	case a.Year() == b.Year():
		return "from " + a.Format("Mon 2 Jan 15:04:05") + " to " + b.Format("Mon 2 Jan 2006 15:04:05 MST")
	}
	return "from " + a.Format("Mon 2 Jan 2006 15:04:05") + " to " + clock(to, zone)
}

// length writes how long something lasted: 0.3 s, 21:06 min, 7.0 h, 6.4 days.
func length(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d:%02d min", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}

// word makes a name of the contract a word of a sentence: door_code is "door code".
func word(name string) string {
	switch name {
	case "email":
		return "e-mail"
	case "ip":
		return "address"
	case "asn":
		return "network (AS)"
	case "agent_class":
		return "kind of agent"
	}
	return value(strings.ReplaceAll(name, "_", " "))
}

// topValue words a value of a table of who saw most.
func topValue(by, v string, n int) string {
	if by == "asn" {
		v = "AS" + v
	}
	return cut(v, n)
}

// sign is = for what the records tell exactly, ≥ for what a gap touches.
func sign(a *whosaw.ScopeAnswer) string {
	if len(a.Gaps) > 0 {
		return "≥"
	}
	return "="
}

func atLeast(a *whosaw.ScopeAnswer) string {
	if len(a.Gaps) > 0 {
		return "at least "
	}
	return ""
}

// list joins names: "a", "a and b", "a, b and c".
func list(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func words(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = word(n)
	}
	return out
}

// count is a row of the fields table.
type count struct {
	Field  string
	Masked bool
	N      int64
	Of     int64
}

// counts lists the fields, most customers first; each field's masked count stands under its clear one.
func counts(a *whosaw.ScopeAnswer) []count {
	var rows []count
	for f, n := range a.Fields {
		rows = append(rows, count{Field: f, N: n, Of: a.Subjects})
	}
	for f, n := range a.Masked {
		rows = append(rows, count{Field: f, Masked: true, N: n, Of: a.Subjects})
	}
	most := func(f string) int64 { return max(a.Fields[f], a.Masked[f]) }
	sort.Slice(rows, func(i, j int) bool {
		p, q := rows[i], rows[j]
		if p.Field != q.Field {
			if x, y := most(p.Field), most(q.Field); x != y {
				return x > y
			}
			return p.Field < q.Field
		}
		return !p.Masked && q.Masked
	})
	return rows
}

// condition is one member of a filter, worded: a chip on the page.
type condition struct {
	Member, Operator, Value string
	Full                    string // for a title, if Value was cut
	Mono                    bool
}

// conditions words one term of a filter.
func conditions(t *whosaw.Term, zone *time.Location) []condition {
	var out []condition
	for _, x := range t.Conditions() {
		c := condition{Member: members[x.Member], Operator: "is"}
		if c.Member == "" {
			c.Member = x.Member
		}
		switch x.Member {
		case "from":
			c.Operator, c.Value, c.Full = "from", clock(t.From, zone), rfc(t.From)
		case "to":
			c.Operator, c.Value, c.Full = "before", clock(t.To, zone), rfc(t.To)
		case "as_of":
			c.Operator, c.Value = "sequence", strconv.FormatUint(t.AsOf, 10)
		case "issued", "explained":
			c.Value = map[string]string{"true": "yes", "false": "no"}[x.Values[0]]
		default:
			if x.Not {
				c.Operator = "is not"
			} else if len(x.Values) > 1 {
				c.Operator = "is any of"
			}
			c.Mono = slices.Contains(mono, x.Member)
			c.choose(x.Values)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		out = append(out, condition{Member: "every", Operator: "", Value: "access"})
	}
	return out
}

// members are the words for those whose names are none.
var members = map[string]string{"ip": "address", "asn": "AS", "agent_class": "kind of agent", "tls": "TLS", "from": "time", "to": "time", "as_of": "as of"}

// mono are the members whose values are to be read letter by letter.
var mono = []string{"key", "credential", "principal", "client", "ip", "agent", "tls", "route", "realm", "source"}

// choose words the values: one, or the first three and how many more.
func (c *condition) choose(values []string) {
	shown := values[:min(len(values), 3)]
	parts := make([]string, len(shown))
	for i, v := range shown {
		parts[i] = cut(v, maxValue/len(shown))
	}
	c.Value = strings.Join(parts, ", ")
	if rest := len(values) - len(shown); rest > 0 {
		c.Value += " and " + figure.Int(int64(rest)) + " more"
	}
	if full := strings.Join(values[:min(len(values), 50)], ", "); Safe(full) != c.Value {
		c.Full = cut(full, maxValueFull)
	}
}

// by says through what the accesses of a filter came, to follow "shown to somebody".
func by(f whosaw.Filter) []span {
	if len(f) != 1 {
		return []span{{Text: fmt.Sprintf(" in %d ways (below)", len(f))}}
	}
	t := &f[0]
	one := func(values []string) (string, bool) {
		if len(values) != 1 {
			return "", false
		}
		v, not := whosaw.ParseValue(values[0])
		return value(v), !not
	}
	var out []span
	say := func(text string, strong string) {
		out = append(out, span{Text: text}, span{Text: strong, Strong: true})
	}
	unissued := t.Issued != nil && !*t.Issued
	if unissued {
		say(" with ", "credentials that were never issued")
	}
	if k, ok := one(t.Key); ok {
		say(map[bool]string{true: ", signed with key ", false: " with credentials signed with key "}[unissued], k)
	}
	if p, ok := one(t.Principal); ok {
		say(" claiming to be ", p)
	}
	if c, ok := one(t.Client); ok {
		say(" through client ", c)
	}
	if c, ok := one(t.Credential); ok {
		say(" with credential ", c)
	}
	if ip, ok := one(t.IP); ok {
		say(" from address ", ip)
	} else if len(t.IP) > 1 {
		out = append(out, span{Text: fmt.Sprintf(" from %d addresses", len(t.IP))})
	}
	if a, ok := one([]string(t.ASN)); ok {
		say(" from ", "AS"+a)
	}
	if c, ok := one(t.Country); ok {
		say(" from ", c)
	}
	if a, ok := one(t.Agent); ok {
		say(" with agent ", cut(a, 60))
	}
	if r, ok := one(t.Route); ok {
		say(" through ", r)
	}
	if t.Explained != nil && !*t.Explained {
		say(" ", "without a reason on record")
	}
	return out
}

// sentence is the truth about a scope, to be read aloud.
func sentence(s *Scope, zone *time.Location) []span {
	a := &s.Answer
	var out []span
	if a.Disclosures == 0 {
		out = append(out, span{Text: "Somebody tried: "}, span{Text: figure.Of(a.Accesses, "access", "accesses"), Strong: true})
		out = append(out, by(a.Filter)...)
		return append(out, span{Text: ". No customer's data was shown."})
	}
	if a.Subjects == 0 {
		out = append(out, span{Text: figure.Of(a.Disclosures, "answer", "answers") + " with customers' data", Strong: true, Taken: true},
			span{Text: noun(a.Disclosures, " was", " were") + " shown to somebody"})
	} else {
		out = append(out, span{Text: capital(atLeast(a)) + figure.Of(a.Subjects, "customer", "customers"), Strong: true, Taken: true},
			span{Text: noun(a.Subjects, " was", " were") + " shown to somebody"})
	}
	out = append(out, by(a.Filter)...)
	if a.First != nil && a.Last != nil {
		out = append(out, span{Text: ", " + between(*a.First, *a.Last, zone)})
	}
	out = append(out, span{Text: "."})
	if a.Subjects == 0 {
		out = append(out, span{Text: " Nothing in the records says whose data it was."})
	}
	return out
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// verdictHarvest reports whether anybody's data was shown to somebody who is accused.
func (d *Data) verdictHarvest() bool {
	for i := range d.Scopes {
		if d.Scopes[i].Answer.Disclosures > 0 {
			return true
		}
	}
	return false
}

// verdict is the first line: what this is.
func (d *Data) verdict() string {
	harvests, tries := 0, 0
	for _, s := range d.Scopes {
		if s.Answer.Disclosures > 0 {
			harvests++
		} else {
			tries++
		}
	}
	records := 0
	for _, f := range d.loose() {
		if onRecord(&f) {
			records++
		} else {
			tries++
		}
	}
	switch {
	case harvests == 1:
		return "This looks like a harvest."
	case harvests > 1:
		return fmt.Sprintf("This looks like %d harvests.", harvests)
	case tries > 0:
		return "Somebody tried, and no customer's data was shown."
	case records > 0:
		return "No access is accused. What is on record of keys and people needs a hand."
	case d.empty():
		return "Nothing could be read, so nothing can be said."
	}
	return "No finding."
}

// onRecord reports whether a finding rests on what is on record alone, and accuses no access.
func onRecord(f *whosaw.Finding) bool { return len(f.Filter) == 0 && f.Accesses == 0 }

// empty reports whether there is nothing to answer from: neither these logs nor a kept ledger gave a record.
func (d *Data) empty() bool {
	return d.Read.Accepted == 0 && d.Read.Duplicates == 0 && d.Doctor.Accesses == 0
}

// judged says which detectors could judge and which could not: what stands beside "no finding".
func (d *Data) judged() (yes, partly, no []string) {
	for _, s := range d.Doctor.Detectors {
		switch s.Judges {
		case "yes":
			yes = append(yes, word(s.Detector))
		case "partly":
			partly = append(partly, word(s.Detector))
		default:
			no = append(no, word(s.Detector))
		}
	}
	return yes, partly, no
}

// calm is the sentence of a report without a finding.
func (d *Data) calm() string {
	yes, partly, no := d.judged()
	var parts []string
	some := func(names []string, one, many string) {
		if len(names) > 0 {
			parts = append(parts, capital(list(names))+noun(int64(len(names)), one, many))
		}
	}
	some(yes, " could judge", " could judge")
	some(partly, " could judge a part", " could judge a part")
	some(no, " could not judge: it is blind here", " could not judge: they are blind here")
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, ". ") + "."
}

// readSentences say what was read, in the order in which a colleague would.
func (d *Data) readSentences() []string {
	r := &d.Read
	from := ""
	if n := len(d.Sources); n > 0 {
		var names []string
		for _, s := range d.Sources[:min(n, maxSources)] {
			names = append(names, value(s))
		}
		if n > maxSources {
			names = append(names, fmt.Sprintf("%s more", figure.Int(int64(n-maxSources))))
		}
		from = " of " + list(names)
	}
	first := "Read " + figure.Of(r.Lines, "line", "lines") + from
	if r.Seconds >= 0.05 {
		first += " in " + length(time.Duration(r.Seconds*float64(time.Second)))
	}
	out := []string{first + ": " + figure.Of(r.Accepted, "record", "records") + d.period() + "."}
	if r.Duplicates > 0 {
		out = append(out, figure.Of(r.Duplicates, "line", "lines")+" came again and "+noun(r.Duplicates, "counts", "count")+" once.")
	}
	switch {
	case r.Rejected > 0:
		s := figure.Of(r.Rejected, "line", "lines") + " could not be read"
		if d.RejectFile != "" {
			s += " and " + noun(r.Rejected, "is", "are") + " kept in " + value(d.RejectFile)
		}
		out = append(out, s+".")
	case r.Lines > 0:
		out = append(out, "None was rejected.")
	}
	switch {
	case d.Suggested:
		out = append(out, "No catalog was given: routes and ids were guessed from their shape, and what was shown is called unclassified.")
	case d.Catalog == "suggested":
		out = append(out, "The records say themselves what was shown.")
	case d.Catalog != "":
		out = append(out, "Fields by the catalog "+value(d.Catalog)+".")
	}
	if d.Partial != "" {
		out = append(out, capital(Safe(d.Partial)))
	}
	return out
}

func (d *Data) period() string {
	if d.Read.From == nil || d.Read.To == nil {
		return ""
	}
	return " " + between(*d.Read.From, *d.Read.To, d.zone())
}

// rejectLine words one rejected line.
func rejectLine(r Reject) string {
	where := value(r.Source)
	if r.Line > 0 {
		where = strings.TrimSpace(where + " line " + figure.Int(r.Line))
	}
	return where + ": " + cut(r.Reason, 300)
}

// blind lists the detectors that cannot judge everything.
func blind(d *whosaw.DoctorAnswer) []whosaw.DetectorState {
	var out []whosaw.DetectorState
	for _, s := range d.Detectors {
		if s.Judges != "yes" {
			out = append(out, s)
		}
	}
	return out
}

// share is how many accesses have a member.
type share struct {
	Member string
	whosaw.Share
}

// shares lists them in the order a reader asks.
func shares(d *whosaw.DoctorAnswer) []share {
	order := []string{"subject", "credential", "key", "principal", "origin", "agent", "fields", "route"}
	var out []share
	for _, m := range order {
		if s, ok := d.Shares[m]; ok {
			out = append(out, share{m, s})
		}
	}
	var rest []string
	for m := range d.Shares {
		if !slices.Contains(order, m) {
			rest = append(rest, m)
		}
	}
	slices.Sort(rest)
	for _, m := range rest {
		out = append(out, share{m, d.Shares[m]})
	}
	return out
}

// percent writes a share so that neither "all" nor "none" is rounded to.
func percent(n, of int64) string {
	switch {
	case of <= 0:
		return "–"
	case n <= 0:
		return "none"
	case n >= of:
		return "all"
	}
	p := 100 * float64(n) / float64(of)
	switch {
	case p < 0.1:
		return "< 0.1 %"
	case p > 99.9:
		return "> 99.9 %"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + " %"
}

// tested reports whether a finding is the end of a test. Others are single facts: their statistic is 1 of 1.
func tested(f *whosaw.Finding) bool {
	return f.Threshold > 0 && f.Statistic > 0 && !(f.Threshold == 1 && f.Statistic == 1)
}
