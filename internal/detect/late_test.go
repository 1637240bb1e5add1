package detect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// branch merges a head office's log with a branch's, whose records come as they happened, but late by so much.
func branch(head, branch *world, late int64) []whosaw.Record {
	type arrived struct {
		whosaw.Record
		at int64
	}
	var all []arrived
	for i := range head.records {
		all = append(all, arrived{head.records[i], head.records[i].Time})
	}
	for i := range branch.records {
		r := branch.records[i]
		r.Source = "branch"
		all = append(all, arrived{r, r.Time + late})
	}
	slices.SortStableFunc(all, func(a, b arrived) int { return int(a.at - b.at) })
	rs := make([]whosaw.Record, len(all))
	for i := range all {
		rs[i] = all[i].Record
	}
	return rs
}

// office is staff with a ticket for each opening, recorded a moment afterwards: a minute and a half at most.
func (w *world) office(from int64, days, agents, calls int, name string) {
	for d := range days {
		for i := range calls {
			t := from + int64(d)*day + 9*hour + int64(i)*8*hour/int64(calls) + w.rng.Int64N(5*second)
			r := get(t, w.customer(100_000), true)
			a := i % agents
			r.Route, r.Principal, r.Credential = "GET /desk/customers/{id}", fmt.Sprintf("staff:%s%d", name, a), fmt.Sprintf("%s%d-%d", name, a, d)
			r.Key, r.Client, r.IP, r.Agent = "staff", "desk", ip(5), chrome
			w.add(r)
			why := reasonRecord(t, r)
			why.Time = t + 10*second + w.rng.Int64N(80*second)
			w.add(why)
		}
	}
	slices.SortStableFunc(w.records, func(a, b whosaw.Record) int { return int(a.Time - b.Time) })
}

// A branch's records come late, each access a moment before its ticket: its reasons are no more missing than those of the head office.
func TestHonestLateBranch(t *testing.T) {
	for _, late := range []int64{20 * minute, 90 * minute, 3 * day} {
		head, far := newWorld(60), newWorld(61)
		head.office(start, 12, 6, 600, "head")
		far.office(start+5*day, 4, 3, 200, "far")
		e, fs := run(detect.Config{}, branch(head, far, late))
		for _, f := range fs {
			t.Errorf("%d minutes late: %v", late/minute, f)
		}
		if s := statusOf(t, e, "unexplained"); s.Judged < 7900 {
			t.Errorf("%d minutes late: status %+v", late/minute, s)
		}
	}
}

// The same of log-ins: an access is shipped a moment before the issuance of its credential, by a branch whose records are all late.
func TestHonestLateIssuances(t *testing.T) {
	for _, late := range []int64{90 * minute, 3 * day} {
		head, far := newWorld(62), newWorld(63)
		head.visits(start, 12, 2000)
		far.visits(start+5*day, 4, 500)
		rs := branch(head, far, late)
		for i := 0; i+1 < len(rs); i++ { // of the branch, the access comes first
			if a, b := &rs[i], &rs[i+1]; a.Source == "branch" && a.Type == whosaw.TypeIssuance && b.Source == a.Source {
				*a, *b = *b, *a
				i++
			}
		}
		e, fs := run(detect.Config{}, rs)
		for _, f := range fs {
			t.Errorf("%d minutes late: %v", late/minute, f)
		}
		if s := statusOf(t, e, "unissued"); s.Judged < 25_000 {
			t.Errorf("%d minutes late: status %+v", late/minute, s)
		}
	}
}

// visits are of customers who log in and look at themselves, so many a day.
func (w *world) visits(from int64, days, each int) {
	for d := range days {
		for i := range each {
			t := from + int64(d)*day + int64(i)*day/int64(each) + w.rng.Int64N(5*second)
			c := w.customer(50_000)
			r := get(t+second, c, true)
			r.Route, r.Principal, r.Credential, r.Key, r.IP, r.Agent = "GET /me", fmt.Sprint("customer:", c), fmt.Sprintf("s%d-%d", c, t), "main", ip(c*7), chrome
			w.add(issuance(t, r.Credential, r.Key, c))
			w.add(r)
		}
	}
}

// A whole year's log that is sent after the live one does not fill the queue: what comes in time is judged.
func TestLateLogLeavesRoom(t *testing.T) {
	head, old := newWorld(64), newWorld(65)
	head.office(start, 12, 6, 600, "head")
	old.office(start-30*day, 3, 3, 3000, "old")
	var rs []whosaw.Record
	for i := range head.records {
		rs = append(rs, head.records[i])
		if i == len(head.records)/2 {
			for j := range old.records {
				r := old.records[j]
				r.Source = "old"
				rs = append(rs, r)
			}
		}
	}
	e, _ := run(detect.Config{MaxPending: 500}, rs)
	if s := statusOf(t, e, "unexplained"); slices.ContainsFunc(s.NotJudged, func(n detect.NotJudged) bool { return strings.Contains(n.Why, "too many") }) {
		t.Errorf("status %+v", s)
	}
}
