package ledger_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// shop makes accesses of a shop under attack, of the shape that other engines were measured with:
// a hundred million accesses in 153 days, four million member numbers, 18 % of the accesses by 64
// workers that walk them in order with tokens made up for each visit.
type shop struct {
	rng    *rand.Rand
	time   int64
	offset int64
	next   [64]int64
	agents []string
}

func newShop() *shop {
	s := &shop{rng: rand.New(rand.NewPCG(1, 2)), time: 1_760_000_000_000}
	for i := range s.next {
		s.next[i] = int64(i) * 62_500
	}
	for i := range 1500 {
		s.agents = append(s.agents, fmt.Sprintf("Mozilla/5.0 (Linux; Android %d; SM-%d) AppleWebKit/537.36 Chrome/%d.0.0.0 Mobile Safari/537.36", i%15, i*37%997, 100+i%40))
	}
	return s
}

var shopRoutes = []struct {
	route  string
	fields []string
}{
	{"GET /me/addresses", []string{"address", "name", "phone"}},
	{"GET /me", []string{"email", "name"}},
	{"GET /me/orders", []string{"order_history"}},
	{"GET /me/addresses/{id}/edit", []string{"address", "door_code", "name", "phone"}},
	{"GET /products/{id}", []string{}},
	{"GET /search", []string{}},
	{"GET /cart", []string{}},
	{"GET /me/payment", []string{"payment"}},
}

func mixed(n uint64) uint64 {
	n ^= n >> 31
	n *= 0x7fb5d329728ea185
	n ^= n >> 27
	n *= 0x81dadef4bc2dd44d
	return n ^ n>>33
}

func (s *shop) record(r *whosaw.Record) {
	rng := s.rng
	s.time += int64(rng.ExpFloat64() * 132)
	*r = whosaw.Record{Time: s.time, Source: "gateway", Position: s.offset}
	s.offset += 380 + rng.Int64N(16)
	var customer int64
	var address uint64
	if rng.IntN(1000) < 182 {
		w := rng.IntN(64)
		customer = s.next[w]
		s.next[w]++
		address = mixed(1<<40 + rng.Uint64N(2313))
		r.Key = "login-2024-b"
		r.Principal = fmt.Sprintf("customer:%d", customer)
		r.Credential = fmt.Sprintf("%016x", rng.Uint64())
		r.Agent = s.agents[7]
		at := shopRoutes[min(rng.IntN(20)/17, 1)]
		r.Route, r.Fields, r.Status = at.route, at.fields, 200
		if mixed(uint64(customer))%6 == 0 {
			r.Status, r.Fields = 404, nil
		}
	} else {
		x := rng.Float64()
		customer = int64(x * x * x * 4e6)
		r.Key = "login-2025-a"
		r.Principal = fmt.Sprintf("customer:%d", customer)
		who := uint64(customer)
		if rng.IntN(100) < 12 {
			who = 1<<50 + rng.Uint64N(22_000)
			r.Principal = fmt.Sprintf("staff:%d", who-1<<50)
		}
		r.Credential = fmt.Sprintf("%016x", mixed(who<<10+uint64(s.time/86_400_000)))
		r.Agent = s.agents[mixed(who)%1500]
		address = mixed(who + 1<<41)
		if rng.IntN(8) < 3 {
			address = mixed(1<<42 + rng.Uint64N(4096))
		}
		at := shopRoutes[rng.IntN(len(shopRoutes))]
		r.Route, r.Fields, r.Status = at.route, at.fields, 200
	}
	r.Subjects = []string{fmt.Sprint(customer)}
	network := uint32(address>>16) % 3000
	r.IP = netip.AddrFrom4([4]byte{byte(network >> 8), byte(network), byte(address >> 8), byte(address)})
	r.ASN = 4000 + network%1200
	r.Country = [...]string{"KR", "KR", "KR", "KR", "KR", "US", "JP", "CN"}[r.ASN%8]
}

func (s *shop) records(n int) []whosaw.Record {
	all := make([]whosaw.Record, n)
	for i := range all {
		s.record(&all[i])
	}
	return all
}

// BenchmarkAppend appends batches of 10,000 and seals what is left. Mrecords/s leaves out the time in
// which the next batch is made, though a segment may be sealed in it; cpu-ns/record is all that
// append and seal use of both cores.
func BenchmarkAppend(b *testing.B) {
	for _, throwaway := range []bool{false, true} {
		b.Run(fmt.Sprintf("throwaway=%v", throwaway), func(b *testing.B) {
			const n, size = 4 << 20, 10_000
			for b.Loop() {
				l, err := ledger.Open(ledger.Config{Dir: b.TempDir(), Throwaway: throwaway})
				if err != nil {
					b.Fatal(err)
				}
				shop, batch := newShop(), make([]whosaw.Record, size)
				var spent time.Duration
				var allocs uint64
				cpu := cpuTime()
				for range n {
					shop.record(&batch[0])
				}
				cpu, shop = 2*cpuTime()-cpu, newShop() // making the records below will take as much again
				for at := 0; at < n; at += size {
					for i := range batch {
						shop.record(&batch[i])
					}
					before, start := mallocs(), time.Now()
					if _, err := l.Append(context.Background(), batch); err != nil {
						b.Fatal(err)
					}
					spent += time.Since(start)
					allocs += mallocs() - before
				}
				start := time.Now()
				if err := l.Seal(context.Background()); err != nil {
					b.Fatal(err)
				}
				spent += time.Since(start)
				b.ReportMetric(n/spent.Seconds()/1e6, "Mrecords/s")
				b.ReportMetric(float64(cpuTime()-cpu)/n, "cpu-ns/record")
				b.ReportMetric(float64(allocs)/n, "allocs/record")
				v, err := l.View(0)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(v.Bytes())/n, "bytes/record")
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// cpuTime is what the process has used of both cores.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func mallocs() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func BenchmarkLoad(b *testing.B) {
	const n = 1 << 20
	l, err := ledger.Open(ledger.Config{Dir: b.TempDir(), Throwaway: true})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(context.Background(), newShop().records(n)); err != nil {
		b.Fatal(err)
	}
	if err := l.Seal(context.Background()); err != nil {
		b.Fatal(err)
	}
	v, err := l.View(0)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cols ledger.Columns
	}{
		{"time", 0}, {"key", ledger.ColKey}, {"subjects", ledger.ColSubjects}, {"principal", ledger.ColPrincipal},
		{"ip", ledger.ColIP}, {"credential", ledger.ColCredential}, {"fields", ledger.ColFields},
		{"all", ledger.ColAll},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := v.Load(context.Background(), 0, c.cols); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
		})
	}
}
