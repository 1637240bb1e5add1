package pipeline_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLiveSideTables: a server makes the side tables that its segments lack without being asked anything.
func TestLiveSideTables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	k := &told{}
	l := start(t, dir, k)
	s := stream(t, "gw")
	take(t, l, s, 0, append(shop(), theft("old", "192.0.2.77", 7, 1000, 300)...), anybody)
	stop(t, l)
	tables := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "index", "*.iss"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	were := tables()
	if len(were) == 0 {
		t.Fatal("no segment has a side table after it was sealed")
	}
	for _, name := range were {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	start(t, dir, k)
	eventually(t, "the server makes the side tables again", func() bool { return len(tables()) == len(were) })
}

// eventually looks again and again, for a minute, whether what must come true is.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(time.Minute); !is(); <-look.C {
		if time.Now().After(end) {
			t.Fatalf("it did not come true within a minute that %s", what)
		}
	}
}
