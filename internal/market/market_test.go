package market_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/whosaw/whosaw/internal/market"
)

var update = flag.Bool("update", false, "write examples/shop again")

const exampleDir = "../../examples/shop"

// maxExample is how much the example may take in the repository, all files together.
const maxExample = 2 << 20

// golden are hashes of what the generator writes. They change only when the shop is changed on purpose: same bytes on
// any machine and with any Go.
var golden = []struct {
	name                      string
	cfg                       market.Config
	records, combined, truths string
}{
	{"example", market.Example(), "7c4b4e562e210f7c", "c16e80a83bc16e01", "ccb590112d570a09"},
	{"honest", market.Config{Seed: 2, Customers: 150, Days: 3, Start: 1583020800000, Honest: true}, "04a87d434ca2d532", "6376d8743ba2d41c", "9c318f6f3b24f5d0"},
	{"one day", market.Config{Seed: 3, Customers: 7, Days: 1, Start: 1709164800000}, "7dcc8cfe7ab8ddf1", "a80e36dbb6c171a7", "535b2c23ba51326c"},
}

func generate(t testing.TB, cfg market.Config) (records, combined []byte, truth *market.Truth) {
	t.Helper()
	var r, c bytes.Buffer
	cfg.Combined = &c
	truth, err := market.Run(cfg, &r)
	if err != nil {
		t.Fatal(err)
	}
	return r.Bytes(), c.Bytes(), truth
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			records, combined, truth := generate(t, g.cfg)
			js, err := truth.JSON()
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []struct {
				name string
				data []byte
				want string
			}{{"records", records, g.records}, {"combined", combined, g.combined}, {"truth", js, g.truths}} {
				sum := sha256.Sum256(part.data)
				if got := hex.EncodeToString(sum[:8]); got != part.want {
					t.Errorf("%s: SHA-256 begins %q, want %q", part.name, got, part.want)
				}
			}
		})
	}
}

// TestExample holds the committed files to the generator; with -update it makes them.
func TestExample(t *testing.T) {
	records, combined, truth := generate(t, market.Example())
	js, err := truth.JSON()
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, f := range []struct {
		name string
		want []byte
	}{{"access.jsonl.gz", records}, {"nginx-access.log.gz", combined}, {"truth.json", js}} {
		path := filepath.Join(exampleDir, f.name)
		packed := strings.HasSuffix(f.name, ".gz")
		if *update {
			data := f.want
			if packed {
				data = pack(t, data)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v (make it with: make example)", err)
		}
		total += int64(len(got))
		if packed {
			got = unpack(t, got)
		}
		if !bytes.Equal(got, f.want) {
			t.Errorf("%s is not what the generator makes (make it again with: make example)", f.name)
		}
	}
	if total > maxExample {
		t.Errorf("the example takes %d bytes, want at most %d", total, maxExample)
	}
	t.Logf("%d bytes in all, %d lines", total, truth.Lines)
}

// pack compresses without a name or a time, so that equal content gives equal files.
func pack(t *testing.T, data []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(t *testing.T, data []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A customer's days do not change when the shop grows or is watched for longer.
func TestDrawsAreIndependent(t *testing.T) {
	short := market.Config{Seed: 5, Customers: 60, Days: 2, Start: 1772409600000, Honest: true}
	long := short
	long.Days = 4
	a, _, _ := generate(t, short)
	b, _, _ := generate(t, long)
	if cut := bytes.Index(b, []byte(`"time":"2026-03-03T00:00`)); cut < 0 || !bytes.Equal(a[:cut], b[:cut]) {
		t.Error("the first day of a shop of two days and of four differ")
	}
}

func TestRunRefusesBadConfig(t *testing.T) {
	for _, cfg := range []market.Config{
		{}, {Customers: 1}, {Customers: 1, Days: 1}, {Customers: 1, Days: 1, Start: 1772409600001},
		{Customers: 10_000_001, Days: 1, Start: 1772409600000}, {Customers: 1, Days: 4000, Start: 1772409600000},
	} {
		if _, err := market.Run(cfg, io.Discard); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

// full takes n bytes and then fails.
type full struct{ n int }

var errFull = errors.New("disk full")

func (f *full) Write(p []byte) (int, error) {
	f.n -= len(p)
	if f.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestRunGivesTheWritersError(t *testing.T) {
	cfg := market.Example()
	for _, n := range []int{0, 1 << 17, 1 << 20} {
		if _, err := market.Run(cfg, &full{n}); !errors.Is(err, errFull) {
			t.Errorf("after %d bytes: got %v, want the writer's error", n, err)
		}
		cfg.Combined = &full{n}
		if _, err := market.Run(cfg, io.Discard); !errors.Is(err, errFull) {
			t.Errorf("combined, after %d bytes: got %v, want the writer's error", n, err)
		}
		cfg.Combined = nil
	}
}

func TestTruthOfAnHonestShop(t *testing.T) {
	_, _, truth := generate(t, golden[1].cfg)
	if truth.Attack.Accesses != 0 || truth.Attack.Filter != nil {
		t.Errorf("an honest shop has an attack: %+v", truth.Attack)
	}
	if diff := cmp.Diff(truth.Honest, truth.All); diff != "" {
		t.Errorf("honest and all differ (-honest +all):\n%s", diff)
	}
}

func BenchmarkRun(b *testing.B) {
	cfg := market.Example()
	lines := int64(0)
	for b.Loop() {
		truth, err := market.Run(cfg, io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		lines += truth.Lines
	}
	b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "records/s")
}
