package detect_test

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// visitor is one of the benchmark's customers; what a decoder would have just written lies close together.
type visitor struct {
	subject, principal, credential, agent string
	ip                                    netip.Addr
	asn                                   uint32
}

// BenchmarkObserve runs a large shop's traffic: 200,000 customers, three quarters of the accesses to their own data, the rest
// page views. With a feed the customers' own accesses are explained, as in life; without, each is a trial for every
// detector that asks about subjects. They come in batches of 1,024, as a server takes them.
func BenchmarkObserve(b *testing.B) {
	const customers = 200_000
	rng := rand.New(rand.NewPCG(1, 2))
	visitors := make([]visitor, customers)
	for c := range visitors {
		id := strconv.Itoa(c + 1)
		all := "customer:" + id + "session-" + id
		visitors[c] = visitor{
			subject: all[9 : 9+len(id)], principal: all[:9+len(id)], credential: all[9+len(id):],
			agent: "ShopApp/" + strconv.Itoa(c%9) + "." + strconv.Itoa(c%60) + " (Android)", ip: ip(c * 7), asn: uint32(4700 + c%40),
		}
	}
	routes := []string{"GET /me", "GET /me/addresses", "GET /me/orders", "GET /search"}
	for _, feed := range []bool{true, false} {
		b.Run(map[bool]string{true: "explained", false: "unexplained"}[feed], func(b *testing.B) {
			e := detect.New(detect.Config{}, nil)
			seq := uint64(0)
			if feed {
				for c := range visitors {
					seq++
					e.Observe(seq, &whosaw.Record{
						Type: whosaw.TypeIssuance, Time: start, Credential: visitors[c].credential, Key: "main", Principal: visitors[c].principal,
						Ref: &whosaw.Reference{},
					})
				}
			}
			batch := make([]whosaw.Record, 1024)
			subjects := make([]string, len(batch))
			next := func(i int) {
				v := &visitors[rng.IntN(customers)]
				j := i % len(batch)
				r, one := &batch[j], subjects[j:j+1:j+1]
				one[0] = v.subject
				*r = whosaw.Record{
					Time: start + int64(i)*9, Route: routes[i%4], Status: 200, Principal: v.principal, Credential: v.credential,
					Key: "main", Client: "app", IP: v.ip, Country: "KR", ASN: v.asn, Agent: v.agent,
				}
				if i%4 != 3 {
					r.Subjects, r.Outcome = one, whosaw.OutcomeDisclosed
				}
			}
			i := 0
			observe := func() {
				for range batch {
					next(i)
					i++
				}
				e.ObserveBatch(batch, func(int) uint64 { seq++; return seq }, func(int, whosaw.Finding) {})
			}
			for i < 2*customers { // until the units are known
				observe()
			}
			b.ReportAllocs()
			before := cpu()
			n := 0
			for b.Loop() {
				observe()
				n += len(batch)
			}
			// By processor time, the collector's included: on a shared machine the clock tells how busy others are.
			b.ReportMetric(float64(n)/(cpu()-before).Seconds()/1e6, "Maccesses/cpu-s")
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
