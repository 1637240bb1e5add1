package scope

import "time"

const day = int64(24 * 60 * 60 * 1000)

// days gives days of a time zone, counted from 1970-01-01. It remembers the stretch without a change of
// offset that it saw last, so that consecutive times cost a comparison.
type days struct {
	zone        *time.Location
	from, until int64 // milliseconds
	offset      int64
}

func (d *days) of(ms int64) int64 {
	if ms < d.from || ms >= d.until {
		t := time.UnixMilli(ms).In(d.zone)
		start, end := t.ZoneBounds()
		_, offset := t.Zone()
		d.from, d.until, d.offset = -1<<62, 1<<62, int64(offset)*1000
		if !start.IsZero() {
			d.from = start.UnixMilli()
		}
		if !end.IsZero() {
			d.until = end.UnixMilli()
		}
	}
	return floorDiv(ms+d.offset, day)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// dayName gives "2006-01-02".
func dayName(n int64) string { return time.UnixMilli(n * day).UTC().Format(time.DateOnly) }

// dayStart gives the first instant of a day in a zone: midnight, or what follows it where clocks skip it.
func dayStart(n int64, zone *time.Location) int64 {
	y, m, d := time.UnixMilli(n * day).UTC().Date()
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	ms := t.UnixMilli()
	view := days{zone: zone}
	// time.Date gives one of the two readings of a midnight that is skipped or comes twice.
	if view.of(ms) < n {
		_, end := t.ZoneBounds()
		return end.UnixMilli()
	}
	if start, _ := t.ZoneBounds(); !start.IsZero() {
		if before := start.UnixMilli() - 1; view.of(before) == n {
			// The day began before the clocks were put back into it.
			_, offset := time.UnixMilli(before).In(zone).Zone()
			return n*day - int64(offset)*1000
		}
	}
	return ms
}
