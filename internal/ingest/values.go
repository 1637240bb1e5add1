package ingest

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
)

// parseLogTime reads what servers write between the brackets: 10/Oct/2000:13:55:36 -0700, with a fraction of a
// second or without, or RFC 3339.
func parseLogTime(s string) (ms int64, ok bool) {
	if ms, ok := parseApacheTime(s); ok {
		return ms, true
	}
	if len(s) < 20 || s[4] != '-' {
		return 0, false
	}
	ms, err := whosaw.ParseTime(s)
	return ms, err == nil
}

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

func parseApacheTime(s string) (int64, bool) {
	// 10/Oct/2000:13:55:36 -0700
	if len(s) < 26 || s[2] != '/' || s[6] != '/' || s[11] != ':' || s[14] != ':' || s[17] != ':' {
		return 0, false
	}
	day, ok1 := digits(s[:2])
	year, ok2 := digits(s[7:11])
	hour, ok3 := digits(s[12:14])
	minute, ok4 := digits(s[15:17])
	sec, ok5 := digits(s[18:20])
	m := strings.Index(monthNames, s[3:6])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || m < 0 || m%3 != 0 {
		return 0, false
	}
	frac, rest := int64(0), s[20:]
	if rest[0] == '.' || rest[0] == ',' {
		unit := int64(100)
		i := 1
		for ; i < len(rest) && rest[i]-'0' <= 9; i++ {
			frac += int64(rest[i]-'0') * unit
			unit /= 10
		}
		if i == 1 {
			return 0, false
		}
		rest = rest[i:]
	}
	if len(rest) != 6 || rest[0] != ' ' || rest[1] != '+' && rest[1] != '-' {
		return 0, false
	}
	zh, ok1 := digits(rest[2:4])
	zm, ok2 := digits(rest[4:6])
	month := time.Month(m/3 + 1)
	if !ok1 || !ok2 || zh > 23 || zm > 59 || hour > 23 || minute > 59 || sec > 60 || day < 1 {
		return 0, false
	}
	at := time.Date(int(year), month, int(day), int(hour), int(minute), int(sec), 0, time.UTC)
	if last := time.Date(int(year), month+1, 0, 0, 0, 0, 0, time.UTC).Day(); int(day) > last {
		return 0, false
	}
	offset := (zh*60 + zm) * 60_000
	if rest[1] == '-' {
		offset = -offset
	}
	return at.UnixMilli() - offset + frac, true
}

// parseUnix reads a decimal number of units since 1970 (perUnit milliseconds each: 1000 for seconds, 1 for
// milliseconds), exactly; what is finer than a millisecond is cut.
func parseUnix(s string, perUnit int64) (int64, bool) {
	whole, frac, _ := strings.Cut(s, ".")
	n, ok := digits(whole)
	if ok && n <= math.MaxInt64/1000 {
		ms := n * perUnit
		for unit := perUnit / 10; unit > 0 && frac != ""; unit /= 10 {
			d := int64(frac[0] - '0')
			if d > 9 || d < 0 {
				break
			}
			ms += d * unit
			frac = frac[1:]
		}
		if strings.Trim(frac, "0123456789") == "" {
			return ms, true
		}
	}
	f, err := strconv.ParseFloat(s, 64) // with an exponent, or negative
	if err != nil || !(math.Abs(f) < 1e15) {
		return 0, false
	}
	return int64(math.Floor(f * float64(perUnit))), true
}

// parseAutoTime reads a time whose format nobody stated: RFC 3339, a server's bracketed time, or a number of
// seconds or milliseconds, told apart by size.
func parseAutoTime(s string) (int64, bool) {
	if len(s) > 4 && s[4] == '-' {
		return parseRFC3339(s)
	}
	if s == "" {
		return 0, false
	}
	if s[0] >= '0' && s[0] <= '9' && !strings.ContainsAny(s, "-/:T") {
		// 1e11 seconds are the year 5138, 1e11 milliseconds March 1973.
		whole, _, _ := strings.Cut(s, ".")
		if len(whole) <= 11 || strings.ContainsAny(s, "eE") {
			return parseUnix(s, 1000)
		}
		return parseUnix(s, 1)
	}
	return parseLogTime(strings.Trim(s, "[]"))
}

// address reads an address as logs write it: with a port, in brackets, with a zone. A host name is none.
func address(s string) (netip.Addr, bool) {
	if s == "" || s == "-" {
		return netip.Addr{}, false
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return plain(a), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return plain(ap.Addr()), true
	}
	if s[0] == '[' && s[len(s)-1] == ']' {
		if a, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil {
			return plain(a), true
		}
	}
	return netip.Addr{}, false
}

func plain(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }

// The parts of a list of addresses that a reader can be told to take.
const (
	takeFirst = 0  // as claimed by the caller
	takeLast  = 1  // as seen by the nearest proxy; n is the n-th from the right
	takeOuter = -1 // the last that is not a private address
)

// takeAddress picks one address from a list like X-Forwarded-For.
func takeAddress(s string, take int) (netip.Addr, bool) {
	if strings.IndexByte(s, ',') < 0 {
		if take > 1 {
			return netip.Addr{}, false
		}
		return address(strings.TrimSpace(s))
	}
	if take == takeOuter {
		return lastPublic(s)
	}
	if take == takeFirst {
		first, _, _ := strings.Cut(s, ",")
		return address(strings.TrimSpace(first))
	}
	for ; ; take-- {
		i := strings.LastIndexByte(s, ',')
		if take == 1 {
			return address(strings.TrimSpace(s[i+1:]))
		}
		if i < 0 {
			return netip.Addr{}, false
		}
		s = s[:i]
	}
}

// lastPublic picks the last address of a list that is not one of the house's own networks: the nearest proxies
// stand at the right, and what stands further left is only claimed. Without such an address it is the last.
func lastPublic(s string) (netip.Addr, bool) {
	var last netip.Addr
	for more := true; more; {
		var one string
		i := strings.LastIndexByte(s, ',')
		one, more = s[i+1:], i >= 0
		if more {
			s = s[:i]
		}
		a, ok := address(strings.TrimSpace(one))
		if !ok {
			continue
		}
		if public(a) {
			return a, true
		}
		if !last.IsValid() {
			last = a
		}
	}
	return last, last.IsValid()
}

// public reports an address outside the house's own networks. Carrier NAT (100.64.0.0/10) is used inside clouds.
func public(a netip.Addr) bool {
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !carrierNAT.Contains(a)
}

var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")
