package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Rule is one file: what a detector goes by.
type Rule struct {
	Name     string // by which a rule of the user's replaces a shipped one
	Detector string
	Off      string // why it is switched off; "": it is on
	Text     string // what it says and why its numbers are what they are, for people
	Action   string // what a finding does: alarm, or a guard's decision
	// For is how long what the action does holds, unless somebody undoes it or the finding is judged to be none.
	For    time.Duration
	Attack []string
	OWASP  []string

	Units []string // what is watched, in order of preference
	P0    P0
	P1    []float64 // attack rates: a sequential test for each; none: the rule states facts or counts
	// AlarmsPerMonth is the rule's own allowance of false alarms; 0: its share of the server's, by the number of its tests.
	AlarmsPerMonth float64
	Settings       map[string]float64 // numbers of the detector's own; lengths of time in milliseconds

	Cases []Case
	File  string // where it was read; "shipped/NAME.yaml" for those that come with whosaw

	source  []byte
	lengths map[string]bool // settings that are lengths of time
}

// P0 is how rare a hit must be for honest traffic, and how that is learnt.
type P0 struct {
	Floor   float64 // the least, and what holds where nothing is learnt
	Young   float64 // what holds until enough is known
	Ceiling float64 // above it nobody is judged
	Of      string  // what is learnt from: the median over these; "": nothing is learnt
	Times   float64 // p0 is so many times the median
	Enough  int     // so many of them make a median
}

// Sequential reports whether the rule runs sequential tests, to which the bound on false alarms applies.
func (r *Rule) Sequential() bool { return len(r.P1) > 0 }

// SilentBelow is the rate of hits below which the rule's statistics fall on average, at the floor of p0: who stays under it in every unit is
// never found by this rule, however long it takes. 0: the rule runs no tests.
func (r *Rule) SilentBelow() float64 {
	least := 0.0
	for _, p1 := range r.P1 {
		up, down := math.Log(p1/r.P0.Floor), math.Log((1-p1)/(1-r.P0.Floor))
		if q := down / (down - up); least == 0 || q < least {
			least = q
		}
	}
	return least
}

// Technique is what a finding names: the first ATT&CK id, else the first of OWASP's API list.
func (r *Rule) Technique() string {
	for _, list := range [][]string{r.Attack, r.OWASP} {
		if len(list) > 0 {
			return list[0]
		}
	}
	return ""
}

// Setting gives a number of the detector's own.
func (r *Rule) Setting(name string) float64 {
	v, ok := r.Settings[name]
	if !ok {
		panic("BUG: rule " + r.Name + " has no setting " + name)
	}
	return v
}

// Alarm is the action of a rule that only tells people.
const Alarm = "alarm"

// Actions are what a finding may do. Beyond the alarm they are a guard's decisions.
func Actions() []string { return []string{Alarm, "mask", "step_up", "throttle", "deny"} }

// An action holds for standardFor where the rule does not say, and for mostFor at most: every decision expires.
const (
	standardFor = 24 * time.Hour
	mostFor     = 366 * 24 * time.Hour
)

// file is a rule as it is written.
type file struct {
	Rule     string    `yaml:"rule"`
	Detector string    `yaml:"detector"`
	Off      string    `yaml:"off"`
	Text     string    `yaml:"text"`
	Action   string    `yaml:"action"`
	For      string    `yaml:"for"`
	Attack   []string  `yaml:"attack"`
	OWASP    []string  `yaml:"owasp"`
	Units    []string  `yaml:"units"`
	P0       fileP0    `yaml:"p0"`
	P1       []float64 `yaml:"p1"`
	// share, or a number
	AlarmsPerMonth allowance          `yaml:"alarms_per_month"`
	Settings       map[string]setting `yaml:"settings"`
	Cases          []Case             `yaml:"cases"`
}

type fileP0 struct {
	Floor   *float64 `yaml:"floor"`
	Young   *float64 `yaml:"young"`
	Ceiling *float64 `yaml:"ceiling"`
	Of      string   `yaml:"median_of"`
	Times   *float64 `yaml:"times"`
	Enough  *int     `yaml:"enough"`
}

// allowance is a number of alarms, or the word share.
type allowance struct {
	given bool
	n     float64
	line  int
}

// UnmarshalYAML reads it.
func (a *allowance) UnmarshalYAML(n ast.Node) error {
	a.given, a.line = true, lineOf(n)
	text := scalar(n)
	if text == "share" {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v > 0) {
		return at(n, "alarms_per_month: %q: give a number above 0, or share for its part of what the server allows", text)
	}
	a.n = v
	return nil
}

// setting is a number, or a length of time.
type setting struct {
	n      float64
	line   int
	length bool
}

// UnmarshalYAML reads it.
func (s *setting) UnmarshalYAML(n ast.Node) error {
	s.line = lineOf(n)
	text := scalar(n)
	if v, err := strconv.ParseFloat(text, 64); err == nil && v >= 0 && v <= mostSetting {
		s.n = v
		return nil
	}
	ms, ok := span(text)
	s.length = true
	if !ok || ms < 0 {
		return at(n, "setting %q is neither a number nor a length of time: write 50, 0.01, 5m, 7d", text)
	}
	s.n = float64(ms)
	return nil
}

// mostSetting bounds the settings: beyond, whole numbers are no longer told apart.
const mostSetting = 1 << 53

// span reads a length of time in milliseconds: 90s, 5m, 2h, 7d, -1d.
func span(text string) (ms int64, ok bool) {
	if days, found := strings.CutSuffix(text, "d"); found {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n < 1e5 && n > -1e5 {
			return int64(n * float64(24*time.Hour/time.Millisecond)), true
		}
	}
	d, err := time.ParseDuration(text)
	return d.Milliseconds(), err == nil
}

// fault is an error at a line of the file.
type fault struct {
	line int
	text string
}

func (f *fault) Error() string { return f.text }

func at(n ast.Node, format string, args ...any) error {
	return &fault{lineOf(n), fmt.Sprintf(format, args...)}
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// scalar gives the text of a plain value, "" for lists and mappings.
func scalar(n ast.Node) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	if _, ok := n.(ast.ScalarNode); ok && n.GetToken() != nil {
		return n.GetToken().Value
	}
	return ""
}

// decode reads a file strictly. Its errors name file and line.
func decode(name string, data []byte) (*file, error) {
	f := &file{}
	err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict(), yaml.DisallowUnknownField()).Decode(f)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: empty: whosaw rules show nonexistent prints a rule to begin with", name)
	}
	var ours *fault
	if errors.As(err, &ours) {
		return nil, fmt.Errorf("%s:%d: %s", name, ours.line, ours.text)
	}
	var theirs yaml.Error
	if errors.As(err, &theirs) && theirs.GetToken() != nil && theirs.GetToken().Position != nil {
		text := theirs.GetMessage()
		if strings.Contains(text, "unknown field") {
			text += "; docs/formats/rules.md lists every member there is"
		}
		return nil, fmt.Errorf("%s:%d: %s", name, theirs.GetToken().Position.Line, text)
	}
	return nil, fmt.Errorf("%s: %w", name, err)
}

// memberLine finds the line of a member of the file, 0 if it has none.
func memberLine(data []byte, member string) int {
	for i, line := range bytes.Split(data, []byte("\n")) {
		if bytes.HasPrefix(line, []byte(member+":")) {
			return i + 1
		}
	}
	return 0
}

// parse makes a rule of a file. base is the shipped rule of its detector; nil: this is one.
func parse(name string, data []byte, base func(detector string) *Rule) (*Rule, error) {
	f, err := decode(name, data)
	if err != nil {
		return nil, err
	}
	bad := func(member, format string, args ...any) error {
		where := name
		if line := memberLine(data, member); line > 0 {
			where = fmt.Sprintf("%s:%d", name, line)
		}
		return fmt.Errorf("%s: %s: %s", where, member, fmt.Sprintf(format, args...))
	}
	r := &Rule{Name: f.Rule, Detector: f.Detector, Off: strings.TrimSpace(f.Off), Settings: map[string]float64{}, Cases: f.Cases, File: name}
	if r.Name == "" {
		return nil, bad("rule", "give the rule a name: that of a shipped one replaces it")
	}
	if base != nil {
		if r.Detector == "" && base(r.Name) != nil {
			r.Detector = r.Name // shipped rules are named after their detectors
		}
		from := base(r.Detector)
		if from == nil {
			return nil, bad("detector", "%q is no detector: whosaw rules list shows them", r.Detector)
		}
		r.inherit(from)
		for key, s := range f.Settings {
			if _, ok := from.Settings[key]; !ok {
				return nil, fmt.Errorf("%s:%d: settings: %s is no setting of %s: give some of %s", name, s.line, key, r.Detector, names(from.Settings))
			}
			if length := from.lengths[key]; s.n != 0 && s.length != length {
				want := "a number, such as 50"
				if length {
					want = "a length of time with its unit, such as 90s, 5m, 7d"
				}
				return nil, fmt.Errorf("%s:%d: settings: %s of %s is %s", name, s.line, key, r.Detector, want)
			}
		}
		if f.Units != nil && len(f.Units) == 0 {
			return nil, bad("units", "without any nobody is watched: give some of %s, or switch the rule off (off: why)", strings.Join(from.Units, ", "))
		}
		for i, u := range f.Units {
			if slices.Contains(f.Units[:i], u) {
				return nil, bad("units", "%s stands there twice, and would count everything twice", u)
			}
			if !slices.Contains(from.Units, u) {
				return nil, bad("units", "%s does not watch %q: give some of %s", r.Detector, u, strings.Join(from.Units, ", "))
			}
		}
		if (len(f.P1) > 0) != from.Sequential() && f.P1 != nil {
			return nil, bad("p1", "%s runs no sequential tests: leave p1 out", r.Detector)
		}
		if f.P0.Ceiling != nil && *f.P0.Ceiling == 0 && from.P0.Ceiling != 0 {
			return nil, bad("p0", "a ceiling of 0 would judge nobody: give the rate above which a route is not judged, or switch the rule off (off: why)")
		}
		if len(f.P1) > len(from.P1) {
			return nil, bad("p1", "%s has room for %d attack rates", r.Detector, len(from.P1))
		}
	}
	if ms, ok := span(f.For); f.For != "" && (!ok || ms <= 0 || ms > mostFor.Milliseconds()) {
		return nil, bad("for", "%q: give how long the action holds, such as 1h or 7d, above 0 and up to a year: every decision expires", f.For)
	}
	r.take(f)
	if err := r.check(bad); err != nil {
		return nil, err
	}
	return r, nil
}

func names(settings map[string]float64) string {
	var list []string
	for name := range settings {
		list = append(list, name)
	}
	slices.Sort(list)
	if len(list) == 0 {
		return "none: it has no settings"
	}
	return strings.Join(list, ", ")
}

// inherit begins with what the shipped rule says.
func (r *Rule) inherit(from *Rule) {
	r.Text, r.Action, r.For, r.Attack, r.OWASP = from.Text, from.Action, from.For, from.Attack, from.OWASP
	r.Units, r.P0, r.P1, r.AlarmsPerMonth = from.Units, from.P0, from.P1, from.AlarmsPerMonth
	for name, v := range from.Settings {
		r.Settings[name] = v
	}
}

// take lays over it what the file says.
func (r *Rule) take(f *file) {
	for _, s := range []struct {
		to   *string
		from string
	}{{&r.Text, strings.TrimSpace(f.Text)}, {&r.Action, f.Action}, {&r.P0.Of, f.P0.Of}} {
		if s.from != "" {
			*s.to = s.from
		}
	}
	for _, l := range []struct {
		to   *[]string
		from []string
	}{{&r.Attack, f.Attack}, {&r.OWASP, f.OWASP}, {&r.Units, f.Units}} {
		if l.from != nil {
			*l.to = l.from
		}
	}
	if f.P1 != nil {
		r.P1 = f.P1
	}
	for _, n := range []struct {
		to   *float64
		from *float64
	}{{&r.P0.Floor, f.P0.Floor}, {&r.P0.Young, f.P0.Young}, {&r.P0.Ceiling, f.P0.Ceiling}, {&r.P0.Times, f.P0.Times}} {
		if n.from != nil {
			*n.to = *n.from
		}
	}
	if f.P0.Enough != nil {
		r.P0.Enough = *f.P0.Enough
	}
	if r.P0.Young == 0 || f.P0.Floor != nil && f.P0.Young == nil && r.P0.Young < r.P0.Floor {
		r.P0.Young = r.P0.Floor
	}
	if ms, ok := span(f.For); ok && ms > 0 {
		r.For = time.Duration(ms) * time.Millisecond
	}
	if r.For == 0 && r.Action != Alarm {
		r.For = standardFor
	}
	if f.AlarmsPerMonth.given {
		r.AlarmsPerMonth = f.AlarmsPerMonth.n
	}
	for name, s := range f.Settings {
		r.Settings[name] = s.n
		if r.lengths == nil {
			r.lengths = map[string]bool{}
		}
		r.lengths[name] = r.lengths[name] || s.length
	}
}

// check refuses what cannot work.
func (r *Rule) check(bad func(member, format string, args ...any) error) error {
	p := &r.P0
	switch {
	case r.Detector == "":
		return bad("detector", "name the detector")
	case r.Text == "":
		return bad("text", "say in a sentence what a finding of the rule means")
	case !slices.Contains(Actions(), r.Action):
		return bad("action", "%q: give one of %s", r.Action, strings.Join(Actions(), ", "))
	case r.Action == Alarm && r.For != 0:
		return bad("for", "an alarm holds until somebody judges it: leave it out, or give an action of the guard")
	case r.AlarmsPerMonth > 0 && !r.Sequential():
		return bad("alarms_per_month", "%s states facts or counts, to which the bound does not apply: leave it out", r.Detector)
	case r.Sequential() && !(p.Floor > 0 && p.Young >= p.Floor && p.Young < 1 && (p.Ceiling == 0 || p.Ceiling >= p.Young && p.Ceiling < 1)):
		return bad("p0", "floor, young and ceiling must rise, above 0 and below 1")
	case p.Of != "" && !(p.Times >= 1 && p.Enough >= 1):
		return bad("p0", "a median needs times, at least 1, and enough, at least 1")
	case len(r.Attack)+len(r.OWASP) == 0:
		return bad("attack", "name an ATT&CK technique, or under owasp a risk of the API list")
	}
	for _, p1 := range r.P1 {
		if !(p1 >= 1.4*p.Floor && p1 < 1) {
			return bad("p1", "%v: an attack rate must be 1.4 times the floor of p0 (%v) at least, and below 1", p1, p.Floor)
		}
	}
	if r.Off != "" {
		return nil
	}
	fires, silent := 0, 0
	for i := range r.Cases {
		if r.Cases[i].Fires {
			fires++
		} else {
			silent++
		}
	}
	if fires == 0 || silent == 0 {
		return bad("cases", "%d fire and %d do not: a rule needs at least one of each, so that it can be seen to work and to be silent", fires, silent)
	}
	return nil
}
