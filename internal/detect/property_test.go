package detect_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// mix draws a log with honest and dishonest traffic of all kinds, in order of arrival: some records are late.
func mixed(seed uint64) *world {
	w := newWorld(seed)
	rng := w.rng
	feed := rng.IntN(3) // none, inferred, declared
	if feed == 2 {
		w.add(feedRecord(start, []float64{0, 1e-4}[rng.IntN(2)], float64(rng.IntN(90))))
	}
	for c := range 40 {
		w.add(canaryRecord(30_000 + c))
	}
	for c := range 400 {
		w.add(whosaw.Record{Type: whosaw.TypeSubject, Time: start, Subjects: []string{strconv.Itoa(c + 1)}, Ref: &whosaw.Reference{State: "active"}})
	}
	w.add(whosaw.Record{Type: whosaw.TypePerson, Time: start, Ref: &whosaw.Reference{Person: "p", State: "left", Since: start + hour, Keys: []string{"main"}}})
	w.shop(2, 400, 20_000, feed > 0)
	if rng.IntN(2) == 0 {
		w.callCentre(1, 3, 30, rng.IntN(2) == 0)
	}
	if rng.IntN(2) == 0 {
		w.desk(2, 4, 60, rng.IntN(2) == 0)
	}
	if rng.IntN(2) == 0 {
		for i := range 300 {
			w.attack(login(start+day+int64(i)*minute, 3_000_000+rng.IntN(3000)*256, rng.IntN(60) == 0))
		}
	}
	if rng.IntN(2) == 0 {
		w.curious(start+day, 3, 30)
	}
	if rng.IntN(2) == 0 {
		w.theft(start+day+rng.Int64N(hour), 1+rng.IntN(1000), 150, 1+rng.IntN(40), 1+rng.Int64N(30*second))
	}
	if rng.IntN(2) == 0 {
		r := get(start+day+rng.Int64N(12*hour), 30_000+rng.IntN(40), true)
		r.IP, r.Key, r.Principal = ip(rng.IntN(9)), "main", fmt.Sprint("staff:", rng.IntN(4))
		w.attack(r)
	}
	if rng.IntN(2) == 0 {
		w.add(whosaw.Record{Type: whosaw.TypeKey, Time: start + day, Key: "main", Ref: &whosaw.Reference{State: []string{"retired", "revoked"}[rng.IntN(2)], Since: start + rng.Int64N(day)}})
	}
	if rng.IntN(2) == 0 {
		realm := []string{"", "kr"}[rng.IntN(2)]
		at := start + day
		for i := range 120 {
			at += rng.Int64N(minute)
			r := get(at, 15_000+rng.IntN(3)+i*3, rng.IntN(3) == 0)
			r.IP, r.Client, r.Realm = ip(5_000_000+rng.IntN(3)), "partner", realm
			if rng.IntN(4) == 0 {
				r.Subjects = append(r.Subjects, strconv.Itoa(90_000+rng.IntN(1000)))
			}
			w.attack(r)
		}
	}
	return w
}

// Cutting the input after a finding's seen gives the same finding, in order of time and in order of arrival.
func TestCutAtEveryFinding(t *testing.T) {
	found := 0
	for seed := range uint64(12) {
		w := mixed(seed)
		_, fs := run(detect.Config{}, w.sorted())
		checkCut(t, detect.Config{}, w.sorted(), fs)
		found += len(fs)
		w.rng.Shuffle(len(w.records)/50, func(i, j int) { w.records[i], w.records[j] = w.records[j], w.records[i] })
		_, fs = run(detect.Config{}, w.records)
		checkCut(t, detect.Config{}, w.records, fs)
		found += len(fs)
	}
	if found < 30 {
		t.Errorf("only %d findings to cut at", found)
	}
}

// A replay gives the same findings, whatever is done with the record after it was observed, and though the ids do not
// depend on where it was read.
func TestReplay(t *testing.T) {
	for seed := range uint64(10) {
		rs := mixed(seed).sorted()
		_, want := run(detect.Config{}, rs)
		e := detect.New(detect.Config{}, nil)
		var got []whosaw.Finding
		for i := range rs {
			line, r := scribbled(rs[i])
			r.Source, r.Position = "elsewhere", 7
			got = append(got, e.Observe(uint64(i+1)*3, &r)...)
			for j := range line {
				line[j] = '#' // the decoder's buffer is used again
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d findings, then %d", len(want), len(got))
		}
		for i := range got {
			if d := gocmp.Diff(want[i].Finding, got[i]); d != "" {
				t.Errorf("finding %d differs (-first +again):\n%s", i, d)
			}
		}
	}
}

// What the first finding of a detector counts is what its filter matches from its beginning up to it, where the filter has
// one. A later finding leaves out what an earlier one accuses.
func TestEvidenceIsWhatTheFilterMatches(t *testing.T) {
	checked := 0
	for seed := range uint64(25) {
		w := mixed(seed)
		rs := w.sorted()
		_, fs := run(detect.Config{}, rs)
		facts := newFacts(rs)
		before := map[string]bool{}
		for _, f := range fs {
			if f.Detector != "nonexistent" && f.Detector != "traversal" && f.Detector != "unexplained" && f.Detector != "refused" {
				continue
			}
			first := !before[f.Detector]
			before[f.Detector] = true
			n, subjects := int64(0), map[string]bool{}
			for i := range rs[:f.at+1] {
				if r := &rs[i]; facts.matches(f.Filter, r) {
					n++
					if r.Outcome == whosaw.OutcomeDisclosed {
						for _, s := range r.Subjects {
							subjects[s] = true
						}
					}
				}
			}
			// Accesses that wait for their reason are not counted yet. What took the filter of an unissued finding counts from where its own test
			// began, which is later.
			exact := first && f.Filter[0].From != 0 && f.Filter[0].Subject == nil && f.Detector != "unexplained" && f.Filter[0].Issued == nil
			if f.Accesses > n || f.Subjects > int64(len(subjects)) || exact && (n != f.Accesses || int64(len(subjects)) != f.Subjects) {
				t.Errorf("the filter matches %d accesses, %d subjects: %v", n, len(subjects), f)
			}
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("only %d findings to check", checked)
	}
}

// Bernoulli streams at the honest rate itself, the worst that the bound allows for: crossings of each level stay within
// trials x tests x e^-h.
func TestFalseAlarmBound(t *testing.T) {
	streams := map[string]func(w *world){
		"nonexistent": func(w *world) {
			// A declared change keeps the baseline from learning: p0 stays at its floor, and so does the truth.
			w.add(whosaw.Record{Type: whosaw.TypeChange, Time: start, Ref: &whosaw.Reference{From: start, Until: start + 1000*day}})
			for i := range 90_000 {
				r := get(start+int64(i)*second, 0, w.rng.Float64() >= 0.02)
				r.Subjects = []string{"c" + strconv.Itoa(i)}
				r.IP = ip(w.rng.IntN(3000) << 8)
				w.add(r)
			}
		},
		"unissued": func(w *world) {
			w.add(feedRecord(start, 0.02, 0))
			for i := range 90_000 {
				at := start + int64(i)*second
				r := get(at, 1, true)
				r.Credential, r.IP = "c"+strconv.Itoa(i), ip(w.rng.IntN(3000)<<8)
				if w.rng.Float64() >= 0.02 {
					w.add(whosaw.Record{Type: whosaw.TypeIssuance, Time: at, Credential: r.Credential, Ref: &whosaw.Reference{}})
				}
				w.add(r)
			}
		},
		"traversal": func(w *world) {
			// Dense enough that nearly every access has neighbours; the order is chance.
			for i := range 90_000 {
				r := get(start+int64(i)*second, 1+w.rng.IntN(12_000), true)
				r.IP = ip(w.rng.IntN(10) << 8)
				w.add(r)
			}
		},
		"refused": func(w *world) {
			w.add(whosaw.Record{Type: whosaw.TypeChange, Time: start, Ref: &whosaw.Reference{From: start, Until: start + 1000*day}})
			for i := range 90_000 {
				w.add(login(start+int64(i)*second, i*256, w.rng.Float64() >= 0.1))
			}
		},
		"unexplained": func(w *world) {
			// A declared loss at which reasons are lost indeed.
			w.add(whosaw.Record{Type: whosaw.TypeFeed, Time: start, Ref: &whosaw.Reference{Of: "reason", HasLost: true, Lost: 0.02}})
			w.add(whosaw.Record{Type: whosaw.TypeChange, Time: start, Ref: &whosaw.Reference{From: start + day, Until: start + 1000*day}})
			for i := range 90_000 {
				at := start + int64(i)*5*second
				r := get(at, 1+i, true)
				r.Principal = fmt.Sprint("staff:", w.rng.IntN(300))
				if i < 5000 || w.rng.Float64() >= 0.02 {
					w.add(reasonRecord(at, r))
				}
				w.add(r)
			}
		},
	}
	for name, stream := range peopleStreams {
		streams[name] = stream
	}
	present := map[string]float64{ // kinds in the stream x bank
		"nonexistent": 2 * 2, "unissued": 2 * 2, "traversal": 2 * 4, "unexplained": 1 * 3, "refused": 1 * 2, "dormant": 2 * 3, "stranger": 3 * 4, "monotone": 2 * 2,
	}
	for i, detector := range []string{"unissued", "nonexistent", "traversal", "unexplained", "refused", "dormant", "stranger", "monotone"} {
		t.Run(detector, func(t *testing.T) {
			w := newWorld(40)
			streams[detector](w)
			cfg := detect.Config{}
			if peopleStreams[detector] != nil {
				cfg = ruled(t, "rule: "+detector+"\np0: {times: 1}") // the median itself, so that p0 is the truth
			}
			e, _ := run(cfg, w.records)
			s := e.Status()[i]
			if s.Detector != detector || s.Trials < 10_000 {
				t.Fatalf("status %+v", s)
			}
			for k, h := range detect.Levels {
				bound := float64(s.Trials) * present[detector] * math.Exp(-h)
				t.Logf("h=%v: %d crossings, bound %.0f over %d trials", h, s.Reached[k], bound, s.Trials)
				if float64(s.Reached[k]) > bound+3*math.Sqrt(bound)+3 {
					t.Errorf("h=%v: %d crossings, the bound is %.0f", h, s.Reached[k], bound)
				}
			}
			if s.Reached[0] == 0 && detector != "traversal" {
				t.Error("no crossing at the lowest level: the test tests nothing")
			}
		})
	}
}

// Alarms at a low threshold stay within the bound that it states.
func TestAlarmsAtLowThresholds(t *testing.T) {
	for _, h := range []float64{8} {
		w := newWorld(41)
		w.add(whosaw.Record{Type: whosaw.TypeChange, Time: start, Ref: &whosaw.Reference{From: start, Until: start + 1000*day}})
		const n = 100_000
		for i := range n {
			r := get(start+int64(i)*second, 0, w.rng.Float64() >= 0.02)
			r.Subjects = []string{"c" + strconv.Itoa(i)}
			r.IP = ip(w.rng.IntN(3000) << 8)
			w.add(r)
		}
		cfg := detect.Config{TrialsPerMonth: 3e9, AlarmsPerMonth: 133 * 3e9 * math.Exp(-h)}
		if math.Abs(cfg.Threshold()-h) > 1e-9 {
			t.Fatalf("threshold %v, want %v", cfg.Threshold(), h)
		}
		_, fs := run(cfg, w.records)
		if bound := n * 4 * math.Exp(-h); float64(len(fs)) > bound+3*math.Sqrt(bound)+3 {
			t.Errorf("h=%v: %d alarms, the bound is %.0f", h, len(fs), bound)
		}
	}
}

func TestThreshold(t *testing.T) {
	if h := (detect.Config{}).Threshold(); math.Abs(h-math.Log(133*3e9)) > 1e-9 {
		t.Errorf("threshold %v", h)
	}
}

// Nothing that a decoder accepts makes the engine panic, and its account adds up.
func TestAnyRecords(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", "!b", "customer:1", "customer:", "customer:2", "staff:x", "7"})
	rapid.Check(t, func(t *rapid.T) {
		e := detect.New(detect.Config{MaxUnits: 16, MaxIDs: 8, MaxPending: 4, MaxEvidence: 32, MaxPairs: 8, Budgets: []detect.Budget{{Of: "principal:staff", Day: 2, Month: 3}, {Of: "key:a", Day: 3}}}, nil)
		for i := range rapid.IntRange(0, 200).Draw(t, "n") {
			r := whosaw.Record{
				Type: whosaw.Type(rapid.IntRange(0, 10).Draw(t, "type")), Time: start + rapid.Int64Range(0, 3*day).Draw(t, "time"),
				Realm: rapid.SampledFrom([]string{"", "", "r"}).Draw(t, "realm"), Principal: word.Draw(t, "principal"),
				Credential: whosaw.HashCredential(word.Draw(t, "credential")), Key: word.Draw(t, "key"), Client: word.Draw(t, "client"),
				Outcome: whosaw.Outcome(rapid.IntRange(0, 4).Draw(t, "outcome")), Status: rapid.SampledFrom([]int{0, 200, 404, 500}).Draw(t, "status"),
				Agent: word.Draw(t, "agent"), Country: rapid.SampledFrom([]string{"", "KR"}).Draw(t, "country"),
			}
			for range rapid.IntRange(0, 3).Draw(t, "subjects") {
				r.Subjects = append(r.Subjects, strconv.Itoa(rapid.IntRange(1, 30).Draw(t, "subject")))
			}
			if rapid.Bool().Draw(t, "ip") {
				r.IP = ip(rapid.IntRange(0, 600).Draw(t, "address"))
			}
			if r.Type != whosaw.TypeAccess && rapid.Bool().Draw(t, "ref") {
				r.Ref = &whosaw.Reference{
					State: rapid.SampledFrom([]string{"", "retired", "revoked", "left", "canary", "withdrawn"}).Draw(t, "state"),
					Of:    "issuance", HasLost: rapid.Bool().Draw(t, "hasLost"), Since: start, Person: "p", Keys: []string{"a", "!b"},
				}
			}
			for _, f := range e.Observe(uint64(i+1), &r) {
				if err := f.Filter.Validate(); err != nil {
					t.Fatalf("filter %+v: %v", f.Filter, err)
				}
				if f.ID == "" || f.Says == "" || f.Technique == "" || f.Unit == "" || f.Statistic < f.Threshold || f.Seen < f.Time || f.Accesses < 1 {
					t.Fatalf("finding %+v", f)
				}
			}
		}
		for _, s := range e.Status() {
			if s.Judged > s.Accesses || s.Units < 0 {
				t.Fatalf("status %+v", s)
			}
		}
	})
}

// The caches change no answer.
func TestCachesChangeNothing(t *testing.T) {
	for seed := range uint64(6) {
		records := mixed(seed).sorted()
		whole, fs := run(detect.Config{}, records)
		e := detect.New(detect.Config{}, nil)
		var again []whosaw.Finding
		for i := range records {
			e.Forget()
			again = append(again, e.Observe(uint64(i+1), &records[i])...)
		}
		if d := gocmp.Diff(findings(fs), again); d != "" {
			t.Errorf("findings (-with +without caches):\n%s", d)
		}
		if d := gocmp.Diff(whole.Status(), e.Status()); d != "" {
			t.Errorf("status (-with +without caches):\n%s", d)
		}
	}
}

// An engine that holds few issuances whole finds what one that holds all does.
func TestFewIssuancesHeld(t *testing.T) {
	found := 0
	for seed := range uint64(12) {
		records := mixed(seed).sorted()
		all, want := run(detect.Config{}, records)
		few, got := run(detect.Config{MaxIssued: 16}, records)
		found += len(want)
		if d := gocmp.Diff(findings(want), findings(got)); d != "" {
			t.Errorf("findings (-all +few issuances held):\n%s", d)
		}
		if d := gocmp.Diff(all.Status(), few.Status()); d != "" {
			t.Errorf("status (-all +few issuances held):\n%s", d)
		}
	}
	if found < 15 {
		t.Errorf("only %d findings", found)
	}
}

func findings(fs []raised) []whosaw.Finding {
	var out []whosaw.Finding
	for _, f := range fs {
		out = append(out, f.Finding)
	}
	return out
}

// Records that come together give what they give one by one, however they are cut.
func TestBatches(t *testing.T) {
	for seed := range uint64(12) {
		records := mixed(seed).sorted()
		cfg := detect.Config{MaxUnits: 2000, Budgets: []detect.Budget{{Of: "principal:staff", Day: 40}, {Of: "client:partner", Month: 100}}}
		one, want := run(cfg, records)
		rng := rand.New(rand.NewPCG(seed, 1))
		e := detect.New(cfg, nil)
		var got []raised
		for at := 0; at < len(records); {
			n := min(1+rng.IntN(200)*rng.IntN(2), len(records)-at)
			batch := slices.Clone(records[at : at+n])
			batch = append(batch, batch[:min(1, rng.IntN(3))]...) // a repeat
			e.ObserveBatch(batch, func(i int) uint64 {
				if i >= n {
					return 0
				}
				return uint64(at + i + 1)
			}, func(i int, f whosaw.Finding) { got = append(got, raised{f, at + i}) })
			clear(batch)
			at += n
		}
		if d := gocmp.Diff(want, got, gocmp.AllowUnexported(raised{})); d != "" {
			t.Errorf("findings (-one by one +in batches):\n%s", d)
		}
		if d := gocmp.Diff(one.Status(), e.Status()); d != "" {
			t.Errorf("status (-one by one +in batches):\n%s", d)
		}
	}
}
