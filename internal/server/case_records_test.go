package server_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// The case at 1 : 1000. A thief with the backup key signs tokens for the numbers 1, 2, 3, … for 209 days and opens four pages of whoever is there.
const (
	addresses = 16 // of the thief
	honestGap = 30 * time.Minute
)

var (
	seoul    = time.FixedZone("KST", 9*3600)
	opening  = day(2024, 7, 1)
	theft    = day(2025, 4, 14)
	theftEnd = day(2025, 11, 9) // 209 days
)

// How much there is; a tenth in a short run, and under the race detector, which makes everything ten times as slow.
var (
	tried     = 78_300 // numbers; 43 of 100 are somebody's
	lateOnes  = 165    // customers whose records a forgotten gateway keeps until February
	firstDays = 1      // of the theft, after which there is an alarm
)

func perNumber() time.Duration { return theftEnd.Sub(theft) / time.Duration(tried) }

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, seoul) }

// page is one of the shop's, with what it shows.
type page struct {
	route         string
	clear, masked []string
}

var (
	pageMe     = &page{"GET /me", []string{"email", "name"}, nil}
	pageList   = &page{"GET /me/addresses", []string{"address", "name", "phone"}, []string{"door_code"}}
	pageEdit   = &page{"GET /me/addresses/{id}/edit", []string{"address", "door_code", "name", "phone"}, nil}
	pageOrders = &page{"GET /me/orders", []string{"order_history"}, nil}
)

// access is a record as the shop's gateways write it, and what the test knows of it.
type access struct {
	at      time.Time
	page    *page
	subject int
	status  int
	others  int
	key, ip string
	session string
	forged  bool // nobody logged in for it
}

// mix is a number that looks drawn and is always the same.
func mix(n int, of uint64) int {
	x := uint64(n)*0x9e3779b97f4a7c15 + of*0xbf58476d1ce4e5b9
	x ^= x >> 31
	x *= 0x94d049bb133111eb
	x ^= x >> 29
	return int(x >> 33)
}

// exists says whether a number is a customer's.
func exists(n int) bool { return n > 0 && mix(n, 1)%100 < 43 }

// entry is somebody in a customer's address book: a customer too, or somebody known by an id alone.
type entry struct {
	subject int
	other   string
}

// book is a customer's address book. Some people are in several; some customers are in others' books, and one in three of those was never opened.
func book(n int) []entry {
	var out []entry
	switch h := mix(n, 2) % 64; {
	case h == 0:
		out = append(out, entry{other: fmt.Sprintf("p-%d", n)}, entry{other: fmt.Sprintf("q-%d", n)})
	case h < 4:
		out = append(out, entry{other: fmt.Sprintf("shared-%d", n/256)})
	case h < 8:
		out = append(out, entry{other: fmt.Sprintf("p-%d", n)})
	}
	if h := mix(n, 3) % 300; h == 0 {
		out = append(out, entry{subject: tried + 1 + n})
	} else if h < 3 && exists(n/2) {
		out = append(out, entry{subject: n / 2})
	}
	return out
}

// othersOf counts who in a book is no customer.
func othersOf(n int) int {
	count := 0
	for _, e := range book(n) {
		if e.other != "" {
			count++
		}
	}
	return count
}

// began is when the thief tried a number.
func began(n int) time.Time { return theft.Add(time.Duration(n-1) * perNumber()) }

func thiefAddress(n int) string { return fmt.Sprintf("203.0.113.%d", 10+n%addresses) }

// forgedAccesses is what the thief opened with one number.
func forgedAccesses(n int) []access {
	at := began(n)
	var out []access
	open := func(p *page, status, others int) {
		out = append(out, access{at: at, page: p, subject: n, status: status, others: others, key: "backup", ip: thiefAddress(n), session: fmt.Sprintf("x%d", n), forged: true})
		at = at.Add(700 * time.Millisecond)
	}
	if !exists(n) {
		open(pageMe, 404, 0)
		return out
	}
	open(pageMe, 200, 0)
	for i := range []int{0, 1, 3, 4, 4, 5, 5, 6, 7, 9}[mix(n, 4)%10] { // 4.4, as in the case
		others := othersOf(n)
		if i == 0 {
			others = min(others, 1) // the first view folds the rest
		}
		open(pageList, 200, others)
	}
	if mix(n, 5)%667 == 0 {
		open(pageEdit, 200, 0)
	}
	if mix(n, 6)%328 == 0 {
		open(pageOrders, 200, 0)
	}
	return out
}

// late gives the numbers whose records come in February: of customers of June, one in ten until there are enough.
func late() map[int]bool {
	out := map[int]bool{}
	for n := int(day(2025, 6, 1).Sub(theft) / perNumber()); len(out) < lateOnes; n++ {
		if exists(n) && n%10 == 3 {
			out[n] = true
		}
	}
	return out
}

// honest gives the shop's own traffic of some time: log-ins and what customers open of their own. On two nights the backup key is in use, as it is meant.
func honest(from, to time.Time, yield func(issued string, a access)) {
	for i := int(from.Sub(opening) / honestGap); ; i++ {
		at := opening.Add(time.Duration(i) * honestGap)
		if !at.Before(to) {
			return
		}
		if at.Before(from) {
			continue
		}
		n := 1 + mix(i, 7)%tried
		for !exists(n) {
			n++
		}
		key := "login"
		for _, night := range []time.Time{day(2024, 10, 10), day(2025, 8, 3)} {
			if !at.Before(night) && at.Before(night.Add(6*time.Hour)) {
				key = "backup"
			}
		}
		a := access{at: at.Add(time.Second), page: pageMe, subject: n, status: 200, key: key, ip: fmt.Sprintf("198.18.%d.%d", n%200, i%200), session: fmt.Sprintf("c%d", i)}
		if i%7 == 0 {
			a.page, a.others = pageList, othersOf(n)
		}
		yield(fmt.Sprintf(`{"type":"issuance","time":%d,"credential":%q,"key":%q,"subject":%d,"ip":%q}`, at.UnixMilli(), a.session, key, n, a.ip), a)
	}
}

// line writes a record. What a page shows is for the catalog to say.
func (a *access) line(b *bytes.Buffer) {
	fmt.Fprintf(b, `{"time":%d,"route":%q,"status":%d,"subject":%d,"principal":"customer:%d","credential":%q,"key":%q,"ip":%q`,
		a.at.UnixMilli(), a.page.route, a.status, a.subject, a.subject, a.session, a.key, a.ip)
	if a.others > 0 {
		fmt.Fprintf(b, `,"others":%d`, a.others)
	}
	b.WriteString("}\n")
}

// shown is what the accesses of a scope showed of one customer, counted here and not by the product.
type shown struct {
	clear, masked map[string]bool
	others        int
	accesses      int64
	listed        bool // the address book was shown
}

func (s *shown) fields() []string { return slices.Sorted(maps.Keys(s.clear)) }

// truth is what a scope must be.
type truth map[int]*shown

// count goes through all that was sent, access by access.
func count(sent []access, in func(a *access) bool) truth {
	out := truth{}
	for i := range sent {
		a := &sent[i]
		if a.status != 200 || !in(a) {
			continue
		}
		s := out[a.subject]
		if s == nil {
			s = &shown{clear: map[string]bool{}, masked: map[string]bool{}}
			out[a.subject] = s
		}
		for _, f := range a.page.clear {
			s.clear[f] = true
		}
		for _, f := range a.page.masked {
			s.masked[f] = true
		}
		s.others = max(s.others, a.others)
		s.accesses++
		s.listed = s.listed || a.page == pageList
	}
	return out
}

// sums are the figures of a scope's answer.
func (t truth) sums() (others, disclosures int64, clear, masked map[string]int64) {
	clear, masked = map[string]int64{}, map[string]int64{}
	for _, s := range t {
		others += int64(s.others)
		disclosures += s.accesses
		for f := range s.clear {
			clear[f]++
		}
		for f := range s.masked {
			if !s.clear[f] {
				masked[f]++
			}
		}
	}
	return others, disclosures, clear, masked
}

// difference counts how a scope differs from the one before.
func (t truth) difference(was truth) (added, removed, widened, same int64) {
	for n, s := range t {
		switch old := was[n]; {
		case old == nil:
			added++
		case !slices.Equal(old.fields(), s.fields()):
			widened++
		default:
			same++
		}
	}
	for n := range was {
		if t[n] == nil {
			removed++
		}
	}
	return added, removed, widened, same
}

// due is who must get a notice, with which fields: customers by their number, people of address books by "other:" and their id.
func (t truth) due() map[string][]string {
	sets := map[string]map[string]bool{}
	put := func(id string, fields ...string) {
		if sets[id] == nil {
			sets[id] = map[string]bool{}
		}
		for _, f := range fields {
			sets[id][f] = true
		}
	}
	for n, s := range t {
		put(strconv.Itoa(n), s.fields()...)
		if !s.listed {
			continue
		}
		for _, e := range book(n) {
			if e.other != "" {
				put("other:"+e.other, pageList.clear...)
			} else {
				put(strconv.Itoa(e.subject), pageList.clear...)
			}
		}
	}
	out := make(map[string][]string, len(sets))
	for id, s := range sets {
		out[id] = slices.Sorted(maps.Keys(s))
	}
	return out
}
