package sim

import "github.com/whosaw/whosaw/internal/draw"

// The bulk job: a service that reads one customer at a time asks, at night, for lists of hundreds.
var bulkJob = attacker{"bulk-job", func(a *attack, d *draw.Draw) func(*sink) {
	p := &a.run.params.Attacks.BulkJob
	a.lasts(a.from(d, "nights", p.Nights))
	size := a.from(d, "list", p.List)
	at := 0 // the next customer
	return func(s *sink) {
		if !a.on(s.day) {
			return
		}
		r := a.run
		sh := r.service(roleLoyalty, s.day)
		d := a.draw(0, s.day)
		t := s.start + atHour(1) + int64(d.Below(int(hour)))
		// Each night gets as far as its part of all customers, or of the share.
		until := cut(len(r.numbers), s.day-a.first+1, a.last-a.first+1)
		for quota := a.quota(s.day); quota > 0 && at < until; quota-- {
			var list []uint32
			for ; at < until && len(list) < size; at++ {
				if r.here(at, t) {
					list = append(list, r.numbers[at])
				}
			}
			if len(list) == 0 {
				return
			}
			e := sh.base
			e.time, e.page = t, pageExport
			e.attack, e.what = a.mark, plain
			a.spent++
			s.addList(e, list)
			t += int64(p.ListMillis.from(&d))
		}
	}
}}
