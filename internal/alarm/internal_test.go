package alarm

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The example that the libraries of Standard Webhooks test themselves with.
func TestSignatureOfTheStandard(t *testing.T) {
	keys, err := signingKeys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func FuzzSigningKeys(f *testing.F) {
	f.Add("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f.Add("whsec_!!\nwhsec_")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := signingKeys(text)
		if err != nil {
			for _, word := range strings.Fields(text) {
				if len(word) > 12 && strings.Contains(err.Error(), word) {
					t.Errorf("the error repeats the secret: %v", err)
				}
			}
			return
		}
		for i, word := range strings.Fields(text) {
			if want := base64.StdEncoding.EncodeToString(keys[i]); len(keys[i]) < minKey || strings.TrimPrefix(word, "whsec_") != want {
				t.Errorf("key %d is %q, want %q", i, want, word)
			}
		}
	})
}

// Whatever a server asks for, the pause is neither negative nor longer than an hour.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 5, 2, 3, 4, 5, 0, time.UTC)
	for _, s := range []string{"", "120", "-1", "99999999999999999999", "Sat, 02 May 2026 03:05:05 GMT", "Fri, 01 May 2026 03:05:05 GMT", "1e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, now); d < 0 || d > time.Hour {
			t.Errorf("%q gives %v", s, d)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 2, 3, 4, 5, 0, time.UTC)
	for s, want := range map[string]time.Duration{"120": 2 * time.Minute, " 5 ": 5 * time.Second, "7200": time.Hour, "Sat, 02 May 2026 03:05:05 GMT": time.Minute,
		"Fri, 01 May 2026 03:05:05 GMT": 0, "soon": 0, "": 0} {
		if got := retryAfter(s, now); got != want {
			t.Errorf("%q gives %v, want %v", s, got, want)
		}
	}
}

// Quiet hours against a plain reading of them: an instant is quiet if the hours that began today or yesterday hold it.
func TestQuietProperty(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"}
	rapid.Check(t, func(t *rapid.T) {
		from, to := rapid.IntRange(0, 24*60-1).Draw(t, "from"), rapid.IntRange(0, 24*60).Draw(t, "to")
		if from == to {
			return
		}
		clock := func(m int) string { return time.Time{}.Add(time.Duration(m%(24*60)) * time.Minute).Format("15:04") }
		end := clock(to)
		if to == 24*60 {
			end = "24:00"
		}
		days := rapid.SliceOfDistinct(rapid.SampledFrom(dayNames[:]), rapid.ID[string]).Draw(t, "days")
		q, err := newQuiet(&QuietConfig{From: clock(from), To: end, Zone: rapid.SampledFrom(zones).Draw(t, "zone"), Days: days})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(1_700_000_000, 1_800_000_000).Draw(t, "at"), 0)
		local := at.In(q.zone)
		begins := func(day time.Weekday) bool {
			return len(days) == 0 || strings.Contains(strings.Join(days, " "), dayNames[day])
		}
		minute, want := local.Hour()*60+local.Minute(), false
		for _, ago := range []int{0, 1} { // the hours that began today, and those that began yesterday
			length := to - from
			if length < 0 {
				length += 24 * 60
			}
			since := minute + ago*24*60 - from
			if since >= 0 && since < length && begins((local.Weekday()+time.Weekday(7-ago))%7) {
				want = true
			}
		}
		if got := q.at(at); got != want {
			t.Fatalf("%v quiet from %s to %s: %v, want %v", local, clock(from), end, got, want)
		}
	})
}

// The hour that the end of summer time repeats is quiet twice, and the one that its beginning skips is no hole.
func TestQuietSummerTime(t *testing.T) {
	q, err := newQuiet(&QuietConfig{From: "01:00", To: "03:00", Zone: "Europe/Berlin"})
	if err != nil {
		t.Fatal(err)
	}
	quiet := func(day time.Time) (n int) {
		for m := range 24 * 60 {
			if q.at(day.Add(time.Duration(m) * time.Minute)) {
				n++
			}
		}
		return n
	}
	for date, want := range map[time.Time]int{
		time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC):  60,  // begins: 02:00 becomes 03:00
		time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC): 180, // ends: 03:00 becomes 02:00
		time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC):   120,
	} {
		if n := quiet(date); n != want {
			t.Errorf("%v: %d quiet minutes, want %d", date, n, want)
		}
	}
}
