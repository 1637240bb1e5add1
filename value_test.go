package whosaw_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
)

func TestParseTime(t *testing.T) {
	for in, want := range map[string]int64{
		"2026-11-16T09:30:00.250Z":             at,
		"2026-11-16t18:30:00.250+09:00":        at,
		"2026-11-16 09:30:00.2509z":            at,
		"2026-11-15T10:31:00.25-22:59":         at,
		"1794821400250":                        at,
		"-1":                                   -1,
		"0":                                    0,
		"1969-12-31T23:59:59.9999Z":            -1,
		"2016-12-31T23:59:60Z":                 ms("2017-01-01T00:00:00Z"),
		"2016-12-31T23:59:60.5Z":               ms("2017-01-01T00:00:00.5Z"),
		"2017-01-01T08:59:60+09:00":            ms("2017-01-01T00:00:00Z"),
		"2000-02-29T00:00:00Z":                 ms("2000-02-29T00:00:00Z"),
		"0000-01-01T00:00:00Z":                 -62167219200000,
		"9999-12-31T23:59:59.999Z":             253402300799999,
		"2026-11-16T09:30:00.25000000000001Z":  at,
		"2026-11-16T09:30:00.250-00:00":        at,
		"9223372036854775807":                  1<<63 - 1,
		"2026-11-16T09:30:00.2509999999+00:00": at,
	} {
		got, err := whosaw.ParseTime(in)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "now", "2026-11-16", "2026-11-16T09:30:00", "2026-11-16T09:30Z", "2026-11-16T9:30:00Z", "2026-11-16T24:00:00Z", "2026-11-16T09:60:00Z",
		"2026-11-16T09:30:61Z", "2026-11-16T09:30:60Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-04-31T00:00:00Z",
		"2026-11-16T09:30:00.Z", "2026-11-16T09:30:00,5Z", "2026-11-16T09:30:00+09", "2026-11-16T09:30:00+0900", "2026-11-16T09:30:00+24:00", "2026-11-16T09:30:00+09:60",
		"2026-11-16T09:30:00ZZ", "+1", "01", "1.5", "1e3", "9223372036854775808", "٢٠٢٦-11-16T09:30:00Z", "2026-11-16T09:30:00Z\n", "16/Nov/2026:09:30:00 +0000"} {
		if got, err := whosaw.ParseTime(in); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

// Every day from the year 0 to 9999 is read and written as the standard library does.
func TestCalendar(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 17
	}
	for day := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 10000; day = day.AddDate(0, 0, step) {
		text := day.Format(time.DateOnly)
		if got, err := whosaw.ParseDate(text); err != nil || got != day.UnixMilli() {
			t.Fatalf("%s: got %d, %v", text, got, err)
		}
		if ms := day.UnixMilli() + 43_210_987; ms != 0 {
			if got := whosaw.Time(ms).String(); got != text+"T12:00:10.987Z" {
				t.Fatalf("%s: written as %s", text, got)
			}
		}
	}
	for _, s := range []string{"", "2026-1-1", "2026-02-30", "20260101", "2026-01-01T", "2026/01/01"} {
		if _, err := whosaw.ParseDate(s); err == nil {
			t.Errorf("%q was read as a date", s)
		}
	}
}

func TestTimeJSON(t *testing.T) {
	for in, want := range map[string]whosaw.Time{`null`: 0, `"2026-11-16"`: whosaw.Time(ms("2026-11-16T00:00:00Z")), `"2026-11-16T09:30:00.25Z"`: whosaw.Time(at),
		`1794821400250`: whosaw.Time(at), `"2026\u002d11-16"`: whosaw.Time(ms("2026-11-16T00:00:00Z"))} {
		got := whosaw.Time(5)
		if err := json.Unmarshal([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s: got %d, %v", in, got, err)
		}
	}
	for _, in := range []string{`"x"`, `""`, `1.5`, `1e3`, `true`, `{}`, `"1794821400250"`} {
		var got whosaw.Time
		if err := json.Unmarshal([]byte(in), &got); err == nil {
			t.Errorf("%s was read as %d", in, got)
		}
	}
	for in, want := range map[whosaw.Time]string{0: `null`, whosaw.Time(at): `"2026-11-16T09:30:00.250Z"`, -1: `"1969-12-31T23:59:59.999Z"`} {
		if got, err := json.Marshal(in); err != nil || string(got) != want {
			t.Errorf("%d: written as %s, %v", in, got, err)
		}
	}
	for _, in := range []whosaw.Time{1 << 60, -1 << 60} {
		if got, err := json.Marshal(in); err == nil {
			t.Errorf("%d was written as %s", in, got)
		}
	}
	if s := whosaw.Time(0).String(); s != "" {
		t.Errorf("no time is written as %q", s)
	}
}

func TestParseAddresses(t *testing.T) {
	for in, want := range map[string]string{"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "2001:DB8::7": "2001:db8::7"} {
		if got, err := whosaw.ParseIP(in); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "203.0.113", "203.0.113.256", "203.0.113.07", "1.2.3.4:80", "[::1]", "fe80::1%eth0", "10.0.0.0/8", "localhost"} {
		if got, err := whosaw.ParseIP(in); err == nil {
			t.Errorf("%q was read as %v", in, got)
		} else if in != "" && strings.Contains(err.Error(), in) {
			t.Errorf("%q: the error repeats the value", in)
		}
	}
	for in, want := range map[string]string{"203.0.113.7": "203.0.113.7/32", "203.0.113.7/24": "203.0.113.0/24", "::ffff:203.0.113.7/120": "203.0.113.0/24",
		"::ffff:0:0/96": "0.0.0.0/0", "2001:db8::7/32": "2001:db8::/32", "::1": "::1/128", "::/0": "::/0"} {
		if got, err := whosaw.ParseNetwork(in); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "/", "10.0.0.0/33", "10.0.0.0/-1", "x/8", "1.2.3.4/08"} {
		if got, err := whosaw.ParseNetwork(in); err == nil {
			t.Errorf("%q was read as %v", in, got)
		}
	}
	for in, want := range map[string]uint32{"4766": 4766, "AS4766": 4766, "as1": 1, "0": 0, "4294967295": 4294967295} {
		if got, err := whosaw.ParseASN(in); err != nil || got != want {
			t.Errorf("%s: got %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "AS", "ASx", "-1", "4294967296", "1.5", "AS 1", "AS01", "KT"} {
		if got, err := whosaw.ParseASN(in); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

func TestHashCredential(t *testing.T) {
	hashed := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "sha256:" + hex.EncodeToString(sum[:16])
	}
	jwt := "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiI3In0.c2lnbmF0dXJl"
	uuid := "3F2504E0-4f89-41d3-9a0c-0305e82c3301"
	for in, want := range map[string]string{
		"":                                       "",
		"c1":                                     "c1",
		"login-2024-b/0000042":                   "login-2024-b/0000042",
		"user@shop:session_1":                    "user@shop:session_1",
		uuid:                                     uuid,
		"123456789012345678901":                  hashed("123456789012345678901"),
		"d41d8cd98f00b204e9800998ecf8":           hashed("d41d8cd98f00b204e9800998ecf8"),
		"sid=abc":                                hashed("sid=abc"),
		"a b":                                    hashed("a b"),
		"세션":                                     hashed("세션"),
		jwt:                                      hashed(jwt),
		"Bearer " + jwt:                          hashed(jwt),
		"bearer  " + jwt + " ":                   hashed(jwt),
		"Bearer c1":                              hashed("c1"),
		"Bearer ":                                hashed("Bearer "),
		"Basic a2ltOnB3":                         hashed("Basic a2ltOnB3"),
		uuid[:35] + "x":                          hashed(uuid[:35] + "x"),
		hashed("x"):                              hashed("x"),
		"sha256:" + strings.Repeat("AB", 32):     "sha256:" + strings.Repeat("ab", 16),
		"sha256:" + strings.Repeat("x", 32):      hashed("sha256:" + strings.Repeat("x", 32)),
		"sha256:" + strings.Repeat("a", 33):      hashed("sha256:" + strings.Repeat("a", 33)),
		strings.Repeat("long", 10000):            hashed(strings.Repeat("long", 10000)),
		"s:Zm9vYmFy.bW9yZSBjb29raWUgdmFsdWVz+/a": hashed("s:Zm9vYmFy.bW9yZSBjb29raWUgdmFsdWVz+/a"),
	} {
		got := whosaw.HashCredential(in)
		if got != want {
			t.Errorf("%.40q: got %s, want %s", in, got, want)
		}
		if again := whosaw.HashCredential(got); again != got {
			t.Errorf("%.40q: hashed twice is %s", in, again)
		}
	}
}

func TestNamesOfTypesAndOutcomes(t *testing.T) {
	for i := whosaw.TypeAccess; i <= whosaw.TypeAct; i++ {
		if got, ok := whosaw.ParseType(i.String()); !ok || got != i {
			t.Errorf("%s came back as %v", i, got)
		}
	}
	for i := whosaw.OutcomeUnstated; i <= whosaw.OutcomeNone; i++ {
		if got, ok := whosaw.ParseOutcome(i.String()); !ok || got != i {
			t.Errorf("%s came back as %v", i, got)
		}
	}
	if _, ok := whosaw.ParseType("unknown"); ok {
		t.Error("an unknown type was read")
	}
	if _, ok := whosaw.ParseOutcome("unknown"); ok {
		t.Error("an unknown outcome was read")
	}
	if whosaw.Type(99).String() != "unknown" || whosaw.Outcome(99).String() != "unknown" {
		t.Error("a number without name has one")
	}
}

func TestCheckTime(t *testing.T) {
	for _, ok := range []int64{whosaw.MinTime, at, clock, clock + whosaw.MaxAhead} {
		if err := whosaw.CheckTime(ok, clock); err != nil {
			t.Errorf("%d: %v", ok, err)
		}
	}
	for bad, want := range map[int64]string{
		whosaw.MinTime - 1: "lies before", clock + whosaw.MaxAhead + 1: "ahead", at / 1000: "seconds", at * 1000: "microseconds", at * 1_000_000: "nanoseconds",
		-1: "lies before", -1 << 63: "lies before", 1<<63 - 1: "ahead",
	} {
		if err := whosaw.CheckTime(bad, clock); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: got %v, want %s", bad, err, want)
		}
	}
}
