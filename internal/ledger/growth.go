package ledger

import "time"

// Growth is how fast a ledger grows.
type Growth struct {
	Days    float64 // that were looked at
	Records float64 // a day
	Bytes   float64 // a day, as segments: a log is many times larger, and goes
}

const day = 24 * 60 * 60 * 1000 // milliseconds

// Growth looks at the last days before now. When a record came is not stored, so the time of the newest
// record of a part stands for the time at which the part was full: older records that came late count for
// the time before which they came, and a time in the future counts for nothing. ok is false where
// the records cover less than a day.
func (v *View) Growth(now time.Time, days int) (g Growth, ok bool) {
	if len(v.parts) == 0 || days < 1 {
		return Growth{}, false
	}
	until := now.UnixMilli()
	from := until - int64(days)*day
	begin := min(v.parts[0].MinTime, until) // of the part that is looked at
	from = max(from, begin)
	if until-from < day {
		return Growth{}, false
	}
	var records float64
	var sealed, sealedBytes, all, allBytes int64
	for i := range v.parts {
		p := &v.parts[i]
		n := int64(p.Accesses + p.References)
		all, allBytes = all+n, allBytes+p.Bytes
		if p.seg != nil {
			sealed, sealedBytes = sealed+n, sealedBytes+p.Bytes
		}
		end := begin
		for _, t := range []int64{p.MaxTime, p.MinTime} {
			if t <= until {
				end = max(begin, t)
				break
			}
		}
		switch {
		case end < from:
		case begin >= from:
			records += float64(n)
		default:
			records += float64(n) * float64(end-from) / float64(end-begin)
		}
		begin = end
	}
	each := float64(allBytes) / float64(all)
	if sealed > 0 {
		each = float64(sealedBytes) / float64(sealed)
	}
	g.Days = float64(until-from) / day
	g.Records = records / g.Days
	g.Bytes = g.Records * each
	return g, true
}

// Full says in how many days so many bytes are taken; ok is false if it does not grow.
func (g Growth) Full(free int64) (days float64, ok bool) {
	if g.Bytes <= 0 {
		return 0, false
	}
	return float64(max(free, 0)) / g.Bytes, true
}
