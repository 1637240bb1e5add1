package sim_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw/internal/sim"
)

// record is a line as encoding/json sees it: this file shares no code with the generator.
type record struct {
	ID         string   `json:"id"`
	Type       string   `json:"type"`
	Time       string   `json:"time"`
	Subject    string   `json:"subject"`
	Subjects   []string `json:"subjects"`
	Others     int64    `json:"others"`
	Route      string   `json:"route"`
	Fields     []string `json:"fields"`
	Masked     []string `json:"masked"`
	Status     int      `json:"status"`
	Principal  string   `json:"principal"`
	Credential string   `json:"credential"`
	Key        string   `json:"key"`
	Client     string   `json:"client"`
	IP         string   `json:"ip"`
	Country    string   `json:"country"`
	ASN        int      `json:"asn"`
	Agent      string   `json:"agent"`
	State      string   `json:"state"`
	LastLogin  string   `json:"last_login"`

	label sim.Label
}

func (r *record) subjects() []string {
	if r.Subject != "" {
		return []string{r.Subject}
	}
	return r.Subjects
}

// observed gives the lines as records, repeats left out, and how many those were.
func observed(t *testing.T, cfg sim.Config) (records []record, repeats int64, truth *sim.Truth) {
	t.Helper()
	seen := make(map[string][]byte)
	cfg.Observe = func(line []byte, l sim.Label) error {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		if before, ok := seen[r.ID]; ok {
			if !bytes.Equal(before, line) {
				t.Errorf("%s came twice with different content", r.ID)
			}
			repeats++
			return nil
		}
		seen[r.ID] = bytes.Clone(line)
		r.label = l
		r.label.Subjects = slices.Clone(l.Subjects)
		records = append(records, r)
		return nil
	}
	truth, err := sim.Run(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return records, repeats, truth
}

// count makes the totals of the accesses that keep picks, in the plainest way.
func count(records []record, keep func(*record) bool) sim.Totals {
	t := sim.Totals{Fields: map[string]int64{}, Masked: map[string]int64{}}
	clear, masked := map[[2]string]bool{}, map[[2]string]bool{}
	others := map[string]int64{}
	disclosed := map[string]bool{}
	for i := range records {
		r := &records[i]
		if r.Type != "" || !keep(r) {
			continue
		}
		t.Accesses++
		switch r.Status {
		case 404:
			t.Absent++
		case 429, 401:
			t.Refused++
		}
		if r.Status != 200 || len(r.Fields)+len(r.Masked) == 0 {
			continue
		}
		for n, s := range r.subjects() {
			t.Disclosures++
			disclosed[s] = true
			for _, f := range r.Fields {
				clear[[2]string{s, f}] = true
			}
			for _, f := range r.Masked {
				masked[[2]string{s, f}] = true
			}
			if n == 0 {
				others[s] = max(others[s], r.Others)
			}
		}
		if t.First == "" || r.Time < t.First {
			t.First = r.Time
		}
		t.Last = max(t.Last, r.Time)
	}
	for k := range clear {
		t.Fields[k[1]]++
	}
	for k := range masked {
		if !clear[k] {
			t.Masked[k[1]]++
		}
	}
	for _, n := range others {
		t.Others += n
	}
	t.Subjects = int64(len(disclosed))
	return t
}

func TestTruthAgainstASecondCount(t *testing.T) {
	for seed, s := range sim.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			cfg := sim.Config{Scenario: s.Name, Seed: uint64(seed), Customers: 700, Days: 6, Start: start, Share: 20_000}
			if raceOn {
				cfg.Customers = 250
			}
			var attacks bytes.Buffer
			cfg.Attacks = &attacks
			records, repeats, truth := observed(t, cfg)
			if got := int64(len(records)) + repeats; got != truth.Lines || repeats != truth.Duplicates || repeats == 0 {
				t.Errorf("%d lines, %d of them repeats; truth says %d, %d", got, repeats, truth.Lines, truth.Duplicates)
			}
			for _, part := range []struct {
				name string
				got  sim.Totals
				keep func(*record) bool
			}{
				{"attack", truth.Attack, func(r *record) bool { return r.label.Attack != "" }},
				{"honest", truth.Honest, func(r *record) bool { return r.label.Attack == "" }},
				{"all", truth.All, func(*record) bool { return true }},
			} {
				if diff := cmp.Diff(count(records, part.keep), part.got); diff != "" {
					t.Errorf("%s (-counted +truth):\n%s", part.name, diff)
				}
			}
			for _, a := range truth.Attacks {
				checkAttack(t, records, a)
			}
			checkAttackLines(t, records, attacks.Bytes())
			checkHours(t, records, truth)
			checkNames(t, records, truth)
		})
	}
}

func checkAttack(t *testing.T, records []record, a sim.Attack) {
	t.Helper()
	mine := func(r *record) bool { return r.label.Attack == a.Name }
	if diff := cmp.Diff(count(records, mine), a.Totals); diff != "" {
		t.Errorf("%s (-counted +truth):\n%s", a.Name, diff)
	}
	canaries := map[string]bool{}
	tried, gone, ips, credentials, planted := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range records {
		r := &records[i]
		if r.Type == "subject" && r.State == "canary" {
			canaries[r.Subject] = true
		}
		if r.Type != "" || !mine(r) {
			continue
		}
		ips[r.IP] = true
		if r.Credential != "" {
			credentials[r.Credential] = true
		}
		for _, s := range r.subjects() {
			tried[s] = true
			if r.Status == 404 {
				gone[s] = true
			}
			if r.Status == 200 && len(r.Fields) > 0 && canaries[s] {
				planted[s] = true
			}
		}
	}
	got := [5]int{len(tried), len(gone), len(ips), len(credentials), len(planted)}
	if want := [5]int{int(a.Tried), int(a.NotExisting), int(a.Addresses), int(a.Credentials), int(a.Canaries)}; got != want {
		t.Errorf("%s: tried, not existing, addresses, credentials, canaries: counted %v, truth says %v", a.Name, got, want)
	}
	if a.Accesses == 0 || a.Subjects == 0 {
		t.Errorf("%s took nothing", a.Name)
	}
}

// truth.jsonl names the accesses of the attack and no other.
func checkAttackLines(t *testing.T, records []record, lines []byte) {
	t.Helper()
	type line struct {
		ID        string   `json:"id"`
		Attack    string   `json:"attack"`
		Subjects  []string `json:"subjects"`
		Disclosed bool     `json:"disclosed"`
	}
	var got, want []line
	for l := range bytes.Lines(lines) {
		var x line
		if err := json.Unmarshal(l, &x); err != nil {
			t.Fatal(err)
		}
		got = append(got, x)
	}
	for i := range records {
		r := &records[i]
		if r.Type != "" {
			continue
		}
		if shown := r.Status == 200 && len(r.Fields)+len(r.Masked) > 0; shown != r.label.Disclosed {
			t.Errorf("%s: the label says disclosed %v", r.ID, r.label.Disclosed)
		}
		if !slices.Equal(r.subjects(), r.label.Subjects) {
			t.Errorf("%s: the label names other subjects", r.ID)
		}
		if r.label.Attack != "" {
			want = append(want, line{r.ID, r.label.Attack, append([]string{}, r.subjects()...), r.label.Disclosed})
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attack lines (-records +truth.jsonl):\n%.2000s", diff)
	}
}

func checkHours(t *testing.T, records []record, truth *sim.Truth) {
	t.Helper()
	got := map[string]sim.Hour{}
	for i := range records {
		r := &records[i]
		if r.Type != "" {
			continue
		}
		at := r.Time[:13] + ":00:00.000Z"
		h := got[at]
		h.Hour = at
		h.Accesses++
		n := int64(0)
		if r.label.Disclosed {
			n = max(1, int64(len(r.subjects())))
		}
		h.Disclosures += n
		if r.label.Attack != "" {
			h.AttackAccesses++
			h.AttackDisclosures += n
		}
		got[at] = h
	}
	var list []sim.Hour
	for _, at := range slices.Sorted(maps.Keys(got)) {
		list = append(list, got[at])
	}
	if diff := cmp.Diff(list, truth.Hours); diff != "" {
		t.Errorf("hours (-counted +truth):\n%.2000s", diff)
	}
}

func checkNames(t *testing.T, records []record, truth *sim.Truth) {
	t.Helper()
	events, references := map[string]int64{}, map[string]int64{}
	for i := range records {
		r := &records[i]
		if r.Type != "" {
			references[r.Type]++
		} else if e := r.label.Event; e != "" && r.label.Attack == "" {
			events[e]++
		}
		if e := r.label.Event; e != "" && !slices.Contains(sim.Events(), e) {
			t.Errorf("%s has the event %q, which Events does not list", r.ID, e)
		}
	}
	if diff := cmp.Diff(events, truth.Events); diff != "" {
		t.Errorf("events (-counted +truth):\n%s", diff)
	}
	if diff := cmp.Diff(references, truth.References); diff != "" {
		t.Errorf("references (-counted +truth):\n%s", diff)
	}
}
