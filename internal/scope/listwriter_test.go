package scope_test

import (
	"encoding/csv"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/scope"
)

// TestListWriter holds the list's own CSV against that of the standard library.
func TestListWriter(t *testing.T) {
	sets := [][]string{{}, {"name"}, {"name", "phone"}, {"od,d", "q\"uote"}, {"name"}}
	ids := []string{"7", "007", "", " x", "a,b", "say \"hi\"", "line\nfeed", "cr\rx", `\.`, "käse", strings.Repeat("9", 40)}
	var got, want strings.Builder
	w, reference := scope.NewListWriter(&got, true), csv.NewWriter(&want)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(reference.Write([]string{"subject", "first", "last", "accesses", "fields"}))
	for i := range 5000 {
		row := whosaw.ListRow{
			Subject: ids[i%len(ids)], First: whosaw.Time(start + int64(i)*977), Last: whosaw.Time(start + int64(i)*100_003), Accesses: int64(i),
			Fields: sets[i/3%len(sets)],
		}
		must(w.Row(row))
		must(reference.Write([]string{
			row.Subject, row.First.String(), row.Last.String(), strconv.FormatInt(row.Accesses, 10), strings.Join(row.Fields, "|"),
		}))
	}
	must(w.Flush())
	reference.Flush()
	if diff := cmp.Diff(want.String(), got.String()); diff != "" {
		t.Errorf("differs (-standard +list):\n%.2000s", diff)
	}
	got.Reset()
	must(scope.NewListWriter(&got, true).Flush())
	if got.String() != "subject,first,last,accesses,fields\n" {
		t.Errorf("the empty list is %q", got.String())
	}
}
