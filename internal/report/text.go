package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
)

// TextOptions say how the message is set.
type TextOptions struct {
	Width int            // columns; 0: 100, and never fewer than 40 or more than 140
	Color bool           // only what was taken and what cannot be seen has a colour, both of the terminal's own palette
	Zone  *time.Location // of the times shown; nil: UTC
}

// WriteText writes the answer as a good colleague would tell it: what was read, what looks like a harvest and why,
// whose data, what was not reached, what the records cannot say, what to do next.
func WriteText(w io.Writer, d Data, o TextOptions) error {
	if o.Zone == nil {
		o.Zone = d.Zone
	}
	t := newText(w, o)
	t.d = &d
	d.Zone = t.zone
	t.read()
	t.verdict()
	for i := range d.Scopes[:min(len(d.Scopes), maxScopes)] {
		t.scope(i)
	}
	if n := len(d.Scopes) - maxScopes; n > 0 {
		t.para("", figure.Of(int64(n), "more attack", "more attacks")+" in the answer of --json.")
		t.blank()
	}
	if loose := d.loose(); len(loose) > 0 && len(d.Scopes) > 0 {
		t.head("Other findings")
		t.findings(loose)
	} else if len(loose) > 0 {
		t.findings(loose)
	}
	if len(d.Scopes) == 0 && d.All != nil {
		t.everything()
	}
	doctor := d.Doctor
	if d.silentTold() {
		doctor.Silent = nil
	}
	t.doctor(&doctor)
	t.next()
	return t.end()
}

// text is a message being written. Errors stay in the bufio.Writer until Flush.
type text struct {
	w     *bufio.Writer
	width int
	color bool
	zone  *time.Location
	d     *Data // of an investigation
}

func newText(w io.Writer, o TextOptions) *text {
	if o.Width == 0 {
		o.Width = 100
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	return &text{w: bufio.NewWriter(w), width: min(max(o.Width, 40), 140), color: o.Color, zone: o.Zone}
}

func (t *text) end() error {
	if err := t.w.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// The terminal's own palette: it stays readable on light and dark grounds.
const (
	strong = "1"
	taken  = "1;31"
	watch  = "33"
	faint  = "2"
)

func (t *text) paint(code, s string) string {
	if !t.color || s == "" || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *text) line(s string) { t.w.WriteString(strings.TrimRight(s, " ") + "\n") }
func (t *text) blank()        { t.w.WriteByte('\n') }
func (t *text) head(s string) { t.line(t.paint(strong, s)) }

// para writes wrapped text, each line after indent.
func (t *text) para(indent, s string) {
	for _, l := range wrap(s, t.width-columns(indent)) {
		t.line(indent + l)
	}
}

// item writes wrapped text with a mark before the first line.
func (t *text) item(mark, s string) { t.painted(mark, s, "") }

// painted is item in a colour.
func (t *text) painted(mark, s, code string) {
	for i, l := range wrap(s, t.width-columns(mark)) {
		if i > 0 {
			mark = strings.Repeat(" ", columns(mark))
		}
		t.line(mark + t.paint(code, l))
	}
}

func (t *text) read() {
	t.para("", strings.Join(t.d.readSentences(), " "))
	for _, r := range t.d.Rejects[:min(len(t.d.Rejects), maxRejects)] {
		t.item("  ", rejectLine(r))
	}
	if n := t.d.Read.Rejected - int64(min(len(t.d.Rejects), maxRejects)); n > 0 && len(t.d.Rejects) > 0 {
		t.line("  and " + figure.Int(n) + " more")
	}
	t.blank()
}

func (t *text) verdict() {
	v := t.d.verdict()
	switch {
	case t.d.verdictHarvest():
		t.line(t.paint(taken, "■ "+v))
	default:
		t.head(v)
		if len(t.d.Findings) == 0 && t.d.calm() != "" {
			t.para("", t.d.calm())
		}
	}
	t.blank()
}

// spans writes a sentence, wrapped, with its strong pieces painted.
func (t *text) spans(spans []span) {
	type piece struct {
		text, code string
	}
	var words []piece // a word may have several pieces: words[i].text ending in a space closes it
	for _, s := range spans {
		code := ""
		if s.Taken {
			code = taken
		} else if s.Strong {
			code = strong
		}
		for _, f := range strings.SplitAfter(s.Text, " ") {
			if f != "" {
				words = append(words, piece{f, code})
			}
		}
	}
	var line []piece
	used := 0
	flush := func() {
		var b strings.Builder
		for i := 0; i < len(line); {
			// Pieces of one colour that stand together are painted together.
			run, code := "", line[i].code
			for ; i < len(line) && line[i].code == code; i++ {
				run += line[i].text
			}
			body := strings.TrimRight(run, " ")
			b.WriteString(t.paint(code, body) + run[len(body):])
		}
		t.line(b.String())
		line, used = line[:0], 0
	}
	for i := 0; i < len(words); {
		end, w := i, 0
		for end < len(words) {
			w += columns(words[end].text)
			end++
			if strings.HasSuffix(words[end-1].text, " ") {
				break
			}
		}
		if last := words[end-1].text; used > 0 && used+w-(len(last)-len(strings.TrimRight(last, " "))) > t.width {
			flush()
		}
		line = append(line, words[i:end]...)
		used += w
		i = end
	}
	flush()
}

func (t *text) scope(i int) {
	s := &t.d.Scopes[i]
	a := &s.Answer
	if len(t.d.Scopes) > 1 {
		t.head(fmt.Sprintf("Attack %d of %d", i+1, len(t.d.Scopes)))
	}
	t.spans(sentence(s, t.zone))
	t.ways(a.Filter)
	t.blank()
	if found := t.d.findings(a.Findings); len(found) > 0 {
		t.head("Why")
		t.findings(found)
	}
	if a.Disclosures > 0 {
		t.whose(s)
	}
	t.gaps(a)
	t.tops(s.Tops)
}

// ways lists the terms of a filter that has several.
func (t *text) ways(f whosaw.Filter) {
	if len(f) < 2 {
		return
	}
	for i := range f[:min(len(f), maxTopRows)] {
		t.item("  - ", conditionsText(&f[i], t.zone))
	}
	if n := len(f) - maxTopRows; n > 0 {
		t.line("  - and " + figure.Int(int64(n)) + " more")
	}
}

func conditionsText(term *whosaw.Term, zone *time.Location) string {
	var parts []string
	for _, c := range conditions(term, zone) {
		parts = append(parts, strings.Join(strings.Fields(c.Member+" "+c.Operator+" "+c.Value), " "))
	}
	return strings.Join(parts, ", ")
}

func (t *text) findings(found []whosaw.Finding) {
	shown := found[:min(len(found), maxFindings)]
	name := 0
	for _, f := range shown {
		name = max(name, columns(word(f.Detector)))
	}
	for i := range shown {
		f := &shown[i]
		says := cut(f.Says, 400)
		if says == "" {
			says = "finding on " + value(f.Unit)
		}
		mark := "  " + pad(word(f.Detector), name) + "  "
		t.item(mark, says)
		detail := "raised " + clock(f.Seen, t.zone)
		if !onRecord(f) {
			detail += ", after " + figure.Of(f.Accesses, "access", "accesses") + " and " + figure.Of(f.Subjects, "customer", "customers")
		}
		if tested(f) {
			detail += "; S = " + decimal(f.Statistic) + " against " + decimal(f.Threshold)
		}
		if f.Technique != "" {
			detail += "; " + value(f.Technique)
		}
		if f.ID != "" {
			detail += "; finding " + value(f.ID) // whosaw explain is asked by it
		}
		t.painted(strings.Repeat(" ", columns(mark)), detail, faint)
	}
	if n := len(found) - len(shown); n > 0 {
		t.line("  and " + figure.Of(int64(n), "more finding", "more findings") + " in the answer of --json")
	}
	t.blank()
}

func pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-columns(s))) }

// right sets a figure at the right of its column.
func right(s string, width int) string { return strings.Repeat(" ", max(0, width-columns(s))) + s }

// whose says whose data it was: the exact counts, then what was shown of how many.
func (t *text) whose(s *Scope) {
	a := &s.Answer
	mark := sign(a)
	t.head("Whose data")
	type row struct{ sign, n, label string }
	rows := []row{
		{mark, figure.Int(a.Subjects), noun(a.Subjects, "customer", "customers")},
		{mark, figure.Int(a.Disclosures), noun(a.Disclosures, "disclosure", "disclosures") + " (a customer in an answer)"},
	}
	if a.Others > 0 {
		rows = append(rows, row{" ", figure.Int(a.Others), "entries of other people in their address books (entries, not people)"})
	}
	if s.Absent > 0 {
		rows = append(rows, row{mark, figure.Int(s.Absent), "absent: accesses to what does not exist"})
	}
	fields := counts(a)
	wide := 0
	for _, r := range rows {
		wide = max(wide, len(r.n))
	}
	for _, r := range rows {
		t.painted("  "+r.sign+" "+right(r.n, wide)+"  ", r.label, "")
	}
	t.blank()
	t.fields(mark, fields)
	if len(a.NotReached) > 0 {
		t.para("", "Not reached, as far as these records show: "+list(words(capped(a.NotReached, maxFields)))+".")
		t.blank()
	}
}

func (t *text) fields(mark string, fields []count) {
	if len(fields) == 0 {
		return
	}
	t.head("What was shown of them")
	shown := fields[:min(len(fields), maxFields)]
	label, wide := 0, 0
	for _, c := range shown {
		label = max(label, columns(fieldLabel(c)))
		wide = max(wide, len(figure.Int(c.N)))
	}
	label = min(label, t.width/2)
	room := min(30, t.width-label-wide-8)
	for _, c := range shown {
		line := "  " + pad(fit(fieldLabel(c), label), label) + "  " + mark + " " + right(figure.Int(c.N), wide)
		if room >= 8 {
			line += "  " + bar(c.N, c.Of, room)
		}
		t.line(line)
	}
	if n := len(fields) - len(shown); n > 0 {
		t.line("  and " + figure.Of(int64(n), "more field", "more fields"))
	}
	t.blank()
}

func fieldLabel(c count) string {
	if c.Masked {
		return word(c.Field) + ", only masked"
	}
	return word(c.Field)
}

// bar draws n of a whole as a run of blocks; what is not nothing has at least a sliver.
func bar(n, of int64, room int) string {
	if of <= 0 || n <= 0 {
		return ""
	}
	eighths := int(float64(min(n, of)) / float64(of) * float64(room) * 8)
	full, rest := eighths/8, eighths%8
	s := strings.Repeat("█", full)
	if rest > 0 {
		s += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	if s == "" {
		s = "▏"
	}
	return s
}

func capped(names []string, n int) []string {
	if len(names) <= n {
		return names
	}
	return append(append([]string(nil), names[:n]...), figure.Int(int64(len(names)-n))+" more")
}

func (t *text) gaps(a *whosaw.ScopeAnswer) {
	if len(a.Gaps) == 0 {
		return
	}
	t.line(t.paint(watch, gapHead(a)))
	for _, l := range gapLines(a.Gaps, t.zone) {
		t.painted("  - ", l, watch)
	}
	t.blank()
}

// gapHead says what the gaps do to the figures.
func gapHead(a *whosaw.ScopeAnswer) string {
	switch n := len(a.Gaps); {
	case a.Disclosures == 0:
		return "Missing from the records:"
	case n == 1:
		return "At least, because of one gap:"
	default:
		return "At least, because of " + figure.Int(int64(n)) + " gaps:"
	}
}

// tops shows the first rows of the first tables: the page has them all.
func (t *text) tops(tops []Top) {
	for _, top := range tops[:min(len(tops), 2)] {
		if len(top.Rows) == 0 {
			continue
		}
		t.head("Who saw most, by " + word(top.By))
		rows := top.Rows[:min(len(top.Rows), 5)]
		subjects, label := 0, 0
		for _, r := range rows {
			subjects = max(subjects, len(figure.Int(r.Subjects)))
			label = max(label, columns(topValue(top.By, r.Value, 48)))
		}
		for _, r := range rows {
			day := ""
			if r.Day != "" {
				day = cut(r.Day, 10) + "  "
			}
			t.line("  " + day + pad(topValue(top.By, r.Value, 48), label) + "  " + right(figure.Int(r.Subjects), subjects) + " " + noun(r.Subjects, "customer", "customers") + " in " + figure.Of(r.Accesses, "access", "accesses"))
		}
		t.blank()
	}
}

// everything is what a report without a finding shows of the records.
func (t *text) everything() {
	a := &t.d.All.Answer
	t.para("", allSentence(a))
	t.blank()
	t.gaps(a)
	t.tops(t.d.All.Tops)
}

// allSentence says how much was shown, when nobody is accused.
func allSentence(a *whosaw.ScopeAnswer) string {
	if a.Disclosures == 0 {
		return "None of the " + figure.Of(a.Accesses, "access", "accesses") + " is known to have shown a customer's data."
	}
	if a.Subjects == 0 {
		return figure.Of(a.Accesses, "access", "accesses") + ", " + figure.Int(a.Disclosures) + " of them answers that show something; nothing says whose data it was."
	}
	s := figure.Of(a.Accesses, "access", "accesses") + " showed " + sign(a) + " " + figure.Of(a.Subjects, "customer", "customers")
	names := fieldNames(a)
	if len(names) == 0 || len(names) == 1 && names[0] == unclassified {
		return s + "; which of their data is not known."
	}
	return s + ": " + list(words(capped(names, 8))) + "."
}

// unclassified is the field of a page whose fields nobody named.
const unclassified = "unclassified"

func fieldNames(a *whosaw.ScopeAnswer) []string {
	var out []string
	for _, c := range counts(a) {
		if !c.Masked {
			out = append(out, c.Field)
		}
	}
	return out
}

func (t *text) doctor(d *whosaw.DoctorAnswer) {
	blind := blind(d)
	if len(blind)+len(d.Silent)+len(d.Says)+len(d.Add) == 0 {
		return
	}
	if len(blind)+len(d.Silent)+len(d.Says) > 0 {
		t.head("What these records cannot say")
	}
	for _, s := range blind {
		says := word(s.Detector) + " is blind"
		if s.Judges == "partly" {
			says = word(s.Detector) + " judges a part"
		}
		if s.Says != "" {
			says += ": " + cut(s.Says, 400)
		}
		t.item("  - ", says)
	}
	for _, l := range gapLines(d.Silent, t.zone) {
		t.item("  - ", l)
	}
	for _, s := range d.Says {
		t.item("  - ", cut(s, 400))
	}
	if len(blind)+len(d.Silent)+len(d.Says) > 0 {
		t.blank()
	}
	if len(d.Add) == 0 {
		return
	}
	t.head("What to add to the log")
	for _, a := range d.Add {
		t.item("  - ", adviceText(a))
	}
	t.blank()
}

func adviceText(a whosaw.MemberAdvice) string {
	s := value(a.Member) + ": " + cut(a.Why, 400)
	if len(a.Opens) > 0 {
		s = strings.TrimRight(s, ". ") + ". Lets " + list(words(a.Opens)) + " judge."
	}
	if a.Setup != "" {
		s += " The lines: " + value(a.Setup)
	}
	return s
}

func (t *text) next() {
	if len(t.d.Next) == 0 {
		return
	}
	t.head("Next")
	for _, c := range t.d.Next {
		t.item("  ", capital(cut(c.Says, 400)))
		// A command is never wrapped: it is there to be copied.
		t.line("    " + cut(c.Line, maxCommand))
	}
}
