package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
)

//go:embed page.css
var style string

//go:embed page.tmpl
var pageText string

// policy allows the page's own style, named by its hash, and nothing else: no script, no request to anybody.
func policy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// WriteHTML writes the investigation as one page that needs no network, no script and no other file. It may be
// opened from disk, sent and printed. Its size is bounded; customers' ids are not listed in it.
func WriteHTML(w io.Writer, d Data) error {
	if err := pageTemplate.Execute(w, newPage(&d)); err != nil {
		return fmt.Errorf("write report page: %w", err)
	}
	return nil
}

// page is what the template shows, already worded and made safe.
type page struct {
	Policy, Title string
	Style         template.CSS
	Plate         plate
	Heading       string
	Calm          string
	Clock, Date   string
	MadeFull      string
	Read          []string
	Rejects       []string
	RejectsMore   string
	Scopes        []scopeView
	ScopesMore    string
	Loose         []findingView
	All           *scopeView
	Doctor        doctorView
	Next          []Command
	Version       string
}

// plate says in one word what this is. Its glyph is the plot in small: the edges of what is usual and one line.
type plate struct {
	Level string // quiet, watch, harvest, blind
	Word  string
	Says  string
}

type scopeView struct {
	Title      string // "Attack 1 of 2"
	Sentence   []span
	Terms      [][]condition
	TermsMore  string
	Counts     []countView
	GapHead    string
	Gaps       []string
	Findings   []findingView
	Plot       *plot
	Tops       []topView
	Fields     []fieldView
	FieldHead  string
	NotReached []string
	Facts      []fact
}

type countView struct {
	Sign, N, Label string
	Lead           bool
}

type fieldView struct {
	Label, Sign, N, Width string
	Masked                bool
}

type fact struct{ Name, Value, Full string }

type findingView struct {
	Detector, Unit, UnitFull, Says string
	Raised, RaisedFull             string
	Evidence                       string
	Technique, ID                  string
	Statistic, Threshold           string // "" where there is no test
	Width, At                      string // of the bar, of the threshold; per cent
	Over                           bool
	AtEnd                          bool // the threshold's label stands to its left
	Terms                          [][]condition
	TermsMore                      string
}

type topView struct {
	By       string
	Days     bool
	Mono     bool
	Rows     []topRow
	RowsMore string
}

type topRow struct {
	Day, Value, Full       string
	Subjects, SubjectsWord string
	Accesses, AccessesWord string
	Width                  string
}

type doctorView struct {
	Any       bool
	Accesses  string
	Shares    []shareView
	Detectors []detectorView
	Silent    []string
	Says      []string
	Add       []adviceView
}

type shareView struct{ Member, N, Percent, Width, Says string }

type detectorView struct{ Name, Judges, Level, Says string }

type adviceView struct{ Member, Why, Opens, Setup string }

func newPage(d *Data) *page {
	p := &page{
		Policy: policy(), Style: template.CSS(style), Heading: d.verdict(),
		Read: d.readSentences(), Version: Safe(d.Version), Plate: newPlate(d),
	}
	p.Title = "whosaw: " + p.Plate.Word
	if p.Plate.Says != "" {
		p.Title += ", " + p.Plate.Says
	}
	if p.Plate.Level == "harvest" {
		p.Title = "■ " + p.Title
	}
	if !d.Made.IsZero() {
		made := d.Made.In(d.zone())
		p.Clock, p.Date = made.Format("15:04:05 MST"), made.Format("Mon 2 Jan 2006")
		p.MadeFull = d.Made.UTC().Format(time.RFC3339)
	}
	for _, r := range d.Rejects[:min(len(d.Rejects), maxRejects)] {
		p.Rejects = append(p.Rejects, rejectLine(r))
	}
	if n := d.Read.Rejected - int64(len(p.Rejects)); n > 0 && len(p.Rejects) > 0 {
		p.RejectsMore = "and " + figure.Int(n) + " more"
	}
	room := maxFindings
	for i := range d.Scopes[:min(len(d.Scopes), maxScopes)] {
		v := newScope(d, &d.Scopes[i], i, &room)
		if len(d.Scopes) > 1 {
			v.Title = fmt.Sprintf("Attack %d of %d", i+1, len(d.Scopes))
		}
		p.Scopes = append(p.Scopes, v)
	}
	if n := len(d.Scopes) - maxScopes; n > 0 {
		p.ScopesMore = figure.Of(int64(n), "more attack", "more attacks") + " in the answer of --json."
	}
	p.Loose = findingViews(d.loose(), &room, d.zone())
	if len(d.Scopes) == 0 {
		if len(d.Findings) == 0 {
			p.Calm = d.calm()
		}
		if d.All != nil {
			v := newScope(d, d.All, 0, &room)
			v.Sentence = []span{{Text: allSentence(&d.All.Answer)}}
			v.Terms = nil
			p.All = &v
		}
	}
	doctor := d.Doctor
	if d.silentTold() {
		doctor.Silent = nil
	}
	p.Doctor = newDoctor(&doctor, d.zone())
	for _, c := range d.Next {
		p.Next = append(p.Next, Command{capital(cut(c.Says, 400)), cut(c.Line, maxCommand)})
	}
	return p
}

// newPlate: silence is never Quiet, and neither is a detector that cannot judge.
func newPlate(d *Data) plate {
	most := int64(0)
	touched := false
	for i := range d.Scopes {
		a := &d.Scopes[i].Answer
		if a.Disclosures > 0 {
			most += a.Subjects
			touched = touched || len(a.Gaps) > 0
		}
	}
	_, _, no := d.judged()
	all := len(d.Doctor.Detectors)
	switch {
	case d.verdictHarvest():
		says := ""
		if len(d.Scopes) == 1 && most > 0 {
			says = map[bool]string{true: "≥ ", false: ""}[touched] + figure.Of(most, "customer", "customers")
		} else if len(d.Scopes) > 1 {
			says = figure.Of(int64(len(d.Scopes)), "attack", "attacks")
		}
		return plate{"harvest", "Harvest", says}
	case len(d.Findings) > 0:
		return plate{"watch", "Watch", figure.Of(int64(len(d.Findings)), "finding", "findings")}
	case d.empty():
		return plate{"blind", "Blind", "nothing was read"}
	case all > 0 && len(no) == all:
		return plate{"blind", "Blind", "no detector can judge"}
	case len(d.Doctor.Silent) > 0:
		return plate{"blind", "Blind", figure.Of(int64(len(d.Doctor.Silent)), "silent stretch", "silent stretches")}
	case len(no) > 0:
		return plate{"blind", "Blind", fmt.Sprintf("%d of %d detectors", len(no), all)}
	case all == 0:
		return plate{"blind", "Blind", "nothing could judge"}
	}
	return plate{"quiet", "Quiet", "no finding"}
}

func newScope(d *Data, s *Scope, index int, room *int) scopeView {
	a := &s.Answer
	zone := d.zone()
	v := scopeView{Sentence: sentence(s, zone)}
	v.Terms, v.TermsMore = terms(a.Filter, zone)
	mark := sign(a)
	if a.Disclosures > 0 {
		v.Counts = []countView{
			{mark, figure.Int(a.Subjects), noun(a.Subjects, "customer", "customers"), true},
			{mark, figure.Int(a.Disclosures), noun(a.Disclosures, "disclosure", "disclosures"), false},
		}
		if a.Others > 0 {
			v.Counts = append(v.Counts, countView{"", figure.Int(a.Others), "entries of others, in address books", false})
		}
	}
	if len(a.Gaps) > 0 {
		v.GapHead = gapHead(a)
		v.Gaps = gapLines(a.Gaps, zone)
	}
	found := d.findings(a.Findings)
	v.Findings = findingViews(found, room, zone)
	v.Plot = newPlot("p"+strconv.Itoa(index), s, &d.Read, found, zone)
	for _, t := range s.Tops[:min(len(s.Tops), maxTops)] {
		if tv := newTop(t); len(tv.Rows) > 0 {
			v.Tops = append(v.Tops, tv)
		}
	}
	v.FieldHead = map[bool]string{true: "at least, customers", false: "customers"}[len(a.Gaps) > 0]
	fields := counts(a)
	for _, c := range fields[:min(len(fields), maxFields)] {
		v.Fields = append(v.Fields, fieldView{fieldLabel(c), mark, figure.Int(c.N), width(c.N, c.Of), c.Masked})
	}
	v.NotReached = words(capped(a.NotReached, maxFields))
	v.Facts = facts(s, zone)
	return v
}

func facts(s *Scope, zone *time.Location) []fact {
	a := &s.Answer
	var out []fact
	if a.First != nil && a.Last != nil {
		out = append(out, fact{"first", at(*a.First, zone).Format("2 Jan 2006 15:04:05 MST"), rfc(*a.First)},
			fact{"last", at(*a.Last, zone).Format("2 Jan 2006 15:04:05 MST"), rfc(*a.Last)})
	}
	out = append(out, fact{"accesses", figure.Int(a.Accesses), ""})
	if s.Absent > 0 {
		out = append(out, fact{"absent: does not exist", figure.Int(s.Absent), ""})
	}
	if a.Catalog != "" {
		out = append(out, fact{"catalog", value(a.Catalog), ""})
	}
	return out
}

func terms(f whosaw.Filter, zone *time.Location) (out [][]condition, more string) {
	chips := 0
	for i := range f {
		c := conditions(&f[i], zone)
		if chips += len(c); chips > maxChips && i > 0 {
			return out, "and " + figure.Of(int64(len(f)-i), "more way", "more ways")
		}
		out = append(out, c)
	}
	return out, ""
}

func findingViews(found []whosaw.Finding, room *int, zone *time.Location) []findingView {
	var out []findingView
	for _, f := range found {
		if *room == 0 {
			out = append(out, findingView{Says: figure.Of(int64(len(found)-len(out)), "more finding", "more findings") + " in the answer of --json."})
			break
		}
		*room--
		v := findingView{
			Detector: word(f.Detector), Unit: value(f.Unit), Says: cut(f.Says, 600),
			Raised: clock(f.Seen, zone), RaisedFull: rfc(f.Seen), Technique: value(f.Technique), ID: value(f.ID),
			Evidence: figure.Of(f.Accesses, "access", "accesses") + " and " + figure.Of(f.Subjects, "customer", "customers") + " until then",
		}
		if onRecord(&f) {
			v.Evidence = "it accuses no access"
		}
		if full := cut(f.Unit, maxValueFull); full != v.Unit {
			v.UnitFull = full
		}
		v.Terms, v.TermsMore = terms(f.Filter, zone)
		if tested(&f) {
			v.Statistic, v.Threshold = decimal(f.Statistic), decimal(f.Threshold)
			whole := 1.12 * max(f.Statistic, f.Threshold)
			v.Width, v.At = pc(100*f.Statistic/whole), pc(100*f.Threshold/whole)
			v.Over = f.Statistic >= f.Threshold
			v.AtEnd = f.Threshold/whole > 0.5
		}
		out = append(out, v)
	}
	return out
}

func newTop(t Top) topView {
	v := topView{By: word(t.By), Mono: t.By != "country" && t.By != "asn" && t.By != "agent_class"}
	most := int64(0)
	for _, r := range t.Rows {
		most = max(most, r.Subjects)
		v.Days = v.Days || r.Day != ""
	}
	for _, r := range t.Rows[:min(len(t.Rows), maxTopRows)] {
		row := topRow{
			Day: cut(r.Day, 10), Value: topValue(t.By, r.Value, maxValue), Width: width(r.Subjects, most),
			Subjects: figure.Int(r.Subjects), SubjectsWord: noun(r.Subjects, "customer", "customers"),
			Accesses: figure.Int(r.Accesses), AccessesWord: noun(r.Accesses, "access", "accesses"),
		}
		if full := topValue(t.By, r.Value, maxValueFull); full != row.Value || columns(full) > 40 {
			row.Full = full
		}
		v.Rows = append(v.Rows, row)
	}
	if n := len(t.Rows) - len(v.Rows); n > 0 {
		v.RowsMore = "and " + figure.Of(int64(n), "more row", "more rows")
	}
	return v
}

// width is a bar's, in per cent; what is not nothing can be seen.
func width(n, of int64) string {
	if of <= 0 || n <= 0 {
		return "0%"
	}
	return pc(max(0.8, min(100, 100*float64(n)/float64(of))))
}

func newDoctor(d *whosaw.DoctorAnswer, zone *time.Location) doctorView {
	v := doctorView{Accesses: figure.Of(d.Accesses, "access", "accesses")}
	for _, s := range shares(d) {
		v.Shares = append(v.Shares, shareView{word(s.Member), figure.Int(s.Count), percent(s.Count, s.Of), width(s.Count, s.Of), cut(s.Says, 400)})
	}
	for _, s := range d.Detectors {
		v.Detectors = append(v.Detectors, detectorView{word(s.Detector), judges(s.Judges), judges(s.Judges), capital(cut(s.Says, 400))})
	}
	v.Silent = gapLines(d.Silent, zone)
	for _, s := range d.Says {
		v.Says = append(v.Says, capital(cut(s, 400)))
	}
	for _, a := range d.Add {
		v.Add = append(v.Add, adviceView{value(a.Member), strings.TrimRight(capital(cut(a.Why, 400)), ". ") + ".", list(words(a.Opens)), value(a.Setup)})
	}
	v.Any = len(v.Shares)+len(v.Detectors)+len(v.Silent)+len(v.Says)+len(v.Add) > 0
	return v
}
