package door_test

import (
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/sim"
)

var startAccesses = flag.Int("whosaw.accesses", 1_000_000, "accesses of the last 90 days from which BenchmarkStart counts budgets anew")

// BenchmarkStart says how long a guard with budgets takes to be ready: it counts them anew from the accesses of the last 90 days, of which a
// tenth are the staff's.
func BenchmarkStart(b *testing.B) {
	cat, err := catalog.Parse("catalog.yaml", sim.Catalog())
	check(b, err)
	s := newStandIn(b, memory(b), cat, guard.KindDecide, func(g *guard.Config) {
		g.Budgets = []guard.Budget{{Of: "principal:staff", Month: 1 << 40, Action: guard.Deny, Count: guard.CountLedger}}
	})
	began := time.Now().Add(-80 * 24 * time.Hour).UnixMilli()
	each := (70 * 24 * time.Hour).Milliseconds() / int64(*startAccesses)
	batch := make([]whosaw.Record, 0, 10_000)
	for n := range *startAccesses {
		subject := fmt.Sprint(n * 7919 % 1_000_000)
		r := whosaw.Record{
			Type: whosaw.TypeAccess, Time: began + int64(n)*each, Route: "GET /me/addresses", Principal: "customer:" + subject, Credential: fmt.Sprint("c-", n/10),
			Key: "login-2026-a", IP: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), Agent: "ShopApp/7.1", Status: 200,
			Source: "shop", Position: int64(n),
		}
		if n%10 == 0 {
			r.Route, r.Subjects, r.Principal = "GET /desk/customers/{customer}", []string{subject}, fmt.Sprint("staff:", n/10%200)
		}
		if batch = append(batch, r); len(batch) == cap(batch) || n == *startAccesses-1 {
			_, err := s.live.TakeRecords(b.Context(), batch)
			check(b, err)
			batch = make([]whosaw.Record, 0, 10_000)
		}
	}
	check(b, s.live.CaughtUp(b.Context()))
	for b.Loop() {
		g, err := guard.New(b.Context(), guard.Options{Config: s.cfg, Catalog: cat, DB: s.db, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Write: s.live.WriteAll})
		check(b, err)
		view, err := s.live.Ledger().View(0)
		check(b, err)
		cpu := processor()
		check(b, g.Load(b.Context(), view, 0))
		b.ReportMetric((processor() - cpu).Seconds(), "cpu-s")
		check(b, view.Close())
	}
}
