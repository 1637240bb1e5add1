package regime_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw/internal/regime"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	u, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func laws(t *testing.T) []*regime.Law {
	t.Helper()
	ls, err := regime.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return ls
}

func clock(t *testing.T, clocks []regime.Clock, law, duty string) regime.Clock {
	t.Helper()
	i := slices.IndexFunc(clocks, func(c regime.Clock) bool { return c.Law == law && c.Duty == duty && c.Later == nil })
	if i < 0 {
		t.Fatalf("no clock %s/%s", law, duty)
	}
	return clocks[i]
}

// The case: the authority holds the report 29 h 35 min late by its own time, in time by the company's.
func TestWhoSaysWhenDecides(t *testing.T) {
	in := &regime.Incident{
		Marks: []regime.Mark{
			{Moment: regime.Aware, At: at(t, "2025-11-18T22:52:00+09:00"), By: "company"},
			{Moment: regime.Aware, At: at(t, "2025-11-17T16:00:00+09:00"), By: "authority"},
		},
		Done:  []regime.Done{{Law: "kr-network-act-48-3", Duty: "authority", At: at(t, "2025-11-19T21:35:00+09:00")}},
		Facts: regime.Facts{Answers: map[string]regime.Answer{"intrusion": regime.Yes}},
	}
	c := clock(t, regime.Evaluate(laws(t), in, at(t, "2025-11-20T00:00:00+09:00"), "en"), "kr-network-act-48-3", "authority")
	if late := c.Done.Sub(c.Due); c.State != regime.Late || late != 29*time.Hour+35*time.Minute {
		t.Errorf("state %s, %v after the term: the earliest mark rules", c.State, late)
	}
	if len(c.Others) != 1 || c.Others[0].By != "company" || c.Done.After(c.Others[0].Due) {
		t.Errorf("by the company's time it was in time: %+v", c.Others)
	}
}

func TestTerms(t *testing.T) {
	yes := func(names ...string) map[string]regime.Answer {
		m := map[string]regime.Answer{}
		for _, n := range names {
			m[n] = regime.Yes
		}
		return m
	}
	for name, c := range map[string]struct {
		law, duty, moment, at string
		facts                 regime.Facts
		due                   string // "": no number
		state                 regime.State
	}{
		"network act":         {"kr-network-act-48-3", "authority", "aware", "2026-11-26T03:12:44+09:00", regime.Facts{Answers: yes("intrusion")}, "2026-11-27T03:12:44+09:00", regime.Running},
		"pipa, last old day":  {"kr-pipa-34", "people", "aware", "2026-09-10T23:59:59+09:00", regime.Facts{}, "2026-09-13T23:59:59+09:00", regime.Overdue},
		"pipa, first new day": {"kr-pipa-34", "people", "aware", "2026-09-11T00:00:00+09:00", regime.Facts{}, "", regime.Running},
		"pipa new, suspected": {"kr-pipa-34", "people", "suspected", "2026-11-26T00:00:00+09:00", regime.Facts{}, "", regime.Running},
		"pipa, 1,000 people":  {"kr-pipa-34", "authority", "aware", "2026-11-26T00:00:00+09:00", regime.Facts{People: 1000, Counted: true}, "2026-11-29T00:00:00+09:00", regime.Running},
		"pipa, national id":   {"kr-pipa-34", "authority", "aware", "2026-11-26T00:00:00+09:00", regime.Facts{People: 1, Counted: true, Fields: []string{"national_id"}}, "2026-11-29T00:00:00+09:00", regime.Running},
		"suspected under the old law, aware under the new": {"kr-pipa-34", "authority", "aware", "2026-09-12T00:00:00+09:00", regime.Facts{People: 1000, Counted: true}, "2026-09-15T00:00:00+09:00", regime.Overdue},
		"gdpr":                   {"eu-gdpr-33-34", "authority", "aware", "2026-11-25T10:00:00Z", regime.Facts{Answers: yes("processed_here")}, "2026-11-28T10:00:00Z", regime.Running},
		"california, over DST":   {"us-ca-1798-82", "people", "aware", "2026-10-10T12:00:00-07:00", regime.Facts{Fields: []string{"payment"}}, "2026-11-09T23:59:59.999-08:00", regime.Overdue},
		"california's sample":    {"us-ca-1798-82", "authority", "notified", "2026-11-20T12:00:00-08:00", regime.Facts{Residents: map[string]int64{"US-CA": 501}}, "2026-12-05T23:59:59.999-08:00", regime.Running},
		"sec, over Thanksgiving": {"us-sec-8k-1-05", "investors", "material", "2026-11-24T10:00:00-05:00", regime.Facts{Answers: yes("listed")}, "2026-12-01T17:30:00-05:00", regime.Running},
		"japan, first":           {"jp-appi-26", "authority", "suspected", "2026-11-26T10:00:00+09:00", regime.Facts{People: 1001, Counted: true, Answers: yes("processed_here")}, "2026-11-30T23:59:59.999+09:00", regime.Running},
		"japan, final":           {"jp-appi-26", "final", "suspected", "2026-11-26T10:00:00+09:00", regime.Facts{People: 1001, Counted: true, Answers: yes("processed_here")}, "2026-12-25T23:59:59.999+09:00", regime.Running},
		"japan, on purpose":      {"jp-appi-26", "final", "aware", "2026-11-26T10:00:00+09:00", regime.Facts{Answers: yes("processed_here", "wrongful_purpose")}, "2027-01-24T23:59:59.999+09:00", regime.Running},
	} {
		t.Run(name, func(t *testing.T) {
			in := &regime.Incident{Marks: []regime.Mark{{Moment: regime.Moment(c.moment), At: at(t, c.at)}}, Facts: c.facts}
			got := clock(t, regime.Evaluate(laws(t), in, at(t, "2026-11-26T12:00:00+09:00"), "en"), c.law, c.duty)
			want := time.Time{}
			if c.due != "" {
				want = at(t, c.due)
			}
			if !got.Due.Equal(want) || got.State != c.state {
				t.Errorf("%s, due %v, want %s, %v (%s)", got.State, got.Due, c.state, want, got.Why)
			}
			if c.due == "" && got.Words == "" {
				t.Error("neither a number nor words")
			}
		})
	}
}

// Suspected under the old law, which asks nothing of a suspicion: the new one does, from the day it is in force.
func TestANewLawFindsAnOldSuspicion(t *testing.T) {
	in := &regime.Incident{Marks: []regime.Mark{{Moment: regime.Suspected, At: at(t, "2026-08-01T00:00:00+09:00")}}}
	for now, since := range map[string]string{"2026-09-10T00:00:00+09:00": "", "2026-09-12T00:00:00+09:00": "2026-09-11T00:00:00+09:00"} {
		c := clock(t, regime.Evaluate(laws(t), in, at(t, now), "en"), "kr-pipa-34", "people")
		if since == "" && c.State != regime.Waiting || since != "" && (c.State != regime.Running || !c.Since.Equal(at(t, since))) {
			t.Errorf("at %s: %s since %v", now, c.State, c.Since)
		}
	}
	in.Marks = append(in.Marks, regime.Mark{Moment: regime.Aware, At: at(t, "2026-09-20T00:00:00+09:00")})
	if c := clock(t, regime.Evaluate(laws(t), in, at(t, "2026-10-01T00:00:00+09:00"), "en"), "kr-pipa-34", "people"); !c.Since.Equal(at(t, "2026-09-11T00:00:00+09:00")) {
		t.Errorf("since %v", c.Since)
	}
}

func TestWhatIsNotKnownIsNotNo(t *testing.T) {
	marks := []regime.Mark{{Moment: regime.Aware, At: at(t, "2026-11-26T00:00:00+09:00")}}
	now := at(t, "2026-11-26T12:00:00+09:00")
	for name, c := range map[string]struct {
		facts   regime.Facts
		state   regime.State
		unsure  bool
		missing string
	}{
		"nothing known":          {regime.Facts{}, regime.Running, true, "people"},
		"at least 999":           {regime.Facts{People: 999, Counted: true, AtLeast: true}, regime.Running, true, "people"},
		"at least 1,000":         {regime.Facts{People: 1000, Counted: true, AtLeast: true}, regime.Running, false, ""},
		"999, outside not known": {regime.Facts{People: 999, Counted: true}, regime.Running, true, "outside_access"},
		"999, from inside":       {regime.Facts{People: 999, Counted: true, Answers: map[string]regime.Answer{"outside_access": regime.No}}, regime.NotDue, false, ""},
		"risk removed":           {regime.Facts{People: 5000, Counted: true, Answers: map[string]regime.Answer{"risk_removed": regime.Yes}}, regime.NotDue, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := clock(t, regime.Evaluate(laws(t), &regime.Incident{Marks: marks, Facts: c.facts}, now, "ko"), "kr-pipa-34", "authority")
			if got.State != c.state || got.Unsure != c.unsure || c.missing != "" && !slices.Contains(got.Missing, c.missing) || got.Why == "" {
				t.Errorf("%s, unsure %v, missing %v: %s", got.State, got.Unsure, got.Missing, got.Why)
			}
		})
	}
}

func TestWhatIsFoundLater(t *testing.T) {
	in := &regime.Incident{
		Marks: []regime.Mark{
			{Moment: regime.Aware, At: at(t, "2026-11-01T00:00:00Z")},
			{Moment: regime.Found, At: at(t, "2026-11-01T10:00:00Z"), Why: "before the report: goes into it"},
			{Moment: regime.Found, At: at(t, "2026-11-10T00:00:00Z"), Why: "door codes"},
			{Moment: regime.Found, At: at(t, "2026-11-20T00:00:00Z"), Why: "165,455 more"},
		},
		Done: []regime.Done{
			{Law: "kr-network-act-48-3", Duty: "authority", At: at(t, "2026-11-01T20:00:00Z")},
			{Law: "kr-network-act-48-3", Duty: "authority", At: at(t, "2026-11-10T23:00:00Z")},
		},
		Facts:         regime.Facts{Answers: map[string]regime.Answer{"intrusion": regime.Yes}},
		Jurisdictions: []string{"KR"},
	}
	var got []string
	for _, c := range regime.Evaluate(laws(t), in, at(t, "2026-11-22T00:00:00Z"), "en") {
		if c.Law == "kr-network-act-48-3" {
			why := "first"
			if c.Later != nil {
				why = c.Later.Why
			}
			got = append(got, why+" "+string(c.State))
		}
	}
	if want := []string{"165,455 more overdue", "first met", "door codes met"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestALawWithoutItsDayStartsNoClock(t *testing.T) {
	in := &regime.Incident{Marks: []regime.Mark{{Moment: regime.Aware, At: at(t, "2026-11-26T00:00:00Z")}},
		Facts: regime.Facts{Answers: map[string]regime.Answer{"intrusion": regime.Yes}}}
	c := clock(t, regime.Evaluate(laws(t), in, at(t, "2026-11-27T00:00:00Z"), "en"), "kr-network-act-48-3-people", "people")
	if c.State != regime.NotInUse || !c.Due.IsZero() {
		t.Errorf("%s %v", c.State, c.Due)
	}
}

// Whatever is known, more knowledge of the same kind never turns a duty that was due into one that waits for less, and a clock's times are in order.
func TestClocksAreInOrder(t *testing.T) {
	ls := laws(t)
	names := []string{"intrusion", "outside_access", "risk_removed", "risk_unlikely", "high_risk", "encrypted", "listed", "processed_here", "wrongful_purpose", "contact_missing"}
	rapid.Check(t, func(t *rapid.T) {
		f := regime.Facts{Answers: map[string]regime.Answer{}}
		for _, n := range names {
			f.Answers[n] = rapid.SampledFrom([]regime.Answer{regime.Unknown, regime.Yes, regime.No}).Draw(t, n)
		}
		if f.Counted = rapid.Bool().Draw(t, "counted"); f.Counted {
			f.People, f.AtLeast = rapid.Int64Range(0, 3000).Draw(t, "people"), rapid.Bool().Draw(t, "least")
		}
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		in := &regime.Incident{Facts: f}
		for range rapid.IntRange(0, 5).Draw(t, "marks") {
			in.Marks = append(in.Marks, regime.Mark{
				Moment: rapid.SampledFrom([]regime.Moment{regime.Suspected, regime.Aware, regime.Found, regime.Material, regime.Notified}).Draw(t, "moment"),
				At:     base.Add(time.Duration(rapid.IntRange(0, 500*24).Draw(t, "hour")) * time.Hour),
			})
		}
		now := base.Add(time.Duration(rapid.IntRange(0, 600*24).Draw(t, "now")) * time.Hour)
		clocks := regime.Evaluate(ls, in, now, "en")
		perDuty := map[string]int{}
		for _, c := range clocks {
			perDuty[c.Law+"/"+c.Duty]++
			if !c.Due.IsZero() && c.Due.Before(c.Since) {
				t.Fatalf("%s/%s is due before it begins", c.Law, c.Duty)
			}
			if c.State == regime.Overdue != (!c.Due.IsZero() && now.After(c.Due)) && c.Done.IsZero() && c.State != regime.NotDue {
				t.Fatalf("%s/%s: %s at %v, due %v", c.Law, c.Duty, c.State, now, c.Due)
			}
			if c.Unsure && len(c.Missing) == 0 {
				t.Fatalf("%s/%s is unsure of nothing", c.Law, c.Duty)
			}
			for _, o := range c.Others {
				if o.Since.Before(c.Since) {
					t.Fatalf("%s/%s does not run from the earliest mark", c.Law, c.Duty)
				}
			}
			for _, q := range c.Missing {
				if _, ok := regime.Questions[q]; !ok && q != "people" && q != "fields" && !strings.HasPrefix(q, "residents:") {
					t.Fatalf("nobody knows how to answer %q", q)
				}
			}
		}
		for duty, n := range perDuty {
			if n != 1 {
				t.Fatalf("%s has %d clocks, nothing done yet", duty, n)
			}
		}
	})
}

func TestMistakesNameTheCure(t *testing.T) {
	good, err := os.ReadFile("laws/eu-gdpr.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown member": {"zone:", "zoned:", "unknown field \"zoned\""},
		"no source":      {"source: Regulation (EU) 2016/679, articles 33 and 34", "source: ''", "source is missing"},
		"zone":           {"Europe/Brussels", "Europe/Bruxelles", "Asia/Seoul"},
		"moment":         {"start: [aware]", "start: [knowing]", "no moment"},
		"fact":           {"fact: high_risk", "fact: highrisk", "one of"},
		"two terms":      {"hours: 72", "hours: 72\n      days: 3", "at most one"},
		"content":        {"content: [what_leaked, people,", "content: [what_lekked, people,", "what_lekked"},
		"date":           {"from: 2018-05-25", "from: 2018-25-05", "no day"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(good), c.old, c.new, 1)
			if text == string(good) {
				t.Fatal("the case changes nothing")
			}
			_, err := regime.Parse("own.yaml", []byte(text))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "own.yaml") {
				t.Errorf("%v; want the file and %q", err, c.want)
			}
		})
	}
}

func TestOwnLawReplacesShipped(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile("laws/us-sec.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "business_days: 4", "business_days: 2", 1))
	if err := os.WriteFile(filepath.Join(dir, "own.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := regime.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range all {
		if l.ID == "us-sec-8k-1-05" {
			n++
			if l.Duties[0].BusinessDays != 2 {
				t.Error("the shipped one is still there")
			}
		}
	}
	if n != 1 || len(all) != len(laws(t)) {
		t.Errorf("%d of %d laws", n, len(all))
	}
}

// 5 U.S.C. 6103 for two years, by hand.
func TestBusinessDays(t *testing.T) {
	holidays := []string{
		"2026-01-01", "2026-01-19", "2026-02-16", "2026-05-25", "2026-06-19", "2026-07-03", "2026-09-07", "2026-10-12", "2026-11-11", "2026-11-26", "2026-12-25",
		"2027-01-01", "2027-01-18", "2027-02-15", "2027-05-31", "2027-06-18", "2027-07-05", "2027-09-06", "2027-10-11", "2027-11-11", "2027-11-25", "2027-12-24", "2027-12-31",
	}
	for d := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC); d.Year() < 2028; d = d.AddDate(0, 0, 1) {
		weekend := d.Weekday() == time.Saturday || d.Weekday() == time.Sunday
		if got, want := regime.BusinessDay("US", d), !weekend && !slices.Contains(holidays, d.Format("2006-01-02")); got != want {
			t.Errorf("%s: %v", d.Format("Mon 2006-01-02"), got)
		}
		if regime.BusinessDay("KR", d) == weekend {
			t.Errorf("%s elsewhere", d.Format("Mon 2006-01-02"))
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("laws/*.yaml")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text []byte) {
		ls, err := regime.Parse("fuzz.yaml", text)
		if err != nil {
			return
		}
		regime.Evaluate(ls, &regime.Incident{Marks: []regime.Mark{{Moment: regime.Aware, At: now}, {Moment: regime.Material, At: now}}}, now, "en")
	})
}
