package sim

import (
	"slices"

	"github.com/whosaw/whosaw/internal/draw"
)

// What the house and those who work for it do: help desk, couriers, partners, jobs, quality assurance.

// shift is a member of staff's day: the credential of its log-in, and when the day begins.
type shift struct {
	d      draw.Draw // goes on with the day's work
	base   event
	begins int64
}

// agents says how many work at the help desk.
func (s *shop) agents() int {
	p := &s.params.Desk
	return min(p.Most, max(p.Least, s.cfg.Customers/p.CustomersPerAgent))
}

// deskShift is agent i's day, if it is no day off.
func (r *run) deskShift(i, day int) (shift, bool) {
	p := &r.params.Desk
	d := r.draw(forDesk, i, day)
	sh := shift{base: event{
		kind: kindAccess, status: 200, role: roleDesk, who: uint32(i + 1), credential: d.Next(), key: keyStaff, client: clientDesk,
		agent: deskAgents[i&1], from: office(), what: whatDesk,
	}}
	off := d.Permille(p.OffPermille)
	// Early and late shifts begin at 9, 11, 13 or 15 o'clock.
	sh.begins = r.begin + int64(day)*dayMillis + 2*hour*int64(d.Below(4)) + int64(d.Below(int(20*minute)))
	if d.Permille(p.TravelPermille) || i == 0 && day == r.calendar.travelDay {
		sh.base.from, sh.base.what = host(5*(9000+i)+d.Below(5)), whatTravel
		off = false
	}
	sh.d = d
	return sh, !off
}

// desk is the help desk: agents behind one address who open customers for whom there is a ticket, and at times mistype a
// number.
func (s *sink) desk(lo, hi int) {
	r := s.run
	p := &r.params.Desk
	for i := lo; i < hi; i++ {
		sh, ok := r.deskShift(i, s.day)
		if !ok {
			continue
		}
		d, t := &sh.d, sh.begins
		s.logInStaff(&sh.base, t)
		n := p.Contacts.from(d)
		for range n {
			t += int64(d.Between(5, 15)) * hour * int64(p.ShiftHours) / int64(10*n)
			e := sh.base
			e.page, e.time = pageDeskCustomer, t+int64(p.PauseMillis.from(d))
			if typed := uint32(d.Between(1, r.lastNumber())); d.OneIn(p.MistypedOneIn) {
				if _, ok := r.index(typed, e.time); !ok {
					e.subject, e.status = typed, 404
					s.add(e)
					continue
				}
			}
			if d.OneIn(p.WrongOneIn) {
				wrong := e
				wrong.time -= second
				wrong.subject = r.numbers[r.anybody(d, t)]
				s.add(wrong)
			}
			e.subject = r.numbers[r.calling(d, t)]
			s.reason(&e, e.subject, kindTicket, t, t+minute*int64(p.TicketMinutes))
			s.add(e)
			if d.Permille(p.OrdersPermille) {
				e.page = pageDeskOrders
				e.time += int64(p.PauseMillis.from(d))
				s.add(e)
			}
		}
	}
}

// calling is the customer of a contact: mostly one who ordered yesterday.
func (r *run) calling(d *draw.Draw, t int64) int {
	if len(r.orders) > 0 && d.Permille(r.params.Desk.OrderedPermille) {
		return int(r.orders[d.Below(len(r.orders))])
	}
	return r.anybody(d, t)
}

// logInStaff issues the credential of whom an event names.
func (s *sink) logInStaff(base *event, t int64) {
	s.add(event{kind: kindIssuance, time: t, role: base.role, who: base.who, credential: base.credential, key: base.key, client: base.client, from: base.from, what: base.what})
}

// reason writes why the principal of an event may open a subject, or, without one, anybody.
func (s *sink) reason(e *event, subject uint32, k state, from, until int64) {
	s.add(event{kind: kindReason, time: from, subject: subject, role: e.role, who: e.who, state: k, since: from, till: until, what: e.what})
}

// ordered gives the part of yesterday's orders that falls to the i-th of n.
func (r *run) ordered(i, n int) []uint32 {
	return r.orders[cut(len(r.orders), i, n):cut(len(r.orders), i+1, n)]
}

// cut is where the i-th of n parts of something begins.
func cut(size, i, n int) int { return int(int64(size) * int64(i) / int64(n)) }

// courierShift is the day of courier i.
func (r *run) courierShift(i, day int) shift {
	d := r.draw(forCourier, i, day)
	base := event{
		kind: kindAccess, status: 200, role: roleCourier, who: uint32(i + 1), credential: d.Next(), key: keyStaff, client: clientCourier, agent: agentCourier,
		from: r.carrier(d.Below(112)), what: whatCourier,
	}
	return shift{d: d, base: base, begins: r.begin + int64(day)*dayMillis + 20*minute + int64(i%40)*minute}
}

func (r *run) couriers() int {
	return max(1, (len(r.orders)+r.params.Couriers.Stops-1)/r.params.Couriers.Stops)
}

// couriers carry out what was ordered the day before: a manifest of a dozen customers a page, then door by door.
func (s *sink) couriers(half int) {
	r := s.run
	p := &r.params.Couriers
	n := r.couriers()
	for i := cut(n, half, 2); i < cut(n, half+1, 2); i++ {
		stops := r.ordered(i, n)
		if len(stops) == 0 {
			continue
		}
		sh := r.courierShift(i, s.day)
		d, t := &sh.d, sh.begins
		s.logInStaff(&sh.base, t)
		numbers := make([]uint32, len(stops))
		for k, c := range stops {
			numbers[k] = r.numbers[c]
			s.reason(&sh.base, numbers[k], kindDelivery, t, t+hour*int64(p.ShiftHours))
		}
		for list := range slices.Chunk(numbers, p.Manifest) {
			t += int64(p.PageMillis.from(d))
			e := sh.base
			e.time, e.page = t, pageManifest
			s.addList(e, list)
		}
		for _, number := range numbers {
			t += int64(p.StopMinutes.from(d)) * minute
			if d.Permille(p.StopPermille) {
				e := sh.base
				e.time, e.page, e.subject = t, pageStop, number
				s.add(e)
			}
		}
	}
}

func (s *shop) partners() int {
	p := &s.params.Partners
	return min(p.Most, max(p.Least, s.cfg.Customers/p.CustomersPerPartner))
}

// partnerShift is the day of a partner's program, on a server of its own.
func (r *run) partnerShift(i, day int) shift {
	d := r.draw(forPartner, i, day)
	base := event{
		kind: kindAccess, status: 200, role: rolePartner, who: uint32(i + 1), credential: d.Next(), key: keyPartner, client: clientPartner,
		agent: libraryAgents[i%len(libraryAgents)], from: host(5*(8000+i) + i), what: whatPartner,
	}
	return shift{d: d, base: base, begins: r.begin + int64(day)*dayMillis + hour + int64(d.Below(int(2*hour)))}
}

// partners fetch the orders of the day before that they are to send.
func (s *sink) partners(lo, hi int) {
	r := s.run
	p := &r.params.Partners
	for i := lo; i < hi; i++ {
		sh := r.partnerShift(i, s.day)
		d, t := &sh.d, sh.begins
		s.logInStaff(&sh.base, t)
		for _, c := range r.orders {
			// Each order falls to one partner.
			if draw.Mix(uint64(c)<<16^uint64(s.day))%uint64(r.partners()) != uint64(i) {
				continue
			}
			t += int64(p.OrderMillis.from(d))
			e := sh.base
			e.time, e.page, e.subject = t, pagePartnerOrder, r.numbers[c]
			s.reason(&e, e.subject, kindOrder, t-second, t+14*dayMillis)
			s.add(e)
			if d.OneIn(p.WrongOneIn) {
				e.time, e.subject, e.status = t+200, 0, 404 // a tag that leads to no order
				s.add(e)
			}
		}
	}
}

// service is the day of one of the house's own programs.
func (r *run) service(k role, day int) shift {
	d := r.draw(forJob, int(k), day)
	base := event{kind: kindAccess, status: 200, role: k, credential: d.Next(), key: keyJobs, client: clientJobs, from: server(), what: whatJob}
	begins := r.begin + int64(day)*dayMillis
	switch k {
	case roleBilling:
		base.agent, begins = agentBilling, begins+atHour(2)
	case roleReports:
		base.agent, begins = agentReports, begins+atHour(3)
	case roleLoyalty:
		base.agent, base.client = agentLoyalty, clientLoyalty
	}
	return shift{d: d, base: base, begins: begins + int64(d.Below(int(minute)))}
}

// jobs are those of the night over the orders of the day before, and the points that are booked by day.
func (s *sink) jobs() {
	r := s.run
	if len(r.orders) == 0 {
		return
	}
	s.invoices()
	s.exports()
	sh := r.service(roleLoyalty, s.day)
	s.logInStaff(&sh.base, sh.begins)
	for _, c := range r.orders {
		if !sh.d.Permille(r.params.Jobs.LoyaltyPermille) {
			continue
		}
		e := sh.base
		e.time, e.page, e.subject = s.start+2*minute+int64(sh.d.Below(int(23*hour))), pageMember, r.numbers[c]
		s.reason(&e, e.subject, kindOrder, e.time-second, e.time+hour)
		s.add(e)
	}
}

func (s *sink) invoices() {
	r := s.run
	sh := r.service(roleBilling, s.day)
	d, t := &sh.d, sh.begins
	s.logInStaff(&sh.base, t)
	s.reason(&sh.base, 0, kindJob, t, t+5*hour)
	order := slices.Clone(r.orders)
	for i := len(order) - 1; i > 0; i-- {
		j := d.Below(i + 1)
		order[i], order[j] = order[j], order[i]
	}
	step := min(r.params.Jobs.InvoiceMillis, int(4*hour)/len(order))
	for _, c := range order {
		t += int64(d.Between(step/4, step))
		e := sh.base
		e.time, e.page, e.subject = t, pageInvoice, r.numbers[c]
		s.add(e)
	}
}

// exports are lists of hundreds of customers an answer.
func (s *sink) exports() {
	r := s.run
	sh := r.service(roleReports, s.day)
	t := sh.begins
	s.logInStaff(&sh.base, t)
	s.reason(&sh.base, 0, kindJob, t, t+2*hour)
	for list := range slices.Chunk(r.orders, r.params.Jobs.Export) {
		numbers := make([]uint32, len(list))
		for i, c := range list {
			numbers[i] = r.numbers[c]
		}
		t += int64(r.params.Jobs.ExportMillis.from(&sh.d))
		e := sh.base
		e.time, e.page = t, pageExport
		s.addList(e, numbers)
	}
}

// qa are test accounts, walked through by a program each hour; one night's run uses the backup log-in.
func (s *sink) qa() {
	r := s.run
	p := &r.params.QA
	for i, n := 0, 0; i < r.cfg.Customers && n < p.Accounts; i++ {
		if i > p.Accounts*r.params.Numbers.CanaryOneIn {
			break
		}
		if r.traits(i).special != tester {
			continue
		}
		n++
		d := r.draw(forQA, i, s.day)
		m := r.member(i)
		m.app = false
		for run := range p.Runs {
			t := s.start + int64(run)*dayMillis/int64(p.Runs) + int64(d.Below(int(5*minute)))
			base := event{
				kind: kindAccess, status: 200, role: roleCustomer, who: m.number, credential: d.Next(), key: r.signer(t), client: clientWeb,
				agent: agentQA, from: server(), what: whatQA,
			}
			if n == 1 && run == p.Runs/2 {
				base.key, base.what = keyBackup, whatBackup
			}
			s.issue(&m, t, base.credential, base.key, base.from, base.what)
			if f := r.fate(base.credential); f != plain {
				base.what = f
			}
			for k, show := range [...]page{pageLogin, pageMe, pageAddresses, pageEdit, pageOrders, pagePayment} {
				e := base
				e.time, e.page = t+int64(k)*second, show
				if k > 0 {
					e.subject = m.number
				} else {
					e.role, e.who, e.credential, e.key = roleNone, 0, 0, keyNone
				}
				s.add(e)
			}
		}
	}
}
