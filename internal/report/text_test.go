package report_test

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/report"
)

var update = flag.Bool("update", false, "write the golden messages again")

func textOf(t testing.TB, d report.Data, o report.TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.WriteText(&b, d, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -update, then read it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestMessages(t *testing.T) {
	for name, story := range stories {
		if name != "many" && name != "hostile" {
			golden(t, name, textOf(t, story(), report.TextOptions{Width: 100}))
		}
	}
	golden(t, "harvest-60", textOf(t, harvest(), report.TextOptions{Width: 60}))
	golden(t, "gaps-colour", textOf(t, gaps(), report.TextOptions{Width: 80, Color: true}))
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestMessagesAreSafeAndFit(t *testing.T) {
	for name, story := range stories {
		for _, width := range []int{0, 1, 40, 73, 100, 500} {
			plain := textOf(t, story(), report.TextOptions{Width: width})
			coloured := textOf(t, story(), report.TextOptions{Width: width, Color: true})
			if colours.ReplaceAllString(coloured, "") != plain {
				t.Errorf("%s at %d: colour changes the text", name, width)
			}
			if len(plain) > 100_000 {
				t.Errorf("%s at %d: %d bytes: the message must stay bounded", name, width, len(plain))
			}
			limit := width
			if limit == 0 {
				limit = 100
			}
			limit = min(max(limit, 40), 140)
			for _, line := range strings.Split(plain, "\n") {
				for _, r := range line {
					if !unicode.IsPrint(r) {
						t.Fatalf("%s at %d: the message holds the character %U", name, width, r)
					}
				}
				// Commands are there to be copied, and rows of tables stay whole.
				if n := utf8.RuneCountInString(line); n > limit && !strings.HasPrefix(line, "    ") && !strings.HasPrefix(line, "  2") && name != "hostile" && name != "many" && limit >= 73 {
					t.Errorf("%s at %d: a line of %d columns: %q", name, width, n, line)
				}
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	o := report.TextOptions{Width: 90, Zone: time.FixedZone("KST", 9*3600)}
	var b bytes.Buffer
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("--\n")
	}
	d := gaps()
	check(report.WriteRead(&b, d.Read, o))
	check(report.WriteScope(&b, d.Scopes[0].Answer, o))
	check(report.WriteScope(&b, whosaw.ScopeAnswer{Filter: whosaw.Filter{{Key: []string{"!nobody"}, From: ms("2026-03-03T00:00:00")}, {Country: []string{"NL", "SG"}}}}, o))
	check(report.WriteScope(&b, whosaw.ScopeAnswer{Filter: whosaw.Filter{{}}, Accesses: 1}, o))
	check(report.WriteTop(&b, "ip", []whosaw.TopRow{
		{Day: "2026-03-04", By: "ip", Value: "198.51.100.7", Subjects: 1204, Accesses: 4000},
		{Day: "2026-03-05", By: "ip", Value: nasty, Subjects: 3, Accesses: 4},
	}, nil, o))
	check(report.WriteTop(&b, "asn", nil, nil, o))
	check(report.WriteSubject(&b, whosaw.SubjectAnswer{Subject: "10482213", Next: "c2", Accesses: []whosaw.Record{
		{Time: int64(ms("2026-03-04T15:41:09")) + 7, Route: "GET /me/addresses", Status: 200, Fields: []string{"address", "name"}, Masked: []string{"door_code"},
			Principal: "customer:10482213", Credential: "jti-1", Key: "backup-2024", Client: "web", IP: netip.MustParseAddr("192.0.2.7"), Country: "NL", ASN: 64500},
		{Time: int64(ms("2026-03-01T10:00:00")), Route: nasty, Outcome: whosaw.OutcomeAbsent, Principal: nasty, Reason: nasty},
	}}, o))
	check(report.WriteSubject(&b, whosaw.SubjectAnswer{Subject: "7"}, o))
	check(report.WriteDoctor(&b, calm(), o))
	golden(t, "answers", b.String())
	for _, r := range b.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("an answer holds the character %U", r)
		}
	}
}

func TestSafe(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""}, {"plain text", "plain text"}, {"GET /me/{id}", "GET /me/{id}"}, {"홍길동 Ünïcode 漢字 עברית", "홍길동 Ünïcode 漢字 עברית"},
		{"\x1b[31m", `\x1b[31m`}, {"a\tb\r\nc\x00\x7f", `a\x09b\x0d\x0ac\x00\x7f`}, {"\u202etxt.exe\u2066", `\u202etxt.exe\u2066`},
		{"\xff\xc3", `\xff\xc3`}, {"\u200b\ufeff\u2028\u00a0\u00ad", `\u200b\ufeff\u2028\xa0\xad`}, {"\U000e0041", `\U000e0041`},
		{"a\u0301", "a\u0301"}, {"\u0301a", `\u0301a`}, {"a\u0301\u0301\u0301\u0301\u0301\u0301", "a\u0301\u0301\u0301\u0301" + `\u0301\u0301`},
		{"\u3164\u2800\u115f", `\u3164\u2800\u115f`}, {"x\ufe0f", `x\ufe0f`}, {"\u009b31m", `\x9b31m`},
	} {
		if got := report.Safe(tt.in); got != tt.want {
			t.Errorf("Safe(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	f.Add(nasty)
	f.Add("a\u0301\u0302\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		safe := report.Safe(s)
		for _, r := range safe {
			if !unicode.IsPrint(r) {
				t.Fatalf("Safe(%q) holds %U", s, r)
			}
		}
		if !utf8.ValidString(safe) || report.Safe(safe) != safe {
			t.Fatalf("Safe(%q) = %q is not safe itself", s, safe)
		}
	})
}

// TestOnRecord: a finding that accuses no access is no try, and counts nobody.
func TestOnRecord(t *testing.T) {
	d := quiet()
	d.Findings = []whosaw.Finding{{ID: "f1", Time: ms("2026-03-03T14:00:00"), Seen: ms("2026-03-03T14:00:00"), Detector: "key_policy", Unit: "key:backup", Filter: whosaw.Filter{},
		Statistic: 1, Threshold: 1, Says: `Key "backup" has no owner on record: say who answers for it.`, Technique: "T1552.004"}}
	var text, page bytes.Buffer
	if err := report.WriteText(&text, d, report.TextOptions{Width: 100}); err != nil {
		t.Fatal(err)
	}
	if err := report.WriteHTML(&page, d); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), page.String()} {
		if !strings.Contains(out, "No access is accused.") || !strings.Contains(out, "has no owner on record") {
			t.Errorf("not said:\n%.2000s", out)
		}
		for _, wrong := range []string{"Somebody tried", "0 accesses", "0 customers"} {
			if strings.Contains(out, wrong) {
				t.Errorf("%q is said:\n%.2000s", wrong, out)
			}
		}
	}
}
