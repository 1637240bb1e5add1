package detect_test

import (
	"bufio"
	"bytes"
	"os"
	"testing"

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
			sim.Run(cfg, &buf)
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
			cat, _ := catalog.Load("../../examples/shop/catalog.yaml")
			for _, sorted := range []bool{true, false} {
				for _, feed := range []int{0, 1, 2} {
					var out []whosaw.Record
					for _, r := range rs {
						if feed == 0 && (r.Type == whosaw.TypeIssuance || r.Type == whosaw.TypeReason) || feed == 2 && r.Type == whosaw.TypeIssuance {
							continue
						}
						out = append(out, r)
					}
					if sorted {
						sortLog(out)
					}
					e := detect.New(detect.Config{}, cat)
					n := 0
					for i := range out {
						for _, f := range e.Observe(uint64(i+1), &out[i]) {
							n++
							if n < 8 {
								t.Log(raised{f, i})
							}
						}
					}
					t.Log("honest", honest, "sorted", sorted, "feed", feed, "findings", n, len(out))
				}
			}
		}
	}
}
