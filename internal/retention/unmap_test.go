package retention_test

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/scope"
)

// mappedGone counts the removed files of a directory's index that this process still has mapped: the system keeps their space.
func mappedGone(t *testing.T, dir string) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, dir+"/"+index.Dir+"/") && strings.HasSuffix(strings.TrimSpace(line), "(deleted)") {
			n++
		}
	}
	return n
}

// TestPurgedBlocksAreUnmapped holds that the block and the side table of a segment that went stay as long as a view from before may read them,
// and not longer.
func TestPurgedBlocksAreUnmapped(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what is mapped is read from /proc")
	}
	ctx := context.Background()
	k, dir := shop(t)
	before, err := k.Ledger.View(0)
	if err != nil {
		t.Fatal(err)
	}
	later, err := k.Ledger.View(0)
	if err != nil {
		t.Fatal(err)
	}
	issued := true
	f := whosaw.Filter{{Key: []string{"k1"}, Issued: &issued}}
	e := scope.New(before, nil, scope.Config{Index: k.Index})
	want, err := e.Count(ctx, f)
	if err != nil || want.Accesses != 18_000 {
		t.Fatalf("%d accesses, %v", want.Accesses, err)
	}
	gone, err := k.Remove(ctx, start+150*hour)
	if err != nil || len(gone) != 1 {
		t.Fatalf("%d segments went, %v", len(gone), err)
	}
	if n := mappedGone(t, dir); n == 0 {
		t.Fatal("what an open view may read is not mapped any more: this test shows nothing")
	}
	got, err := e.Count(ctx, f)
	if err != nil || got.Accesses != want.Accesses {
		t.Errorf("a view from before counts %d accesses, %v", got.Accesses, err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if mappedGone(t, dir) == 0 {
		t.Error("it was unmapped while another view from before is open")
	}
	if err := later.Close(); err != nil {
		t.Fatal(err)
	}
	if n := mappedGone(t, dir); n != 0 {
		t.Errorf("%d files of a segment that went are still mapped", n)
	}
	after, err := k.Ledger.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	f[0].Issued = nil // the issuances went too
	if got, err := scope.New(after, nil, scope.Config{Index: k.Index}).Count(ctx, f); err != nil || got.Accesses != 12_000 {
		t.Errorf("%d accesses are left, %v", got.Accesses, err)
	}
}
