package detect

import "cmp"

// What MergePart does with the baselines of realms, routes and actors.

// joinRealms takes over what is known of each realm.
func (e *Engine) joinRealms(o *Engine) {
	for _, y := range o.realmList {
		x := e.realms[text(y.name)]
		if x == nil {
			e.realms[text(y.name)] = y
			e.realmList = append(e.realmList, y)
			continue
		}
		x.join(y, e)
	}
	e.realmLast.x = nil
	for _, x := range e.realmList {
		x.strangers = strangers{} // of strata that may be others now
	}
	for _, y := range o.scopeList {
		y.realm = e.realms[text(y.realm.name)]
		x := e.scopes[y.id]
		if x == nil {
			e.scopes[y.id] = y
			e.scopeList = append(e.scopeList, y)
			continue
		}
		x.share.join(&y.share)
		x.since = min(x.since, y.since)
		x.total += y.total
		x.accused += y.accused
	}
	e.scopeLast = [2]*feedScope{}
}

func (x *realm) join(y *realm, e *Engine) {
	x.share.join(&y.share)
	x.since = min(x.since, y.since)
	x.watermark = max(x.watermark, y.watermark)
	x.waiting.join(&y.waiting)
	for id, c := range y.classes {
		if mine := x.classes[id]; mine != nil {
			mine.waiting.join(&c.waiting)
			continue
		}
		if x.classes == nil {
			x.classes = make(map[uint64]*class)
		}
		x.classes[id] = c
	}
	for k := range x.frontiers {
		x.frontiers[k].join(&y.frontiers[k])
	}
	x.early = max(x.early, y.early)
	if a, b := &x.wakes, &y.wakes; len(b.past) > len(a.past) || len(b.past) == len(a.past) && b.n > a.n {
		*a = *b // the same where log-ins tell it; else one part's sessions, which are fewer: p0 is no lower for it
	}
	x.wakes.learn(e)
}

// join takes the lesser count of what speaks for a feed, for both may have counted the same credential, and all networks of what
// speaks against it: p0 is no lower than one engine's.
func (s *share) join(o *share) {
	s.issued = max(s.issued, o.issued)
	both := int64(0)
	for n := range o.networks {
		if _, ok := s.networks[n]; ok {
			both++
		}
	}
	s.without += o.without - both
	if s.networks == nil {
		s.networks = o.networks
		return
	}
	for _, n := range sortedKeys(o.networks) {
		if len(s.networks) < maxShareNetworks {
			s.networks[n] = struct{}{}
		}
	}
}

func (w *waiting) join(o *waiting) {
	for _, h := range o.heap {
		h.order += w.count
	}
	w.heap = append(w.heap, o.heap...)
	w.count += o.count
}

// join puts together what units have shown. A part that met the realm later has fewer days: they end with the same one.
func (f *frontier) join(o *frontier) {
	f.now.join(&o.now)
	if len(o.days) > len(f.days) {
		f.days, o.days = o.days, f.days
		f.settled, o.settled = o.settled, f.settled
	}
	for i := range o.days {
		f.days[len(f.days)-1-i].join(&o.days[len(o.days)-1-i])
	}
	if len(f.days) > 0 {
		f.settled = f.days[0]
	} else {
		f.settled.join(&o.settled)
	}
}

func (t *twoHighest) join(o *twoHighest) {
	if o.unit != 0 {
		t.add(o.unit, o.highest)
	}
	if o.other != 0 {
		t.add(o.other, o.second)
	}
}

// joinStrata adds up what each unit of a baseline asked for, and works the rates out again.
func (e *Engine) joinStrata(o *Engine) {
	for _, y := range o.strataList {
		x := e.strata[y.id]
		if x == nil {
			y.envelope = e.sameEnvelope(o, y.envelope)
			e.strata[y.id] = y
			e.strataList = append(e.strataList, y)
			continue
		}
		x.join(y, e)
	}
	e.strataFront = [256]*stratum{}
	e.networks, e.hourly, e.netClasses, e.knownClasses = 0, 0, 0, 0
	for _, s := range e.strataList {
		e.networks += s.networks.n
		e.countClasses(s)
		if s.byHour != nil {
			e.hourly++
		}
	}
	for id, s := range o.doors {
		if mine := e.strata[s.id]; e.doors[id] == nil && mine != nil {
			e.doors[id] = mine
		}
	}
}

func (s *stratum) join(o *stratum, e *Engine) {
	s.since = min(s.since, o.since)
	s.untaught += o.untaught
	s.over += o.over
	s.n += o.n
	s.hits += o.hits
	for i := range o.networks.list {
		t := &o.networks.list[i]
		if t.id == 0 {
			continue
		}
		mine := s.networks.get(t.id)
		if mine == nil {
			if s.networks.n < maxNetworks {
				mine = s.networks.put(t.id)
				*mine = *t
				mine.class = e.joinClass(s, o, noClass, t.class)
			}
			continue
		}
		mine.class = e.joinClass(s, o, mine.class, t.class)
		mine.add(t.n, t.hits)
		switch since := int16(t.hour - mine.hour); {
		case mine.hn == 0 || since > 0 && t.hn > 0:
			mine.hour, mine.hn, mine.hhits = t.hour, t.hn, t.hhits
		case since == 0:
			mine.hn = uint16(min(int(mine.hn)+int(t.hn), 1<<16-1))
			mine.hhits = uint16(min(int(mine.hhits)+int(t.hhits), 1<<16-1))
		}
	}
	s.rates, s.enough, s.stale = [rateSteps + 1]int32{}, 0, 0
	for i := range s.networks.list {
		if t := &s.networks.list[i]; t.id != 0 && t.n >= enoughTrials {
			t.step = uint8(uint64(t.hits) * rateSteps / uint64(t.n))
			s.rates[t.step]++
			s.enough++
		}
	}
	s.w = s.bank.weights(s.honest())
	e.joinNets(s, o)
	s.hourSteps = [len(hourBuckets)]*weights{}
	switch {
	case o.byHour == nil:
	case s.byHour == nil:
		s.byHour = o.byHour
	default:
		for h := range s.byHour.cells {
			s.byHour.cells[h].join(&o.byHour.cells[h], s.units)
		}
	}
}

func (c *hourCell) join(o *hourCell, units int32) {
	c.last, c.weeks = max(c.last, o.last), max(c.weeks, o.weeks)
	for i := range c.rates {
		c.rates[i] += o.rates[i]
	}
	c.n += o.n
	for c.n >= fullHour {
		c.n = 0
		for i := range c.rates {
			c.rates[i] /= 2
			c.n += c.rates[i]
		}
	}
	c.median(units)
}

// joinActors takes over what counts against caps, and principals' own rates.
func (e *Engine) joinActors(o *Engine) {
	e.pairs = 0
	for id, y := range o.spreads {
		if x := e.spreads[id]; x != nil {
			x.join(y)
		} else {
			e.spreads[id] = y
		}
	}
	for _, p := range e.spreads {
		e.pairs += p.shown.n
	}
	clear(e.peerCaps) // they are looked at anew
	for id, y := range o.owns {
		if x := e.owns[id]; x != nil {
			x.join(y, e)
		} else {
			e.owns[id] = y
		}
	}
	for id, y := range o.flows {
		if x := e.flows[id]; x != nil {
			x.join(y)
		} else {
			e.flows[id] = y
		}
	}
	for id, y := range o.pages {
		if x := e.pages[id]; x != nil {
			x.join(y)
		} else {
			e.pages[id] = y
		}
	}
	for id, names := range o.principals {
		if e.principals[id] == nil {
			e.principals[id] = names
		}
	}
}

// join counts customers whom both parts showed on a day once. One whom a part had shown before, and the other not, was counted as new all the
// same: a cap is met sooner for it, never later.
func (p *spread) join(o *spread) {
	both := make(map[int32]int32)
	for _, s := range o.shown.slots {
		if s == 0 {
			continue
		}
		if on, met := p.shown.take(s); met {
			both[on&(1<<16-1)]++
		}
	}
	for i := range p.days {
		a, b := &p.days[i], &o.days[i]
		switch {
		case b.on > a.on:
			*a = *b
		case b.on == a.on:
			a.fresh += b.fresh - min(both[a.on&(1<<16-1)], a.fresh, b.fresh)
			a.matched += b.matched
			a.accused += b.accused
			if a.from == 0 || b.from != 0 && b.from < a.from {
				a.from = b.from
			}
			a.raised = cmp.Or(a.raised, b.raised)
		}
	}
	switch {
	case o.last > p.last:
		p.last, p.names = o.last, o.names
	case o.last == p.last:
		p.names = joinNames(p.names, o.names)
	}
	p.blind = p.blind || o.blind
	if p.first == 0 || o.first != 0 && o.first < p.first {
		p.first = o.first
	}
	p.rush = max(p.rush, o.rush)
	if len(o.caps) > len(p.caps) {
		p.caps, o.caps, p.capped = o.caps, p.caps, o.capped
	}
	for i := range o.caps { // of each month a part has its share
		p.caps[len(p.caps)-1-i] += o.caps[len(o.caps)-1-i]
	}
}

func joinNames(a, b []string) []string {
	a = append(a, b...)
	return a[:min(len(a), maxNamed)]
}

// take adds a pair as another set holds it; met says that both hold it as of the same day, on.
func (p *pairset) take(slot uint64) (on int32, met bool) {
	if p.slots == nil {
		p.slots = make([]uint64, 8)
	}
	on = int32(uint16(slot))
	at, found := p.find(slot)
	if found {
		last := int32(uint16(p.slots[at]))
		p.slots[at] = slot>>16<<16 | uint64(max(last, on))
		return on, last == on
	}
	if 4*(p.n+1) > 3*len(p.slots) {
		p.grow(on)
		at, _ = p.find(slot)
	}
	p.slots[at] = slot
	p.n++
	return on, false
}

// join adds up days, which end with the same one where the parts were told of the same records.
func (r *ownRate) join(o *ownRate, e *Engine) {
	r.since = min(r.since, o.since)
	switch {
	case o.on > r.on:
		r.on, r.hits, r.spoiled, r.met = o.on, o.hits, o.spoiled, o.met
	case o.on == r.on:
		r.hits += o.hits
		r.spoiled = r.spoiled || o.spoiled
		for i := range r.met {
			r.met[i] |= o.met[i]
		}
	}
	r.past, r.doubt = joinDays(r.past, o.past), joinDays(r.doubt, o.doubt)
	was := max(r.p0, o.p0)
	if r.learn(e); was > 0 {
		r.p0 = max(r.p0, was) // days of parts are not known to be the same
	}
}

func joinDays(a, b []ownDay) []ownDay {
	if len(b) > len(a) {
		a, b = b, a
	}
	for i := range b {
		x := &a[len(a)-1-i]
		x.n, x.hits = max(x.n, b[len(b)-1-i].n), x.hits+b[len(b)-1-i].hits
	}
	return a
}

func (f *flow) join(o *flow) {
	f.since = min(f.since, o.since)
	for i := range f.days {
		a, b := &f.days[i], &o.days[i]
		switch {
		case b.on > a.on:
			*a = *b
		case b.on == a.on:
			a.frozen = a.frozen || b.frozen
			for h := range a.hours {
				a.hours[h] += b.hours[h]
			}
		}
	}
	switch {
	case o.hour > f.hour:
		f.hour, f.names, f.from = o.hour, o.names, o.from
	case o.hour == f.hour:
		f.names, f.from = joinNames(f.names, o.names), min(f.from, o.from)
	}
}

func (p *page) join(o *page) {
	p.since = min(p.since, o.since)
	p.own += o.own
	for i := range p.days {
		a, b := &p.days[i], &o.days[i]
		switch {
		case b.on > a.on:
			*a = *b
		case b.on == a.on:
			a.n += b.n
			a.raised = a.raised || b.raised
		}
	}
	switch {
	case o.today > p.today:
		p.today, p.who, p.names, p.from = o.today, o.who, o.names, o.from
	case o.today == p.today:
		p.who, p.names, p.from = joinNames(p.who, o.who), joinNames(p.names, o.names), min(p.from, o.from)
	}
}
