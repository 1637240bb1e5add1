package detect_test

import (
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

const (
	lodgers = 400 // addresses of customers, one each
	thiefs  = 90  // addresses the thief has
)

// homeOf is where a customer lives.
func homeOf(i int) int { return (i + 1) << 8 }

// enters is a log-in that fits: the credential is given to the address, and two pages are opened with it.
func (w *world) enters(t int64, from, customer int, credential string, bad bool) {
	i := issuance(t, credential, "web", customer)
	i.IP = ip(from)
	w.add(i)
	in := login(t, from, true)
	list := []whosaw.Record{in}
	for k := range int64(2) {
		r := get(t+(k+1)*20*second, customer, true)
		r.Principal, r.Credential, r.Key, r.Client, r.IP, r.ASN, r.Agent = "customer:"+fmt.Sprint(customer), credential, "web", "web", ip(from), 64496, chrome
		list = append(list, r)
	}
	for _, r := range list {
		if bad {
			w.attack(r)
		} else {
			w.add(r)
		}
	}
}

// tried is a shop whose customers come from home every third day, one in twenty after a wrong password; on the days from 16 to 19 leaked
// passwords are tried from addresses of which a third is a customer's home.
func tried(seed uint64) (w *world, entered []string) {
	w = newWorld(seed)
	for d := range int64(26) {
		for i := range lodgers {
			if w.rng.IntN(3) > 0 {
				continue
			}
			t := start + d*day + w.rng.Int64N(day-hour)
			if w.rng.IntN(20) == 0 {
				w.add(login(t, homeOf(i), false))
				t += int64(5+w.rng.IntN(60)) * second
			}
			w.enters(t, homeOf(i), i+1, fmt.Sprintf("home-%d-%d", d, i), false)
		}
		if d >= 10 { // some have forgotten it, and go
			w.add(login(start+d*day+9*hour, homeOf(w.rng.IntN(lodgers)), false))
		}
	}
	for n := range 3000 {
		t := start + 16*day + int64(n)*100*second
		a := w.rng.IntN(thiefs)
		from := homeOf(lodgers + 10 + a)
		if a%3 == 0 {
			from = homeOf(a)
		}
		if w.rng.IntN(60) > 0 {
			w.attack(login(t, from, false))
			continue
		}
		credential := fmt.Sprintf("thief-%d", n)
		entered = append(entered, credential)
		w.enters(t, from, 1+w.rng.IntN(lodgers), credential, true)
	}
	return w, entered
}

// What is named of leaked passwords that are tried are the addresses at which nobody got in after it, and whom they got in as; not the people
// who mistype at the same log-in, nor those who come home to such an address.
func TestTriers(t *testing.T) {
	w, entered := tried(72)
	rs := w.sorted()
	e, fs := run(detect.Config{}, rs)
	if fs = by(fs, "refused"); len(fs) != 1 {
		t.Fatalf("findings %v", fs)
	}
	g, ok := e.Growth(fs[0].ID)
	if !ok {
		t.Fatal("it did not grow")
	}
	if err := g.Filter.Validate(); err != nil {
		t.Fatal(err)
	}
	tries, caught, matched := 0, 0, 0
	named := map[string]bool{}
	for _, term := range g.Filter {
		for _, c := range term.Credential {
			named[c] = true
		}
	}
	for i := range rs {
		r := &rs[i]
		if r.Type != whosaw.TypeAccess {
			continue
		}
		in := slices.ContainsFunc(g.Filter, func(term whosaw.Term) bool {
			return len(term.Credential) > 0 && slices.Contains(term.Credential, r.Credential) ||
				len(term.IP) > 0 && r.Status == 401 && r.Time >= int64(term.From) && slices.Contains(term.IP, r.IP.String())
		})
		switch bad := w.bad[r.Position]; {
		case in && !bad:
			caught++
		case !in && bad && r.Status == 401:
			tries++
		}
		if in {
			matched++
		}
	}
	if tries > 30 || 100*caught > matched {
		t.Errorf("%d tries are not named; of %d accesses that are, %d are honest", tries, matched, caught)
	}
	found := 0
	for _, c := range entered {
		if named[c] {
			found++
		}
	}
	if 10*found < 6*len(entered) {
		t.Errorf("%d of %d sessions that the thief got are named", found, len(entered))
	}
	steps := 0
	for _, s := range e.Grown() {
		if s.Kind == "address" {
			steps++
			if int64(s.Time) > start+20*day+12*hour {
				t.Errorf("it went on to name people after the last try: %+v", s)
			}
		}
	}
	if steps == 0 {
		t.Error("no step was recorded")
	}
}

// Where all who are refused get in afterwards, no address is told from another: the log-in refuses every first try.
func TestRefusedFirstTries(t *testing.T) {
	w := newWorld(73)
	w.logins(6, 800)
	for i := range 400 {
		at := start + 4*day + int64(i)*20*second
		w.attack(login(at, homeOf(600+i), false))
		w.add(login(at+9*second, homeOf(600+i), true))
	}
	_, fs := run(detect.Config{}, w.sorted())
	if fs = by(fs, "refused"); len(fs) == 0 {
		t.Fatal("no finding")
	}
	for _, f := range fs {
		if len(f.Filter[0].IP) > 3 {
			t.Errorf("names %v", f.Filter[0].IP)
		}
	}
}

func TestTriesState(t *testing.T) {
	w, _ := tried(74)
	rs := w.sorted()
	met := detect.Met{}
	for at := start + 16*day + 7*hour; at < start+20*day; at += 11 * hour {
		cut, _ := slices.BinarySearchFunc(rs, at, func(r whosaw.Record, t int64) int { return int(r.Time - t) })
		whole, _ := run(detect.Config{}, rs[:cut])
		met.Look(whole)
		again := detect.New(detect.Config{}, nil)
		if err := detect.LoadState(again, detect.SaveState(t, whole)); err != nil {
			t.Fatal(err)
		}
		if d := detect.DiffStates(whole, again); d != "" {
			t.Fatalf("(-before +after):\n%s", d)
		}
		whole.Grown()
		for i := cut; i < len(rs); i++ {
			r := rs[i]
			want := whole.Observe(uint64(i+1), &r)
			if d := gocmp.Diff(want, again.Observe(uint64(i+1), &r)); d != "" {
				t.Fatalf("findings (-without +with):\n%s", d)
			}
		}
		if d := gocmp.Diff(whole.Grown(), again.Grown()); d != "" {
			t.Fatalf("steps (-without +with):\n%s", d)
		}
	}
	for _, name := range []string{"tries.open", "tries.by", "tries.given", "tries.ready", "tries.creds", "tries.since", "tries.at", "tries.answered", "tries.missed"} {
		if !met[name] {
			t.Errorf("%s holds nothing: the test shows nothing", name)
		}
	}
}
