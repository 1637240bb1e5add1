package sim

import (
	"slices"

	"github.com/whosaw/whosaw/internal/draw"
)

// The courier carries a day's parcels, and looks up the door codes of people for whom there is none.
var courier = attacker{"courier", func(a *attack, d *draw.Draw) func(*sink) {
	who := d.Below(1 + a.run.cfg.Customers/5000)
	a.drawn["courier"] = who + 1
	extra := a.from(d, "extra", a.run.params.Attacks.Courier.Extra)
	return func(s *sink) {
		r := a.run
		n := r.couriers()
		if !a.on(s.day) || who >= n || len(r.orders) == 0 {
			return
		}
		sh := r.courierShift(who, s.day)
		list := r.ordered(who, n)
		d := a.draw(who, s.day)
		for k := 0; k < extra && a.spent < a.budget(); k++ {
			e := sh.base
			e.time, e.page = sh.begins+hour+int64(d.Below(int(9*hour))), pageStop
			i := r.anybody(&d, e.time)
			if slices.Contains(list, uint32(i)) {
				continue
			}
			e.subject = r.numbers[i]
			a.add(s, e)
		}
	}
}}
