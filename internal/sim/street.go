package sim

// What comes from the street without being a customer's visit: guests, crawlers, apps of those who left, an outage.

// guests look round without logging in. Some follow a link to a wish list, which may lead to one who left.
func (s *sink) guests(lo, hi int) {
	r := s.run
	p, l := &r.params.Guests, &r.params.Links
	for i := lo; i < hi; i++ {
		d := r.draw(forGuest, i, s.day)
		t := s.start + r.moment(&d)
		e := event{kind: kindAccess, status: 200, agent: agent(webAgents[d.Below(len(webAgents))]), from: home4(d.Below(r.cfg.Customers * 2)), client: clientNone}
		if d.Permille(p.CarrierPermille) {
			e.from, e.what = r.carrier(int(r.nats[d.Below(len(r.nats))])), whatNAT
		}
		if d.Permille(l.FollowPermille) {
			w := e
			w.time, w.page = t, pageWishlist
			s.link(&w, d.Next())
			t += int64(p.PageMillis.from(&d))
		}
		for n := p.Pages.from(&d); n > 0; n-- {
			e.time, e.page = t, [...]page{pageHome, pageSearch, pageProduct, pageProduct}[d.Below(4)]
			t += int64(p.PageMillis.from(&d))
			s.add(e)
		}
	}
}

// link opens somebody's wish list: few customers have one that is public.
func (s *sink) link(e *event, h uint64) {
	r := s.run
	l := &r.params.Links
	d := r.draw(forGuest, int(h>>34), -1)
	switch k := int(h % 1000); {
	case k < l.CutPermille:
		// The messenger cut the link's last digit, or somebody typed it.
		e.subject, e.what = uint32(d.Between(1, r.lastNumber())), whatStaleLink
		if _, ok := r.index(e.subject, e.time); !ok {
			e.status = 404
		}
	case k < l.CutPermille+l.DeadPermille && len(r.gone) > 0:
		i := d.Below(len(r.gone))
		e.subject, e.status, e.what = r.gone[i], 404, whatStaleLink
	default:
		i := d.Below(len(r.numbers)/l.PublicOneIn+1) * l.PublicOneIn
		for i < len(r.numbers) && (r.traits(i).special != ordinary || !r.here(i, e.time)) {
			i++
		}
		if i >= len(r.numbers) {
			return
		}
		e.subject = r.numbers[i]
	}
	if i, ok := r.index(e.subject, e.time); ok && r.traits(i).special == canary {
		return // planted accounts have no list: nobody sees them
	}
	s.add(*e)
}

// probes is the house's own monitor, which asks every four minutes whether the shop is up, so the log has no silent hour,
// and each hour whether one can log in.
func (s *sink) probes() {
	r := s.run
	e := event{status: 200, agent: agentProbe, from: server(), what: whatProbe}
	for t := s.start; t < s.start+dayMillis; t += 4 * minute {
		e.time, e.page = t, pageHealth
		s.add(e)
	}
	m := r.member(1) // a test account in every shop
	m.app = false
	d := r.draw(forQA, m.index, -1-s.day)
	for t := s.start + minute; t < s.start+dayMillis; t += hour {
		credential, k := d.Next(), r.signer(t)
		s.issue(&m, t, credential, k, e.from, e.what)
		e.time, e.page = t, pageLogin
		s.add(e)
		me := e
		me.time, me.page, me.subject, me.role, me.who, me.client = t+second, pageMe, m.number, roleCustomer, m.number, clientWeb
		me.credential, me.key = credential, k
		if f := r.fate(credential); f != plain {
			me.what = f
		}
		s.add(me)
	}
}

func (s *sink) crawlers() {
	r := s.run
	p := &r.params.Crawlers
	for i := range p.Number {
		d := r.draw(forCrawler, i, s.day)
		e := event{kind: kindAccess, time: s.start + int64(d.Below(int(hour))), status: 200, page: pageRobots, agent: agentBot + agent(i&1), from: host(5*(7000+i) + i), what: whatCrawler}
		n := r.cfg.Customers/p.CustomersPerPage/p.Number + d.Between(4, 12)
		for k := range n {
			w := e
			if k > 0 {
				w.page = pageProduct
				switch {
				case d.OneIn(p.DeadOneIn):
					w.status = 404
				case d.OneIn(p.RefusedOneIn):
					w.status = 429
				}
			}
			if k > 0 && d.Permille(p.LinksPermille) {
				w.page, w.status = pageWishlist, 200
				s.link(&w, d.Next())
			} else {
				s.add(w)
			}
			e.time += 22*hour/int64(n) + int64(d.Below(20_000))
		}
	}
}

// staleApps are those of members who left before the log began.
func (s *sink) staleApps(lo, hi int) {
	r := s.run
	for i := lo; i < hi; i++ {
		m, ok := r.stale(i)
		if !ok {
			continue
		}
		if d := r.draw(forStale, i, 2+s.day); d.OneIn(r.params.Stale.OneIn) {
			why := whatWithdrawn
			if _, ok := r.merged(i); ok {
				why = whatMerged
			}
			s.ask(&m, s.start+r.moment(&d), pageMe, 404, why)
		}
	}
}

// storm is some minutes in which the address book fails, and apps ask again and again; one of them belongs to
// somebody who left.
func (s *sink) storm() {
	r := s.run
	t := r.calendar.stormAt
	if t < s.start || t >= s.start+dayMillis {
		return
	}
	p := &r.params.Storm
	d := r.draw(forStorm, 0, s.day)
	for range 1 + r.cfg.Customers/p.OneIn {
		m := r.member(r.anybody(&d, t-hour))
		if !m.app || m.traits.class == r.dormant || m.traits.special != ordinary {
			continue
		}
		at := t + int64(d.Below(int(minute)))
		for n := p.Tries.from(&d); n > 0; n-- {
			status := uint16(503)
			if d.Permille(p.RefusedPermille) {
				status = 429
			}
			s.ask(&m, at, pageAddresses, status, whatStorm)
			at += int64(p.TryMillis.from(&d))
		}
		s.ask(&m, t+minute*int64(p.Minutes)+int64(d.Below(20_000)), pageAddresses, 200, whatStorm)
	}
	for i := range r.gone {
		if m, ok := r.stale(i); ok {
			for n := range int64(p.StaleTries) {
				s.ask(&m, t+n*1_500, pageMe, 404, whatStorm)
			}
			return
		}
	}
}
