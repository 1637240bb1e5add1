package market_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw/internal/market"
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
}

func (r *record) subjects() []string {
	if r.Subject != "" {
		return []string{r.Subject}
	}
	return r.Subjects
}

// customer is the issuance's principal: its own, or its subject's.
func (r *record) customer() string {
	if r.Principal == "" && r.Subject != "" {
		return "customer:" + r.Subject
	}
	return r.Principal
}

// readLines gives the lines in order, repeats left out, and how many those were.
func readLines(t *testing.T, data []byte) (records []record, repeats int64) {
	t.Helper()
	seen := make(map[string][]byte)
	sc := bufio.NewScanner(bytes.NewReader(data))
	for sc.Scan() {
		var r record
		d := json.NewDecoder(bytes.NewReader(sc.Bytes()))
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[r.ID]; ok {
			if !bytes.Equal(before, sc.Bytes()) {
				t.Fatalf("%s came twice with different content", r.ID)
			}
			repeats++
			continue
		}
		seen[r.ID] = bytes.Clone(sc.Bytes())
		records = append(records, r)
	}
	return records, repeats
}

// issuedIn gives the question "was it issued?" over all records.
func issuedIn(records []record) func(*record) bool {
	issuances := make(map[string]record)
	for _, r := range records {
		if r.Type == "issuance" {
			issuances[r.Credential] = r
		}
	}
	return func(r *record) bool {
		i, ok := issuances[r.Credential]
		return ok && i.Key == r.Key && i.customer() == r.Principal
	}
}

// count makes the totals of the accesses that keep picks, in the plainest way.
func count(records []record, keep func(*record) bool) (market.Totals, []string) {
	t := market.Totals{Fields: map[string]int64{}, Masked: map[string]int64{}}
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
	var list []string
	for s := range disclosed {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return t, list
}

func TestTruthAgainstASecondCount(t *testing.T) {
	for seed := range uint64(4) {
		cfg := market.Example()
		if seed > 0 {
			cfg.Seed, cfg.Customers, cfg.Days = seed, int(seed)*170, 2+2*int(seed)
		} else {
			cfg.Seed = 1
		}
		data, combined, truth := generate(t, cfg)
		records, repeats := readLines(t, data)
		if got := int64(len(records)) + repeats; got != truth.Lines || repeats != truth.Duplicates || repeats == 0 {
			t.Errorf("seed %d: %d lines, %d of them repeats; truth says %d, %d", cfg.Seed, got, repeats, truth.Lines, truth.Duplicates)
		}
		if truth.Late == 0 {
			t.Errorf("seed %d: no line is late", cfg.Seed)
		}
		issued := issuedIn(records)
		attack := func(r *record) bool { return r.Key == "backup-2024" && !issued(r) }
		got, list := count(records, attack)
		if diff := cmp.Diff(got, truth.Attack.Totals); diff != "" {
			t.Errorf("seed %d: attack (-counted +truth):\n%s", cfg.Seed, diff)
		}
		if diff := cmp.Diff(list, truth.Attack.DisclosedList); diff != "" {
			t.Errorf("seed %d: disclosed (-counted +truth):\n%s", cfg.Seed, diff)
		}
		got, _ = count(records, func(r *record) bool { return !attack(r) })
		if diff := cmp.Diff(got, truth.Honest); diff != "" {
			t.Errorf("seed %d: honest (-counted +truth):\n%s", cfg.Seed, diff)
		}
		got, _ = count(records, func(*record) bool { return true })
		if diff := cmp.Diff(got, truth.All); diff != "" {
			t.Errorf("seed %d: all (-counted +truth):\n%s", cfg.Seed, diff)
		}
		if n := int64(bytes.Count(combined, []byte{'\n'})); n != truth.All.Accesses {
			t.Errorf("seed %d: %d lines in the combined log, %d accesses", cfg.Seed, n, truth.All.Accesses)
		}
		checkAttack(t, records, attack, truth)
	}
}

func checkAttack(t *testing.T, records []record, attack func(*record) bool, truth *market.Truth) {
	tried, gone, ips, credentials := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range records {
		r := &records[i]
		if r.Type != "" || !attack(r) {
			continue
		}
		tried[r.Subject], ips[r.IP], credentials[r.Credential] = true, true, true
		if r.Status == 404 {
			gone[r.Subject] = true
		}
	}
	a := truth.Attack
	got := [4]int{len(tried), len(gone), len(ips), len(credentials)}
	if want := [4]int{a.Tried, a.NotExisting, a.Addresses, a.Credentials}; got != want {
		t.Errorf("tried, not existing, addresses, credentials: counted %v, truth says %v", got, want)
	}
	if share := 1000 * a.NotExisting / a.Tried; share < 540 || share > 600 {
		t.Errorf("%d of 1000 tried numbers do not exist, want about 570", share)
	}
	if a.NotDisclosed != truth.Customers-int(a.Subjects) || a.NotDisclosed == 0 {
		t.Errorf("%d customers were not reached, of %d with %d disclosed", a.NotDisclosed, truth.Customers, a.Subjects)
	}
}

// What makes the shop like a real one, and the theft hard to see by anything but what it is.
func TestShopIsLikeAShop(t *testing.T) {
	data, _, truth := generate(t, market.Example())
	records, _ := readLines(t, data)
	issued := issuedIn(records)
	given := make(map[string]bool)
	exists, dormant := 0, 0
	hours := make(map[int]int)
	behind := make(map[string]map[string]bool)
	type values struct{ agents, asns, countries, clients map[string]bool }
	sets := func() values {
		return values{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	}
	honest, forged := sets(), sets()
	showing, withSubject, absent := 0, 0, 0
	for i := range records {
		r := &records[i]
		switch r.Type {
		case "issuance":
			given[r.Credential] = true
			continue
		case "subject":
			if r.State == "active" {
				exists++
				if r.LastLogin < "2025-09-03" {
					dormant++
				}
			}
			continue
		case "":
		default:
			continue
		}
		into := honest
		if r.Key == "backup-2024" && !issued(r) {
			into = forged
			if given[r.Credential] {
				t.Fatalf("%s: a forged credential was issued", r.ID)
			}
		} else if r.Credential != "" && !given[r.Credential] {
			t.Fatalf("%s: a credential is used before its log-in", r.ID)
		} else {
			hour, _ := strconv.Atoi(r.Time[11:13])
			hours[(hour+9)%24]++
			if len(r.subjects()) > 0 {
				withSubject++
				if r.Status == 404 {
					absent++
				}
				if behind[r.IP] == nil {
					behind[r.IP] = map[string]bool{}
				}
				behind[r.IP][r.subjects()[0]] = true
			}
			if len(r.Fields) > 0 {
				showing++
			}
		}
		into.agents[r.Agent], into.countries[r.Country] = true, true
		into.asns[strconv.Itoa(r.ASN)], into.clients[r.Client] = true, true
	}
	for _, pair := range [][2]map[string]bool{
		{forged.agents, honest.agents}, {forged.asns, honest.asns}, {forged.countries, honest.countries}, {forged.clients, honest.clients},
	} {
		for v := range pair[0] {
			if !pair[1][v] {
				t.Errorf("%q occurs only in the attack", v)
			}
		}
	}
	if night, evening := hours[3]+hours[4], hours[20]+hours[21]; night*6 > evening {
		t.Errorf("%d accesses at 3 and 4 in the night, %d at 20 and 21: no rhythm", night, evening)
	}
	largest := 0
	for _, s := range behind {
		largest = max(largest, len(s))
	}
	if largest < 80 {
		t.Errorf("at most %d customers behind one honest address, want a carrier's or a help desk's many", largest)
	}
	if share := 1000 * dormant / exists; share < 200 || share > 300 {
		t.Errorf("%d of 1000 customers are dormant, want about 250", share)
	}
	if share := 1000 * absent / withSubject; share < 2 || share > 25 {
		t.Errorf("%d of 1000 honest accesses with a subject find nobody, want a few", share)
	}
	if share := 1000 * showing / int(truth.Honest.Accesses); share < 80 || share > 300 {
		t.Errorf("%d of 1000 honest pages show data, want a small part", share)
	}
	t.Logf("%d accesses, largest address %d customers, dormant %d of %d, absent %d of %d, showing %d", truth.All.Accesses, largest, dormant, exists, absent, withSubject, showing)
}
