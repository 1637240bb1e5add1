package detect_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// vpn declares the networks of 10.200.0.0/16.
var vpn = []detect.NetworkClass{{Name: "vpn", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.200.0.0/16")}}}

// awkward is four weeks of a page with 80 networks of homes, where one try in three hundred is for nobody, and 25 of a VPN, whose old apps keep dead
// links: six tries in a hundred, in the last two weeks twelve. Those of the VPN state asn.
func awkward(asn uint32) *world {
	w := newWorld(91)
	for d := range 28 {
		for i := range 105 * 20 {
			n, rate := i%105, 0.003
			r := get(start+int64(d)*day+int64(i)*40*second, 0, true)
			r.IP, r.ASN, r.Client = ip(n<<8+7), 64_496+uint32(n%3), "web"
			if n >= 80 {
				if rate = 0.06; d >= 14 {
					rate = 0.12
				}
				r.IP, r.ASN = ip(200<<16+n<<8+7), asn
			}
			if w.rng.Float64() < rate {
				r.Outcome = whosaw.OutcomeAbsent
			}
			r.Subjects = []string{fmt.Sprintf("c%d-%d", d, i)}
			w.add(r)
		}
	}
	return w
}

// of gives the baseline of a class of networks, nil if there is none.
func of(e *detect.Engine, detector, networks string) *detect.Baseline {
	for _, b := range baselines(e, detector) {
		if b.Networks == networks {
			return &b
		}
	}
	return nil
}

// Honest networks of an awkward kind are judged by the rate of their class, declared or by their AS number; where nothing tells it, they are found.
func TestNetworkClass(t *testing.T) {
	for _, c := range []struct {
		name string
		asn  uint32
		nets []detect.NetworkClass
	}{{"vpn", 0, vpn}, {"AS64500", 64_500, nil}} {
		e, fs := run(detect.Config{Networks: c.nets}, awkward(c.asn).sorted())
		if len(fs) > 0 {
			t.Errorf("%s: finding on honest traffic: %v", c.name, fs)
		}
		all, b := of(e, "nonexistent", ""), of(e, "nonexistent", c.name)
		if all == nil || all.P0 != 0.02 || !strings.Contains(all.Says, "1 with a higher rate, up to 8 % from "+c.name) {
			t.Errorf("%s: the route: %+v", c.name, all)
		}
		if b == nil || b.P0 != 0.08 || b.Known != 25 || b.Needed != 20 || !b.Judged || !strings.Contains(b.Says, "at most 4 times the route's") {
			t.Errorf("%s: %+v", c.name, b)
		}
	}
	if _, fs := run(detect.Config{}, awkward(0).sorted()); len(by(fs, "nonexistent")) == 0 {
		t.Error("without a class there is no finding either: the test shows nothing")
	}
	cold, _ := run(detect.Config{Networks: vpn}, awkward(0).sorted()[:1000])
	if b := of(cold, "nonexistent", "vpn"); b == nil || b.P0 != 0.02 || !strings.Contains(b.Says, "until 20 such networks") {
		t.Errorf("cold: %+v", b)
	}
	if b := of(cold, "nonexistent", ""); b == nil || !strings.Contains(b.Says, "no class of networks is known by itself yet") {
		t.Errorf("cold: %+v", b)
	}
}

// Whoever is explained is told whose rate was used.
func TestNetworkClassExplained(t *testing.T) {
	rs := awkward(0).sorted()
	e, _ := run(detect.Config{Networks: vpn}, rs)
	for i, c := range []struct {
		ip, rate string
		p0       float64
	}{{"10.200.90.7", "GET /customers/{id}, from networks of class vpn", 0.08}, {"10.0.9.7", "GET /customers/{id}", 0.02}} {
		r := get(start+28*day, 0, false)
		r.IP, r.Subjects = netip.MustParseAddr(c.ip), []string{fmt.Sprint("nobody", i)}
		seq := uint64(len(rs) + 1 + i)
		e.Explain(seq)
		e.Observe(seq, &r)
		x, whole := e.Explanation()
		if !whole || x == nil {
			t.Fatal("no explanation")
		}
		asked := 0
		for _, a := range x.Passes[0].Detectors {
			for _, u := range a.Units {
				if a.Detector != "nonexistent" {
					continue
				}
				if asked++; u.Rate != c.rate || u.P0 != c.p0 {
					t.Errorf("%s: %+v", c.ip, u)
				}
			}
		}
		if asked == 0 {
			t.Errorf("%s: nobody was asked", c.ip)
		}
	}
}

// A thief who is all of a class, and stays below what is found for four weeks, lifts his own p0 to four times the route's and no further, and nobody
// else's; then he is found, after no more than thrice the customers that he has where nothing tells his class.
func TestThiefInHisOwnClass(t *testing.T) {
	const his = 64_666
	teach := func(asn uint32) *world {
		w := newWorld(92)
		for d := range 28 {
			for i := range 105 * 20 {
				n, rate := i%105, 0.003
				r := get(start+int64(d)*day+int64(i)*40*second, 0, true)
				r.IP, r.ASN, r.Client = ip(n<<8+7), 64_496, "web"
				if n >= 80 {
					r.ASN, rate = asn, 0.05
				}
				if w.rng.Float64() < rate {
					r.Outcome = whosaw.OutcomeAbsent
				}
				r.Subjects = []string{fmt.Sprintf("c%d-%d", d, i)}
				w.add(r)
			}
		}
		return w
	}
	needs := func(asn uint32) (lost int) {
		w := teach(asn)
		for i := range 400 {
			r := get(start+28*day+int64(i)*second, 0, i*57%100 >= 57)
			r.IP, r.ASN, r.Client, r.Subjects = ip(81<<8+9), asn, "web", []string{fmt.Sprintf("t%d", i)}
			w.attack(r)
		}
		rs := w.sorted()
		e, fs := run(detect.Config{}, rs)
		if b := of(e, "nonexistent", ""); b.P0 != 0.02 {
			t.Errorf("the route's p0 is %v", b.P0)
		}
		if b := of(e, "nonexistent", fmt.Sprint("AS", his)); asn == his && (b == nil || b.P0 != 0.08) {
			t.Errorf("his class: %+v", b)
		}
		if b := of(e, "nonexistent", "AS64496"); b != nil {
			t.Errorf("another class is lifted: %+v", b)
		}
		if fs = by(fs, "nonexistent"); len(fs) == 0 || !w.bad[rs[fs[0].at].Position] {
			t.Fatalf("AS%d is not found: %v", asn, fs)
		}
		return w.lost(rs, fs[0])
	}
	a, b := needs(0), needs(his)
	t.Logf("found after %d customers where nothing tells his class, %d in it", a, b)
	if b > 3*a {
		t.Errorf("%d customers before he is found in the class that he taught, %d elsewhere", b, a)
	}
}

// Whatever classes ask for, their p0 lies between the route's and four times that; and the route's own is the same as where no class is known.
func TestClassesLiftOnlyThemselves(t *testing.T) {
	cfg := detect.Config{TrialsPerMonth: 1e300, AlarmsPerMonth: 1e-300} // h is beyond everything, so nobody is found, and all of it teaches
	lifted := 0
	rapid.Check(t, func(t *rapid.T) {
		type kind struct {
			networks int
			rate     float64
		}
		var kinds []kind
		for range rapid.IntRange(1, 4).Draw(t, "classes") {
			kinds = append(kinds, kind{rapid.IntRange(1, 40).Draw(t, "networks"), rapid.Float64Range(0, 1).Draw(t, "rate")})
		}
		w := newWorld(rapid.Uint64().Draw(t, "seed"))
		for round := range 14 {
			for k, x := range kinds {
				for n := range x.networks {
					r := get(start+int64(round)*hour, 0, w.rng.Float64() >= x.rate)
					r.IP, r.ASN, r.Subjects = ip(k<<16+n<<8), uint32(100+k), []string{fmt.Sprintf("%d-%d-%d", round, k, n)}
					if w.rng.IntN(20) == 0 { // some networks are now of one class, now of another
						r.ASN = uint32(100 + w.rng.IntN(4))
					}
					w.add(r)
				}
			}
		}
		e, _ := run(cfg, w.records)
		route := of(e, "nonexistent", "")
		for _, b := range baselines(e, "nonexistent") {
			if b.Networks != "" && (b.P0 < route.P0 || b.P0 > 4*route.P0+1e-9) {
				t.Errorf("class %s has %v, the route %v", b.Networks, b.P0, route.P0)
			}
			if b.Networks != "" {
				lifted++
			}
		}
		for i := range w.records {
			w.records[i].ASN = 0
		}
		e, _ = run(cfg, w.records)
		if b := of(e, "nonexistent", ""); b.P0 != route.P0 || b.Known != route.Known {
			t.Errorf("the route has %v of %d, without classes %v of %d", route.P0, route.Known, b.P0, b.Known)
		}
	})
	if lifted == 0 {
		t.Error("no class was lifted: the test shows nothing")
	}
}

// Above the ceiling a class alone is not judged, and status says which.
func TestNetworkClassNotJudged(t *testing.T) {
	e, _ := run(detect.Config{Networks: vpn}, overCeiling(newWorld(93)).records)
	b := of(e, "nonexistent", "vpn")
	if b == nil || b.Judged || b.P0 <= b.Ceiling || b.NotJudged == 0 || !strings.Contains(b.Says, "nobody is judged there who comes from such a network") {
		t.Errorf("%+v", b)
	}
	if b := of(e, "nonexistent", ""); b == nil || !b.Judged || b.NotJudged != 0 {
		t.Errorf("%+v", b)
	}
	s := statusOf(t, e, "nonexistent").Strata
	if len(s) != 1 || s[0].Networks != "vpn" || s[0].Accesses != b.NotJudged {
		t.Errorf("%+v", s)
	}
}

// overCeiling adds a page on which every thirty-fourth try is for nobody, and every second of 25 networks of a VPN.
func overCeiling(w *world) *world {
	at := start
	try := func(n, i int, found bool) {
		at += 5 * second
		r := get(at, 0, found)
		r.Route, r.IP, r.Subjects = "GET /vpn/{id}", ip(n<<8), []string{fmt.Sprintf("v%d-%d", n, i)}
		w.add(r)
	}
	for i := range 34 {
		for n := range 40 {
			try(4000+n, i, i != 30)
		}
	}
	for i := range 20 {
		for n := range 25 {
			try(200<<8+n, i, i%2 == 0)
		}
	}
	return w
}

// The class declared first holds, addresses before AS numbers, of either family.
func TestDeclaredNetworks(t *testing.T) {
	nets := []detect.NetworkClass{
		{Name: "one", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/32"), netip.MustParsePrefix("255.255.255.0/24")}, ASNs: []uint32{7}},
		{Name: "two", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}},
		{Name: "all", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("ffff::/16")}, ASNs: []uint32{7, 8}},
	}
	for _, c := range []struct {
		ip   string
		asn  uint32
		want string
	}{
		{"10.1.2.3", 0, "one"}, {"10.1.2.2", 7, "two"}, {"10.1.2.4", 0, "two"}, {"10.1.3.0", 0, "all"}, {"10.1.1.255", 0, "all"}, {"9.255.255.255", 0, ""},
		{"11.0.0.0", 7, "one"}, {"11.0.0.0", 8, "all"}, {"11.0.0.0", 9, "AS9"}, {"255.255.255.255", 0, "one"}, {"::", 0, ""}, {"2001:db8::1", 0, "two"},
		{"2001:db9::", 0, ""}, {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0, "all"}, {"::ffff:10.1.2.3", 0, "one"}, {"", 8, "all"}, {"", 0, ""},
	} {
		r := whosaw.Record{ASN: c.asn}
		if c.ip != "" {
			r.IP = netip.MustParseAddr(c.ip)
		}
		if got := detect.ClassOf(nets, &r); got != c.want {
			t.Errorf("%s, AS%d: %q, want %q", c.ip, c.asn, got, c.want)
		}
	}
	for says, bad := range map[string][]detect.NetworkClass{
		"is there twice": {nets[0], nets[0]}, "no network is in it": {{Name: "x"}}, "give the class one": {{ASNs: []uint32{1}}}, "no autonomous system": {{Name: "x", ASNs: []uint32{0}}},
		"give 64 at most": make([]detect.NetworkClass, 65),
	} {
		if err := (detect.Config{Networks: bad}).Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}
