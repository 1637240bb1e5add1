package report

import (
	"io"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/hint"
)

// This file words the answers of the single questions: scope, top, subject, doctor.

// WriteRead says what was read.
func WriteRead(w io.Writer, read whosaw.ReadAnswer, o TextOptions) error {
	t := newText(w, o)
	d := Data{Read: read, Zone: t.zone}
	t.para("", strings.Join(d.readSentences(), " "))
	return t.end()
}

// WriteScope says whose data a filter's accesses disclosed.
func WriteScope(w io.Writer, a whosaw.ScopeAnswer, o TextOptions) error {
	t := newText(w, o)
	for i := range a.Filter[:min(len(a.Filter), maxTopRows)] {
		if a.Filter[i].IsZero() {
			t.line("Every access")
			continue
		}
		t.item("Accesses where ", conditionsText(&a.Filter[i], t.zone))
	}
	if n := len(a.Filter) - maxTopRows; n > 0 {
		t.line("and " + figure.Int(int64(n)) + " more conditions")
	}
	t.blank()
	switch {
	case a.Accesses == 0:
		t.para("", "No access matches.")
		t.narrow(subjectsIn(a.Filter)...)
		t.blank()
	case a.Disclosures == 0:
		t.para("", figure.Of(a.Accesses, "access matches", "accesses match")+"; no customer's data was shown.")
		t.blank()
	default:
		t.spans([]span{
			{Text: figure.Of(a.Accesses, "access", "accesses") + " showed "},
			{Text: sign(&a) + " " + figure.Of(a.Subjects, "customer", "customers"), Strong: true},
			{Text: period(&a, t)},
		})
		t.blank()
		t.whose(&Scope{Answer: a})
	}
	t.gaps(&a)
	return t.end()
}

// narrow says of ids that nobody was found under how they are written in most records, if that is otherwise: else "nobody" would be taken for an answer.
func (t *text) narrow(ids ...string) {
	for _, id := range ids {
		if plain := hint.Narrow(id); plain != id && plain != "" {
			t.para("", value(id)+" has full-width characters, or space around it, and was looked for as it is written: "+value(plain)+" is another id.")
		}
	}
}

// subjectsIn are the customers that a filter names.
func subjectsIn(f whosaw.Filter) []string {
	var out []string
	for i := range f {
		out = append(out, f[i].Subject...)
	}
	return out
}

func period(a *whosaw.ScopeAnswer, t *text) string {
	if a.First == nil || a.Last == nil {
		return "."
	}
	return ", " + between(*a.First, *a.Last, t.zone) + "."
}

// WriteTop writes the table of who saw most: all rows it is given.
func WriteTop(w io.Writer, by string, rows []whosaw.TopRow, gaps []whosaw.Gap, o TextOptions) error {
	t := newText(w, o)
	if len(rows) == 0 {
		t.para("", "No access matches that says its "+word(by)+".")
	} else {
		t.topTable(by, rows)
	}
	t.missing(gaps)
	return t.end()
}

func (t *text) topTable(by string, rows []whosaw.TopRow) {
	customers, accesses := len("customers"), len("accesses")
	label := columns(word(by))
	room := max(12, t.width-2-10-2-customers-2-accesses-4)
	for _, r := range rows {
		customers = max(customers, len(figure.Int(r.Subjects)))
		accesses = max(accesses, len(figure.Int(r.Accesses)))
		label = max(label, columns(topValue(by, r.Value, room)))
	}
	head := pad("day", 10) + "  " + pad(word(by), label) + "  " + right("customers", customers) + "  " + right("accesses", accesses)
	t.head(head)
	for _, r := range rows {
		t.line(pad(cut(r.Day, 10), 10) + "  " + pad(topValue(by, r.Value, room), label) + "  " + right(figure.Int(r.Subjects), customers) + "  " + right(figure.Int(r.Accesses), accesses))
	}
}

// WriteSubject lists who opened a customer's data, newest first.
func WriteSubject(w io.Writer, a whosaw.SubjectAnswer, o TextOptions) error {
	t := newText(w, o)
	if len(a.Accesses) == 0 {
		t.para("", "No access names customer "+value(a.Subject)+".")
		t.narrow(a.Subject)
		t.missing(a.Gaps)
		return t.end()
	}
	t.para("", "Who opened the data of customer "+value(a.Subject)+", newest first. A principal is what the credential claimed to be.")
	t.blank()
	for i := range a.Accesses {
		t.access(&a.Accesses[i])
	}
	if a.Next != "" {
		t.blank()
		t.para("", "There are more: --next "+value(a.Next))
	}
	t.missing(a.Gaps)
	return t.end()
}

// missing writes gaps, if there are any.
func (t *text) missing(gaps []whosaw.Gap) {
	for i, line := range gapLines(gaps, t.zone) {
		if i == 0 {
			t.blank()
		}
		t.para("", line)
	}
}

// access writes one access in two lines: when and what, then by whom and from where.
func (t *text) access(r *whosaw.Record) {
	stamp := at(whosaw.Time(r.Time), t.zone).Format("2006-01-02 15:04:05.000 MST")
	what := value(r.Route)
	if r.Status != 0 {
		what += " " + figure.Int(int64(r.Status))
	}
	if r.Outcome != whosaw.OutcomeUnstated {
		what += " " + r.Outcome.String()
	}
	if len(r.Fields) > 0 {
		what += ", showed " + list(words(capped(r.Fields, 12)))
	}
	if len(r.Masked) > 0 {
		what += ", masked " + list(words(capped(r.Masked, 12)))
	}
	t.item(stamp+"  ", strings.TrimSpace(what))
	var who []string
	add := func(name, v string) {
		if v != "" {
			who = append(who, strings.TrimSpace(name+" "+value(v)))
		}
	}
	add("claims", r.Principal)
	add("credential", r.Credential)
	add("key", r.Key)
	add("client", r.Client)
	if r.IP.IsValid() {
		add("from", r.IP.String())
	}
	add("", r.Country)
	if r.ASN != 0 {
		who = append(who, "AS"+strings.ReplaceAll(figure.Int(int64(r.ASN)), ",", ""))
	}
	add("reason claimed", r.Reason)
	if len(who) > 0 {
		t.painted("    ", strings.Join(who, ", "), faint)
	}
}

// WriteDoctor says what records can and cannot answer.
func WriteDoctor(w io.Writer, d Data, o TextOptions) error {
	if o.Zone == nil {
		o.Zone = d.Zone
	}
	t := newText(w, o)
	t.d = &d
	d.Zone = t.zone
	t.read()
	if rows := shares(&d.Doctor); len(rows) > 0 && d.Doctor.Accesses > 0 {
		t.head("Of " + figure.Of(d.Doctor.Accesses, "access", "accesses") + ", how many say")
		member, n, p := 0, 0, 0
		for _, s := range rows {
			member = max(member, columns(word(s.Member)))
			n = max(n, len(figure.Int(s.Count)))
			p = max(p, columns(percent(s.Count, s.Of)))
		}
		for _, s := range rows {
			t.item("  "+pad(word(s.Member), member)+"  "+right(figure.Int(s.Count), n)+"  "+right(percent(s.Count, s.Of), p)+"  ", cut(s.Says, 400))
		}
		t.blank()
	}
	if len(d.Doctor.Detectors) > 0 {
		t.head("Which detectors can judge them")
		name := 0
		for _, s := range d.Doctor.Detectors {
			name = max(name, columns(word(s.Detector)))
		}
		for _, s := range d.Doctor.Detectors {
			t.item("  "+pad(word(s.Detector), name)+"  "+pad(judges(s.Judges), 6)+"  ", cut(s.Says, 400))
		}
		t.blank()
	}
	rest := d.Doctor
	rest.Detectors = nil // they stand above, all of them
	t.doctor(&rest)
	t.next()
	return t.end()
}

// judges words how far a detector sees.
func judges(s string) string {
	switch s {
	case "yes", "partly":
		return s
	}
	return "blind"
}
