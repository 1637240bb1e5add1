package console

import (
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/meter"
)

// nowPage is what now.html shows.
type nowPage struct {
	*frame
	Calm              string
	Below             string
	Harm              *harm
	Strips            []stripView
	Broken            bool
	DayAxis, HourAxis template.HTML
	More              int
	Full              string
	NoPast            bool

	Findings  []findingLine
	Clocks    []clockView
	Budgets   []budgetLine
	Sources   []sourceLine
	NotJudged []string
	Judging   string
	Actors    []actorLine
	Nothing   bool
}

// harm is what stands at the head while customers are being shown.
type harm struct {
	Sign, N, Rate, Lasting string
	Since                  string
	Last, Ago              string // of the last customer, once no other has come for a minute
	Sentence               template.HTML
	Number                 int64
	Contain, Shadow        bool
}

type stripView struct {
	Method, Route  string
	All, Out, Over bool
	Day, Hour      template.HTML
	Now, Season    string
}

type findingLine struct {
	Number             int64
	Open, Hot          bool
	Sentence           template.HTML
	State, Owner, When string
}

type budgetLine struct {
	Unit   string
	Bar    template.HTML
	N, Of  string
	Learnt bool
}

type sourceLine struct {
	Name, Lag, Rate, Rejected string
	Silent                    bool
}

type actorLine struct {
	Kind, Name, N, Usual, Network string
	Bar                           template.HTML
	Hot                           bool
}

func (c *Console) now(w http.ResponseWriter, r *http.Request, who api.Who) error {
	f := c.frame(r, who, "now", "title.now")
	c.page(w, r, "now.html", c.nowData(f, c.watch.state()), http.StatusOK)
	return nil
}

func (c *Console) nowData(f *frame, s *state) *nowPage {
	p := &nowPage{frame: f, More: s.measure.More, Nothing: s.status.Ledger.Accesses == 0}
	p.head(c, s)
	p.strips(s)
	p.findings(c, s)
	for i := range s.clocks[f.lang] {
		k := &s.clocks[f.lang][i]
		p.Clocks = append(p.Clocks, f.clockView(k.Incident, "", &k.Clock))
	}
	for _, b := range s.spent {
		p.Budgets = append(p.Budgets, budgetLine{b.Unit, meterBar(float64(b.Fresh)/float64(max(1, b.Cap)), near(b.Fresh, b.Cap)), figure.Int(b.Fresh), figure.Int(b.Cap), !b.Set})
	}
	for _, src := range s.sources {
		l := sourceLine{Name: src.Source.Source, Rejected: figure.Int(src.Rejected), Silent: src.Silent != nil, Rate: figure.Int(int64(src.Rate + .5)), Lag: "–"}
		if src.Newest != nil {
			l.Lag = lag(src.Lag)
		}
		p.Sources = append(p.Sources, l)
	}
	yes := 0
	var blind []api.DetectorStatus // one for each reason
	for _, d := range s.status.Detectors {
		if d.Judges == "no" {
			at := slices.IndexFunc(blind, func(b api.DetectorStatus) bool { return b.Says == d.Says })
			if at < 0 {
				blind = append(blind, d)
			} else {
				blind[at].Detector += ", " + d.Detector
			}
		} else {
			yes++
		}
	}
	for _, b := range blind {
		p.NotJudged = append(p.NotJudged, f.T("now.blinddetector", b.Detector, f.WhyNot(b.Says)))
	}
	p.Judging = f.T("now.judging", yes, len(s.status.Detectors))
	for i := range s.measure.Actors {
		p.Actors = append(p.Actors, actorView(&s.measure.Actors[i], f, s.accused(&s.measure.Actors[i])))
	}
	if !s.measure.Full.IsZero() {
		p.Full = f.Short(s.measure.Full.UnixMilli())
	}
	return p
}

// WhyNot says in the visitor's language why a detector judges no more; as the API says it where there is no message for it.
func (f *frame) WhyNot(says string) string {
	if rule, ok := strings.CutPrefix(says, api.RuleOff); ok {
		return f.T("notjudged.off", rule)
	}
	if key := "notjudged." + says; f.words[key] != "" {
		return f.T(key)
	}
	return says
}

func lag(seconds float64) string {
	switch {
	case seconds < 100:
		return strconv.FormatFloat(seconds, 'f', 1, 64)
	}
	return figure.Int(int64(seconds))
}

func near(n, of int64) string {
	if float64(n) >= nearCap*float64(of) {
		return "w"
	}
	return ""
}

// accused reports whether an open finding that is going on names the actor.
func (s *state) accused(a *meter.Actor) bool {
	for i := range s.findings {
		for j := range s.lost {
			if l := &s.lost[j]; l.id == s.findings[i].ID && l.going(s.at) && s.findings[i].Unit == a.Kind+":"+a.Name {
				return true
			}
		}
	}
	return false
}

func actorView(a *meter.Actor, f *frame, accused bool) actorLine {
	l := actorLine{Kind: f.T("kind." + a.Kind), Name: a.Name, N: figure.Int(a.Subjects), Network: a.Network, Usual: f.T("now.nopast")}
	if a.Kind == "network" {
		l.Network = ""
	} else if a.Networks > 1 {
		l.Network = f.N("now.networks", int64(a.Networks))
	}
	const tick = .55 // all ticks stand on one line
	if !a.Known || a.Usual == 0 {
		l.Hot = accused
		l.Bar = bar(0, tick, "")
		if accused {
			l.Bar = bar(1, tick, "hot")
		}
		return l
	}
	l.Usual = figure.Int(a.Usual)
	share := float64(a.Subjects) / float64(a.Usual)
	class := ""
	if l.Hot = accused || share > 2; l.Hot {
		class = "hot"
	}
	l.Bar = bar(share*tick, tick, class)
	return l
}

// head says in one true sentence how it is.
func (p *nowPage) head(c *Console, s *state) {
	f := p.frame
	if l := s.worst(); l != nil {
		h := &harm{Sign: sign(len(l.answer.Gaps) > 0), N: figure.Int(l.answer.Subjects), Rate: figure.Int(l.recent), Number: l.number, Contain: c.cfg.Contain != nil}
		h.Shadow = h.Contain && c.cfg.Contain.Shadow()
		first := time.UnixMilli(int64(*l.answer.First))
		h.Since, h.Lasting = first.In(f.Zone).Format("15:04:05"), stopwatch(s.at.Sub(first))
		// A pace over minutes would go on where nobody is shown any more.
		last := time.UnixMilli(int64(*l.answer.Last))
		if d := l.at.Sub(last); d >= time.Minute {
			h.Last, h.Ago = last.In(f.Zone).Format("15:04:05"), stopwatch(d)
		}
		for i := range s.findings {
			if s.findings[i].ID == l.id {
				h.Sentence = f.plainSentence(&s.findings[i].Finding)
			}
		}
		p.Harm = h
	}
	over := s.over()
	switch says := s.blind(f.speech); {
	case says != "":
		p.Calm = f.T("now.blind", says)
	case s.open > 0:
		p.Calm = f.N("now.open", s.open)
	case len(over) > 0:
		p.Calm = f.N("now.over", int64(len(over)), safe(strings.Join(over[:min(3, len(over))], ", ")))
	case p.seasonless(s):
		p.Calm = f.T("now.noseason")
	default:
		p.Calm = f.T("now.calm")
	}
	fresh := int64(0)
	if len(s.measure.Strips) > 0 {
		fresh = s.measure.Strips[0].Now
	}
	if s.status.Ledger.To != nil {
		p.Below = f.N("now.below", s.measure.Accesses, figure.Int(fresh), f.Short(min(int64(*s.status.Ledger.To), s.at.UnixMilli())))
	}
}

// stopwatch writes how long something has lasted up to the second.
func stopwatch(d time.Duration) string {
	clock := two(int(d.Minutes())%60) + ":" + two(int(d.Seconds())%60)
	if h := int(d.Hours()); h > 0 {
		return strconv.Itoa(h) + ":" + clock
	}
	return strings.TrimPrefix(clock, "0")
}

func (p *nowPage) seasonless(s *state) bool {
	for i := range s.measure.Strips {
		if s.measure.Strips[i].Known {
			return false
		}
	}
	p.NoPast = true
	return true
}

func (p *nowPage) strips(s *state) {
	f := p.frame
	out := breakout(s)
	for i := range s.measure.Strips {
		st := &s.measure.Strips[i]
		v := stripView{Route: st.Route, All: st.Route == meter.All, Over: st.Over(), Now: figure.Int(st.Now), Season: "–"}
		if m, rest, ok := strings.Cut(st.Route, " "); ok && len(m) <= 7 && strings.HasPrefix(rest, "/") {
			v.Method, v.Route = m, rest
		}
		if st.Known {
			v.Season = figure.Int(st.Low) + " – " + figure.Int(st.High)
		}
		v.Out = i == out
		p.Broken = p.Broken || v.Out
		alt := f.T("now.alt", safe(st.Route), v.Now, v.Season)
		v.Day = (&course{points: st.Day, hot: true, zero: true, thin: true}).svg(f.T("now.altday", safe(st.Route)))
		hour := course{points: st.Hour, hot: true, zero: v.Out}
		if v.Out {
			hour.label(f, s, st)
		}
		v.Hour = hour.svg(alt)
		p.Strips = append(p.Strips, v)
	}
	p.HourAxis, p.DayAxis = hourAxis(s.measure.Minute, f.Zone, f.T("now.now")), dayAxis(s.measure.Minute, f.Zone)
}

// breakout is the one route that is drawn large: the farthest above its season, and at least twice it. -1: none is.
func breakout(s *state) int {
	out, most := -1, 2.0
	for i := range s.measure.Strips {
		st := &s.measure.Strips[i]
		if st.Route == meter.All || !st.Known {
			continue
		}
		if times := float64(st.Now) / float64(max(1, st.High)); times > most {
			out, most = i, times
		}
	}
	return out
}

// label names what stands in the large plot: the season's top, the scale, and the first alarm of the hour.
func (c *course) label(f *frame, s *state, st *meter.Strip) {
	c.top = f.T("now.top", figure.Int(st.High))
	c.scaled = true
	from := s.measure.Minute.Add(-59 * time.Minute)
	for i := range s.findings {
		seen := time.UnixMilli(int64(s.findings[i].Seen))
		if s.findings[i].State == alarm.Open && seen.After(from) {
			c.alarmAt = seen.Sub(from).Minutes() / 59
			c.alarm = f.T("now.alarm", seen.In(f.Zone).Format("15:04:05"))
		}
	}
}

func (p *nowPage) findings(c *Console, s *state) {
	for i := range s.findings {
		x := &s.findings[i]
		if len(p.Findings) >= 6 {
			break
		}
		l := findingLine{Number: x.Number, Open: x.State == alarm.Open, Sentence: p.plainSentence(&x.Finding), State: p.T("state." + string(x.State)), When: p.Short(int64(x.Seen))}
		if l.Open {
			for j := range s.lost {
				l.Hot = l.Hot || s.lost[j].id == x.ID && s.lost[j].going(s.at)
			}
		}
		p.Findings = append(p.Findings, l)
	}
}

// sign stands before a count.
func sign(touched bool) string {
	if touched {
		return "≥"
	}
	return "="
}
