package regime

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Text is a text by language: en always, others as they are there.
type Text map[string]string

// In gives the text in a language, else in English.
func (t Text) In(lang string) string {
	if s := t[lang]; s != "" {
		return s
	}
	return t["en"]
}

// Law is one law in one version.
type Law struct {
	ID           string `yaml:"id"`           // the same for all versions of a law
	Version      string `yaml:"version"`      // tells versions apart
	Jurisdiction string `yaml:"jurisdiction"` // ISO 3166, as in KR or US-CA; EU
	Name         Text   `yaml:"name"`
	Zone         string `yaml:"zone"` // of its days, an IANA name
	// In force from the first to before the second day, in Zone. No From: since always. FromUnknown: passed, but the day it comes into
	// force is still to be found out.
	From        string     `yaml:"from"`
	Until       string     `yaml:"until"`
	FromUnknown bool       `yaml:"from_unknown"`
	Holds       Conditions `yaml:"holds"` // when the law concerns an incident at all; none: always
	Source      string     `yaml:"source"`
	Noted       string     `yaml:"noted"` // the day this text was written down
	Open        []string   `yaml:"open"`  // what the text leaves open: check with counsel
	Duties      []Duty     `yaml:"duties"`

	zone        *time.Location
	from, until time.Time
}

// Duty is one thing that a law asks.
type Duty struct {
	ID   string `yaml:"id"`
	To   string `yaml:"to"` // authority, people, public or register
	Whom Text   `yaml:"whom"`
	// The clock starts at the first of these moments that is known.
	Start []Moment `yaml:"start"`
	// At most one of Hours, Days and BusinessDays; none: Words count, as in "without delay". Days end with the day, in the law's
	// zone, or at At.
	Hours        int    `yaml:"hours"`
	Days         int    `yaml:"days"`
	BusinessDays int    `yaml:"business_days"`
	At           string `yaml:"at"` // 15:04
	// The day of the moment is the first of Days.
	FirstDayCounts bool `yaml:"first_day_counts"`
	// Longer, if the condition holds: the later of two terms of the law.
	Longer *Longer `yaml:"longer"`
	Words  Text    `yaml:"words"`
	// For how many days a posted notice stands; 0: no such duty.
	Stands int        `yaml:"stands"`
	When   Conditions `yaml:"when"`   // any of them makes it due; none: always
	Unless Conditions `yaml:"unless"` // any of them excepts
	Later  *Later     `yaml:"later"`  // what is found later must follow
	// What must be in it, as names the report and the notice know.
	Content []string `yaml:"content"`
	Note    Text     `yaml:"note"`
}

// Longer is a longer term under a condition.
type Longer struct {
	Days int        `yaml:"days"`
	When Conditions `yaml:"when"`
}

// Later is the term for what is found after the first report.
type Later struct {
	Hours int  `yaml:"hours"`
	Words Text `yaml:"words"`
}

// Moment is what starts a clock.
type Moment string

// The moments of an incident.
const (
	Suspected Moment = "suspected" // an alarm that nobody has judged yet
	Aware     Moment = "aware"     // somebody of the house knows
	Confirmed Moment = "confirmed"
	Contained Moment = "contained"
	Material  Moment = "material" // a listed company decided that it matters to investors
	Notified  Moment = "notified" // the first people were told
	Found     Moment = "found"    // something more was found, after the first report
)

var moments = []Moment{Suspected, Aware, Confirmed, Contained, Material, Notified, Found}

// Content that a duty can ask for.
var contents = []string{
	"what_leaked", "when_and_how", "people", "measures", "advice", "remedy", "contact", "rights", "consequences", "cause", "dates", "police", "credit_help",
	"sample", "impact", "prevention",
}

//go:embed laws/*.yaml
var shipped embed.FS

// Shipped gives the laws that come with whosaw, by id, then by version in the order of time.
func Shipped() ([]*Law, error) {
	sub, err := fs.Sub(shipped, "laws")
	if err != nil {
		return nil, err
	}
	return read(sub)
}

// Load gives the shipped laws and those of the YAML files in dir ("": none). A law there replaces all versions of the shipped
// one with its id.
func Load(dir string) ([]*Law, error) {
	laws, err := Shipped()
	if err != nil || dir == "" {
		return laws, err
	}
	own, err := read(os.DirFS(dir))
	if err != nil {
		return nil, fmt.Errorf("laws in %s: %w", dir, err)
	}
	laws = slices.DeleteFunc(laws, func(l *Law) bool {
		return slices.ContainsFunc(own, func(o *Law) bool { return o.ID == l.ID })
	})
	laws = append(laws, own...)
	order(laws)
	return laws, nil
}

func read(files fs.FS) ([]*Law, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	var laws []*Law
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read law: %w", err)
		}
		in, err := Parse(name, text)
		if err != nil {
			return nil, err
		}
		laws = append(laws, in...)
	}
	order(laws)
	return laws, overlaps(laws)
}

func order(laws []*Law) {
	slices.SortStableFunc(laws, func(a, b *Law) int {
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		if a.FromUnknown != b.FromUnknown {
			if b.FromUnknown {
				return -1
			}
			return 1
		}
		return a.from.Compare(b.from)
	})
}

// overlaps refuses two versions of a law that are in force at once: which one ruled would be chance.
func overlaps(laws []*Law) error {
	for i := 1; i < len(laws); i++ {
		a, b := laws[i-1], laws[i]
		if a.ID != b.ID || b.FromUnknown {
			continue
		}
		if a.Version == b.Version || a.until.IsZero() || b.from.Before(a.until) {
			return fmt.Errorf("law %s: versions %q and %q are in force at once: end the one with `until` where the other begins", a.ID, a.Version, b.Version)
		}
	}
	return nil
}

// Parse reads one file: a list of laws. The error names the file, the line where YAML knows it, and the cure.
func Parse(name string, text []byte) ([]*Law, error) {
	var laws []*Law
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.DisallowUnknownField()).Decode(&laws); err != nil {
		return nil, fmt.Errorf("%s: %s", filepath.Base(name), strings.TrimRight(yaml.FormatError(err, false, false), "\n"))
	}
	if len(laws) == 0 {
		return nil, fmt.Errorf("%s: no law in it: give a list of laws, as the shipped files do", filepath.Base(name))
	}
	var errs []error
	for i, l := range laws {
		if l == nil {
			return nil, fmt.Errorf("%s: law %d is empty: remove the lone dash", filepath.Base(name), i+1)
		}
		for _, err := range l.check() {
			errs = append(errs, fmt.Errorf("%s: law %d (%s): %w", filepath.Base(name), i+1, l.ID, err))
		}
	}
	return laws, errors.Join(errs...)
}

const day = "2006-01-02"

func (l *Law) check() []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if l.ID == "" || l.Version == "" || l.Jurisdiction == "" || l.Name["en"] == "" {
		bad("id, version, jurisdiction and name.en must be there")
	}
	if l.Source == "" {
		bad("source is missing: name the article that somebody can look up")
	}
	if _, err := time.Parse(day, l.Noted); err != nil {
		bad("noted: %q is no day: give the day this was written down, as in 2026-11-26", l.Noted)
	}
	zone, err := time.LoadLocation(l.Zone)
	if err != nil || l.Zone == "" || l.Zone == "Local" {
		bad("zone: %q: give a name as in Asia/Seoul", l.Zone)
		zone = time.UTC
	}
	l.zone = zone
	l.from = parseDay(l.From, "from", zone, bad)
	l.until = parseDay(l.Until, "until", zone, bad)
	if !l.until.IsZero() && !l.until.After(l.from) {
		bad("until: %q is not after from", l.Until)
	}
	if l.FromUnknown && l.From != "" {
		bad("from_unknown and from cannot both be there")
	}
	l.Holds.check("holds", bad)
	if len(l.Duties) == 0 {
		bad("duties: none")
	}
	seen := map[string]bool{}
	for i := range l.Duties {
		d := &l.Duties[i]
		if seen[d.ID] {
			bad("duty %q is there twice", d.ID)
		}
		seen[d.ID] = true
		d.check(func(format string, args ...any) { bad("duty %s: "+format, append([]any{d.ID}, args...)...) })
	}
	return errs
}

func parseDay(text, name string, zone *time.Location, bad func(string, ...any)) time.Time {
	if text == "" {
		return time.Time{}
	}
	t, err := time.ParseInLocation(day, text, zone)
	if err != nil {
		bad("%s: %q is no day: give it as in 2026-09-11", name, text)
	}
	return t
}

func (d *Duty) check(bad func(string, ...any)) {
	if d.ID == "" {
		bad("id is missing")
	}
	if !slices.Contains([]string{"authority", "people", "public", "register"}, d.To) {
		bad("to: %q: give authority, people, public or register", d.To)
	}
	if d.Whom["en"] == "" {
		bad("whom.en is missing: name who is told")
	}
	if len(d.Start) == 0 {
		bad("start is missing: the moments that start the clock")
	}
	for _, m := range d.Start {
		if !slices.Contains(moments, m) {
			bad("start: %q is no moment: one of %v", m, moments)
		}
	}
	terms := 0
	for _, n := range []int{d.Hours, d.Days, d.BusinessDays} {
		if n < 0 || n > 10_000 {
			bad("a term of %d: give 1 to 10,000", n)
		}
		if n > 0 {
			terms++
		}
	}
	if terms > 1 {
		bad("at most one of hours, days and business_days")
	}
	if terms == 0 && d.Words["en"] == "" {
		bad("without hours, days or business_days, words.en must say by when")
	}
	if d.At != "" {
		if _, err := time.Parse("15:04", d.At); err != nil || d.Days+d.BusinessDays == 0 {
			bad("at: %q: a time of day as in 17:30, for a term in days", d.At)
		}
	}
	if d.Longer != nil {
		if d.Longer.Days <= d.Days || d.Days == 0 || len(d.Longer.When) == 0 {
			bad("longer: more days than days, and when")
		}
		d.Longer.When.check("longer.when", bad)
	}
	if d.Later != nil && d.Later.Hours <= 0 && d.Later.Words["en"] == "" {
		bad("later: hours or words.en")
	}
	d.When.check("when", bad)
	d.Unless.check("unless", bad)
	if len(d.Content) == 0 {
		bad("content is missing: what must be in it, of %v", contents)
	}
	for _, c := range d.Content {
		if !slices.Contains(contents, c) {
			bad("content: %q is none of %v", c, contents)
		}
	}
}
