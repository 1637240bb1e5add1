package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// TestShareIsOne: engines that share a feed by realms raise what one does, at the same records, and united go on as it does.
func TestShareIsOne(t *testing.T) {
	realms := []string{"", "eu", "us"}
	var records []whosaw.Record
	var d whosaw.Decoder
	for k, realm := range realms {
		lines := append(shop(), theft("backup", "203.0.113.9", 5, 1+100*k, 400)...)
		slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(timeOf(a), timeOf(b)) })
		for i, line := range lines {
			var r whosaw.Record
			if err := d.Decode([]byte(line), now, &r); err != nil {
				t.Fatal(err)
			}
			r.Realm, r.Source, r.Position = realm, "log"+realm, int64(i)
			records = append(records, r)
		}
	}
	slices.SortStableFunc(records, func(a, b whosaw.Record) int {
		return strings.Compare(fmt.Sprintf("%020d", a.Time), fmt.Sprintf("%020d", b.Time))
	})
	feed := func(c *pipeline.Case, rs []whosaw.Record) {
		t.Helper()
		f := c.Feed(t.Context())
		if _, err := f.Close(f.Take(rs)); err != nil {
			t.Fatal(err)
		}
	}
	one := open(t, "")
	feed(one, records)
	if n := len(one.Findings()); n < 3 {
		t.Fatalf("%d findings: the test shows nothing", n)
	}
	for _, cut := range []int{0, len(records) / 3, len(records) / 2, len(records) * 9 / 10, len(records)} {
		shared := open(t, "")
		if err := shared.Share(3, func(realm string) int { return slices.Index(realms, realm) }); err != nil {
			t.Fatal(err)
		}
		feed(shared, records[:cut])
		feed(shared, records[cut:])
		if diff := cmp.Diff(one.Findings(), shared.Findings(), byMoment); diff != "" {
			t.Errorf("cut at %d: findings (-one +shared):\n%s", cut, diff)
		}
		counted := func(c *pipeline.Case) (out []detect.Status) {
			for _, s := range c.Status() {
				out = append(out, detect.Status{Detector: s.Detector, Judged: s.Judged, Trials: s.Trials, Findings: s.Findings, Waiting: s.Waiting, Units: s.Units, Reached: s.Reached})
			}
			return out
		}
		if diff := cmp.Diff(counted(one), counted(shared)); diff != "" {
			t.Errorf("cut at %d: what the detectors say of themselves (-one +shared):\n%s", cut, diff)
		}
		if cut > 0 {
			if shared.Share(2, func(string) int { return 0 }) == nil {
				t.Error("what had been judged was shared")
			}
		}
	}
}

// byMoment puts findings that one record raised in an order.
var byMoment = cmpopts.SortSlices(func(a, b whosaw.Finding) bool { return a.Seen < b.Seen || a.Seen == b.Seen && a.ID < b.ID })
