package detect_test

import (
	"bufio"
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/sim"
)

func TestScratchSim(t *testing.T) {
	for _, honest := range []bool{false, true} {
		for seed := uint64(1); seed < 4; seed++ {
			cfg := sim.Example()
			cfg.Seed = seed
			cfg.Honest = honest
			if os.Getenv("BIG") != "" {
				cfg.Customers, cfg.Days = 20000, 14
			}
			var buf bytes.Buffer
			tr, err := sim.Run(cfg, &buf)
			if err != nil {
				t.Fatal(err)
			}
			_ = tr
			var rs []whosaw.Record
			dec := &whosaw.Decoder{}
			sc := bufio.NewScanner(&buf)
			sc.Buffer(nil, 1<<20)
			ids := map[string]bool{}
			for sc.Scan() {
				var r whosaw.Record
				if err := dec.Decode(sc.Bytes(), 1900000000000, &r); err != nil {
					t.Fatal(err)
				}
				if ids[r.ID] {
					continue
				}
				ids[r.ID] = true
				r.Position = int64(len(rs))
				rs = append(rs, r)
			}
			cat, err := catalog.Load("../../examples/shop/catalog.yaml")
			if err != nil {
				t.Fatal(err)
			}
			for _, sorted := range []bool{true, false} {
				for _, feed := range []bool{true, false} {
					rs := append([]whosaw.Record(nil), rs...)
					if !feed {
						var out []whosaw.Record
						for _, r := range rs {
							if r.Type != whosaw.TypeIssuance && r.Type != whosaw.TypeReason {
								out = append(out, r)
							}
						}
						rs = out
					}
					if sorted {
						sortLog(rs)
					}
					e := detect.New(detect.Config{}, cat)
					began := time.Now()
					n := 0
					for i := range rs {
						for _, f := range e.Observe(uint64(i+1), &rs[i]) {
							n++
							if n < 12 {
								t.Log(raised{f, i})
							}
						}
					}
					t.Log("honest", honest, "sorted", sorted, "feed", feed, "findings", n, len(rs), time.Since(began))
					if feed == sorted && seed == 1 {
						for _, s := range e.Status() {
							t.Logf("%+v", s)
						}
						t.Logf("%+v", e.Load())
					}
				}
			}
		}
	}
}
