package scope_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

var update = flag.Bool("update", false, "write the answers into testdata; look at the difference before you keep it")

// TestCases reads testdata/*.txtar: records, a catalog if there is one, and a talk of questions ("> count {…}")
// and answers. A line of records is "source json", a comment, or "reopen".
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases in testdata", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := testCase{T: t, zone: time.UTC}
			for i := range archive.Files {
				f := &archive.Files[i]
				switch f.Name {
				case "records":
					c.open(string(f.Data))
				case "catalog.yaml":
					if c.cat, err = catalog.Parse("catalog.yaml", f.Data); err != nil {
						t.Fatal(err)
					}
				case "talk":
					got := c.talk(string(f.Data))
					if *update {
						f.Data = []byte(got)
						if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
							t.Fatal(err)
						}
					} else if diff := cmp.Diff(string(f.Data), got); diff != "" {
						t.Errorf("%s (-want +got):\n%s", file, diff)
					}
				default:
					t.Fatalf("%s: %s is not known", file, f.Name)
				}
			}
		})
	}
}

type testCase struct {
	*testing.T
	cat  *catalog.Catalog
	view *ledger.View
	zone *time.Location
}

// open fills a ledger with segments of 8 records.
func (c *testCase) open(records string) {
	c.Helper()
	var lines []send
	for i, line := range strings.Split(records, "\n") {
		source, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && !strings.HasPrefix(line, "#") {
			lines = append(lines, send{source, int64(i), text})
		}
	}
	c.view = openView(c, lines, 8)
}

// openView gives a view of a ledger with these lines, in the order given.
func openView(t testing.TB, lines []send, segment int) *ledger.View {
	t.Helper()
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), SegmentRecords: segment, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var records []whosaw.Record
	for _, x := range lines {
		var d whosaw.Decoder
		var r whosaw.Record
		if err := d.Decode([]byte(x.line), now, &r); err != nil {
			t.Fatalf("%v: %s", err, x.line)
		}
		r.Source, r.Position = x.source, x.position
		records = append(records, r.Clone())
	}
	if _, err := l.Append(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	view, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = view.Close() })
	return view
}

// talk answers each question of a talk.
func (c *testCase) talk(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.HasPrefix(line, "# "):
			fmt.Fprintln(&b, line)
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&b, line)
			if err := c.ask(&b, strings.Fields(line)[1], line); err != nil {
				fmt.Fprintf(&b, "error: %v\n", err)
			}
			fmt.Fprintln(&b)
		}
	}
	return b.String()
}

// ask answers "> word argument… {filter}".
func (c *testCase) ask(b *strings.Builder, word, line string) error {
	at := strings.IndexAny(line, "{[")
	if at < 0 {
		at = len(line)
	}
	args := strings.Fields(line[2:at])[1:]
	filter := whosaw.Filter{}
	if at < len(line) {
		var err error
		if filter, err = whosaw.ParseFilter([]byte(line[at:])); err != nil {
			return err
		}
	}
	ctx := context.Background()
	e := scope.New(c.view, c.cat, scope.Config{Zone: c.zone})
	switch word {
	case "zone":
		zone, err := time.LoadLocation(args[0])
		if err != nil {
			c.Skipf("SKIPPED: no time zone database: %v", err)
		}
		c.zone = zone
	case "count":
		a, err := e.Count(ctx, filter)
		if err != nil {
			return err
		}
		writeCount(b, a)
	case "gaps":
		a, err := e.Count(ctx, filter)
		if err != nil {
			return err
		}
		writeGaps(b, a)
	case "list":
		return e.List(ctx, filter, func(r whosaw.ListRow) error {
			fmt.Fprintf(b, "%q %s..%s %d %s %s\n", r.Subject, r.First, r.Last, r.Accesses, strings.Join(r.Fields, "|"), r.Realm)
			return nil
		})
	case "subject":
		limit, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		cursor := ""
		for {
			a, err := e.Subject(ctx, nil, args[0], filter, limit, cursor)
			if err != nil {
				return err
			}
			for _, r := range a.Accesses {
				fmt.Fprintf(b, "%s\n", whosaw.AppendJSON(nil, &r))
			}
			if cursor = a.Next; cursor == "" {
				return nil
			}
			fmt.Fprintln(b, "next page")
		}
	case "top":
		limit, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		rows, err := e.Top(ctx, args[0], filter, limit)
		for _, r := range rows {
			fmt.Fprintf(b, "%s %s %d subjects %d accesses\n", r.Day, r.Value, r.Subjects, r.Accesses)
		}
		return err
	case "timeline":
		length, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		lines, err := e.Timeline(ctx, []whosaw.Filter{filter}, length)
		if err != nil {
			return err
		}
		for _, x := range lines[0] {
			fmt.Fprintf(b, "%s %d accesses %d disclosures %d subjects %d new\n", x.Time, x.Accesses, x.Disclosures, x.Subjects, x.New)
		}
	case "overlap":
		filters := make([]whosaw.Filter, len(filter))
		for i, term := range filter {
			filters[i] = whosaw.Filter{term}
		}
		sizes, inter, err := e.Overlap(ctx, filters)
		fmt.Fprintln(b, sizes, inter)
		return err
	default:
		return fmt.Errorf("a talk does not know %q", word)
	}
	return nil
}

func writeCount(b *strings.Builder, a whosaw.ScopeAnswer) {
	counts := func(name string, m map[string]int64) {
		if len(m) > 0 {
			fmt.Fprintf(b, "%s", name)
			for _, f := range slices.Sorted(maps.Keys(m)) {
				fmt.Fprintf(b, " %s=%d", f, m[f])
			}
			fmt.Fprintln(b)
		}
	}
	fmt.Fprintf(b, "accesses %d disclosures %d subjects %d others %d\n", a.Accesses, a.Disclosures, a.Subjects, a.Others)
	counts("fields", a.Fields)
	counts("masked", a.Masked)
	if a.First != nil {
		fmt.Fprintf(b, "from %s to %s\n", a.First, a.Last)
	}
	if a.Catalog != "" {
		fmt.Fprintf(b, "catalog %s; not reached %v\n", a.Catalog, a.NotReached)
	}
	for _, g := range a.Gaps {
		fmt.Fprintf(b, "gap %s %d\n", g.Kind, g.Count)
	}
}

func writeGaps(b *strings.Builder, a whosaw.ScopeAnswer) {
	for _, g := range a.Gaps {
		fmt.Fprintf(b, "%s source %q count %d", g.Kind, g.Source, g.Count)
		if g.From != nil {
			fmt.Fprintf(b, " %s..%s", g.From, g.To)
		}
		fmt.Fprintf(b, "\n  %s\n", g.Says)
	}
}
