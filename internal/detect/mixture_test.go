package detect_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// busyKey is a shop without an issuance feed, in which everybody's credentials are signed with one key, for some days.
func busyKey(w *world, days int) {
	for d := range int64(days) {
		for n := range 300 {
			c := w.customer(100_000)
			r := get(start+d*day+int64(n)*4*minute, c, true)
			r.Key, r.Principal, r.Credential, r.Agent, r.IP = "main", "customer:"+strconv.Itoa(c), fmt.Sprintf("s-%d-%d", d, n), chrome, ip(1000+n)
			r.ASN = 64496
			w.add(r)
		}
	}
}

// forge tries numbers with made-up credentials of the busy key, from as many addresses of five hosting companies.
func forge(w *world, from int64, agent string) {
	for n := range 60 {
		number := 200_000 + 7*n
		r := get(from+int64(n)*minute, number, n%2 == 0)
		r.Key, r.Principal, r.Credential, r.Agent, r.IP = "main", "customer:"+strconv.Itoa(number), fmt.Sprintf("f-%d", n), agent, ip(70_000+300*n)
		r.ASN = uint32(64500 + n%5) // no one of them is enough
		w.attack(r)
	}
}

// A thief who shares the key with everybody and brings a program of his own is accused by it: the filter meets all of him and nobody else.
func TestThiefWithAProgramOfHisOwn(t *testing.T) {
	w := newWorld(1)
	busyKey(w, 9)
	forge(w, start+8*day+10*hour, "python-requests/2.32.5")
	fs := by(caught(t, w, "nonexistent"), "nonexistent")
	f := fs[0]
	if len(f.Filter) != 1 || !slices.Equal(f.Filter[0].Key, []string{"main"}) || !slices.Equal(f.Filter[0].AgentClass, []string{"library:python-requests"}) {
		t.Fatalf("the filter is %+v, want the key with the program", f.Filter)
	}
	if len(f.Filter[0].Outcome) == 1 {
		t.Errorf("only the absent ones are accused: %+v", f.Filter)
	}
}

// One who comes with the program that everybody has cannot be told from them by it.
func TestThiefWithEverybodysProgram(t *testing.T) {
	w := newWorld(1)
	busyKey(w, 9)
	forge(w, start+8*day+10*hour, chrome)
	f := by(caught(t, w, "nonexistent"), "nonexistent")[0]
	if !slices.Equal(f.Filter[0].Outcome, []string{"absent"}) {
		t.Fatalf("the filter %+v accuses more than the absent ones", f.Filter)
	}
}

// refusal is what the guard writes of a request that it refused because its customer does not exist.
func refusal(r whosaw.Record, state string) whosaw.Record {
	r.Type, r.Outcome, r.ASN = whosaw.TypeDecision, whosaw.OutcomeUnstated, 0 // doors rarely know the network
	r.Ref = &whosaw.Reference{Kind: "deny", Of: "nonexistent", Use: "request", State: state}
	return r
}

// A guard that refuses the customers who do not exist does not blind the detector that finds a thief by them.
func TestRefusedByTheGuardIsATry(t *testing.T) {
	w := newWorld(1)
	busyKey(w, 9)
	forge(w, start+8*day+10*hour, "python-requests/2.32.5")
	_, open := run(detect.Config{}, w.sorted())
	guarded := newWorld(1)
	for i := range w.records {
		if r := w.records[i]; r.Outcome == whosaw.OutcomeAbsent {
			guarded.add(refusal(r, "enforce"))
		} else if w.bad[r.Position] {
			guarded.attack(r)
		} else {
			guarded.add(r)
		}
	}
	_, shut := run(detect.Config{}, guarded.sorted())
	a, b := by(open, "nonexistent"), by(shut, "nonexistent")
	if len(a) != 1 || len(b) != 1 || int64(b[0].Time) > int64(a[0].Time)+5*minute || b[0].Unit != a[0].Unit {
		t.Fatalf("%d findings where all is shown, %d where the guard refuses: %+v %+v", len(a), len(b), a, b)
	}
	for i := range guarded.records {
		if r := &guarded.records[i]; r.Type == whosaw.TypeDecision {
			r.Ref.State = "shadow" // it was let through: its access says what came of it
		}
	}
	if _, fs := run(detect.Config{}, guarded.sorted()); len(by(fs, "nonexistent")) != 0 {
		t.Errorf("what was let through is counted twice: %+v", fs)
	}
}
