package reference_test

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
)

const minute = int64(60_000)

// loggedIn is an issuance that ends.
func loggedIn(credential string, at, ends int64) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeIssuance, Time: at, Credential: credential, Key: "k", Subjects: []string{"7"}, Ref: &whosaw.Reference{Expires: ends}}
}

// An index that ages gives the answers of one that keeps all and looks at the ends, whatever lives there are and however the clock moves.
func TestAgingProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := reference.New()
		now := int64(1_700_000_000_000)
		longest := rapid.SampledFrom([]int64{0, 24 * 60 * minute, 200 * 24 * 60 * minute}).Draw(t, "longest")
		x.Longest(longest)
		x.Age(now)
		ends := map[string]int64{} // the latest end; 0: never
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "wait") {
				now += rapid.Int64Range(1, 40*24*60).Draw(t, "minutes") * minute
				x.Age(now)
			}
			c := "c" + strconv.Itoa(rapid.IntRange(0, 20).Draw(t, "credential"))
			end := int64(0)
			if rapid.IntRange(0, 5).Draw(t, "ends") > 0 {
				end = now + rapid.Int64Range(-60, 800*24*60).Draw(t, "life")*minute
			}
			r := loggedIn(c, now, end)
			x.Apply(uint64(i+1), &r)
			if end == 0 && longest > 0 {
				end = now + longest
			}
			if was, ok := ends[c]; !ok || was != 0 && (end == 0 || end > was) {
				ends[c] = end
			}
			for n := range 21 {
				name := "c" + strconv.Itoa(n)
				end, given := ends[name]
				want := given && (end == 0 || end+5*minute > now)
				if given && end != 0 && end+5*minute <= now && end+6*minute > now {
					continue // ends are kept by the minute
				}
				if got := x.Issued("", name, "k", "customer:7"); got != want {
					t.Fatalf("%s counts as issued: %t, want %t; its end is %d minutes from now", name, got, want, (end-now)/minute)
				}
				if owner, ok := x.SubjectOf("", name); want && (!ok || owner != "7") {
					t.Fatalf("whose %s is, is not known", name)
				}
			}
		}
	})
}

// What is held is bounded by what is in use: a year of log-ins needs no more than a few of its weeks.
func TestAgingIsBounded(t *testing.T) {
	const life, day, daily = 7 * 24 * 60 * minute, 24 * 60 * minute, 500
	x := reference.New()
	now := int64(1_700_000_000_000)
	seq, most := uint64(0), 0
	for d := range 365 {
		for n := range daily {
			at := now + int64(n)*day/daily
			x.Age(at)
			seq++
			r := loggedIn("s-"+strconv.Itoa(d)+"-"+strconv.Itoa(n), at, at+life)
			x.Apply(seq, &r)
		}
		now += day
		most = max(most, x.Held())
	}
	if alive := 7 * daily; most < alive || most > 2*alive+daily {
		t.Errorf("%d issuances were held, %d were in use", most, alive)
	}
	if x.Age(now + 20*day); x.Held() != 0 {
		t.Errorf("%d are held when all have ended", x.Held())
	}
}
