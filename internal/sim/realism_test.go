package sim_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/sim"
)

// band is where a figure of the honest shop must lie, in permille unless its name says otherwise.
type band struct {
	name     string
	got      int
	from, to int
}

func check(t *testing.T, bands []band) {
	t.Helper()
	for _, b := range bands {
		if b.got < b.from || b.got > b.to {
			t.Errorf("%s: %d, want %d to %d", b.name, b.got, b.from, b.to)
		}
		t.Logf("%-60s %7d  (%d to %d)", b.name, b.got, b.from, b.to)
	}
}

func permille[T int | int64](part, of T) int { return int(1000 * part / max(1, of)) }

// The honest shop is like a real one in what detectors look at.
func TestShopIsLikeAShop(t *testing.T) {
	cfg := sim.Config{Seed: 1, Customers: 6000, Days: 14, Start: start}
	if raceOn || testing.Short() {
		cfg.Customers = 3000
	}
	records, _, truth := observed(t, cfg)
	pages := map[string]int{}
	hours, weekdays := [24]int{}, [7]int{}
	behind := map[string]map[string]bool{}
	visits := map[string]int{} // log-ins and app starts by customer
	members, dormant, withSubject, absent, showing, v6, accesses := 0, 0, 0, 0, 0, 0, 0
	for i := range records {
		r := &records[i]
		switch r.Type {
		case "subject":
			if r.State == "active" && strings.HasPrefix(r.Time, "2026-02-16T00:00:00.000") {
				members++
				if r.LastLogin < "2025-08-21" { // half a year before the log begins
					dormant++
				}
			}
			continue
		case "issuance":
			if r.Subject != "" {
				visits[r.Subject]++
			}
			continue
		case "":
		default:
			continue
		}
		accesses++
		pages[r.Route]++
		if customer, ok := strings.CutPrefix(r.Principal, "customer:"); ok {
			if behind[r.IP] == nil {
				behind[r.IP] = map[string]bool{}
			}
			behind[r.IP][customer] = true
			hour, _ := strconv.Atoi(r.Time[11:13])
			day, _ := strconv.Atoi(r.Time[8:10])
			if r.Time >= "2026-02-16T15" && r.Time < "2026-02-23T15" { // a week at the shop's clock, before anything special
				hours[(hour+9)%24]++
				weekdays[(day+5+(hour+9)/24)%7]++
			}
		}
		if strings.Contains(r.IP, ":") {
			v6++
		}
		if len(r.Fields)+len(r.Masked) > 0 {
			showing++
		}
		if len(r.subjects()) > 0 {
			withSubject++
			if r.Status == 404 {
				absent++
			}
		}
	}
	largest := 0
	for _, customers := range behind {
		largest = max(largest, len(customers))
	}
	counts := []int{}
	total := 0
	for _, n := range visits {
		counts = append(counts, n)
		total += n
	}
	slices.Sort(counts)
	top := 0
	for _, n := range counts[len(counts)-len(counts)/20:] {
		top += n
	}
	check(t, []band{
		{"dormant members", permille(dormant, members), 230, 270},
		{"customers behind the largest address, of all", permille(largest, cfg.Customers), 100, 400},
		{"3 to 5 o'clock against 20 to 22", permille(hours[3]+hours[4], hours[20]+hours[21]), 10, 80},
		{"Saturday against Tuesday", permille(weekdays[5], weekdays[1]), 1100, 1600},
		{"accesses that show data", permille(showing, accesses), 150, 350},
		{"address lists to order lists", permille(pages["GET /me/addresses"], pages["GET /me/orders"]), 350, 900}, // the case: 1,442,000
		{"edit pages to address lists", permille(pages["GET /me/addresses/{id}/edit"], pages["GET /me/addresses"]), 150, 450},
		{"products to accesses", permille(pages["GET /products/{id}"], accesses), 150, 450},
		{"absent of those with a subject", permille(absent, withSubject), 3, 30},
		{"IPv6", permille(v6, accesses), 60, 250},
		{"the log-ins of the busiest twentieth of members", permille(top, total), 200, 700},
		{"late and doubled lines per million", permille(1000*int(truth.Late+truth.Duplicates), accesses), 300, 1200},
	})
}

// A log-in comes before its use, in the order of arrival, but for the one issuance in 100,000 that the feed lost or
// delayed; and a big shop has every awkward thing, thousands behind one address among them.
func TestLogInComesFirst(t *testing.T) {
	cfg := sim.Config{Seed: 2, Customers: 100_000, Days: 2, Start: start}
	if raceOn || testing.Short() {
		cfg.Customers = 8000
	}
	given := map[string]bool{}
	behind := map[string]map[string]bool{}
	unissued, desks := map[string]string{}, map[string]bool{}
	seen := map[string]int{}
	issued := 0
	value := func(line, member string) string {
		_, rest, ok := strings.Cut(line, `,"`+member+`":"`)
		if !ok {
			return ""
		}
		v, _, _ := strings.Cut(rest, `"`)
		return v
	}
	cfg.Observe = func(line []byte, l sim.Label) error {
		text := string(line)
		credential := value(text, "credential")
		if strings.HasPrefix(text, `{"type":"issuance"`) {
			given[credential] = true
			issued++
			return nil
		}
		if strings.HasPrefix(text, `{"type":`) {
			return nil
		}
		seen[l.Event]++
		if credential != "" && !given[credential] {
			unissued[credential] = l.Event
			if l.Event != "feed_loss" && l.Event != "feed_delay" && l.Event != "late" && l.Event != "doubled" && l.Event != "clock_skew" {
				t.Errorf("%s is used before its log-in, by %q", credential, l.Event)
			}
		}
		if l.Event == "nat" {
			ip := value(text, "ip")
			if behind[ip] == nil {
				behind[ip] = map[string]bool{}
			}
			behind[ip][value(text, "principal")] = true
		}
		if l.Event == "help_desk" {
			desks[value(text, "ip")] = true
		}
		return nil
	}
	if _, err := sim.Run(cfg, nil); err != nil {
		t.Fatal(err)
	}
	largest := 0
	for _, who := range behind {
		largest = max(largest, len(who))
	}
	if len(desks) != 1 {
		t.Errorf("the help desk has %d addresses, want one", len(desks))
	}
	if cfg.Customers < 100_000 {
		return
	}
	check(t, []band{
		{"customers behind the largest address", largest, 4_000, 40_000},
		{"credentials without an issuance in time, of a million", 1_000_000 * len(unissued) / issued, 5, 45},
	})
	for _, e := range sim.Events() {
		if seen[e] == 0 {
			t.Errorf("nothing is labelled %s", e)
		}
	}
}

// No value occurs only in an attack: what tells an attack is what it does, not a word in it.
func TestNoValueIsTheAttackersAlone(t *testing.T) {
	for n, s := range sim.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			cfg := sim.Config{Scenario: s.Name, Seed: uint64(n), Customers: 900, Days: 5, Start: start, Share: 10_000}
			if raceOn {
				cfg.Customers = 400
			}
			noOwnValues(t, cfg)
			if s.Name == "stolen-key" { // the other shape
				cfg.Seed++
				noOwnValues(t, cfg)
			}
		})
	}
}

func noOwnValues(t *testing.T, cfg sim.Config) {
	t.Helper()
	records, _, _ := observed(t, cfg)
	honest, attack := map[string]bool{}, map[string]bool{}
	for i := range records {
		r := &records[i]
		into := honest
		if r.label.Attack != "" {
			into = attack
		}
		role, _, _ := strings.Cut(r.Principal, ":")
		for member, value := range map[string]string{
			"type": r.Type, "agent": r.Agent, "asn": strconv.Itoa(r.ASN), "country": r.Country, "client": r.Client, "key": r.Key, "route": r.Route,
			"status": strconv.Itoa(r.Status), "role": role, "id": form(r.ID), "credential": form(r.Credential),
			"route and role": r.Route + " " + role, "key and client": r.Key + " " + r.Client, "members": members(r),
		} {
			into[member+" "+value] = true
		}
	}
	for v := range attack {
		if !honest[v] {
			t.Errorf("seed %d: only the attack has %q", cfg.Seed, v)
		}
	}
}

// form is an id with its digits and hexadecimal digits made one: its length and its alphabet.
func form(id string) string {
	prefix := strings.TrimRight(id, "0123456789abcdef")
	if strings.HasPrefix(id, "r") {
		return prefix + "#" // numbers grow
	}
	return prefix + strconv.Itoa(len(id))
}

// members is which members a record has.
func members(r *record) string {
	var b strings.Builder
	for _, m := range []bool{r.Subject != "", r.Subjects != nil, r.Principal != "", r.Credential != "", r.Key != "", r.Client != "", r.IP != "", r.Agent != ""} {
		b.WriteByte("-x"[map[bool]int{true: 1}[m]])
	}
	return b.String()
}

// TestCase is the case at 1 : 1000: 33,674 members, the stolen key from its 16 and from its 2,313 addresses, and the
// share of all accesses that it had.
func TestCase(t *testing.T) {
	for _, tt := range []struct {
		seed                  uint64
		share                 int
		addresses, least, day int
	}{{7, 10_000, 16, 16, 0}, {6, 10_000, 2313, 500, 4}, {8, 300, 2313, 20, 4}} {
		cfg := sim.Config{Scenario: "stolen-key", Seed: tt.seed, Customers: 33_674, Days: 7, Start: start, Share: tt.share}
		if raceOn || testing.Short() {
			cfg.Customers, tt.least, tt.day = 3367, min(tt.least, 4), 1
		}
		views := map[string]int64{}
		watched := int64(0)
		days := map[string]bool{}
		cfg.Observe = func(line []byte, l sim.Label) error {
			text := string(line)
			if strings.HasPrefix(text, `{"type":`) {
				return nil
			}
			_, at, _ := strings.Cut(text, `"time":"`)
			if at[:10] >= "2026-03-02" {
				watched++
			}
			if l.Attack != "" {
				_, route, _ := strings.Cut(text, `"route":"`)
				route, _, _ = strings.Cut(route, `"`)
				views[route]++
				days[at[:10]] = true
			}
			return nil
		}
		truth, err := sim.Run(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := truth.Attacks[0]
		check(t, []band{
			{"the attack, of a million accesses", int(1_000_000 * a.Accesses / watched), tt.share * 80 / 100, tt.share * 120 / 100},
			{"addresses used", int(a.Addresses), tt.least, tt.addresses},
			{"days", len(days), max(2, tt.day), cfg.Days},
		})
		if a.Subjects > 200 { // the case: 57 %, and 4.4
			check(t, []band{{"numbers tried that nobody has", permille(a.NotExisting, a.Tried), 530, 610}, {"views of the address list for each account", permille(views["GET /me/addresses"], a.Subjects), 4000, 4900}})
		}
		if a.Credentials < a.Tried || truth.Attack.Accesses != a.Accesses {
			t.Errorf("%+v", a)
		}
		if a.Parameters["addresses"] != tt.addresses {
			t.Errorf("%v, want %d addresses", a.Parameters, tt.addresses)
		}
	}
}
