package meter

import (
	"math"
	"slices"
)

const (
	pastDays  = 14 // days before today that a season is of
	leastPast = 3  // days of its own that a season needs
	dayLong   = 24 * 60
	span      = (pastDays + 2) * dayLong // minutes that are held: two weeks, today, and what is ahead
)

// series is a count for each minute of the last two weeks.
type series struct {
	counts  [span]int32
	last    int64          // the greatest minute that was counted
	first   int64          // the least
	seasons map[int64]band // by hour: what is past does not change
}

// band is what is usual.
type band struct {
	low, high int64
	known     bool
}

// add counts at a minute. Minutes that are too long ago are not counted.
func (s *series) add(minute int64, n int32) {
	switch {
	case s.first == 0:
		s.first, s.last = minute, minute
	case minute > s.last:
		for m := max(s.last+1, minute-span+1); m <= minute; m++ {
			s.counts[m%span] = 0
		}
		s.last = minute
	case minute <= s.last-span:
		return
	}
	s.first = min(s.first, minute)
	s.counts[minute%span] += n
}

// at gives the count of a minute.
func (s *series) at(minute int64) int64 {
	if minute > s.last || minute <= s.last-span || s.first == 0 {
		return 0
	}
	return int64(s.counts[minute%span])
}

// season gives what is usual in a minute's hour: of the days before its own, each day's lowest and highest minute of the hour, of
// these the middle ones, widened by three times what chance alone does to such a count.
func (s *series) season(minute int64) band {
	hour := minute / 60
	if b, ok := s.seasons[hour]; ok {
		return b
	}
	var lows, highs []int64
	for d := int64(1); d <= pastDays; d++ {
		from := hour*60 - d*dayLong
		if s.first == 0 || from < s.first || from <= s.last-span {
			break
		}
		low, high := int64(math.MaxInt64), int64(0)
		for m := from; m < from+60; m++ {
			low, high = min(low, s.at(m)), max(high, s.at(m))
		}
		lows, highs = append(lows, low), append(highs, high)
	}
	var b band
	if len(lows) >= leastPast {
		slices.Sort(lows)
		slices.Sort(highs)
		low, high := lows[(len(lows)-1)/2], highs[len(highs)/2]
		b = band{low: max(0, low-slack(low)), high: high + slack(high), known: true}
	}
	if s.seasons == nil || len(s.seasons) > 200 {
		s.seasons = map[int64]band{}
	}
	if s.last >= hour*60-dayLong+60 { // the last hour it is of is over
		s.seasons[hour] = b
	}
	return b
}

// slack is what chance alone adds to the highest minute of an hour, or takes from the lowest.
func slack(n int64) int64 { return int64(math.Ceil(3 * math.Sqrt(float64(max(n, 1))))) }
