package scope_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

const cutSegment = 4000

// cutLedger is a ledger of three segments, each with a block of many pages and a side table.
func cutLedger(t *testing.T) (dir string, l *ledger.Ledger, blocks *index.Store) {
	t.Helper()
	dir = t.TempDir()
	l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: cutSegment, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	blocks = index.Attach(l, true)
	t.Cleanup(func() { _ = errors.Join(l.Close(), blocks.Close()) })
	var rs []whosaw.Record
	for i := range 3 * cutSegment {
		credential := "c" + strconv.Itoa(i%5000)
		if i%100 == 0 {
			rs = append(rs, whosaw.Record{
				Type: whosaw.TypeIssuance, Time: 1_764_000_000_000 + int64(i)*60_000, Source: "iss", Position: int64(i), Key: "k1", Credential: credential,
				Ref: &whosaw.Reference{},
			})
			continue
		}
		rs = append(rs, whosaw.Record{
			Time: 1_764_000_000_000 + int64(i)*60_000, Source: "s" + strconv.Itoa(i%3), Position: int64(i), Key: "k" + strconv.Itoa(i%2),
			Credential: credential, IP: netip.AddrFrom4([4]byte{10, byte(i >> 4 % 7), byte(i * 31), byte(i)}), Agent: "agent/" + strconv.Itoa(i%50),
			Principal: "customer:" + strconv.Itoa(i*7%9000), Route: "GET /me", Fields: []string{"name", "phone"}[:1+i%2], Status: 200,
			Outcome: whosaw.OutcomeDisclosed, Subjects: []string{[]string{strconv.Itoa(i * 7 % 9000), "u-" + strconv.Itoa(i%900)}[i%7/6]},
		})
	}
	if _, err := l.Append(context.Background(), rs); err != nil {
		t.Fatal(err)
	}
	if err := l.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
	return dir, l, blocks
}

// cutQuestions asks everything that blocks answer.
func cutQuestions(t *testing.T, e *scope.Engine) map[string]any {
	t.Helper()
	ctx, out := context.Background(), map[string]any{}
	for name, filter := range map[string]string{
		"all": `{}`, "key": `{"key":["k1"]}`, "net": `{"ip":["10.3.0.0/16"]}`, "agent": `{"agent":["agent/7"],"from":"2025-11-25T00:00:00Z"}`,
		"unissued": `{"issued":false}`, "subject": `{"subject":["u-20"]}`,
	} {
		f, err := whosaw.ParseFilter([]byte(filter))
		if err != nil {
			t.Fatal(err)
		}
		keep := func(what string, answer any, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s of %s: %v", what, name, err)
			}
			out[name+" "+what] = answer
		}
		count, err := e.Count(ctx, f)
		keep("count", count, err)
		var list []whosaw.ListRow
		err = e.List(ctx, f, func(r whosaw.ListRow) error {
			r.Fields = slices.Clone(r.Fields)
			list = append(list, r)
			return nil
		})
		keep("list", list, err)
		var csv strings.Builder
		err = e.WriteCSV(ctx, f, &csv)
		keep("csv", csv.String(), err)
		for _, by := range []string{"ip", "principal", "credential", "agent"} {
			top, err := e.Top(ctx, by, f, 9)
			keep("top by "+by, top, err)
		}
		for _, id := range []string{"14", "u-20"} {
			page, err := e.Subject(ctx, nil, id, f, 3, "")
			keep("subject "+id, page, err)
		}
	}
	return out
}

// asText writes answers out.
func asText(t *testing.T, answers map[string]any) map[string]string {
	t.Helper()
	out := map[string]string{}
	for k, x := range answers {
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		out[k] = string(b)
	}
	return out
}

// memoQuestions asks what pages ask, with a memo that knows nothing yet.
func memoQuestions(t *testing.T, e *scope.Engine) map[string]any {
	t.Helper()
	ctx, m, f := context.Background(), scope.NewMemo(1<<30), whosaw.Filter{{Key: []string{"k1"}}}
	page, _, err1 := m.Page(ctx, e, f, 40, 20, time.Time{})
	course, _, err2 := m.Course(ctx, e, f, time.Time{})
	top, all, _, err3 := m.Values(ctx, e, "ip", f, 10, time.Time{})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return map[string]any{"page": page, "course": course, "values": []any{top, all}}
}

// TestCutWhileMapped cuts blocks and side tables short while they lie mapped, at borders of pages and within them: every question is answered
// as without them, and what was cut is built again.
func TestCutWhileMapped(t *testing.T) {
	dir, l, blocks := cutLedger(t)
	v, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	want := asText(t, cutQuestions(t, scope.New(v, nil, scope.Config{})))
	wantMemo := asText(t, memoQuestions(t, scope.New(v, nil, scope.Config{Index: blocks})))
	names, err := filepath.Glob(filepath.Join(dir, index.Dir, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []int64{0, 4096 + 777, 30_000, -3} {
		for _, of := range []string{".idx", ".iss"} {
			for _, warm := range []bool{true, false}[:1+to/30_000] {
				t.Run(fmt.Sprintf("%s to %d, warm %t", of, to, warm), func(t *testing.T) {
					s := index.Open(index.Config{Dir: dir, Throwaway: true})
					defer s.Close()
					if err := s.Build(context.Background(), v); err != nil {
						t.Fatal(err)
					}
					mapped := scope.New(v, nil, scope.Config{Index: s})
					if warm {
						if diff := cmp.Diff(want, asText(t, cutQuestions(t, mapped))); diff != "" {
							t.Fatalf("before anything was cut (-segments +blocks):\n%s", diff)
						}
					}
					for i, p := range v.Parts() {
						if s.Block(&p) == nil {
							t.Fatalf("part %d has no block", i)
						}
						s.SideTable(&p)
					}
					for _, name := range names {
						info, err := os.Stat(name)
						if filepath.Ext(name) != of || err != nil || info.Size() <= to {
							continue
						}
						size := to
						if to < 0 {
							size += info.Size()
						}
						if err := os.Truncate(name, size); err != nil {
							t.Fatal(err)
						}
					}
					if diff := cmp.Diff(wantMemo, asText(t, memoQuestions(t, mapped))); diff != "" {
						t.Errorf("with a memo (-whole +cut):\n%s", diff)
					}
					if diff := cmp.Diff(want, asText(t, cutQuestions(t, scope.New(v, nil, scope.Config{Index: s})))); diff != "" {
						t.Errorf("answers differ (-segments +blocks that were cut):\n%s", diff)
					}
					if err := s.Build(context.Background(), v); err != nil {
						t.Fatal(err)
					}
					for i, p := range v.Parts() {
						if s.Block(&p) == nil {
							t.Errorf("the block of part %d is not used again after it was built", i)
						}
					}
				})
			}
		}
	}
}

// TestSegmentCut cuts a segment: what only it can answer is an error that names the file, and what its block answers still is answered.
func TestSegmentCut(t *testing.T) {
	dir, l, blocks := cutLedger(t)
	v, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, f := context.Background(), whosaw.Filter{{Key: []string{"k1"}}}
	want, err := scope.New(v, nil, scope.Config{}).Count(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "ledger", "*.seg"))
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	if err := os.Truncate(names[1], 5000); err != nil {
		t.Fatal(err)
	}
	got, err := scope.New(v, nil, scope.Config{Index: blocks}).Count(ctx, f)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("from blocks: %v\n%s", err, diff)
	}
	_, err = scope.New(v, nil, scope.Config{}).Count(ctx, f)
	var damage *ledger.DamageError
	if !errors.As(err, &damage) || damage.File != names[1] {
		t.Errorf("the error does not say which file is damaged: %v", err)
	}
}

// TestAnswersOutliveBlocks unmaps the blocks before it looks at the answers: nothing of an answer, or of what a memo keeps, lies in them.
func TestAnswersOutliveBlocks(t *testing.T) {
	dir, l, _ := cutLedger(t)
	v, err := l.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	want := asText(t, cutQuestions(t, scope.New(v, nil, scope.Config{})))
	s := index.Open(index.Config{Dir: dir, Throwaway: true})
	if err := s.Build(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	e := scope.New(v, nil, scope.Config{Index: s})
	got, memo := cutQuestions(t, e), memoQuestions(t, e)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, asText(t, got)); diff != "" {
		t.Error(diff)
	}
	if len(asText(t, memo)) != 3 {
		t.Error("a memo's answers are not whole")
	}
}
