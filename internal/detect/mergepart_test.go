package detect_test

import (
	"reflect"
	"slices"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// splits say which of the parts observes an access.
var splits = map[string]func(i int, r *whosaw.Record, parts int) int{
	"turns":   func(i int, _ *whosaw.Record, parts int) int { return i % parts },
	"mixed":   func(i int, _ *whosaw.Record, parts int) int { return i * 0x9e3779b1 >> 7 & 0xffff % parts },
	"halves":  func(i int, _ *whosaw.Record, parts int) int { return i / 500 % parts },
	"subject": func(_ int, r *whosaw.Record, parts int) int { n, _ := strconv.Atoi(r.Subjects[0]); return n % parts },
	"address": func(_ int, r *whosaw.Record, parts int) int { b := r.IP.As16(); return int(b[15]+b[14]) % parts },
	"agent":   func(_ int, r *whosaw.Record, parts int) int { return len(r.Agent) % parts },
}

// inParts lets several engines share the accesses of a log, and merges two of them at each cut. It gives the one that is left, and all findings once.
func inParts(tb testing.TB, t *rapid.T, rs []whosaw.Record, n int, split func(int, *whosaw.Record, int) int, cuts []int) (*detect.Engine, []raised) {
	parts := make([]*detect.Engine, n)
	for k := range parts {
		parts[k] = detect.New(detect.Config{}, nil)
	}
	var out []raised
	told := map[string]bool{}
	merge := func() {
		// The other comes from another process, so as its state.
		a, b := parts[0], detect.New(detect.Config{}, nil)
		if err := detect.LoadState(b, detect.SaveState(tb, parts[len(parts)-1])); err != nil {
			t.Fatal(err)
		}
		before := [2]any{detect.Heights(a), detect.Heights(b)}
		if err := a.MergePart(b); err != nil {
			t.Fatal(err)
		}
		parts = parts[:len(parts)-1]
		after := detect.Heights(a)
		for _, was := range before {
			for u, s := range was.(map[[2]uint64][4]float64) {
				for j := range s {
					if after[u][j] < s[j] {
						t.Fatalf("merged, a statistic fell from %v to %v", s[j], after[u][j])
					}
				}
			}
		}
	}
	for i := range rs {
		for len(parts) > 1 && slices.Contains(cuts, i) {
			merge()
			cuts = slices.Delete(cuts, slices.Index(cuts, i), slices.Index(cuts, i)+1)
		}
		for k, e := range parts {
			r := rs[i]
			observe := e.Observe
			if r.Type == whosaw.TypeAccess && split(i, &r, n)%len(parts) != k {
				observe = e.Pass
			}
			for _, f := range observe(uint64(i+1), &r) {
				if !told[f.ID] {
					out = append(out, raised{f, i})
				}
				told[f.ID] = true
			}
		}
	}
	for len(parts) > 1 {
		merge()
	}
	return parts[0], out
}

// Parts of one realm's accesses, split by whatever rule and merged at whatever time, find every attack that one engine finds, after no more than so many
// times its accesses as there are parts, and a little (but for unissued, whose p0 hangs on how many issued credentials a part has met); raise nothing on honest traffic; and hold the same sets and counts.
func TestParts(t *testing.T) {
	type log struct {
		rs    []whosaw.Record
		world *world
		one   *detect.Engine
		found []raised
	}
	var logs []log
	for seed := range uint64(6) {
		w := newWorld(60 + seed)
		w.shop(2, 700, 50_000, seed%3 != 0)
		w.desk(3, 3, 60, false)
		switch seed {
		case 0, 1: // nonexistent, traversal; unissued
			w.theft(start+day+hour, 1, 500, 1+int(seed)*15, 2*second)
		case 2:
			for i := range 400 {
				r := get(start+2*day+int64(i)*minute, w.customer(100_000), true)
				r.Route, r.Principal, r.Key, r.Client, r.IP, r.Agent = "GET /desk/customers/{id}", "staff:1", "staff", "desk", ip(5), chrome
				w.attack(r)
			}
			late := get(start+3*day, 1, true)
			late.Principal = "staff:1"
			w.add(reasonRecord(start+3*day, late))
		case 3:
			for i := range 400 {
				w.attack(login(start+day+int64(i)*minute, 3_000_000+w.rng.IntN(3000)*256, i%40 == 0))
			}
		} // 4, 5: honest
		rs := w.sorted()
		one, found := run(detect.Config{}, rs)
		if honest := seed >= 4; honest != (len(found) == 0) {
			t.Fatalf("log %d: %v", seed, found)
		}
		logs = append(logs, log{rs, w, one, found})
	}
	names := []string{}
	for name := range splits {
		names = append(names, name)
	}
	slices.Sort(names)
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		l := &logs[rapid.IntRange(0, len(logs)-1).Draw(t, "log")]
		n := rapid.IntRange(2, 3).Draw(t, "parts")
		rule := rapid.SampledFrom(names).Draw(t, "split")
		split := func(i int, r *whosaw.Record, parts int) int {
			if rule == "subject" && len(r.Subjects) == 0 {
				return i % parts
			}
			return splits[rule](i, r, parts)
		}
		var cuts []int
		for range n - 1 {
			cuts = append(cuts, rapid.IntRange(0, len(l.rs)-1).Draw(t, "cut"))
		}
		e, got := inParts(tb, t, l.rs, n, split, cuts)
		if len(l.found) == 0 {
			if len(got) > 0 {
				t.Fatalf("finding on honest traffic: %v", got)
			}
			if d := gocmp.Diff(detect.Tallies(l.one), detect.Tallies(e), cmpopts.EquateEmpty(), exported); d != "" {
				t.Fatalf("counted (-one +parts):\n%s", d)
			}
		}
		attacked := func(at int) (k int) {
			for i := range l.rs[:at+1] {
				if l.world.bad[l.rs[i].Position] {
					k++
				}
			}
			return k
		}
		for _, f := range l.found {
			same := by(got, f.Detector)
			if len(same) == 0 {
				t.Fatalf("%s %s is not found", f.Detector, f.Unit)
			}
			if a, b := attacked(by(l.found, f.Detector)[0].at), attacked(same[0].at); b > n*a+20 && f.Detector != "unissued" {
				t.Errorf("%s after %d accesses of the attack, in %d parts after %d", f.Detector, a, n, b)
			}
		}
		again := detect.New(detect.Config{}, nil)
		if err := detect.LoadState(again, detect.SaveState(tb, e)); err != nil {
			t.Fatal(err)
		}
	})
}

var exported = gocmp.Exporter(func(reflect.Type) bool { return true })

// Parts that were told of different records, or have another configuration, are not merged.
func TestPartsThatDoNotFit(t *testing.T) {
	rs := mixed(1).sorted()
	a, _ := run(detect.Config{}, rs)
	b, _ := run(detect.Config{}, rs[:len(rs)-1])
	if a.MergePart(b) == nil {
		t.Error("one had been told of a record more")
	}
	if c := detect.New(detect.Config{AlarmsPerMonth: 3}, nil); a.MergePart(c) == nil {
		t.Error("another configuration")
	}
	login := issuance(start+40*day, "s", "main", 5)
	a, _ = run(detect.Config{}, append(slices.Clone(rs), login))
	b, _ = run(detect.Config{}, rs)
	b.Pass(uint64(len(rs)+1), &login)
	if a.MergePart(b) == nil {
		t.Error("one had not been told of an issuance")
	}
}
