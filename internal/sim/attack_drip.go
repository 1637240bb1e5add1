package sim

import "github.com/whosaw/whosaw/internal/draw"

// The drip: something sits in one of the house's own services and reads, beside the orders it has to book, some customers
// more, day after day, from the same server with the same credential.
var slowDrip = attacker{"slow-drip", func(a *attack, d *draw.Draw) func(*sink) {
	daily := a.from(d, "night", a.run.params.Attacks.SlowDrip.Night)
	order := newStride(d, len(a.run.numbers))
	return func(s *sink) {
		if !a.on(s.day) {
			return
		}
		r := a.run
		sh := r.service(roleLoyalty, s.day)
		d := a.draw(0, s.day)
		for n := 0; n < daily && a.spent < a.budget(); n++ {
			e := sh.base
			e.time, e.page = s.start+2*minute+int64(d.Below(int(23*hour))), pageMember
			e.subject = r.numbers[a.victim(&order, e.time)]
			a.add(s, e)
		}
	}
}}
