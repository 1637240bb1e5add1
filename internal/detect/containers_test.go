package detect

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/snapshot"
)

func TestIDSetAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]uint64{40, 700, 100_000}).Draw(t, "width")
		base := rapid.SampledFrom([]uint64{0, 1 << 40}).Draw(t, "base")
		numbers := rapid.SliceOfN(rapid.Uint64Range(base, base+width), 0, 300).Draw(t, "numbers")
		var s idset
		set := map[uint64]bool{}
		for _, x := range numbers {
			here, below, above := s.near(x)
			var wantBelow, wantAbove bool
			for d := uint64(1); d <= reach; d++ {
				wantBelow = wantBelow || x >= d && set[x-d]
				wantAbove = wantAbove || set[x+d]
			}
			if here != set[x] || below != wantBelow || above != wantAbove {
				t.Fatalf("near %d: %v %v %v, want %v %v %v", x, here, below, above, set[x], wantBelow, wantAbove)
			}
			s.add(x)
			set[x] = true
		}
		s.reset()
		for x := range set {
			if here, below, above := s.near(x); here || below || above || s.blocks() != 0 {
				t.Fatalf("%d is still near after reset", x)
			}
		}
	})
}

func TestSlotsAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var s slots
	m := map[uint64]*unit{}
	for range 200_000 {
		id := mix(rng.Uint64N(3000)) | 1
		switch u := m[id]; {
		case u == nil:
			u = &unit{id: id}
			m[id] = u
			s.put(u)
		case rng.IntN(2) == 0:
			delete(m, id)
			s.drop(id)
		}
		probe := mix(rng.Uint64N(3000)) | 1
		if s.get(probe) != m[probe] || s.n != len(m) {
			t.Fatalf("slots and map differ at %d", probe)
		}
	}
}

func TestQueueOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		for _, due := range rapid.SliceOf(rapid.Int64Range(0, 20)).Draw(t, "due") {
			q.push(held{due: due})
		}
		last := held{due: -1}
		for len(q.heap) > 0 {
			h := q.pop()
			if h.due < last.due || h.due == last.due && h.order < last.order {
				t.Fatalf("%d.%d after %d.%d", h.due, h.order, last.due, last.order)
			}
			last = h
		}
	})
}

func TestTwoHighestAgainstScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x twoHighest
		best := map[uint64]uint64{}
		for range rapid.IntRange(0, 60).Draw(t, "n") {
			u, n := rapid.Uint64Range(1, 4).Draw(t, "unit"), rapid.Uint64Range(1, 50).Draw(t, "number")
			x.add(u, n)
			best[u] = max(best[u], n)
			for who := range uint64(5) {
				var want uint64
				for u, n := range best {
					if u != who+1 {
						want = max(want, n)
					}
				}
				if got, ok := x.others(who + 1); ok != (want > 0) || ok && got != want {
					t.Fatalf("others than %d: %d %v, want %d", who+1, got, ok, want)
				}
			}
		}
	})
}

func TestNumber(t *testing.T) {
	for s, want := range map[string]uint64{"1": 1, "10": 10, "999999999999999999": 999999999999999999} {
		if n, ok := number(s); !ok || n != want {
			t.Errorf("number(%q) = %d %v", s, n, ok)
		}
	}
	for _, s := range []string{"", "0", "007", "1a", "-1", " 1", "1000000000000000000", "١"} {
		if n, ok := number(s); ok {
			t.Errorf("number(%q) = %d, want none", s, n)
		}
	}
}

func TestBloomNeverForgetsAGeneration(t *testing.T) {
	var b bloom
	for i := range uint64(bloomFull) {
		b.add(mix(i))
	}
	for i := range uint64(bloomFull) {
		if !b.has(mix(i)) {
			t.Fatalf("%d was added and is not in", i)
		}
	}
	false_ := 0
	for i := range uint64(100_000) {
		if b.has(mix(i + 1<<40)) {
			false_++
		}
	}
	if false_ > 4000 {
		t.Errorf("%d of 100000 are taken for added", false_)
	}
}

// A filter's literal must not be read as its negation.
func TestLiteral(t *testing.T) {
	for _, s := range []string{"a", "!a", "!!a", "!"} {
		list := literal(s)
		if value, not := whosaw.ParseValue(list[0]); value != s || not {
			t.Errorf("literal(%q) reads as %q, negated %v", s, value, not)
		}
		if !has(list, s) || has(list, s+"x") {
			t.Errorf("has(literal(%q)) is wrong", s)
		}
	}
}

// Memory is bounded, and what is suspicious stays: an ip with a hit is still there, or its network has taken it over.
func TestMakeRoomKeepsSuspicion(t *testing.T) {
	e := New(Config{MaxUnits: 300}, nil)
	rng := rand.New(rand.NewPCG(3, 4))
	at := int64(1744588800000)
	for i := range 20_000 {
		r := whosaw.Record{Time: at + int64(i)*1000, Route: "GET /x", Subjects: []string{string(rune('a' + rng.IntN(26)))}, Outcome: whosaw.OutcomeDisclosed}
		r.IP = addr(rng.Uint32N(1 << 20))
		if i%40 == 0 {
			r.Outcome = whosaw.OutcomeAbsent
		}
		e.Observe(uint64(i+1), &r)
	}
	l := e.Load()
	if l.Dropped == 0 || l.Folded == 0 {
		t.Errorf("nothing had to give way: %+v", l)
	}
	n := 0
	for _, u := range e.table.list {
		for d := range u.ex {
			if u.ex[d] != nil {
				n++
			}
		}
		if e.table.m.get(u.id) != u || e.table.list[u.place] != u {
			t.Fatal("list and table differ")
		}
	}
	hot := 0
	for d := range nDetectors {
		for k := range nKinds {
			hot += e.hot[d][k]
		}
	}
	if n != hot {
		t.Errorf("%d excursions, counted %d", n, hot)
	}
	kept := 0
	for _, u := range e.table.list {
		for _, x := range u.ex {
			if x != nil {
				kept += len(x.ev)
			}
		}
	}
	if kept != e.evidence {
		t.Errorf("%d entries, counted %d", kept, e.evidence)
	}
}

func addr(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// What was counted in the generation that lasts need not be asked of the daily set again.
func TestCountedOnceADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var asked, spared daily
		var k known
		k.begin()
		for range rapid.IntRange(1, 60).Draw(t, "uses") {
			on := int32(rapid.IntRange(20_000, 20_003).Draw(t, "day"))
			x := mix(rapid.Uint64Range(1, 8).Draw(t, "credential")) | 1<<63
			if rapid.IntRange(0, 9).Draw(t, "full") == 0 {
				asked.n, spared.n = bloomFull-1, bloomFull-1 // the next new one begins another generation
			}
			want := asked.add(on, x)
			counted := k.find(x)
			if counted == nil {
				counted = k.put(x)
			}
			got := false
			if !spared.done(on, *counted) {
				got = spared.add(on, x)
				*counted = spared.gen
			}
			if got != want {
				t.Fatalf("first use of %x on %d: %v, want %v", x, on, got, want)
			}
		}
	})
}

// Runs in files are found again after a start, and refused where a file is not what it was.
func TestArchiveState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x.issued")
	cfg := Config{MaxIssued: 20}
	e := New(cfg, nil)
	e.KeepIssued(dir)
	for i := range 530 {
		e.Observe(uint64(i+1), &whosaw.Record{Type: whosaw.TypeIssuance, Time: int64(i + 1), Credential: strconv.Itoa(i)})
	}
	saved := SaveState(t, e)
	if err := errors.Join(e.StateSaved(), e.Close()); err != nil {
		t.Fatal(err)
	}
	again := New(cfg, nil)
	again.KeepIssued(dir)
	if err := LoadState(again, saved); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.issued"))
	if a := &again.archive; err != nil || !a.Agrees("", "3", "", "") || a.Agrees("", "777", "", "") || len(files) < 2 || a.Faults() != 0 {
		t.Errorf("after a start: %d files, %d faults, %v", len(files), a.Faults(), err)
	}
	if !bytes.Equal(saved, SaveState(t, again)) {
		t.Error("saved again it is other bytes")
	}
	if err := errors.Join(again.Close(), os.Truncate(files[0], 9)); err != nil {
		t.Fatal(err)
	}
	bad := New(cfg, nil)
	bad.KeepIssued(dir)
	if err := LoadState(bad, saved); !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("with a file cut off: %v", err)
	}
}

// Who waits for a feed is taken out by event time, each once, and keeps the order of its coming.
func TestWaitingAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w waiting
		var list []held
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "push") > 0 {
				h := held{at: rapid.Int64Range(0, 20).Draw(t, "time")}
				w.push(h)
				h.order = w.count
				list = append(list, h)
				continue
			}
			limit := rapid.Int64Range(0, 21).Draw(t, "limit")
			got := map[uint64]int64{}
			for _, h := range w.before(limit) {
				got[h.order] = h.at
			}
			var rest []held
			for _, h := range list {
				at, ok := got[h.order]
				if ok != (h.at < limit) || ok && at != h.at {
					t.Fatalf("%d of time %d: taken %v before %d", h.order, h.at, ok, limit)
				}
				if !ok {
					rest = append(rest, h)
				}
			}
			if list = rest; len(w.heap) != len(list) {
				t.Fatalf("%d wait, want %d", len(w.heap), len(list))
			}
		}
	})
}

// A network through which the whole house comes is tried more often than its counts hold: its rate stays what it is.
func TestRateOfVeryManyTrials(t *testing.T) {
	e := New(Config{}, nil)
	s := &stratum{envelope: &e.rule[nonexistent].envelope, w: e.rule[nonexistent].bank.weights(0.02)}
	x := s.networks.put(7)
	*x = tried{id: 7, n: 1<<32 - 1, hits: 1 << 30, step: noStep}
	for range 100 {
		e.learn(s, 7, true)
	}
	e.learnMany(s, 7, lessons{1<<32 - 1, 1 << 30})
	if rate := float64(x.hits) / float64(x.n); rate < 0.24 || rate > 0.26 || x.step != 50 || s.enough != 1 || s.rates[50] != 1 {
		t.Errorf("%d of %d, step %d, %d networks: want a quarter", x.hits, x.n, x.step, s.enough)
	}
}
