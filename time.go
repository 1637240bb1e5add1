package whosaw

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Bounds of the times that reference records carry beside their event time: a key may be valid
// for decades. The lower one is also the largest number that could be seconds written where
// milliseconds belong.
const (
	minReferenceTime int64 = 10_000_000_000      // 1970-04-26T17:46:40Z
	maxReferenceTime int64 = 253_402_300_799_999 // 9999-12-31T23:59:59.999Z
)

var (
	errNotTime = errors.New("not a time; give RFC 3339 such as 2006-01-02T15:04:05Z, or milliseconds since 1970")
	errNotDate = errors.New("not a date; give it as 2006-01-02")
)

// ParseTime reads RFC 3339 or decimal milliseconds since 1970, and gives milliseconds since 1970
// UTC; what is finer is cut. A leap second 23:59:60 UTC is the first second of the next day, as in
// POSIX time. It does not judge the range: see [CheckTime].
func ParseTime[T string | []byte](s T) (int64, error) {
	if ms, ok := parseRFC3339(s); ok {
		return ms, nil
	}
	ms, ok := parseInt(s)
	if !ok {
		return 0, errNotTime
	}
	return ms, nil
}

// ParseDate reads "2006-01-02" as the midnight UTC that begins it.
func ParseDate(s string) (int64, error) {
	if len(s) == 10 {
		if day, ok := parseDay(s); ok {
			return day * 86_400_000, nil
		}
	}
	return 0, errNotDate
}

// CheckTime says why ms is no valid event time at the clock now, with what it looks like instead.
func CheckTime(ms, now int64) error {
	if ms >= MinTime && ms <= now+MaxAhead {
		return nil
	}
	e := &RecordError{Member: "time"}
	in := func(ms int64) bool { return ms >= MinTime && ms <= now+MaxAhead }
	switch {
	case ms > 0 && ms < MinTime && in(ms*1000):
		e.Reason, e.Hint = "looks like seconds", "give milliseconds or RFC 3339"
	case in(ms / 1_000):
		e.Reason, e.Hint = "looks like microseconds", "give milliseconds or RFC 3339"
	case in(ms / 1_000_000):
		e.Reason, e.Hint = "looks like nanoseconds", "give milliseconds or RFC 3339"
	case ms < MinTime:
		e.Reason, e.Hint = "lies before 2000-01-01", "give the time of the event, in milliseconds or RFC 3339"
	default:
		e.Reason, e.Hint = "lies more than one day ahead of the clock", "check the clocks of both machines"
	}
	return e
}

// parseInt reads an integer of JSON's grammar: no sign but "-", no leading zero, no fraction.
func parseInt[T string | []byte](s T) (int64, bool) {
	i, neg := 0, false
	if len(s) > 0 && s[0] == '-' {
		i, neg = 1, true
	}
	if len(s) == i || len(s)-i > 19 || (s[i] == '0' && len(s) > i+1) {
		return 0, false
	}
	var v uint64 // 19 digits fit
	for ; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + uint64(d)
	}
	if v > 1<<63-1 {
		return 0, false
	}
	if neg {
		return -int64(v), true
	}
	return int64(v), true
}

// two reads two digits; bad is set, never cleared, if they are none.
func two[T string | []byte](s T, i int, bad *bool) int64 {
	a, b := s[i]-'0', s[i+1]-'0'
	if a > 9 || b > 9 {
		*bad = true
	}
	return int64(a)*10 + int64(b)
}

// parseDay reads the first ten bytes of s as a date, in days since 1970.
func parseDay[T string | []byte](s T) (int64, bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	bad := false
	y := two(s, 0, &bad)*100 + two(s, 2, &bad)
	m, d := two(s, 5, &bad), two(s, 8, &bad)
	if bad || m < 1 || m > 12 || d < 1 || d > daysIn(y, m) {
		return 0, false
	}
	return daysSince1970(y, m, d), true
}

func daysIn(y, m int64) int64 {
	if m == 2 {
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 30 + (m+m/8)%2
}

// daysSince1970 counts days of the proleptic Gregorian calendar; years begin in March, so that
// the leap day is the last.
func daysSince1970(y, m, d int64) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	return era*146_097 + yoe*365 + yoe/4 - yoe/100 + doy - 719_468
}

// parseRFC3339 reads 2006-01-02T15:04:05[.fraction](Z|±07:00). As RFC 3339 allows, t and z may be lower
// case and a space may stand for T.
func parseRFC3339[T string | []byte](s T) (int64, bool) {
	if len(s) < 20 || (s[10]|0x20 != 't' && s[10] != ' ') || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	day, ok := parseDay(s)
	if !ok {
		return 0, false
	}
	bad := false
	hour, minute, sec := two(s, 11, &bad), two(s, 14, &bad), two(s, 17, &bad)
	if bad || hour > 23 || minute > 59 || sec > 60 {
		return 0, false
	}
	i, ms := 19, int64(0)
	if s[i] == '.' {
		start := i + 1
		unit := int64(100)
		for i = start; i < len(s) && s[i]-'0' <= 9; i++ {
			ms += int64(s[i]-'0') * unit
			unit /= 10
		}
		if i == start {
			return 0, false
		}
	}
	offset := int64(0) // minutes
	switch rest := len(s) - i; {
	case rest == 1 && s[i]|0x20 == 'z':
	case rest == 6 && (s[i] == '+' || s[i] == '-') && s[i+3] == ':':
		h, m := two(s, i+1, &bad), two(s, i+4, &bad)
		if bad || h > 23 || m > 59 {
			return 0, false
		}
		offset = h*60 + m
		if s[i] == '-' {
			offset = -offset
		}
	default:
		return 0, false
	}
	minutes := day*1440 + hour*60 + minute - offset
	if sec == 60 && ((minutes%1440)+1440)%1440 != 1439 {
		return 0, false // leap seconds are inserted before midnight UTC only
	}
	return (minutes*60+sec)*1000 + ms, true
}

const timeLayout = "2006-01-02T15:04:05.000Z"

// appendTime appends ms as "2006-01-02T15:04:05.000Z".
func appendTime(dst []byte, ms int64) []byte {
	if ms < 0 || ms > maxReferenceTime {
		return time.UnixMilli(ms).UTC().AppendFormat(dst, timeLayout)
	}
	y, m, d := civil(ms / 86_400_000)
	rest := ms % 86_400_000
	dst = append2(dst, y/100, y%100)
	dst = append2(append(dst, '-'), m)
	dst = append2(append(dst, '-'), d)
	dst = append2(append(dst, 'T'), rest/3_600_000)
	dst = append2(append(dst, ':'), rest/60_000%60)
	dst = append2(append(dst, ':'), rest/1000%60)
	milli := rest % 1000
	return append(dst, '.', byte('0'+milli/100), byte('0'+milli/10%10), byte('0'+milli%10), 'Z')
}

func append2(dst []byte, values ...int64) []byte {
	for _, v := range values {
		dst = append(dst, byte('0'+v/10), byte('0'+v%10))
	}
	return dst
}

// civil is the inverse of daysSince1970, for days from 1970 on.
func civil(days int64) (y, m, d int64) {
	days += 719_468
	era := days / 146_097
	doe := days % 146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = doy - (153*mp+2)/5 + 1
	m = mp + 3
	y = yoe + era*400
	if m > 12 {
		m -= 12
		y++
	}
	return y, m, d
}

// String gives "2006-01-02T15:04:05.000Z", and "" for the zero value.
func (t Time) String() string {
	if t == 0 {
		return ""
	}
	return string(appendTime(nil, int64(t)))
}

// AppendText appends what String gives.
func (t Time) AppendText(b []byte) ([]byte, error) {
	if t == 0 {
		return b, nil
	}
	return appendTime(b, int64(t)), nil
}

// MarshalJSON gives the time in quotes, and null for the zero value.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	if int64(t) > maxReferenceTime || int64(t) < daysSince1970(0, 1, 1)*86_400_000 {
		return nil, errors.New("encode time: the year is outside 0 to 9999")
	}
	return append(appendTime([]byte{'"'}, int64(t)), '"'), nil
}

// UnmarshalJSON reads RFC 3339, a date (its midnight UTC), integer milliseconds, or null (not given).
func (t *Time) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*t = 0
		return nil
	}
	s := string(data)
	if len(s) > 0 && s[0] == '"' {
		if err := json.Unmarshal(data, &s); err != nil {
			return fmt.Errorf("decode time: %w", err)
		}
		ms, ok := parseRFC3339(s)
		if !ok {
			var err error
			if ms, err = ParseDate(s); err != nil {
				return fmt.Errorf("decode time: %w", errNotTime)
			}
		}
		*t = Time(ms)
		return nil
	}
	ms, ok := parseInt(s)
	if !ok {
		return fmt.Errorf("decode time: %w", errNotTime)
	}
	*t = Time(ms)
	return nil
}
