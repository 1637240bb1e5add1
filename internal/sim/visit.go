package sim

import (
	"github.com/whosaw/whosaw/internal/draw"
)

// customers makes a day of the customers from lo to hi.
func (s *sink) customers(lo, hi int) {
	r := s.run
	for i := lo; i < hi; i++ {
		t := r.traits(i)
		switch {
		case t.special == canary || t.special == tester:
			continue
		case r.joiners > 0 && i >= r.cfg.Customers-r.joiners:
			if joins := r.joins(i); joins >= s.start+dayMillis {
				return // and so do all after
			} else if joins >= s.start {
				s.join(i, joins)
				continue
			}
		case t.special == leaver && r.leaves(i) < s.start+dayMillis:
			s.leave(i)
			continue
		}
		if t.class != r.dormant {
			s.renew(i)
			d, n := r.visits(i, s.day)
			for range n {
				s.visit(i, &d, s.start+r.moment(&d), plain)
			}
		}
		s.once(i, t)
	}
}

// visits says how often a customer comes on a day.
func (s *shop) visits(i, day int) (draw.Draw, int) {
	d := s.draw(forDay, i, day)
	permille := s.params.Use[s.traits(i).class].VisitsPermille * s.params.WeekdaysPermille[s.weekday(day)] / 1000
	n := permille / 1000
	if d.Permille(permille % 1000) {
		n++
	}
	if n > 0 && d.OneIn(s.params.AgainOneIn) {
		n++
	}
	return d, n
}

// once makes the visits that only some days bring: the sale, and the campaign that wakes the dormant.
func (s *sink) once(i int, t traits) {
	r := s.run
	c, p := &r.calendar, r.params
	if s.day == c.saleDay && t.class != r.dormant {
		if d := r.draw(forSale, i, s.day); d.Permille(p.FlashSale.Permille) {
			s.visit(i, &d, s.start+atHour(p.FlashSale.Hour)+int64(d.Below(p.FlashSale.Minutes*int(minute))), whatFlashSale)
		}
	}
	if t.class == r.dormant && s.day >= c.campaignDay && s.day < c.campaignDay+p.Campaign.Days {
		if d := r.draw(forCampaign, i, s.day); d.Permille(p.Campaign.Permille) {
			s.visit(i, &d, s.start+r.moment(&d), whatCampaign)
		}
	}
}

// join is a customer's first day.
func (s *sink) join(i int, t int64) {
	r := s.run
	d := r.draw(forDay, i, s.day)
	m := r.member(i)
	from, _ := r.where(&m, &d)
	device, _ := r.agentOn(&m, 0, s.day)
	client := clientWeb
	if m.app {
		client = clientApp
	}
	s.add(event{kind: kindAccess, time: t, page: pageSignup, status: 200, client: client, agent: device, from: from, what: whatSignup})
	s.add(event{kind: kindSubject, time: t, subject: m.number, state: stateActive, since: t, till: t, what: whatSignup})
	s.visit(i, &d, t+20*second, whatSignup)
}

// leave closes an account, and from then on the app that was never removed asks in vain.
func (s *sink) leave(i int) {
	r := s.run
	m := r.member(i)
	if t := r.leaves(i); t >= s.start {
		e := event{kind: kindSubject, time: t, subject: m.number, state: stateWithdrawn, since: t, what: whatWithdrawn}
		if into, ok := r.mergesInto(i); ok {
			e.state, e.into, e.what = stateMerged, r.numbers[into], whatMerged
		}
		s.add(e)
		return
	}
	d := r.draw(forStale, m.index, s.day)
	if !m.app || m.traits.class == r.dormant || !d.OneIn(r.params.Stale.OneIn) {
		return
	}
	why := whatWithdrawn
	if _, ok := r.mergesInto(i); ok {
		why = whatMerged
	}
	s.ask(&m, s.start+r.moment(&d), pageMe, 404, why)
}

// mergesInto gives the account with which that of a customer who leaves becomes one, if it does not just end.
func (s *shop) mergesInto(i int) (int, bool) {
	d := s.draw(forMember, i, 4)
	into := d.Below(s.cfg.Customers - s.joiners)
	return into, d.Permille(s.params.Numbers.MergedPermille) && s.traits(into).special == ordinary
}

// token is the credential that an app holds at a time, and the key that signed it.
type token struct {
	credential uint64
	key        key
	issued     int64
	fresh      bool // the customer has to log in for it just now
	forced     bool // as everybody was logged out
	day        int
}

// renewal is when the app renewed its credential last before t; the day may lie before the log's first.
func (s *shop) renewal(m *member, t int64) (at int64, day int) {
	life := s.params.Devices.TokenDays
	day = int((t-s.begin+dayMillis<<12)/dayMillis) - 1<<12
	day -= (day - m.refresh + life<<12) % life
	for {
		d := s.draw(forToken, m.index, day)
		at = s.begin + int64(day)*dayMillis + s.moment(&d)
		if at <= t {
			return at, day
		}
		day -= life
	}
}

// held is the credential of a customer's app at a time. After the forced log-out the first visit brings a new one.
func (s *shop) held(m *member, t int64) token {
	at, day := s.renewal(m, t)
	c := &s.calendar
	joined := int((s.joins(m.index) - s.begin) / dayMillis)
	if m.traits.class != s.dormant && (t < c.logoutAt || at >= c.logoutAt) && day > joined {
		return token{credential: s.tokenID(m, day), key: s.signer(at), issued: at, day: day}
	}
	if t < c.logoutAt {
		// Joined since the last renewal, or woken: a log-in of the day.
		return s.freshToken(m, t)
	}
	// Logged out: the first day since then with a visit has the log-in.
	today := int((t - s.begin) / dayMillis)
	for d := max(c.logoutDay, day, joined+1); d < today && m.traits.class != s.dormant; d++ {
		if at := s.firstVisit(m, d); at > c.logoutAt {
			f := s.freshToken(m, at)
			f.fresh = false
			return f
		}
	}
	f := s.freshToken(m, t)
	f.forced = m.traits.class != s.dormant
	return f
}

// firstVisit is when a customer comes first on a day after the log-out, 0 if not at all.
func (s *shop) firstVisit(m *member, day int) int64 {
	d, n := s.visits(m.index, day)
	if n == 0 {
		return 0
	}
	return s.begin + int64(day)*dayMillis + s.moment(&d)
}

// freshToken is that of a log-in now.
func (s *shop) freshToken(m *member, t int64) token {
	day := int((t - s.begin) / dayMillis)
	d := s.draw(forSession, m.index, day)
	return token{credential: draw.Mix(d.Next() ^ uint64(t)), key: s.signer(t), issued: t, fresh: true, day: day}
}

func (s *shop) tokenID(m *member, day int) uint64 {
	d := s.draw(forToken, m.index, day)
	d.Skip(8)
	return d.Next()
}

// renew issues the app's new credential on its day.
func (s *sink) renew(i int) {
	r := s.run
	life := r.params.Devices.TokenDays
	m := r.member(i)
	if !m.app || (s.day-m.refresh+life<<12)%life != 0 {
		return
	}
	d := r.draw(forToken, i, s.day)
	at := s.start + r.moment(&d)
	d.Skip(4)
	from, _ := r.where(&m, &d)
	s.issue(&m, at, r.tokenID(&m, s.day), r.signer(at), from, plain)
}

// issue writes the issuance of a customer's credential, unless it is the one in 100,000 that gets lost.
func (s *sink) issue(m *member, t int64, credential uint64, k key, from place, w what) {
	e := event{kind: kindIssuance, time: t, subject: m.number, credential: credential, key: k, client: clientWeb, from: from, what: w}
	if m.app {
		e.client = clientApp
	}
	switch s.run.fate(credential) {
	case whatFeedLoss:
		return
	case whatFeedDelay:
		e.what = whatFeedDelay
		e.at = t + minute*int64(within(s.run.params.Feed.DelayMinutes, credential>>20))
	}
	s.add(e)
}

// fate says whether an issuance is lost or late.
func (s *shop) fate(credential uint64) what {
	f := &s.params.Feed
	switch h := int(draw.Mix(credential^uint64(forFeed)) % 100_000); {
	case h < f.LossPer100000:
		return whatFeedLoss
	case h < f.LossPer100000+f.DelayPer100000:
		return whatFeedDelay
	}
	return plain
}

// visit is a customer's session: a log-in, unless the app still holds a credential, then pages.
func (s *sink) visit(i int, d *draw.Draw, t int64, why what) {
	r := s.run
	m := r.member(i)
	from, network := r.where(&m, d)
	which := d.Below(2)
	device, released := r.agentOn(&m, which, s.day)
	base := event{
		kind: kindAccess, status: 200, role: roleCustomer, who: m.number, from: from, agent: device, client: clientWeb, what: why,
	}
	switch {
	case why != plain:
	case released:
		base.what = whatRelease
	case which == 1 && m.devices[1] != m.devices[0] && network != whatVPN && network != whatElsewhere:
		base.what = whatDevice
	default:
		base.what = network
	}
	if m.app {
		base.client = clientApp
		t = s.openApp(&m, t, &base, why)
	} else {
		t = s.logIn(&m, d, t, &base)
	}
	if f := r.fate(base.credential); f != plain {
		base.what = f
	}
	s.walk(&m, d, t, &base)
}

// openApp starts the app, which may have to ask for a log-in.
func (s *sink) openApp(m *member, t int64, base *event, why what) int64 {
	r := s.run
	k := r.held(m, t)
	if k.forced && why == plain {
		base.what = whatForcedLogout
	}
	if k.fresh {
		e := *base
		e.time, e.page, e.role, e.who = t, pageLogin, roleNone, 0
		s.issue(m, t, k.credential, k.key, base.from, base.what)
		s.add(e)
		t += second
	}
	base.credential, base.key = k.credential, k.key
	switch {
	case k.key == keyBackup:
		base.what = whatBackup
	case k.key == keyLogin && t >= r.calendar.rotation && base.what != whatForcedLogout:
		base.what = whatRotation
	}
	e := *base
	e.time, e.page = t, pageConfig
	s.add(e)
	return t
}

// logIn is a log-in on the web, at times with a wrong password first.
func (s *sink) logIn(m *member, d *draw.Draw, t int64, base *event) int64 {
	r := s.run
	e := *base
	e.time, e.page, e.role, e.who = t, pageLogin, roleNone, 0
	if d.OneIn(r.params.Login.WrongOneIn) {
		wrong := e
		wrong.status = 401
		s.add(wrong)
		e.time += int64(r.params.Login.AgainMillis.from(d))
	}
	base.credential, base.key = d.Next(), r.signer(e.time)
	if base.key == keyBackup {
		base.what = whatBackup
	}
	s.issue(m, e.time, base.credential, base.key, base.from, base.what)
	s.add(e)
	return e.time
}

// walk opens pages: most show nobody's data.
func (s *sink) walk(m *member, d *draw.Draw, t int64, base *event) {
	p := s.run.params
	n := p.Pages.from(d)
	start := *base
	if d.OneIn(p.LongOneIn) {
		n = p.LongPages.from(d)
		if start.what == plain || start.what == whatNAT || start.what == whatIPv6 {
			start.what = whatLong
		}
	}
	ordered := false
	books := 0
	for range n {
		t += int64(p.PageSeconds[0])*second + int64(d.Below((p.PageSeconds[1]-p.PageSeconds[0])*int(second)))
		e := start
		e.time, e.page = t, page(s.run.steps[d.Below(len(s.run.steps))])
		switch {
		case pages[e.page].fields|pages[e.page].masked != 0:
			e.subject = m.number
			if e.page == pageOrder && d.OneIn(p.OldOrderOneIn) {
				e.status, e.what = 404, whatStaleLink // an order of long ago
			}
		case e.page == pageProduct && d.OneIn(p.DeadProductOneIn):
			e.status = 404
		case e.page == pageBuy:
			ordered = true
		}
		if e.page == pageAddresses {
			// The first page of an address book has three entries of others at most.
			books++
			e.others = m.others
			if books == 1 {
				e.others = min(m.others, 3)
			}
			if m.others >= 4 && e.what == plain {
				e.what = whatBook
			}
		}
		s.add(e)
	}
	if ordered && (len(s.orders) == 0 || s.orders[len(s.orders)-1] != uint32(m.index)) {
		s.orders = append(s.orders, uint32(m.index))
	}
}

// ask is one request of an app with the credential it holds.
func (s *sink) ask(m *member, t int64, p page, status uint16, why what) {
	r := s.run
	_, day := r.renewal(m, r.begin)
	e := event{
		kind: kindAccess, time: t, page: p, status: status, subject: m.number, role: roleCustomer, who: m.number,
		credential: r.tokenID(m, day), key: keyLogin, client: clientApp, agent: agentAppOld, from: home4(m.home), what: why,
	}
	if m.index < r.cfg.Customers && m.traits.special != leaver {
		k := r.held(m, t)
		if k.fresh {
			return // nothing to ask with
		}
		e.credential, e.key = k.credential, k.key
		e.agent, _ = r.agentOn(m, 0, s.day)
	}
	if p == pageAddresses && status == 200 {
		e.others = m.others
	}
	s.add(e)
}
