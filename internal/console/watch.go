package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/meter"
	"github.com/whosaw/whosaw/internal/regime"
	"github.com/whosaw/whosaw/internal/scope"
)

const (
	stripRoutes = 9
	stripActors = 8
	// going is how long after the last customer was shown a finding counts as going on.
	going = 10 * time.Minute
	// maxCounted bounds the filters of open findings whose customers are counted as they come.
	maxCounted = 3
	// nearCap is from which share of a budget on somebody should look.
	nearCap = 0.9
)

// state is how everything is at a second. It is made by the watch and never written afterwards.
type state struct {
	at        time.Time
	status    api.Status
	measure   meter.Snapshot
	open      int64
	findings  []api.Found // the newest, open ones first
	lost      []loss      // of the open ones that were counted
	spent     []detect.Spent
	sources   []sourceRow
	silent    []string // sources from which nothing comes any more
	contained map[string]time.Time
	clocks    map[string][]api.ClockRow // of the law, that run and have a term, by language: the first few
}

// loss is what an open finding's filter has shown up to now.
type loss struct {
	id     string
	number int64
	answer whosaw.ScopeAnswer
	recent int64 // customers first shown in the last whole minutes, a minute
	at     time.Time
}

// going reports whether it is being shown customers still.
func (l *loss) going(now time.Time) bool {
	return l.answer.Last != nil && now.Sub(time.UnixMilli(int64(*l.answer.Last))) < going
}

// sourceRow is a source with its pace.
type sourceRow struct {
	api.Source
	Rate float64 // accepted a second, over the last ten
}

// pace is what the watch remembers of a source.
type pace struct {
	accepted []sample // of the last ten seconds
}

// sample is how many records had been accepted at a time.
type sample struct {
	at time.Time
	n  int64
}

// paceOver is the time over which a pace is measured.
const paceOver = 10 * time.Second

// note notes how many records have been accepted. It is not noted once a second: a look may be late, and a page may have one made.
func (p *pace) note(at time.Time, accepted int64) {
	p.accepted = append(p.accepted, sample{at, accepted})
	for len(p.accepted) > 2 && at.Sub(p.accepted[1].at) >= paceOver {
		p.accepted = p.accepted[1:]
	}
}

// rate is how many were accepted a second.
func (p *pace) rate() float64 {
	first, last := p.accepted[0], p.accepted[len(p.accepted)-1]
	if d := last.at.Sub(first.at); d > 0 {
		return float64(last.n-first.n) / d.Seconds()
	}
	return 0
}

// watch works out what changes from second to second, once for everybody.
type watch struct {
	c *Console

	mu       sync.Mutex
	now      *state
	watchers map[chan []byte]listener
	ended    bool
	paces    map[string]*pace
	lost     []loss
	losses   func(context.Context, []api.Found, time.Time) []loss
	life     context.Context // of Run; nil: it has not begun, and nothing is counted
	counts   sync.WaitGroup
	counting bool
	rest     time.Time // no count begins before
	clocksAt time.Time // when the clocks were read
}

// listener is what one browser wants.
type listener struct{ lang, page string }

const maxListeners = 1000

func newWatch(c *Console) *watch {
	return &watch{c: c, watchers: map[chan []byte]listener{}, paces: map[string]*pace{}, losses: c.losses}
}

// state gives the newest; before the first second was worked out it is worked out now.
func (w *watch) state() *state {
	w.mu.Lock()
	s := w.now
	w.mu.Unlock()
	if s != nil && w.c.cfg.Now().Sub(s.at) < 3*time.Second && w.c.cfg.Now().Sub(s.at) >= 0 {
		return s
	}
	return w.look(context.Background())
}

// Run works live parts out once a second until ctx ends.
func (c *Console) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	c.watch.begin(ctx)
	defer c.watch.counts.Wait()
	defer c.watch.end()
	var warming sync.WaitGroup
	warming.Go(func() { c.warm(ctx) })
	defer warming.Wait()
	for {
		c.watch.look(ctx)
		c.watch.tell()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look works the state out.
func (w *watch) look(ctx context.Context) *state {
	cfg := &w.c.cfg
	s := &state{at: cfg.Now(), contained: map[string]time.Time{}}
	var err error
	if s.status, err = cfg.API.Status(ctx); err != nil && ctx.Err() == nil {
		cfg.Logger.Error("work out how the server is", "error", err)
	}
	s.open = s.status.Alarms.Open
	s.measure = cfg.Meter.Snapshot(stripRoutes, stripActors)
	s.spent = cfg.Live.Spent(s.at.UnixMilli()/(24*3_600_000), 4)
	open, _, err := cfg.Alarms.Findings(ctx, alarm.Query{State: alarm.Open, Suppressed: new(bool), Limit: 20})
	if err == nil {
		var recent []alarm.Recorded
		recent, _, err = cfg.Alarms.Findings(ctx, alarm.Query{Limit: 8})
		for i := range open {
			s.findings = append(s.findings, asFound(&open[i]))
		}
		for i := range recent {
			if recent[i].State != alarm.Open {
				s.findings = append(s.findings, asFound(&recent[i]))
			}
		}
	}
	if err != nil && ctx.Err() == nil {
		cfg.Logger.Error("read findings for the pages", "error", err)
		w.mu.Lock()
		if w.now != nil {
			s.findings = w.now.findings // what cannot be read is not over
		}
		w.mu.Unlock()
	}
	if cfg.Contain != nil && !cfg.Contain.Shadow() {
		for i := range s.findings {
			f := &s.findings[i]
			if since, _, err := cfg.Contain.Stands(ctx, &f.Finding); err == nil && !since.IsZero() {
				s.contained[f.ID] = since
			}
		}
	}
	if s.clocks, err = w.clocks(ctx, s.at); err != nil && ctx.Err() == nil {
		cfg.Logger.Error("read the clocks of incidents", "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pace(s)
	s.lost = slices.DeleteFunc(slices.Clone(w.lost), func(l loss) bool { return !s.isOpen(l.id) })
	w.count(s)
	w.now = s
	return s
}

// isOpen reports whether a finding is open still: one that was judged since it was counted tells of nothing.
func (s *state) isOpen(id string) bool {
	return slices.ContainsFunc(s.findings, func(f api.Found) bool { return f.ID == id && f.State == alarm.Open })
}

// clocksEvery is how old the clocks on Now may be: they count days, and to read them is to read every incident.
const clocksEvery = 10 * time.Second

// clocks gives the first clocks of the law that run and have a term, in each language.
func (w *watch) clocks(ctx context.Context, at time.Time) (map[string][]api.ClockRow, error) {
	w.mu.Lock()
	if was := w.now; was != nil && was.clocks != nil && at.Sub(w.clocksAt) < clocksEvery && at.After(w.clocksAt) {
		defer w.mu.Unlock()
		return was.clocks, nil
	}
	w.clocksAt = at
	w.mu.Unlock()
	out := map[string][]api.ClockRow{}
	for _, lang := range w.c.words.languages() {
		rows, err := w.c.cfg.API.ClockRows(ctx, lang)
		if err != nil {
			return nil, err
		}
		rows = slices.DeleteFunc(rows, func(k api.ClockRow) bool {
			return k.State != regime.Overdue && k.State != regime.Running || k.Due.IsZero()
		})
		out[lang] = rows[:min(4, len(rows))]
	}
	return out, nil
}

func asFound(r *alarm.Recorded) api.Found {
	return api.Found{Finding: r.Finding, Number: r.Number, Sequence: r.Sequence, RaisedAt: r.RaisedAt, State: r.State, SuppressedBy: r.SuppressedBy}
}

// pace notes what came of each source. mu must be held.
func (w *watch) pace(s *state) {
	for _, src := range s.status.Sources {
		p := w.paces[src.Source]
		if p == nil {
			p = &pace{}
			w.paces[src.Source] = p
		}
		p.note(s.at, src.Accepted)
		row := sourceRow{Source: src, Rate: p.rate()}
		if src.Silent != nil {
			s.silent = append(s.silent, src.Source)
		}
		s.sources = append(s.sources, row)
	}
}

// count has the customers of open findings counted, one count at a time, beside the watch, for as long as Run runs. mu must be held.
func (w *watch) count(s *state) {
	var open []api.Found
	for _, f := range s.findings {
		if f.State == alarm.Open {
			open = append(open, f)
		}
	}
	slices.SortStableFunc(open, func(a, b api.Found) int { return cmp.Or(rank(a.Detector)-rank(b.Detector), int(a.Number-b.Number)) })
	if len(open) == 0 {
		w.lost = nil
	}
	if w.counting || len(open) == 0 || s.at.Before(w.rest) || w.life == nil || w.ended {
		return
	}
	w.counting = true
	ctx := w.life
	w.counts.Go(func() {
		began := time.Now()
		lost := w.losses(ctx, open, s.at)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.counting = false
		w.rest = s.at.Add(4 * time.Since(began)) // a fifth of a processor at most, however large the ledger
		if lost != nil {
			w.lost = lost
		}
	})
}

// ranks orders detectors by how plainly each says that customers are being taken: the first of those that agree is the one that Now tells of.
var ranks = []string{"unissued", "canary", "traversal", "nonexistent", "stranger", "dormant", "monotone", "unexplained", "spreader", "budget", "refused", "field_drift", "key_state"}

func rank(detector string) int {
	if i := slices.Index(ranks, detector); i >= 0 {
		return i
	}
	return len(ranks)
}

// losses counts what findings have shown, each filter once. It is the server's own question, for the figure on Now: nobody is shown a customer.
func (c *Console) losses(ctx context.Context, open []api.Found, now time.Time) []loss {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	q, err := c.cfg.Live.Ask(scope.Config{Workers: 1, Zone: c.cfg.Zone, Memory: 256 << 20})
	if err != nil {
		return nil
	}
	defer q.Close()
	var out []loss
	counted := map[string]int{} // index of the loss with that filter
	for i := range open {
		f := &open[i]
		text, err := json.Marshal(f.Filter)
		if err != nil {
			return nil
		}
		if j, ok := counted[string(text)]; ok {
			same := out[j]
			same.id, same.number = f.ID, f.Number
			out = append(out, same)
			continue
		}
		if len(counted) >= maxCounted {
			continue
		}
		counted[string(text)] = len(out)
		l := loss{id: f.ID, number: f.Number, at: now}
		if l.answer, _, err = c.count(ctx, q, f.Filter, time.Time{}); err != nil {
			return nil
		}
		if l.going(now) {
			const minutes = 5
			at := whosaw.Time(now.Truncate(time.Minute).Add(-minutes * time.Minute).UnixMilli())
			before := slices.Clone(f.Filter)
			for j := range before {
				if before[j].To == 0 || before[j].To > at {
					before[j].To = at
				}
				if before[j].From >= at {
					before[j].To = before[j].From + 1
				}
			}
			if was, err := q.Count(ctx, before); err == nil {
				span := now.Sub(now.Truncate(time.Minute).Add(-minutes * time.Minute)).Minutes()
				if l.answer.First != nil {
					span = min(span, now.Sub(time.UnixMilli(int64(*l.answer.First))).Minutes()+0.5)
				}
				l.recent = int64(float64(l.answer.Subjects-was.Subjects)/span + 0.5)
			}
		}
		out = append(out, l)
	}
	return out
}

// plate is the level in a word.
type plate struct {
	Level, Word, Says, Figure string
}

// worst is the open finding that is being shown most customers now.
func (s *state) worst() *loss {
	var out *loss
	for i := range s.lost {
		l := &s.lost[i]
		if l.going(s.at) && l.answer.Subjects > 0 && (out == nil || l.answer.Subjects > out.answer.Subjects) && s.contained[l.id].IsZero() {
			out = l
		}
	}
	return out
}

// plate judges: silence is never Quiet.
func (s *state) plate(sp speech, zone *time.Location) plate {
	as := func(level, says, fig string) plate { return plate{level, sp.T("level." + level), says, fig} }
	clock := func(t time.Time) string { return t.In(zone).Format("15:04:05") }
	if l := s.worst(); l != nil {
		return as("harvest", sp.T("plate.since", clock(time.UnixMilli(int64(*l.answer.First)))), figure.Int(l.answer.Subjects))
	}
	if says := s.blind(sp); says != "" {
		return as("blind", says, "")
	}
	for _, f := range s.findings {
		if since := s.contained[f.ID]; f.State == alarm.Open && !since.IsZero() {
			return as("contained", sp.T("plate.since", clock(since)), "")
		}
	}
	switch {
	case s.open > 0:
		return as("watch", sp.N("plate.open", s.open), "")
	case len(s.over()) > 0:
		return as("watch", sp.N("plate.over", int64(len(s.over()))), "")
	}
	for _, b := range s.spent {
		if float64(b.Fresh) >= nearCap*float64(b.Cap) && b.Cap > 0 {
			return as("watch", sp.T("plate.budget", 100*b.Fresh/b.Cap), "")
		}
	}
	return as("quiet", sp.T("plate.quiet"), "")
}

// blind says why we cannot see; "": we can.
func (s *state) blind(sp speech) string {
	switch {
	case !s.status.Ready:
		return sp.T("blind.notready")
	case s.status.Ledger.Behind:
		return sp.T("blind.behind")
	case len(s.sources) == 0 || s.status.Ledger.Accesses == 0:
		return sp.T("blind.nothing")
	case s.status.Ledger.Last-s.status.Ledger.Judged > 1_000_000:
		return sp.T("blind.late")
	case len(s.silent) == 1:
		return sp.T("blind.silent", cutTo(safe(s.silent[0]), 14))
	case len(s.silent) > 1:
		return sp.N("blind.silents", int64(len(s.silent)))
	case s.measure.Accesses == 0 && s.heard().IsZero():
		return sp.T("blind.nothing")
	}
	return ""
}

// heard is the newest event time of any source that is near enough to be live; zero: none.
func (s *state) heard() time.Time {
	var out time.Time
	for _, src := range s.sources {
		if src.Newest != nil {
			if t := time.UnixMilli(int64(*src.Newest)); t.After(out) {
				out = t
			}
		}
	}
	if s.at.Sub(out) > 10*time.Minute {
		return time.Time{}
	}
	return out
}

// over are the routes above their season.
func (s *state) over() []string {
	var out []string
	for i := range s.measure.Strips {
		if st := &s.measure.Strips[i]; st.Over() {
			out = append(out, st.Route)
		}
	}
	return out
}

func cutTo(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

func (w *watch) join(l listener) (chan []byte, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || len(w.watchers) >= maxListeners {
		return nil, false
	}
	ch := make(chan []byte, 1)
	w.watchers[ch] = l
	return ch, true
}

func (w *watch) leave(ch chan []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watchers, ch)
}

func (w *watch) begin(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life = ctx
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for ch := range w.watchers {
		close(ch)
		delete(w.watchers, ch)
	}
}

// tell gives every watcher the newest parts; what one has not fetched yet is replaced. Each kind of part is made once.
func (w *watch) tell() {
	w.mu.Lock()
	wanted := map[listener]bool{}
	for _, l := range w.watchers {
		wanted[l] = true
	}
	s := w.now
	w.mu.Unlock()
	if s == nil || len(wanted) == 0 {
		return
	}
	made := map[listener][]byte{}
	for l := range wanted {
		made[l] = w.c.event(s, l)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch, l := range w.watchers {
		event, ok := made[l]
		if !ok {
			continue // it joined since
		}
		select {
		case <-ch:
		default:
		}
		ch <- event
	}
}

// event makes the parts of one language and page, as one message of the stream.
func (c *Console) event(s *state, l listener) []byte {
	sp := c.words.in(l.lang)
	f := &frame{speech: sp, Page: l.page, TitleKey: "title.now", Zone: c.cfg.Zone, At: s.at, Languages: c.words.languages()}
	c.lit(f)
	var out bytes.Buffer
	data := any(f)
	name := "live"
	if l.page == "now" {
		data, name = c.nowData(f, s), "livenow"
	}
	if err := c.pages.ExecuteTemplate(&out, name, data); err != nil {
		c.cfg.Logger.Error("make live parts", "error", err)
		return []byte(": nothing\n\n")
	}
	var event bytes.Buffer
	for line := range strings.SplitSeq(out.String(), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			event.WriteString("data: ")
			event.WriteString(line)
			event.WriteByte('\n')
		}
	}
	event.WriteByte('\n')
	return event.Bytes()
}

// stillEvery is how often is looked whether whoever watches may still: a session may end while its stream goes on.
const stillEvery = 2 * time.Second

// live streams the parts of a page that change.
func (c *Console) live(w http.ResponseWriter, r *http.Request, _ api.Who) error {
	l := listener{c.speech(r).lang, "other"}
	if p := r.URL.Query().Get("page"); p == "now" {
		l.page = p
	}
	ch, ok := c.watch.join(l)
	if !ok {
		return &api.Error{Status: http.StatusServiceUnavailable, Code: api.CodeUnavailable, Says: "too many are watching, or the server is stopping", Cure: "try again later"}
	}
	defer c.watch.leave(ch)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	if _, err := fmt.Fprint(w, ": here\n\n"); err != nil || rc.Flush() != nil {
		return nil
	}
	for looked := time.Now(); ; {
		select {
		case event, ok := <-ch:
			if !ok {
				return nil
			}
			if time.Since(looked) >= stillEvery {
				if who, err := c.cfg.API.Visitor(r); err != nil || !who.Role.May(auth.RoleRead) {
					return nil
				}
				looked = time.Now()
			}
			_ = rc.SetWriteDeadline(time.Now().Add(10 * time.Second)) // who does not read is let go
			if _, err := w.Write(event); err != nil {
				return nil
			}
			if err := rc.Flush(); err != nil {
				return nil
			}
		case <-r.Context().Done():
			return nil
		}
	}
}
