package sim

import "github.com/whosaw/whosaw/internal/draw"

// Stuffing: names and passwords from elsewhere are tried at the log-in, from very many addresses. Where one fits, the
// log-in issues a credential as to anybody, and the thief looks at the account.
var stuffing = attacker{"stuffing", func(a *attack, d *draw.Draw) func(*sink) {
	p := &a.run.params.Attacks.Stuffing
	f := &stuffer{attack: a, success: a.from(d, "success_permille", p.SuccessPermille), addresses: a.from(d, "addresses", p.Addresses)}
	a.lasts(a.from(d, "days", p.Days))
	f.base = d.Below(1 << 20)
	f.order = newStride(d, len(a.run.numbers))
	return f.day
}}

type stuffer struct {
	*attack
	success, addresses, base int
	order                    stride
}

func (f *stuffer) day(s *sink) {
	quota := f.quota(s.day)
	d := f.draw(0, s.day)
	length := dayMillis - 10*minute
	for before := f.spent; f.spent < before+quota; {
		t := s.start + length*(f.spent-before)/quota
		e := event{time: t, page: pageLogin, status: 401, client: clientWeb, agent: agent(webAgents[d.Below(len(webAgents))])}
		// Two of three addresses are at hosting companies, the others in homes.
		if n := d.Below(f.addresses); n%3 == 0 {
			e.from = home4((f.base + n*19) % (2 * f.run.cfg.Customers))
		} else {
			e.from = host((f.base + n*11) % (5 * hosts))
		}
		if d.Permille(f.success) {
			f.enter(s, &d, &e)
			continue
		}
		f.add(s, e)
	}
}

// enter is a log-in that fits, and what is looked at then.
func (f *stuffer) enter(s *sink, d *draw.Draw, e *event) {
	r := f.run
	p := &r.params.Attacks.Stuffing
	m := r.member(f.victim(&f.order, e.time))
	e.status = 200
	credential, k := d.Next(), r.signer(e.time)
	f.add(s, event{kind: kindIssuance, time: e.time, subject: m.number, credential: credential, key: k, client: e.client, from: e.from})
	f.add(s, *e)
	t := e.time
	for _, show := range []page{pageMe, pageAddresses, pageOrders, pagePayment}[:min(4, p.Pages.from(d))] {
		t += int64(p.PageMillis.from(d))
		v := *e
		v.time, v.page, v.subject, v.role, v.who, v.credential, v.key = t, show, m.number, roleCustomer, m.number, credential, k
		if show == pageAddresses {
			v.others = min(m.others, 3)
		}
		f.add(s, v)
	}
}
