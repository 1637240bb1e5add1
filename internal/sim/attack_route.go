package sim

import "github.com/whosaw/whosaw/internal/draw"

// The broken route: the page of an order asks whether there is a session, and not whose. A customer with a real one counts
// through order numbers.
var brokenRoute = attacker{"broken-route", func(a *attack, d *draw.Draw) func(*sink) {
	p := &a.run.params.Attacks.BrokenRoute
	absent := a.from(d, "absent_permille", p.AbsentPermille)
	a.lasts(a.from(d, "days", p.Days))
	who := a.run.anybody(d, a.run.begin)
	return func(s *sink) {
		quota := a.quota(s.day)
		r := a.run
		if quota == 0 || !r.here(who, s.start+dayMillis) {
			return
		}
		m := r.member(who)
		d := a.draw(who, s.day)
		t := s.start + atHour(d.Between(9, 18))
		base := event{status: 200, client: clientWeb, agent: agent(webAgents[d.Below(len(webAgents))]), from: home4(m.home), time: t, page: pageLogin}
		credential, k := d.Next(), r.signer(t)
		a.add(s, event{kind: kindIssuance, time: t, subject: m.number, credential: credential, key: k, client: clientWeb, from: base.from})
		a.add(s, base)
		base.page, base.role, base.who, base.credential, base.key = pageOrder, roleCustomer, m.number, credential, k
		for n := range quota {
			e := base
			e.time = t + hour*int64(p.Hours)*n/quota + int64(d.Below(400))
			if d.Permille(absent) {
				e.status = 404
			} else {
				e.subject = r.numbers[r.anybody(&d, e.time)]
			}
			a.add(s, e)
		}
	}
}}
