package sim_test

import (
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/sim"
)

// member gives the text of a member of a line, without decoding the line: these tests read millions.
func member(line, name string) string {
	_, rest, _ := strings.Cut(line, `,"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// misuse is what is wrong with the credentials of a run: the labels of the accesses of each that was not issued before
// its use, or was issued for somebody else or by another key.
func misuse(t *testing.T, cfg sim.Config) (wrong map[string][]string, issued int) {
	t.Helper()
	given := map[string]string{}
	wrong = map[string][]string{}
	cfg.Observe = func(line []byte, l sim.Label) error {
		text := string(line)
		credential := member(text, "credential")
		who := member(text, "principal")
		switch {
		case strings.HasPrefix(text, `{"type":"issuance"`):
			if who == "" {
				who = "customer:" + member(text, "subject")
			}
			given[credential] = who + " " + member(text, "key")
			issued++
		case strings.HasPrefix(text, `{"type":`) || credential == "" || l.Attack != "":
		case given[credential] != who+" "+member(text, "key"):
			wrong[credential] = append(wrong[credential], l.Event)
		}
		return nil
	}
	if _, err := sim.Run(cfg, nil); err != nil {
		t.Fatal(err)
	}
	return wrong, issued
}

// Every honest credential was issued before its use, to who uses it, signed by the key it names, in every order of what
// happens once: but for the one issuance in 100,000 that is lost or late.
func TestHonestCredentialsAreIssued(t *testing.T) {
	seeds := uint64(12)
	if raceOn || testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		wrong, issued := misuse(t, sim.Config{Seed: seed, Customers: 1200, Days: 30, Start: start})
		if issued < 5_000 {
			t.Fatalf("seed %d: only %d issuances", seed, issued)
		}
		for credential, events := range wrong {
			if !strings.Contains(strings.Join(events, " "), "feed_") {
				t.Errorf("seed %d: %s was not issued, used by %v", seed, credential, events)
			}
		}
	}
}
