package scope_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// TestTopLarge asks for the largest of more values and days than a block keeps of each: values of very different sizes, some of which see
// one customer often and others many; records that come days late, so that most blocks have something of most days; and two realms.
func TestTopLarge(t *testing.T) {
	scope.TopFew(300, 4) // so that windows of days with few candidates, and such with too many, both occur
	t.Cleanup(func() { scope.TopFew(1<<17, 16) })
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 9))
			l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), SegmentRecords: 12_000, Throwaway: true})
			if err != nil {
				t.Fatal(err)
			}
			blocks := index.Attach(l, true)
			t.Cleanup(func() { l.Close(); blocks.Close() })
			spread := []int64{1, 3, 40}[seed] // days that a segment's records are late at most
			var batch []whosaw.Record
			const n = 23_000
			for i := range int64(n) {
				x := rng.Float64()
				who := int(x * x * x * 900)
				subject := rng.IntN(3000)
				if who%3 == 0 {
					subject = who*7 + rng.IntN(3) // sees the same few again and again
				}
				id := strconv.Itoa(subject)
				if seed == 2 {
					id = "m-" + id
				}
				r := whosaw.Record{
					Time: start + i*30*86_400_000/n - rng.Int64N(spread*86_400_000/2), Source: "gw", Position: i + 1, Route: "GET /r" + strconv.Itoa(rng.IntN(12)),
					Status: 200, Fields: []string{"name"}, Subjects: []string{id}, IP: netip.AddrFrom4([4]byte{10, 1, byte(who >> 5), byte(who)}),
					Principal: "staff:" + strconv.Itoa(who), Credential: "c" + strconv.Itoa(who*3+rng.IntN(2)), Agent: "tool-" + strconv.Itoa(who%400) + "/1.2",
					Key: "k" + strconv.Itoa(who%4), ASN: uint32(1 + who%50),
				}
				switch rng.IntN(8) {
				case 0:
					r.Principal = "customer:" + id
				case 1:
					r.Status, r.Fields = 404, nil
				case 2:
					r.Realm = "eu"
				case 3:
					for k := range 1 + rng.IntN(3) {
						r.Subjects = append(r.Subjects, strings.Replace(id, strconv.Itoa(subject), strconv.Itoa(subject+1+k*who), 1))
					}
				case 4:
					r.Principal = strings.Replace("customer:"+id, strconv.Itoa(subject), strconv.Itoa(who%6), 1) // who sees others too
					if rng.IntN(3) == 0 {
						r.Subjects = []string{strings.TrimPrefix(r.Principal, "customer:"), id + "0"}
					}
				}
				if batch = append(batch, r); len(batch) == 1000 || i == n-1 {
					if _, err := l.Append(t.Context(), batch); err != nil {
						t.Fatal(err)
					}
					batch = nil
				}
			}
			view, err := l.View(0)
			if err != nil {
				t.Fatal(err)
			}
			defer view.Close()
			day := whosaw.Time(86_400_000)
			from := whosaw.Time(start) / day * day
			for _, zone := range []*time.Location{time.UTC, time.FixedZone("", -12_345)} {
				plain := scope.New(view, nil, scope.Config{Zone: zone})
				fast := scope.New(view, nil, scope.Config{Zone: zone, Index: blocks})
				for _, f := range []whosaw.Filter{
					{{}}, {{From: from + 5*day, To: from + 20*day}}, {{From: from + 5*day + 12_345_678, To: from + 6*day + 777}}, {{Key: []string{"k1"}}},
					{{From: from, To: from + day}, {From: from + 9*day, To: from + 12*day}},
				} {
					for _, by := range scope.Dimensions() {
						want, err := plain.Top(t.Context(), by, f, 0)
						if err != nil {
							t.Fatal(err)
						}
						for _, limit := range []int{1, 20, 300, 6000} {
							got, err := fast.Top(t.Context(), by, f, limit)
							if err != nil {
								t.Fatal(err)
							}
							want := want
							if limit > 0 {
								want = want[:min(limit, len(want))]
							}
							if diff := cmp.Diff(want, got); diff != "" {
								t.Fatalf("top %d by %s of %+v in %s (-segments +blocks):\n%s", limit, by, f, zone, diff)
							}
						}
					}
				}
			}
		})
	}
}
