package detect_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// Engines that share a log by realms find what one does, and merged at any record they go on as that one.
func TestMerge(t *testing.T) {
	found := 0
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var all []whosaw.Record
		for i, realm := range []string{"", "eu", "us"} {
			for _, r := range mixed(3*seed + uint64(i)).sorted() {
				if r.Type == whosaw.TypeAct {
					continue
				}
				r.Realm = realm
				all = append(all, r)
			}
		}
		slices.SortStableFunc(all, func(a, b whosaw.Record) int { return cmp.Compare(a.Time, b.Time) })
		all = wrongClocks(rng, all)
		one, want := run(detect.Config{}, all)
		cut := rng.IntN(len(all))
		parts := []*detect.Engine{detect.New(detect.Config{}, nil), detect.New(detect.Config{}, nil)}
		of := func(r *whosaw.Record) int { return len(r.Realm) / 2 } // the unnamed realm, and the other two
		var got []raised
		for i := range all {
			r := all[i]
			if i == cut {
				if err := parts[0].Merge(parts[1]); err != nil {
					t.Fatal(err)
				}
				parts = parts[:1]
			}
			for k, e := range parts {
				observe := e.Pass
				if len(parts) == 1 || k == of(&r) {
					observe = e.Observe
				}
				for _, f := range observe(uint64(i+1), &r) {
					got = append(got, raised{f, i})
				}
			}
		}
		found += len(want)
		byID := func(a, b raised) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.ID, b.ID)) }
		slices.SortFunc(want, byID)
		slices.SortFunc(got, byID)
		if d := gocmp.Diff(want, got, gocmp.AllowUnexported(raised{})); d != "" {
			t.Errorf("seed %d, merged at %d of %d: findings (-of one +of parts):\n%s", seed, cut, len(all), d)
		}
		if held := detect.Held(one); len(parts) == 1 {
			for name, n := range detect.Held(parts[0]) {
				if n != held[name] && name != "peerCaps" {
					t.Errorf("seed %d, merged at %d: %d in %s, one engine holds %d", seed, cut, n, name, held[name])
				}
			}
		}
		if len(parts) > 1 {
			continue
		}
		for i, s := range one.Status() {
			g := parts[0].Status()[i]
			if s.Judged != g.Judged || s.Trials != g.Trials || s.Findings != g.Findings || s.Waiting != g.Waiting || s.Units != g.Units || s.Reached != g.Reached {
				t.Errorf("seed %d, merged at %d: status of %s:\n%+v\n%+v", seed, cut, s.Detector, s, g)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d findings", found)
	}
	a, _ := run(detect.Config{}, mixed(1).sorted())
	b, _ := run(detect.Config{}, mixed(1).sorted())
	if a.Merge(b) == nil {
		t.Error("two engines of one realm were merged")
	}
	if c := detect.New(detect.Config{AlarmsPerMonth: 3}, nil); a.Merge(c) == nil || a.Merge(detect.New(detect.Config{}, nil)) == nil {
		t.Error("engines of other records, or another configuration, were merged")
	}
}
