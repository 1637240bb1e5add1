package scope_test

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

var benchSize = flag.Int("scope.accesses", 1_000_000, "accesses in the ledger that benchmarks ask")

// benchShop is a made-up shop's ledger: 80 % of the accesses are honest sessions of one key, 20 % a harvest with
// another key from 1,000 addresses, each access with a credential of its own.
var benchShop = sync.OnceValues(func() (*ledger.View, error) {
	dir, err := os.MkdirTemp("", "whosaw-bench-")
	if err != nil {
		return nil, err
	}
	benchDir = dir
	l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: 1 << 18, Throwaway: true})
	if err != nil {
		return nil, err
	}
	g := newGen(1, 5)
	routes := []string{"GET /me", "GET /me/addresses", "GET /me/orders", "GET /search"}
	fields := [][]string{{"email", "name"}, {"address", "name", "phone"}, {"order_history"}, nil}
	var batch []whosaw.Record
	for i := range *benchSize {
		r := whosaw.Record{Time: start + int64(i)*100, Source: "gw-" + strconv.Itoa(i%4), Position: int64(i), Status: 200}
		route := g.IntN(4)
		customer := g.IntN(200_000)
		if i%5 == 0 { // the harvest: customers one after the other
			route, customer = 1, i/5
			r.Key, r.Credential = "backup-2024", "f"+strconv.Itoa(i)
			r.IP = netip.AddrFrom4([4]byte{203, 0, byte(i % 4), byte(i / 5 % 250)})
		} else {
			r.Key, r.Credential = "login-2026", "s"+strconv.Itoa(customer)
			r.IP = netip.AddrFrom4([4]byte{10, byte(customer >> 16), byte(customer >> 8), byte(customer)})
		}
		r.Principal = "customer:" + strconv.Itoa(customer)
		r.Route, r.Fields, r.Agent = routes[route], fields[route], "okhttp/4."+strconv.Itoa(customer%12)
		if route != 3 {
			r.Subjects = []string{strconv.Itoa(customer)}
		}
		if route == 1 {
			r.Others = int64(customer % 4)
		}
		batch = append(batch, r)
		if i < 200_000 {
			batch = append(batch, whosaw.Record{
				Type: whosaw.TypeIssuance, Time: start, Source: "log", Position: int64(i), Key: "login-2026",
				Credential: "s" + strconv.Itoa(i), Subjects: []string{strconv.Itoa(i)}, Ref: &whosaw.Reference{},
			})
		}
		if len(batch) >= 10_000 || i == *benchSize-1 {
			if _, err := l.Append(context.Background(), batch); err != nil {
				return nil, err
			}
			batch = batch[:0]
		}
	}
	return l.View(0)
})

var benchDir string

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if benchDir != "" {
		_ = os.RemoveAll(benchDir)
	}
	os.Exit(code)
}

// benchmark asks one question over and over. What an engine works out once is worked out before.
func benchmark(b *testing.B, ask func(ctx context.Context, e *scope.Engine) error) {
	b.Helper()
	view, err := benchShop()
	if err != nil {
		b.Fatal(err)
	}
	e := scope.New(view, nil, scope.Config{})
	if _, err := e.Count(b.Context(), whosaw.Filter{{Key: []string{"none"}}}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := ask(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(*benchSize)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Maccesses/s")
}

func BenchmarkCount(b *testing.B) {
	var ips []string
	for i := range 1000 {
		ips = append(ips, fmt.Sprintf("203.0.%d.%d", i%4, i/4))
	}
	no := false
	for _, f := range []struct {
		name   string
		filter whosaw.Filter
	}{
		{"all", whosaw.Filter{{}}},
		{"key", whosaw.Filter{{Key: []string{"backup-2024"}}}},
		{"ips", whosaw.Filter{{IP: ips}}},
		{"union", whosaw.Filter{{Key: []string{"backup-2024"}}, {IP: []string{"10.0.0.0/16"}}}},
		{"unissued", whosaw.Filter{{Issued: &no}}},
		{"subject", whosaw.Filter{{Subject: []string{"4711"}}}},
	} {
		b.Run(f.name, func(b *testing.B) {
			benchmark(b, func(ctx context.Context, e *scope.Engine) error {
				_, err := e.Count(ctx, f.filter)
				return err
			})
		})
	}
}

func BenchmarkList(b *testing.B) {
	benchmark(b, func(ctx context.Context, e *scope.Engine) error {
		return e.List(ctx, whosaw.Filter{{}}, func(whosaw.ListRow) error { return nil })
	})
}

func BenchmarkTop(b *testing.B) {
	for _, by := range []string{"ip", "key", "credential"} {
		b.Run(by, func(b *testing.B) {
			benchmark(b, func(ctx context.Context, e *scope.Engine) error {
				_, err := e.Top(ctx, by, whosaw.Filter{{}}, 20)
				return err
			})
		})
	}
}

func BenchmarkSubject(b *testing.B) {
	benchmark(b, func(ctx context.Context, e *scope.Engine) error {
		_, err := e.Subject(ctx, nil, "4711", whosaw.Filter{{}}, 20, "")
		return err
	})
}

func BenchmarkTimeline(b *testing.B) {
	benchmark(b, func(ctx context.Context, e *scope.Engine) error {
		_, err := e.Timeline(ctx, []whosaw.Filter{{{Key: []string{"backup-2024"}}}, {{}}}, time.Hour)
		return err
	})
}

func BenchmarkOverlap(b *testing.B) {
	no := false
	benchmark(b, func(ctx context.Context, e *scope.Engine) error {
		_, _, err := e.Overlap(ctx, []whosaw.Filter{{{Key: []string{"backup-2024"}}}, {{Issued: &no}}, {{IP: []string{"203.0.0.0/16"}}}})
		return err
	})
}

// BenchmarkFirst is what an engine works out once: the reference records and the silences.
func BenchmarkFirst(b *testing.B) {
	view, err := benchShop()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := scope.New(view, nil, scope.Config{}).Count(b.Context(), whosaw.Filter{{Key: []string{"none"}}}); err != nil {
			b.Fatal(err)
		}
	}
}
