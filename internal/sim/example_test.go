package sim_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/draw"
	"github.com/whosaw/whosaw/internal/sim"
)

var update = flag.Bool("update", false, "write examples/shop again")

const exampleDir = "../../examples/shop"

// maxExample is how much the example may take in the repository, all files together.
const maxExample = 2 << 20

// TestExample holds the committed files to the generator; with -update it makes them.
func TestExample(t *testing.T) {
	cfg := sim.Example()
	var nginx proxyLog
	cfg.Observe = nginx.observe
	records, attacks, truth := generate(t, cfg)
	js, err := truth.JSON()
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, f := range []struct {
		name string
		want []byte
	}{
		{"access.jsonl.gz", records}, {"catalog.yaml", sim.Catalog()}, {"truth.json", js}, {"truth.jsonl.gz", attacks}, {"nginx-access.log.gz", nginx.text},
	} {
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
	if n := int64(bytes.Count(nginx.text, []byte{'\n'})); n != truth.All.Accesses {
		t.Errorf("nginx wrote %d lines, there were %d accesses", n, truth.All.Accesses)
	}
	t.Logf("%d bytes in all, %d lines", total, truth.Lines)
}

// proxyLog is the same accesses as nginx writes them down: nine hours ahead of UTC, whole seconds, nobody's name.
type proxyLog struct {
	decoder whosaw.Decoder
	record  whosaw.Record
	seen    map[string]bool
	text    []byte
}

func (p *proxyLog) observe(line []byte, _ sim.Label) error {
	r := &p.record
	if err := p.decoder.Decode(line, 1<<50, r); err != nil {
		return err
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	if r.Type != whosaw.TypeAccess || p.seen[r.ID] {
		return nil
	}
	p.seen[strings.Clone(r.ID)] = true
	d := draw.New(1, 0, int(r.Time), 0)
	// Paths of customers name them; other pages have numbers of their own.
	number := strconv.Itoa(d.Between(1000, 99_999))
	if len(r.Subjects) == 1 && (strings.Contains(r.Route, "/customers/") || strings.Contains(r.Route, "/members/")) {
		number = r.Subjects[0]
	}
	size := 153
	if r.Status == 200 {
		size = d.Between(900, 9000) + 350*(len(r.Fields)+len(r.Masked)) + 90*int(r.Others)
	}
	b := append(p.text, r.IP.String()...)
	b = append(b, " - - ["...)
	b = time.UnixMilli(int64(r.Time)).In(time.FixedZone("", 9*3600)).AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = append(b, strings.Replace(r.Route, "{id}", number, 1)...)
	b = append(b, ` HTTP/1.1" `...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(size), 10)
	b = append(b, ` "-" "`...)
	b = append(b, r.Agent...)
	p.text = append(b, "\"\n"...)
	return nil
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
