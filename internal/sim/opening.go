package sim

// The opening is written on the day before the log begins and dated at its beginning: when a line arrives only orders
// the lines, and so they are spread over the day as others are.

// open writes what the house knows when the log begins: its keys and how complete their issuances are, and the person who
// built the backup log-in.
func (s *sink) open() {
	t := s.run.begin
	months := func(n int) int64 { return t - int64(n)*30*dayMillis }
	s.first(0, event{kind: kindPerson, state: stateActive, since: months(41), key: keyBackup})
	since := map[key]int64{keyLogin: months(2), keyStaff: months(2), keyJobs: months(2), keyPartner: months(9), keyBackup: months(22)}
	for k := keyLogin; k <= keyBackup; k++ {
		if k == keyLoginNext {
			continue // from its rotation on
		}
		s.first(0, event{kind: kindKey, key: k, state: stateActive, since: since[k]})
		s.feed(k, s.start, t-int64(s.run.params.Devices.TokenDays)*dayMillis)
	}
}

// first adds a record of the opening: the i-th of all that are or were members.
func (s *sink) first(i int, e event) {
	e.time = s.run.begin
	e.at = s.start + dayMillis*int64(i)/int64(s.run.cfg.Customers+len(s.run.gone))
	s.add(e)
}

// feed declares how complete the issuances of a key are.
func (s *sink) feed(k key, at, since int64) {
	f := &s.run.params.Feed
	s.add(event{kind: kindFeed, at: at, time: max(at, s.run.begin), key: k, since: since, who: uint32(f.LagSeconds), into: uint32(f.LossPer100000)})
}

// leaving is the last hour of who built the backup log-in.
func (s *sink) leaving() {
	if t := s.run.calendar.left; t >= s.start && t < s.start+dayMillis {
		s.add(event{kind: kindPerson, time: t, state: stateLeft, since: t, key: keyBackup})
	}
}

// known writes the subject records of the customers from lo to hi, and the issuances of the credentials that their apps
// still hold from before the log.
func (s *sink) known(lo, hi int) {
	r := s.run
	t := r.begin
	for i := lo; i < min(hi, r.cfg.Customers-r.joiners); i++ {
		m := r.member(i)
		d := r.draw(forOpening, i, 0)
		e := event{kind: kindSubject, subject: m.number, state: stateActive}
		since, back := r.params.Numbers.MemberDays.from(&d), r.params.Numbers.ActiveDays.from(&d)
		if m.traits.class == r.dormant {
			back = r.params.DormantDays.from(&d)
			since += back
		}
		e.since = t - int64(since)*dayMillis - int64(d.Below(86400))*second
		e.till = max(e.since, t-int64(back)*dayMillis-int64(d.Below(86400))*second)
		switch m.traits.special {
		case canary:
			e.state, e.till = stateCanary, 0
		case tester:
			e.till = t - hour
		}
		s.first(i, e)
		if m.app && m.traits.class != r.dormant {
			s.holding(i, &m)
		}
	}
}

// holding writes the issuance of the credential that an app holds when the log begins.
func (s *sink) holding(i int, m *member) {
	_, day := s.run.renewal(m, s.run.begin)
	s.first(i, event{
		kind: kindIssuance, subject: m.number, credential: s.run.tokenID(m, day), key: keyLogin,
		client: clientApp, from: home4(m.home),
	})
}

// past writes the subject records of those who left before, from lo to hi.
func (s *sink) past(lo, hi int) {
	r := s.run
	for i := lo; i < hi; i++ {
		d := r.draw(forOpening, i, 1)
		e := event{kind: kindSubject, subject: r.gone[i], state: stateWithdrawn, since: r.begin - int64(r.params.Numbers.GoneDays.from(&d))*dayMillis}
		if m, ok := r.merged(i); ok {
			e.state, e.into = stateMerged, r.numbers[m]
		}
		s.first(r.cfg.Customers+i, e)
		if m, ok := r.stale(i); ok {
			s.holding(r.cfg.Customers+i, &m)
		}
	}
}

// merged gives the customer into whom account i of those who left was merged, if it was.
func (s *shop) merged(i int) (int, bool) {
	d := s.draw(forStale, i, 0)
	if !d.Permille(s.params.Numbers.MergedPermille) {
		return 0, false
	}
	into := d.Below(s.cfg.Customers - s.joiners)
	return into, s.traits(into).special == ordinary
}

// stale gives the app of account i of those who left, if it was never removed and still asks for its owner.
func (s *shop) stale(i int) (member, bool) {
	d := s.draw(forStale, i, 1)
	if !d.Permille(s.params.Stale.Permille) {
		return member{}, false
	}
	m := s.member(s.cfg.Customers + i)
	m.number, m.app = s.gone[i], true
	m.traits = traits{}
	return m, true
}
