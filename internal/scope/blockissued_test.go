package scope_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// TestLateIssuance asks again after issuances came that older segments did not know of: their side tables follow, survive
// a restart, and an older as_of is answered as before.
func TestLateIssuance(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	l, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: 10, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	position := int64(0)
	send := func(rs ...whosaw.Record) {
		t.Helper()
		for i := range rs {
			position++
			rs[i].Source, rs[i].Position, rs[i].Time = "web", position, start+position
		}
		if _, err := l.Append(ctx, rs); err != nil {
			t.Fatal(err)
		}
	}
	access := func(n int) whosaw.Record {
		return whosaw.Record{Subjects: []string{strconv.Itoa(n)}, Fields: []string{"name"}, Status: 200, Credential: "c" + strconv.Itoa(n%20), Key: "k"}
	}
	issue := func(n int) whosaw.Record {
		return whosaw.Record{Type: whosaw.TypeIssuance, Credential: "c" + strconv.Itoa(n), Key: "k", Ref: &whosaw.Reference{}}
	}
	blocks := index.Open(index.Config{Dir: dir, Throwaway: true})
	defer func() { _ = blocks.Close() }()
	never := false
	count := func(asOf uint64, want int64) {
		t.Helper()
		v, err := l.View(0)
		if err != nil {
			t.Fatal(err)
		}
		if err := blocks.Build(ctx, v); err != nil {
			t.Fatal(err)
		}
		for _, cfg := range []scope.Config{{}, {Index: blocks}, {Index: blocks}} {
			a, err := scope.New(v, nil, cfg).Count(ctx, whosaw.Filter{{Issued: &never, AsOf: asOf}})
			if err != nil {
				t.Fatal(err)
			}
			if a.Accesses != want {
				t.Errorf("as of %d of %d, blocks asked: %t: %d accesses were not issued, want %d", asOf, v.Last(), cfg.Index != nil, a.Accesses, want)
			}
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 100 { // five accesses a credential
		send(access(n))
	}
	count(0, 100)
	send(issue(3))
	count(0, 95)
	send(issue(99), issue(3)) // nobody's, and one that is known
	count(0, 95)
	for n := range 15 {
		send(issue(n))
	}
	count(0, 25)
	count(100, 100)
	count(101, 95)
	if err := blocks.Close(); err != nil {
		t.Fatal(err)
	}
	blocks = index.Open(index.Config{Dir: dir, Throwaway: true})
	count(0, 25)
	send(issue(19))
	count(0, 20)
}
