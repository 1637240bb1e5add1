package sim

import "github.com/whosaw/whosaw/internal/draw"

// The insider is an agent with a full day of tickets. Every so many reads one has none.
var insiderAgent = attacker{"insider-agent", func(a *attack, d *draw.Draw) func(*sink) {
	who := d.Below(a.run.agents())
	a.drawn["agent"] = who + 1
	every := a.from(d, "every", a.run.params.Attacks.Insider.Every)
	return func(s *sink) {
		r := a.run
		sh, ok := r.deskShift(who, s.day)
		if !ok || !a.on(s.day) {
			return
		}
		p := &r.params.Desk
		reads := p.Contacts.from(&sh.d) * (1000 + p.OrdersPermille) / 1000
		d := a.draw(who, s.day)
		for n := (reads + every/2) / (every - 1); n > 0 && a.spent < a.budget(); n-- {
			e := sh.base
			e.time, e.page = sh.begins+int64(d.Between(10, 60*p.ShiftHours))*minute+int64(d.Below(int(minute))), pageDeskCustomer
			e.subject = r.numbers[r.anybody(&d, e.time)]
			a.add(s, e)
		}
	}
}}
