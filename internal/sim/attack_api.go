package sim

import "github.com/whosaw/whosaw/internal/draw"

// One API: the credential of a service was copied, and from a server abroad it is asked for one customer after the other,
// at the same pace by day and night.
var oneAPI = attacker{"one-api", func(a *attack, d *draw.Draw) func(*sink) {
	a.lasts(a.from(d, "days", a.run.params.Attacks.OneAPI.Days))
	from := host(d.Below(40_000))
	order := newStride(d, len(a.run.numbers))
	return func(s *sink) {
		r := a.run
		quota := a.quota(s.day)
		sh := r.service(roleLoyalty, s.day)
		d := a.draw(0, s.day)
		begin := sh.begins + minute
		length := s.start + dayMillis - 10*minute - begin
		for n := range quota {
			e := sh.base
			e.from = from
			e.time, e.page = begin+length*n/quota+int64(d.Below(300)), pageMember
			e.subject = r.numbers[a.victim(&order, e.time)]
			a.add(s, e)
		}
	}
}}
