package doctor_test

import (
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/doctor"
	"github.com/whosaw/whosaw/internal/ledger"
)

// examine reads record lines into a ledger and lets the doctor look at them.
func examine(t *testing.T, lines ...string) whosaw.DoctorAnswer {
	t.Helper()
	led, err := ledger.Open(ledger.Config{Dir: t.TempDir(), Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	defer led.Close()
	var records []whosaw.Record
	var decoder whosaw.Decoder
	for i, line := range lines {
		var r whosaw.Record
		if err := decoder.Decode([]byte(line), 1795000000000, &r); err != nil {
			t.Fatalf("line %d: %v", i, err)
		}
		r.Source, r.Position = "test", int64(i)
		records = append(records, r)
	}
	receipts, err := led.Append(t.Context(), records)
	if err != nil {
		t.Fatal(err)
	}
	engine := detect.New(detect.Config{}, catalog.Rules())
	for i := range records {
		engine.Observe(receipts[i].Sequence, &records[i])
	}
	view, err := led.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	answer, err := doctor.Examine(t.Context(), view, catalog.Rules(), engine.Status(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func judges(a *whosaw.DoctorAnswer) map[string]string {
	m := map[string]string{}
	for _, d := range a.Detectors {
		m[d.Detector] = d.Judges
	}
	return m
}

func TestNothingToGoBy(t *testing.T) {
	a := examine(t,
		`{"time":"2026-03-02T10:00:00Z","route":"GET /news","status":200,"ip":"192.0.2.1"}`,
		`{"time":"2026-03-02T10:00:01Z","route":"GET /about","status":404,"ip":"192.0.2.2"}`)
	for detector, got := range judges(&a) {
		if got != "no" {
			t.Errorf("%s judges %q records that say nothing", detector, got)
		}
	}
	if a.Accesses != 2 || a.Shares["origin"].Count != 2 || a.Shares["subject"].Count != 0 {
		t.Errorf("shares %+v", a.Shares)
	}
	var members []string
	for _, m := range a.Add {
		members = append(members, m.Member)
	}
	if got := strings.Join(members, " "); got != "subject key credential" {
		t.Errorf("it advises %q", got)
	}
	for _, d := range a.Detectors {
		if d.Says == "" {
			t.Errorf("%s is blind and does not say why", d.Detector)
		}
	}
}

func TestEverythingThere(t *testing.T) {
	var lines []string
	lines = append(lines, `{"type":"subject","since":"2026-01-01T00:00:00Z","subject":99,"state":"canary"}`,
		`{"type":"key","since":"2026-01-01T00:00:00Z","key":"k","state":"active"}`,
		`{"type":"feed","of":"issuance","key":"k","from":"2026-01-01T00:00:00Z","lost":0}`,
		`{"type":"reason","from":"2026-03-02T10:00:00Z","until":"2026-03-02T10:03:30Z","principal":"staff:kim","subject":7,"kind":"ticket"}`,
		`{"type":"issuance","time":"2026-03-02T09:00:00Z","credential":"c7","key":"k","subject":7}`,
		`{"time":"2026-03-02T09:30:00Z","route":"POST /login","status":401,"ip":"192.0.2.1"}`)
	for _, minute := range []string{"00", "01", "02", "03", "04", "05"} {
		lines = append(lines, `{"time":"2026-03-02T10:`+minute+`:00Z","route":"GET /desk/{id}","fields":["name"],"status":200,"subject":7,"principal":"staff:kim","credential":"c7","key":"k","ip":"192.0.2.1"}`)
	}
	a := examine(t, lines...)
	for detector, got := range judges(&a) {
		want := "yes"
		if detector == "dormant" || detector == "stranger" {
			want = "no" // they need a past
		}
		if got != want {
			t.Errorf("%s judges %q of records that say everything: %+v", detector, got, a.Detectors)
		}
	}
	if len(a.Add) != 0 {
		t.Errorf("it advises to add %+v", a.Add)
	}
	if s := a.Shares["subject"]; s.Count != 6 || s.Of != 7 {
		t.Errorf("share of subjects %+v", s)
	}
}

func TestSubjectByJoin(t *testing.T) {
	a := examine(t,
		`{"type":"issuance","time":"2026-03-02T09:00:00Z","credential":"c7","subject":7}`,
		`{"time":"2026-03-02T10:00:00Z","route":"GET /me","status":200,"principal":"customer:7"}`,
		`{"time":"2026-03-02T10:00:00Z","route":"GET /me","status":200,"credential":"c7"}`,
		`{"time":"2026-03-02T10:00:00Z","route":"GET /me","status":200,"credential":"unknown"}`)
	if s := a.Shares["subject"]; s.Count != 2 || !strings.Contains(s.Says, "1 claimed") || !strings.Contains(s.Says, "1 joined") {
		t.Errorf("share of subjects %+v, want one claimed and one joined", s)
	}
}

func TestLeaverIsAWarning(t *testing.T) {
	a := examine(t,
		`{"type":"key","since":"2024-01-01T00:00:00Z","key":"k","state":"active","readers":["kim"]}`,
		`{"type":"person","since":"2026-03-01T00:00:00Z","person":"kim","state":"left"}`,
		`{"time":"2026-03-02T10:00:00Z","route":"GET /me","status":200,"subject":7,"principal":"customer:7","key":"k"}`)
	if !strings.Contains(strings.Join(a.Says, "\n"), "Key k could be read by somebody who left on 2026-03-01") {
		t.Errorf("it does not warn of the leaver's key: %q", a.Says)
	}
}

func TestSetup(t *testing.T) {
	for _, name := range doctor.SetupNames() {
		text, err := doctor.Setup(name)
		if err != nil {
			t.Errorf("setup %s: %v", name, err)
		}
		for _, member := range []string{"subject", "credential", "key"} {
			if !strings.Contains(strings.ToLower(text), member) {
				t.Errorf("the lines for %s do not fill %s", name, member)
			}
		}
	}
	if _, err := doctor.Setup("apache"); err == nil {
		t.Error("lines for something that has none")
	}
}
