package sim

import "github.com/whosaw/whosaw/internal/draw"

// A seller's own account, from the seller's own server, counts through order tags: many lead nowhere, the others to
// customers of other sellers.
var partnerTags = attacker{"partner-tags", func(a *attack, d *draw.Draw) func(*sink) {
	p := &a.run.params.Attacks.PartnerTags
	who := d.Below(a.run.partners())
	a.drawn["partner"] = who + 1
	hits := a.from(d, "hit_permille", p.HitPermille)
	a.lasts(a.from(d, "days", p.Days))
	return func(s *sink) {
		r := a.run
		quota := a.quota(s.day)
		sh := r.partnerShift(who, s.day)
		d := a.draw(who, s.day)
		begin := sh.begins + minute
		length := s.start + dayMillis - 10*minute - begin
		for n := range quota {
			e := sh.base
			e.time, e.page, e.status = begin+length*n/quota+int64(d.Below(500)), pagePartnerOrder, 404
			if d.Permille(hits) {
				e.status, e.subject = 200, r.numbers[r.anybody(&d, e.time)]
			}
			a.add(s, e)
		}
	}
}}
