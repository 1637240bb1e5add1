package detect_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// Two detectors that cross at one access both say so there: what the first of them raises takes nothing from the other. The thief's last
// access is a list of absent customers, the first of them the next in order; nothing comes after it that could make up for what is lost.
func TestTwoDetectorsAtOneAccess(t *testing.T) {
	walk := func(inOrder, absent int) []whosaw.Record {
		w := newWorld(4)
		w.shop(3, 2000, 100_000, false)
		thief := func(at int64, found bool, subjects ...int) {
			r := get(at, 0, found)
			r.Subjects = nil
			for _, n := range subjects {
				r.Subjects = append(r.Subjects, strconv.Itoa(n))
			}
			r.Principal, r.Key, r.IP, r.ASN, r.Country, r.Agent = "customer:9", "main", ip(1<<20), 64500, "DE", chrome
			w.attack(r)
		}
		at := start + 2*day + hour
		for n := range inOrder {
			thief(at+int64(n)*second, true, 1+n)
		}
		if absent > 0 {
			list := []int{inOrder + 1}
			for n := range absent {
				list = append(list, 1000+3*n)
			}
			thief(at+int64(inOrder)*second, false, list...)
		}
		return w.sorted()
	}
	singles := walk(120, 0)
	_, fs := run(detect.Config{}, singles)
	alone := by(fs, "traversal")
	if len(alone) == 0 {
		t.Fatal("traversal finds nobody who reads in order")
	}
	before := 0 // accesses in order before the one that raises
	for _, r := range singles[:alone[0].at] {
		if r.Principal == "customer:9" {
			before++
		}
	}
	rs := walk(before, 20)
	last := slices.IndexFunc(rs, func(r whosaw.Record) bool { return len(r.Subjects) > 1 })
	_, fs = run(detect.Config{}, rs)
	for _, detector := range []string{"nonexistent", "traversal"} {
		if got := by(fs, detector); len(got) != 1 || got[0].at != last {
			t.Errorf("%s at record %d: %v", detector, last, got)
		}
	}
}
