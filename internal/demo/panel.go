package demo

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/shop"
)

// inConsole is the address of a page of the server, by way of a session for it.
func inConsole(path string) string { return "/open?to=" + url.QueryEscape(path) }

// view of an attempt: a copy that does not change.
type taken struct {
	attempt
	goes bool
	at   time.Duration // how long it has lasted
}

func (w *world) take(a *attempt) *taken {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &taken{goes: a.ended.IsZero()}
	t.first, t.last, t.span = a.first, a.last, a.span
	t.began, t.ended, t.tried, t.let, t.refused, t.absent, t.failed = a.began, a.ended, a.tried, a.let, a.refused, a.absent, a.failed
	t.tail, t.lost, t.exact, t.codes = append(t.tail, a.tail...), a.lost, a.exact, map[string]int64{}
	for k, n := range a.codes {
		t.codes[k] = n
	}
	t.points = append(t.points, a.points...)
	end := w.cfg.Now()
	t.people, t.after = a.people, w.honest.tally()
	if !t.goes {
		end, t.after = a.ended, a.after
	}
	t.at = end.Sub(a.began)
	return t
}

// showCalm is the shop as it should be.
func (w *world) showCalm(v *view) []panel {
	w.mu.Lock()
	c := w.calm
	w.mu.Unlock()
	_, word, says := w.srv.Pages().Level(v.Lang())
	people := w.honest.tally()
	first := panel{
		Kind: "calm", Glyph: "quiet", Head: v.T("calm.head"), Sign: "=", Figure: figure.Int(c.forged), Label: v.NRich("calm.label", c.forged),
		Facts: []fact{
			{Label: v.T("calm.plate"), Value: word, Of: console.Safe(says)},
			{Label: v.T("calm.customers"), Value: figure.Int(w.people)},
			{Label: v.T("calm.accesses", strconv.Itoa(w.cfg.Days)), Value: figure.Int(c.accesses)},
			{Label: v.T("calm.requests"), Value: figure.Int(people.requests)},
			{Label: v.T("fact.honest"), Value: figure.Int(people.refused), Of: v.T("fact.of", figure.Int(people.requests))},
		},
	}
	for _, x := range w.honest.deeds() {
		first.Tail = append(first.Tail, tailLine{At: x.at.In(w.zone).Format("15:04:05"), Number: x.who, Says: x.path})
	}
	if len(first.Tail) > 0 {
		first.TailHead = v.T("calm.latest")
	}
	if !c.exact || !w.settled() {
		first.Sign = "≥"
	}
	if c.forged > 0 {
		first.Kind, first.Glyph, first.Head = "off", "harvest", v.T("calm.over")
	}
	second := panel{
		Kind: "plain", Head: v.T("around.head"), Notes: []template.HTML{v.Rich("around.says")},
		Facts: []fact{
			{Label: v.T("around.customer"), Value: w.visitor.Email, Of: w.visitor.Password},
			{Label: v.T("around.agent"), Value: w.agent.ID, Of: w.agent.Password},
		},
		Links: []way{
			{inConsole("/"), v.T("way.now")}, {w.shopURL + "/", v.T("way.shop")}, {w.shopURL + "/desk/login", v.T("way.desk")}, {inConsole("/keys"), v.T("way.keys")},
		},
	}
	return []panel{first, second}
}

// attempted is the panel of an attempt.
func (w *world) attempted(v *view, t *taken, kind string, horizon time.Duration, most int64) panel {
	p := panel{Kind: kind, Glyph: "harvest", Head: v.T("guard.off"), Sign: "≥", Figure: "0", Label: v.NRich("lost.label", 0)}
	if kind == "on" {
		p.Glyph, p.Head = "contained", v.T("guard.on")
	}
	if t == nil {
		return p
	}
	if t.exact {
		p.Sign = "="
	}
	p.Figure, p.Label = figure.Int(t.lost), v.NRich("lost.label", t.lost)
	if rate := t.rate(); t.goes && rate > 0 {
		p.Label = v.NRich("lost.rate", t.lost, figure.Int(rate))
	}
	p.Facts = []fact{
		{Label: v.T("fact.forged"), Value: figure.Int(t.let), Of: v.T("fact.of", figure.Int(t.tried)), Bad: t.let > 0},
		{Label: v.T("fact.absent"), Value: figure.Int(t.absent)},
		{Label: v.T("fact.honest"), Value: figure.Int(t.after.since(t.people).refused), Of: v.T("fact.of", figure.Int(t.after.since(t.people).requests))},
	}
	if t.failed > 0 {
		p.Facts = append(p.Facts, fact{Label: v.T("fact.failed"), Value: figure.Int(t.failed), Bad: true})
	}
	if horizon > 0 {
		p.Plot = newPlot(v, t, kind, horizon, most)
	}
	for _, g := range t.tail {
		p.Tail = append(p.Tail, tailOf(v, &g))
	}
	return p
}

// rate is how many customers a second are lost, over the last few seconds.
func (t *taken) rate() int64 {
	if len(t.points) < 2 {
		return 0
	}
	last := t.points[len(t.points)-1]
	for i := len(t.points) - 2; i >= 0; i-- {
		if gone := last.at - t.points[i].at; gone >= 3*time.Second || i == 0 && gone > 0 {
			return int64(float64(last.n-t.points[i].n)/gone.Seconds() + 0.5)
		}
	}
	return 0
}

func tailOf(v *view, g *glimpse) tailLine {
	l := tailLine{At: fmt.Sprintf("%d:%05.2f", int(g.at.Minutes()), (g.at % time.Minute).Seconds()), Number: strconv.FormatInt(g.number, 10)}
	switch g.status {
	case http.StatusOK:
		l.Kind, l.Says = "taken", v.T("tail.shown")
	case http.StatusNotFound:
		l.Says = v.T("tail.absent")
	case http.StatusUnauthorized, http.StatusForbidden:
		l.Kind, l.Says = "held", v.T("tail.refused", v.reason(g.code))
	default:
		l.Says = v.T("tail.failed", strconv.Itoa(g.status))
	}
	return l
}

// reason words what a refusal says.
func (v *view) reason(code string) string {
	switch code {
	case "unissued", "key_revoked", "decision":
		return v.T("reason." + code)
	}
	return console.Safe(code)
}

// showTried is the first few tokens, and the alarm.
func (w *world) showTried(v *view) []panel {
	w.mu.Lock()
	a, f := w.tried, w.finding
	w.mu.Unlock()
	t := w.take(a)
	p := w.attempted(v, t, "off", 0, 0)
	alarm := panel{Kind: "plain", Head: v.T("alarm.head"), Notes: []template.HTML{v.Rich("alarm.none")}}
	if f != nil && t != nil {
		alarm.Notes = nil
		alarm.Says = w.srv.Pages().Sentence(v.Lang(), &f.Finding, nil)
		alarm.Facts = []fact{
			{Label: v.T("alarm.after"), Value: v.T("unit.ms", figure.Int(max(0, int64(f.RaisedAt)-t.began.UnixMilli())))},
			{Label: v.T("alarm.before"), Value: figure.Int(f.Finding.Subjects)},
			{Label: v.T("alarm.detector"), Value: f.Finding.Detector},
		}
		alarm.Links = []way{{inConsole(console.FindingPath(f.Number)), v.T("way.finding", strconv.FormatInt(f.Number, 10))}, {inConsole("/"), v.T("way.now")}}
	}
	return []panel{p, alarm}
}

// horizon gives the span and the height that plots of the harvest share.
func (w *world) horizon(off *taken) (time.Duration, int64) {
	if off == nil {
		return w.cfg.Span, w.people
	}
	span := off.span
	if !off.goes || off.at > span {
		span = off.at
	}
	most := off.lost
	if off.goes {
		most = max(most, int64(float64(w.people)))
	}
	return max(span, time.Second), max(most, 1)
}

// showHarvest is the harvest with nothing that stops it.
func (w *world) showHarvest(v *view) []panel {
	w.mu.Lock()
	a := w.off
	w.mu.Unlock()
	t := w.take(a)
	span, most := w.horizon(t)
	p := w.attempted(v, t, "off", span, most)
	v.clock(t)
	p.Links = []way{{inConsole("/"), v.T("way.now")}}
	return []panel{p}
}

// showGuarded is the same twice.
func (w *world) showGuarded(v *view) []panel {
	w.mu.Lock()
	a, b := w.off, w.on
	w.mu.Unlock()
	off, on := w.take(a), w.take(b)
	span, most := w.horizon(off)
	v.clock(on)
	second := w.attempted(v, on, "on", span, most)
	second.Links = []way{{inConsole("/"), v.T("way.now")}}
	return []panel{w.attempted(v, off, "off", span, most), second}
}

// clock shows how long an attempt has lasted.
func (v *view) clock(t *taken) {
	if t != nil {
		v.Clock = fmt.Sprintf("%d:%04.1f", int(t.at.Minutes()), (t.at % time.Minute).Seconds())
	}
}

// showScope is the harvest counted twice.
func (w *world) showScope(v *view) []panel {
	w.mu.Lock()
	s := w.scoped
	w.mu.Unlock()
	few := panel{Kind: "plain", Head: v.T("scope.few"), Sign: "≥", Figure: "…", Label: v.Rich("scope.counting")}
	all := panel{Kind: "off", Head: v.T("scope.all"), Sign: "≥", Figure: "…", Label: v.Rich("scope.counting")}
	if s == nil {
		return []panel{few, all}
	}
	few.Sign, few.Figure, few.Label = sign(&s.few), figure.Int(s.few.Subjects), v.NRich("scope.label", s.few.Subjects)
	few.Says = v.Rich("scope.fewsays", strconv.Itoa(s.complaints), strconv.Itoa(len(s.ips)), s.from.In(w.zone).Format("15:04:05"), s.to.In(w.zone).Format("15:04:05"))
	few.Facts = append(v.fields(&s.few), fact{Label: v.T("scope.missed"), Value: figure.Int(s.all.Subjects - s.few.Subjects), Bad: true})
	few.Gaps, all.Gaps = gapsOf(&s.few), gapsOf(&s.all)
	few.Links = []way{{inConsole(s.fewPath), v.T("way.scope")}, {inConsole(s.subjectPath), v.T("way.subject")}}
	all.Sign, all.Figure, all.Label = sign(&s.all), figure.Int(s.all.Subjects), v.NRich("scope.label", s.all.Subjects)
	all.Says = v.Rich("scope.allsays", shop.BackupKey)
	all.Facts = v.fields(&s.all)
	all.Links = []way{{inConsole(s.allPath), v.T("way.scope")}}
	return []panel{few, all}
}

// sign is the one before a count.
func sign(a *whosaw.ScopeAnswer) string {
	if len(a.Gaps) > 0 {
		return "≥"
	}
	return "="
}

// gapsOf says what the records cannot tell.
func gapsOf(a *whosaw.ScopeAnswer) []string {
	var out []string
	for _, g := range a.Gaps {
		out = append(out, console.Safe(g.Says))
	}
	return out
}

// fields says of how many customers each field was shown.
func (v *view) fields(a *whosaw.ScopeAnswer) []fact {
	var out []fact
	for _, name := range []string{"name", "email", "phone", "address", "door_code"} {
		if n := a.Fields[name]; n > 0 {
			out = append(out, fact{Label: v.T("field." + name), Value: figure.Int(n)})
		}
	}
	if n := a.Masked["door_code"]; n > 0 {
		out = append(out, fact{Label: v.T("field.door_masked"), Value: figure.Int(n)})
	}
	if a.Others > 0 {
		out = append(out, fact{Label: v.T("field.others"), Value: figure.Int(a.Others)})
	}
	return out
}

// showKey is the end of the key, from the narrow cut to the wide one.
func (w *world) showKey(v *view) []panel {
	w.mu.Lock()
	k, a := w.keyed, w.last
	w.mu.Unlock()
	deny := panel{Kind: "on", Glyph: "contained", Head: v.T("key.deny"), Sign: "≥", Figure: "…", Label: v.Rich("scope.counting")}
	kill := panel{Kind: "plain", Head: v.T("key.kill"), Sign: "≥", Figure: "…", Label: v.Rich("scope.counting")}
	if k == nil {
		return []panel{deny, kill}
	}
	x := &k.preview
	deny.Sign, deny.Figure, deny.Label = "=", "0", v.NRich("key.sessions", 0)
	deny.Says = v.Rich("key.denysays", shop.BackupKey)
	kill.Sign, kill.Figure, kill.Label = "=", figure.Int(x.Sessions), v.NRich("key.sessions", x.Sessions)
	kill.Says = v.Rich("key.killsays", shop.BackupKey)
	for _, p := range []*panel{&deny, &kill} {
		p.Facts = []fact{{Label: v.T("key.never"), Value: figure.Int(x.Never)}}
	}
	kill.Facts = append(kill.Facts, fact{Label: v.T("key.people"), Value: figure.Int(x.Principals)}, fact{Label: v.T("key.expired"), Value: figure.Int(x.Expired)})
	deny.Actions = []action{{Do: "deny", Text: v.T("key.denygo", figure.Int(x.Never)), Held: true}}
	kill.Actions = []action{{Do: "kill", Text: v.T("key.killgo", figure.Int(x.Sessions))}}
	kill.Links = []way{{inConsole(console.KeyPath("", shop.BackupKey)), v.T("way.key")}}
	if k.did == "" {
		return []panel{deny, kill}
	}
	done, other := &deny, &kill
	if k.did == "kill" {
		done, other = other, done
	}
	done.Actions, other.Actions = nil, nil
	done.Kind, done.Glyph = "on", "contained"
	other.Kind, other.Glyph = "plain", ""
	if t := w.take(a); t != nil {
		done.Notes = []template.HTML{v.Rich("key.done."+k.did, k.at.In(w.zone).Format("15:04:05"))}
		done.Facts = append(done.Facts,
			fact{Label: v.T("key.tried"), Value: figure.Int(t.refused), Of: v.T("fact.of", figure.Int(t.tried))},
			fact{Label: v.T("key.honest"), Value: figure.Int(t.after.since(t.people).refused), Of: v.T("fact.of", figure.Int(t.after.since(t.people).requests))})
		for _, g := range t.tail {
			done.Tail = append(done.Tail, tailOf(v, &g))
		}
	}
	return []panel{deny, kill}
}
