package detect

import "fmt"

// monotoneClass keeps its rates apart from those of other questions.
const monotoneClass = 6

// monotoneDone stands for a session that was judged, or that has shown a page without data.
const monotoneDone = mostTally

// session gives the place of an access's session: a credential, else an address with a class of agents, on a day. nil: there is no
// room, or it is no session.
func (e *Engine) session(v *view) *uint64 {
	if v.ids[kindCredential]|v.ids[kindIP] == 0 {
		return nil
	}
	h := e.sessionKey(v.realm, &v.identity)
	slot := e.history.find(h)
	if slot == nil {
		if slot = e.history.put(h, dayOf(e.sure), e.cfg.MaxHistory); slot == nil {
			e.stats[monotone].skip(whyHistoryFull)
			return nil
		}
		setTally(slot, v.on, 0)
	}
	switch since := sinceDay(slot, v.on); {
	case since < 0:
		return nil // of a day that is over
	case since > 0:
		setTally(slot, v.on, 0)
	}
	return slot
}

func (e *Engine) sessionKey(realm uint64, x *identity) historyKey {
	id := x.ids[kindCredential]
	if id == 0 {
		id = mix(x.ids[kindIP] ^ x.class.hash)
	}
	return historyID(metSession, realm, subject(id), 0)
}

// variety notes a page that shows nobody's data: its session is one of the usual kind.
func (e *Engine) variety(v *view) {
	if v.issued || v.r.Status >= 400 || v.house != 0 {
		return
	}
	if slot := e.session(v); slot != nil && tally(slot) != monotoneDone {
		e.monotony(v, slot, false)
	}
}

// tryMonotone asks of a session, once it has shown data three times, whether it has shown nothing but data.
func (e *Engine) tryMonotone(v *view, name string, en *entry) {
	valid, hits := uint8(0), uint8(0)
	if slot := e.session(v); slot != nil && tally(slot) != monotoneDone {
		n := tally(slot) + 1
		setTally(slot, v.on, n)
		if n >= e.knobs.sessionPages {
			valid = e.monotony(v, slot, true)
			// Who does so always (test accounts do, day by day) is one hit for ever.
			if place, before := e.metOn(historyID(metMonotone, v.realm, en.subject, 0), v.on); place == nil || before {
				valid = 0
			}
			hits = valid
		}
	}
	s := e.monotones(v)
	w := s.rateNow()
	e.ask(monotone, v, name, en, w, w, valid, hits)
}

// monotony closes a session's question, learns from the answer and gives the tests that it is a trial of.
func (e *Engine) monotony(v *view, slot *uint64, hit bool) (valid uint8) {
	setTally(slot, v.on, monotoneDone)
	st, s := &e.stats[monotone], e.monotones(v)
	frozen := e.changed(v.realm, v.r.Time, movesPages)
	if !frozen {
		e.learn(s, v.ids[kindNetwork], hit)
	}
	switch {
	case s.enough < s.units:
		st.skip(whyNoWakes)
	case frozen:
		st.skip(whyChange)
	case s.rateNow().p0 > s.ceiling:
		s.tooMany()
		st.skip(whyNoViews)
	default:
		st.judged++
		st.trials++
		valid = s.rateNow().use
		if !hit {
			e.various(v, s)
		}
	}
	return valid
}

// various lowers the tests of the units of a session that has shown other pages too.
func (e *Engine) various(v *view, s *stratum) {
	e.identify(v)
	w := s.rateNow()
	for _, k := range e.rule[monotone].watched {
		if e.hot[monotone][k] == 0 {
			continue
		}
		if u := e.unit(v, k, false); u != nil {
			e.miss(u, v, trial{d: monotone, w: w, valid: w.use})
		}
	}
}

// monotones gives the rate of the application that an access came through: an app may open where another searches.
func (e *Engine) monotones(v *view) *stratum {
	return e.rateOf(v, monotoneClass^v.client<<8, &e.rule[monotone].envelope, throughClient)
}

func throughClient(v *view) string {
	if v.r.Client == "" {
		return "any route"
	}
	return "any route, through " + v.r.Client
}

func monotoneSays(a *accusation) string {
	tail := ""
	if a.narrow {
		tail = " Other sessions there are of the usual kind, so only these customers are accused."
	}
	return fmt.Sprintf("Sessions behind %s show nothing but customers' data: no search, no page of a product, no cart. %d of %s began so.%s",
		behind(a), a.hits, count(max(a.trials, a.hits), "session", "sessions"), tail)
}
