package alarm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// QuietConfig are the hours in which a channel keeps silent. What is raised in them is told when they end.
type QuietConfig struct {
	From string   `yaml:"from"` // "22:00", by the clock on the wall of the zone
	To   string   `yaml:"to"`   // "07:00"; may be on the next day; "24:00" is midnight
	Zone string   `yaml:"zone"` // "Europe/Berlin"; empty: UTC
	Days []string `yaml:"days"` // mon to sun: the days on which the hours begin; empty: every day

	// PassDetectors are those whose findings are told at once all the same.
	PassDetectors []string `yaml:"pass_detectors"`
	// PassSubjects lets findings through that showed the data of at least so many customers. 0: no number does.
	PassSubjects int64 `yaml:"pass_subjects"`
}

// quiet is a checked QuietConfig. nil is never quiet.
type quiet struct {
	from, to  int // minutes of the day
	zone      *time.Location
	days      [7]bool
	detectors []string
	subjects  int64
}

var dayNames = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func newQuiet(c *QuietConfig) (*quiet, error) {
	if c == nil {
		return nil, nil
	}
	q := &quiet{detectors: c.PassDetectors, subjects: c.PassSubjects}
	var err error
	if q.from, err = minuteOfDay(c.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if q.to, err = minuteOfDay(c.To); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	if q.from == q.to || q.from == 24*60 {
		return nil, errors.New("from, to: the hours are empty; for a whole day write from: \"00:00\" and to: \"24:00\"")
	}
	if q.zone, err = time.LoadLocation(c.Zone); err != nil || c.Zone == "Local" {
		return nil, errors.New("zone: no such zone; write one like Europe/Berlin or UTC")
	}
	for _, d := range c.Days {
		i := slices.Index(dayNames[:], strings.ToLower(d))
		if i < 0 {
			return nil, errors.New("days: write mon, tue, wed, thu, fri, sat or sun")
		}
		q.days[i] = true
	}
	if len(c.Days) == 0 {
		q.days = [7]bool{true, true, true, true, true, true, true}
	}
	if c.PassSubjects < 0 {
		return nil, errors.New("pass_subjects: give a number of customers, or 0")
	}
	for _, d := range c.PassDetectors {
		if d == "" {
			return nil, errors.New("pass_detectors: an empty name matches nothing; remove it")
		}
	}
	return q, nil
}

func minuteOfDay(s string) (int, error) {
	if s == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, errors.New("write a time like \"22:00\"")
	}
	return t.Hour()*60 + t.Minute(), nil
}

// at reports whether the hours are on. It looks at the clock on the wall: an hour that a change of summer time skips or
// repeats is skipped or repeated.
func (q *quiet) at(t time.Time) bool {
	if q == nil {
		return false
	}
	t = t.In(q.zone)
	m, day := t.Hour()*60+t.Minute(), int(t.Weekday())
	if q.from < q.to {
		return q.days[day] && q.from <= m && m < q.to
	}
	return q.days[day] && m >= q.from || q.days[(day+6)%7] && m < q.to
}

// passes reports whether a finding is told in the hours too.
func (q *quiet) passes(detector string, subjects int64) bool {
	return slices.Contains(q.detectors, detector) || q.subjects > 0 && subjects >= q.subjects
}
