package regime

import (
	"strings"
	"time"
)

// businessDay says whether t is a day on which a term in business days moves: no Saturday, no Sunday and, in the United States, no
// federal holiday (5 U.S.C. 6103) nor the day it is kept on instead. Elsewhere only weekends are known, so a term ends early rather than
// late.
func businessDay(jurisdiction string, t time.Time) bool {
	if w := t.Weekday(); w == time.Saturday || w == time.Sunday {
		return false
	}
	if jurisdiction != "US" && !strings.HasPrefix(jurisdiction, "US-") {
		return true
	}
	return !federalHoliday(t)
}

// federalHoliday is for weekdays. A holiday on a Saturday is kept on the Friday before, on a Sunday on the Monday after.
func federalHoliday(t time.Time) bool {
	fixed := func(u time.Time) bool {
		switch m, d := u.Month(), u.Day(); {
		case m == time.January && d == 1, m == time.June && d == 19, m == time.July && d == 4,
			m == time.November && d == 11, m == time.December && d == 25:
			return true
		}
		return false
	}
	if fixed(t) || t.Weekday() == time.Friday && fixed(t.AddDate(0, 0, 1)) || t.Weekday() == time.Monday && fixed(t.AddDate(0, 0, -1)) {
		return true
	}
	nth := (t.Day() + 6) / 7 // the how-manieth of its weekday in the month
	last := t.AddDate(0, 0, 7).Month() != t.Month()
	switch t.Month() {
	case time.January, time.February: // Martin Luther King, Washington
		return t.Weekday() == time.Monday && nth == 3
	case time.May: // Memorial Day
		return t.Weekday() == time.Monday && last
	case time.September: // Labor Day
		return t.Weekday() == time.Monday && nth == 1
	case time.October: // Columbus Day
		return t.Weekday() == time.Monday && nth == 2
	case time.November: // Thanksgiving
		return t.Weekday() == time.Thursday && nth == 4
	}
	return false
}
