package detect_test

import (
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// busyHour makes an hour of a large shop: 200,000 customers, each with a session, four fifths of the accesses to their own data,
// the rest page views, staff with reasons, and the case's attack at its share of 0.03 %.
func busyHour(feed bool) []whosaw.Record {
	w := newWorld(11)
	const customers, n = 200_000, 400_000
	agents := make([]string, 60)
	for i := range agents {
		agents[i] = "ShopApp/" + strconv.Itoa(i%9) + "." + strconv.Itoa(i) + " (Android)"
	}
	agents[0] = chrome
	routes := []string{"GET /me", "GET /me/addresses", "GET /me/orders", "GET /search"}
	issuedAt := map[int]bool{}
	for i := range n {
		t := start + int64(i)*hour/n
		c := 1 + w.rng.IntN(customers)
		if feed && !issuedAt[c] {
			issuedAt[c] = true
			w.add(issuance(t, "session-"+strconv.Itoa(c), "main", c))
		}
		r := whosaw.Record{
			Time: t, Route: routes[w.rng.IntN(4)], Status: 200, Principal: "customer:" + strconv.Itoa(c), Credential: "session-" + strconv.Itoa(c),
			Key: "main", Client: "web", IP: ip(c * 7), Country: "KR", ASN: uint32(4700 + c%40), Agent: agents[c%60],
		}
		if r.Route != "GET /search" {
			r.Subjects = []string{strconv.Itoa(c)}
			r.Outcome = whosaw.OutcomeDisclosed
		}
		w.add(r)
	}
	w.theft(start+30*minute, 1, 120, 16, 5*second)
	return w.sorted()
}

func BenchmarkObserve(b *testing.B) {
	for _, feed := range []bool{true, false} {
		name := "feed"
		if !feed {
			name = "nofeed"
		}
		rs := busyHour(feed)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			// The hour comes again and again, an hour later each time: units are known, and days pass.
			e := detect.New(detect.Config{}, nil)
			n := 0
			for b.Loop() {
				r := rs[n%len(rs)]
				r.Time += int64(n/len(rs)) * hour
				e.Observe(uint64(n+1), &r)
				n++
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
		})
	}
}
