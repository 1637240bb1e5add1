package detect_test

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

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
			var decoded []byte // texts lie together and at hand, as a decoder has just written them
			text := func(s string) string {
				from := len(decoded)
				decoded = append(decoded, s...)
				return unsafe.String(unsafe.SliceData(decoded[from:]), len(s))
			}
			subjects := make([]string, len(batch))
			next := func(i int) {
				v := &visitors[rng.IntN(customers)]
				j := i % len(batch)
				r, one := &batch[j], subjects[j:j+1:j+1]
				one[0] = text(v.subject)
				*r = whosaw.Record{
					Time: start + int64(i)*9, Route: routes[i%4], Status: 200, Principal: text(v.principal), Credential: text(v.credential),
					Key: "main", Client: "app", IP: v.ip, Country: "KR", ASN: v.asn, Agent: text(v.agent),
				}
				if i%4 != 3 {
					r.Subjects, r.Outcome = one, whosaw.OutcomeDisclosed
				}
			}
			i := 0
			decoded = make([]byte, 0, 256*len(batch))
			var inside int64 // time of this thread with the engine, without the making of records
			observe := func() {
				decoded = decoded[:0]
				for range batch {
					next(i)
					i++
				}
				began := threadTime()
				defer func() { inside = int64(threadTime() - began) }()
				e.ObserveBatch(batch, func(int) uint64 { seq++; return seq }, func(int, whosaw.Finding) {})
			}
			for i < 2*customers { // until the units are known
				observe()
			}
			b.ReportAllocs()
			before := cpu()
			n := 0
			var pace, alone []float64
			var all int64
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for b.Loop() {
				began := threadTime()
				observe()
				pace = append(pace, float64(threadTime()-began)/float64(len(batch)))
				alone = append(alone, float64(inside)/float64(len(batch)))
				all += inside
				n += len(batch)
			}
			b.ReportMetric(fastest(pace), "Mquiet/cpu-s")
			b.ReportMetric(fastest(alone), "Mquiet-engine/cpu-s")
			b.ReportMetric(float64(n)/float64(all)*1e3, "Mengine/cpu-s")
			// By processor time, the collector's included: on a shared machine the clock tells how busy others are.
			b.ReportMetric(float64(n)/(cpu()-before).Seconds()/1e6, "Maccesses/cpu-s")
		})
	}
}

// BenchmarkObserveHouse is the work of staff, partners and programs: 300 principals with a reason for all but one in a hundred of
// the customers they open, each a trial for unexplained.
func BenchmarkObserveHouse(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 3))
	e := detect.New(detect.Config{}, nil)
	seq, i := uint64(0), 0
	batch := make([]whosaw.Record, 0, 1024)
	principals := make([]string, 300)
	for p := range principals {
		principals[p] = "staff:" + strconv.Itoa(p)
	}
	observe := func() {
		batch = batch[:0]
		for len(batch) < cap(batch)-1 {
			i++
			at := start + int64(i)*9
			r := whosaw.Record{
				Time: at, Route: "GET /desk/{id}", Status: 200, Principal: principals[rng.IntN(len(principals))], Key: "staff", Client: "desk",
				IP: ip(5), Country: "KR", ASN: 4766, Agent: chrome, Subjects: []string{strconv.Itoa(1 + rng.IntN(1<<20))}, Outcome: whosaw.OutcomeDisclosed,
			}
			if rng.IntN(100) != 0 {
				batch = append(batch, reasonRecord(at, r))
			}
			batch = append(batch, r)
		}
		e.ObserveBatch(batch, func(int) uint64 { seq++; return seq }, func(int, whosaw.Finding) {})
	}
	for i < 20_000 {
		observe()
	}
	before, from := cpu(), i
	for b.Loop() {
		observe()
	}
	b.ReportMetric(float64(i-from)/(cpu()-before).Seconds()/1e6, "Maccesses/cpu-s")
}
