package pipeline_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// TestFeedIsImport: records fed one by one give the findings of the same log imported, and everybody who watches sees each
// accepted record once, before the detectors have judged it.
func TestFeedIsImport(t *testing.T) {
	lines := append(shop(), theft("backup", "203.0.113.9", 5, 1, 400)...)
	slices.SortStableFunc(lines, func(a, b string) int {
		return strings.Compare(timeOf(a), timeOf(b))
	})
	imported := open(t, "")
	read(t, imported, lines, "log")

	fed := open(t, "")
	watched, told := map[uint64]whosaw.Type{}, 0
	fed.Watch(func(seq uint64, r *whosaw.Record) {
		if _, twice := watched[seq]; twice {
			t.Errorf("sequence %d was watched twice", seq)
		}
		watched[seq] = r.Type
	})
	fed.Trace(func(touch detect.Touch) {
		told++
		if kind, ok := watched[touch.Seq]; !ok || kind != whosaw.TypeAccess {
			t.Errorf("told of %d before it was watched, or of a record of type %v", touch.Seq, kind)
		}
	})
	feed := fed.Feed(t.Context())
	var d whosaw.Decoder
	for i, line := range append(lines, lines[7]) { // one comes again
		r := make([]whosaw.Record, 1)
		if err := d.Decode([]byte(line), now, &r[0]); err != nil {
			t.Fatal(err)
		}
		r[0].Source, r[0].Position = "log", int64(i)
		if i == len(lines) {
			r[0].Position = 7
		}
		if err := feed.Take(r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := feed.Close(nil)
	if err != nil || got.Repeats != 1 || got.Conflicts != 0 || len(watched) != len(lines) || told == 0 {
		t.Errorf("%v: %d repeats, %d conflicts, %d of %d watched, %d told", err, got.Repeats, got.Conflicts, len(watched), len(lines), told)
	}
	if len(fed.Findings()) == 0 {
		t.Error("no finding: the test shows nothing")
	}
	if diff := cmp.Diff(imported.Findings(), fed.Findings()); diff != "" {
		t.Errorf("findings (-imported +fed):\n%s", diff)
	}
}

// timeOf cuts the time out of a line, with reference records before accesses.
func timeOf(line string) string {
	_, rest, _ := strings.Cut(line, `"time":"`)
	at, _, _ := strings.Cut(rest, `"`)
	if strings.HasPrefix(line, `{"type"`) {
		return at + "0"
	}
	return at + "1"
}
