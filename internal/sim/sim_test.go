package sim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/sim"
)

// start is Monday 2 March 2026.
const start = 1772409600000

const dayMillis = 24 * 60 * 60 * 1000

func generate(t testing.TB, cfg sim.Config) (records, attacks []byte, truth *sim.Truth) {
	t.Helper()
	var r, a bytes.Buffer
	cfg.Attacks = &a
	truth, err := sim.Run(cfg, &r)
	if err != nil {
		t.Fatal(err)
	}
	return r.Bytes(), a.Bytes(), truth
}

// golden are hashes of what the generator writes. They change only when the shop is changed on purpose: same bytes on
// any machine and with any Go.
var golden = []struct {
	name                    string
	cfg                     sim.Config
	records, attacks, truth string
}{
	{"stolen key", sim.Config{Scenario: "stolen-key", Seed: 1, Customers: 900, Days: 4, Start: start}, "3a831d707574ea48", "7f616e294fc920ce", "8af6a5a0bc9f7b96"},
	{"honest", sim.Config{Seed: 2, Customers: 150, Days: 3, Start: 1583020800000}, "317028e1f24431e2", "e3b0c44298fc1c14", "5d91dda4eac46e9b"},
	{"mixed", sim.Config{Scenario: "mixed", Seed: 4, Customers: 400, Days: 9, Start: 1709164800000, Share: 20_000}, "17c7108d16a57c43", "358137ad22269db7", "085b6f5c8ec552d1"},
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			records, attacks, truth := generate(t, g.cfg)
			js, err := truth.JSON()
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []struct {
				name string
				data []byte
				want string
			}{{"records", records, g.records}, {"attacks", attacks, g.attacks}, {"truth", js, g.truth}} {
				sum := sha256.Sum256(part.data)
				if got := hex.EncodeToString(sum[:8]); got != part.want {
					t.Errorf("%s: SHA-256 begins %q, want %q", part.name, got, part.want)
				}
			}
		})
	}
}

// However many goroutines make it, it is the same.
func TestWorkersMakeNoDifference(t *testing.T) {
	cfg := sim.Config{Scenario: "mixed", Seed: 3, Customers: 5000, Days: 2, Start: start}
	if raceOn {
		cfg.Customers = 2100 // two tasks of customers
	}
	var want []byte
	for _, cfg.Workers = range []int{1, 2, 7} {
		records, attacks, _ := generate(t, cfg)
		sum := sha256.New()
		sum.Write(records)
		sum.Write(attacks)
		switch got := sum.Sum(nil); {
		case want == nil:
			want = got
		case !bytes.Equal(got, want):
			t.Errorf("%d workers make other bytes than one", cfg.Workers)
		}
	}
}

// Every line is one that whosaw takes, and as whosaw itself would write it.
func TestLinesAreRecords(t *testing.T) {
	for _, s := range sim.Scenarios() {
		cfg := sim.Config{Scenario: s.Name, Seed: 5, Customers: 600, Days: 3, Start: start}
		if s.Name != "honest" && s.Name != "mixed" {
			cfg.Customers = 60
		}
		var d whosaw.Decoder
		var again []byte
		bad := 0
		cfg.Observe = func(line []byte, _ sim.Label) error {
			var r whosaw.Record
			if err := d.Decode(line, cfg.Start+int64(cfg.Days+1)*dayMillis, &r); err != nil {
				t.Errorf("%s: %v\n%s", s.Name, err, line)
				bad++
			} else if again = whosaw.AppendJSON(again[:0], &r); !bytes.Equal(bytes.TrimSuffix(again, []byte("\n")), line) {
				t.Errorf("%s: whosaw writes this line otherwise:\n%s\n%s", s.Name, line, again)
				bad++
			}
			if bad > 5 {
				return errors.New("enough")
			}
			return nil
		}
		if _, err := sim.Run(cfg, nil); err != nil {
			t.Fatal(err)
		}
		if d.Unknown != 0 {
			t.Errorf("%s: %d members are not known to whosaw", s.Name, d.Unknown)
		}
	}
}

// Observe sees the lines that are written, in their order, and an error of its ends the run.
func TestObserve(t *testing.T) {
	cfg := sim.Config{Scenario: "stolen-key", Seed: 3, Customers: 500, Days: 2, Start: start}
	var seen bytes.Buffer
	cfg.Observe = func(line []byte, _ sim.Label) error {
		seen.Write(line)
		seen.WriteByte('\n')
		return nil
	}
	records, _, _ := generate(t, cfg)
	if !bytes.Equal(seen.Bytes(), records) {
		t.Error("Observe saw other lines than were written")
	}
	n := 0
	cfg.Observe = func([]byte, sim.Label) error {
		if n++; n > 1000 {
			return errFull
		}
		return nil
	}
	if _, err := sim.Run(cfg, nil); !errors.Is(err, errFull) {
		t.Errorf("got %v, want the observer's error", err)
	}
	cfg.Observe, cfg.Progress = nil, func(day, of int, _ int64) error {
		if day == 3 && of == 2+sim.WarmUpDays() {
			return errFull
		}
		return nil
	}
	if _, err := sim.Run(cfg, nil); !errors.Is(err, errFull) {
		t.Errorf("got %v, want the error of who looks on", err)
	}
}

// Whoever steals, the honest records are the same, but for their ids.
func TestAttacksLeaveTheHonestAlone(t *testing.T) {
	honest := func(scenario string) [32]byte {
		sum := sha256.New()
		cfg := sim.Config{Scenario: scenario, Seed: 9, Customers: 300, Days: 5, Start: start, Share: 30_000}
		cfg.Observe = func(line []byte, l sim.Label) error {
			if l.Attack == "" {
				at := bytes.Index(line, []byte(`"time"`))
				sum.Write(line[at:])
			}
			return nil
		}
		if _, err := sim.Run(cfg, nil); err != nil {
			t.Fatal(err)
		}
		return [32]byte(sum.Sum(nil))
	}
	want := honest("honest")
	for _, s := range sim.Scenarios() {
		if honest(s.Name) != want {
			t.Errorf("%s changes honest records", s.Name)
		}
	}
}

// A shop that is watched for longer has the same first days, as far as they do not hang on what happens once: the
// warm-up days.
func TestDaysAreIndependent(t *testing.T) {
	warmUp := func(days int) []string {
		var lines []string
		cfg := sim.Config{Seed: 5, Customers: 200, Days: days, Start: start}
		cfg.Observe = func(line []byte, l sim.Label) error {
			if s := string(line); strings.Contains(s, `"principal":"customer:`) && l.Event != "signup" && l.Event != "withdrawn" && l.Event != "release" {
				lines = append(lines, s[strings.Index(s, `"time"`):])
			}
			return nil
		}
		if _, err := sim.Run(cfg, nil); err != nil {
			t.Fatal(err)
		}
		end := slices.IndexFunc(lines, func(s string) bool { return strings.HasPrefix(s, `"time":"2026-02-20`) })
		return lines[:end]
	}
	a, b := warmUp(2), warmUp(3)
	if len(a) < 500 {
		t.Fatalf("only %d lines", len(a))
	}
	missing := 0
	for _, l := range a {
		if !slices.Contains(b, l) {
			missing++
		}
	}
	// Who joins or leaves does so on another day.
	if missing > len(a)/20 {
		t.Errorf("%d of %d lines of the first days are others when the shop is watched for longer", missing, len(a))
	}
}

func TestRunRefusesBadConfig(t *testing.T) {
	ok := sim.Config{Customers: 10, Days: 1, Start: start}
	if err := ok.Check(); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*sim.Config){
		func(c *sim.Config) { *c = sim.Config{} },
		func(c *sim.Config) { c.Customers = 9 },
		func(c *sim.Config) { c.Customers = 10_000_001 },
		func(c *sim.Config) { c.Days = 0 },
		func(c *sim.Config) { c.Days = 4000 },
		func(c *sim.Config) { c.Start++ },
		func(c *sim.Config) { c.Start = 946684800000 },
		func(c *sim.Config) { c.Scenario = "stolen-keys" },
		func(c *sim.Config) { c.Share = -1 },
		func(c *sim.Config) { c.Workers = -1 },
	} {
		cfg := ok
		change(&cfg)
		if _, err := sim.Run(cfg, io.Discard); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

// full takes n bytes and then fails.
type full struct{ n int }

var errFull = errors.New("disk full")

func (f *full) Write(p []byte) (int, error) {
	f.n -= len(p)
	if f.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestRunGivesTheWritersError(t *testing.T) {
	cfg := sim.Config{Scenario: "stolen-key", Seed: 2, Customers: 2000, Days: 1, Start: start, Share: 100_000}
	for _, n := range []int{0, 1 << 17, 1 << 21} {
		if _, err := sim.Run(cfg, &full{n}); !errors.Is(err, errFull) {
			t.Errorf("after %d bytes: got %v, want the writer's error", n, err)
		}
	}
	cfg.Attacks = &full{1 << 10}
	if _, err := sim.Run(cfg, io.Discard); !errors.Is(err, errFull) {
		t.Errorf("attacks: got %v, want the writer's error", err)
	}
}

// The smallest shops have everything too, and nothing fails in them.
func TestSmallShops(t *testing.T) {
	for _, s := range sim.Scenarios() {
		for seed := range uint64(3) {
			_, attacks, truth := generate(t, sim.Config{Scenario: s.Name, Seed: seed, Customers: 10 + int(seed)*7, Days: 1 + int(seed), Start: start})
			if n := int64(bytes.Count(attacks, []byte{'\n'})); n != truth.Attack.Accesses {
				t.Errorf("%s, seed %d: %d attack lines, truth says %d", s.Name, seed, n, truth.Attack.Accesses)
			}
			if s.Name == "honest" {
				if diff := cmp.Diff(truth.Honest, truth.All); diff != "" || len(truth.Attacks) > 0 {
					t.Errorf("honest and all differ (-honest +all):\n%s", diff)
				}
			}
		}
	}
}
