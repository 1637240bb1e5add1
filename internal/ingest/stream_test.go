package ingest_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

const streamNow = 1795000000000

func newStream(t *testing.T, o ingest.StreamOptions) *ingest.Stream {
	t.Helper()
	s, err := ingest.NewStream(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStreamReadsAsRead: lines that come live give the records that reading the file gives, with the same source and
// position.
func TestStreamReadsAsRead(t *testing.T) {
	var lines []string
	for i := range 3000 {
		switch {
		case i%97 == 0:
			lines = append(lines, "no record")
		case i%101 == 0:
			lines = append(lines, "")
		default:
			lines = append(lines, fmt.Sprintf(`{"time":"2026-03-02T00:%02d:%02dZ","method":"GET","path":"/customers/%d","status":200,"ip":"198.51.100.7"}`, i/60, i%60, i))
		}
	}
	text := strings.Join(lines, "\n") + "\n"
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := ingest.Options{Now: streamNow, Source: "web", Format: ingest.FormatRecords}
	plan, err := ingest.NewPlan(t.Context(), []string{file}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	var want []whosaw.Record
	sum, err := ingest.Read(t.Context(), plan, o, func(b []whosaw.Record) error {
		for i := range b {
			want = append(want, b[i].Clone())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newStream(t, ingest.StreamOptions{Source: "web"})
	var got []whosaw.Record
	var rejects, feeds, counted int64
	for at := 0; at < len(text); {
		end := min(at+1000, len(text))
		end = at + strings.LastIndexByte(text[at:end], '\n') + 1
		b := s.Decode(streamNow, []byte(text[at:end]), int64(at), feeds)
		for i, n := range b.LineOf {
			if b.Records[i].Position < int64(at) || !strings.Contains(lines[n-1], fmt.Sprintf("%02d:%02dZ", b.Records[i].Time/60000%60, b.Records[i].Time/1000%60)) {
				t.Fatalf("record %d is not of line %d", i, n)
			}
		}
		for _, r := range b.Rejects {
			if lines[r.Line-1] != string(r.Raw) || r.Reason == "" || r.Hint == "" {
				t.Fatalf("reject %+v is not of its line", r)
			}
		}
		got = append(got, b.Records...)
		rejects += int64(len(b.Rejects))
		feeds += b.Feeds
		counted += b.Lines
		at = end
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b whosaw.Record) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) })); d != "" {
		t.Errorf("records (-read +stream):\n%s", d)
	}
	if rejects != sum.Rejected || counted != sum.Lines || feeds != int64(len(lines)) {
		t.Errorf("%d rejects of %d lines, %d feeds; read %d of %d", rejects, counted, feeds, sum.Rejected, sum.Lines)
	}
}

func body(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"time":%d,"route":"GET /me","status":200,"fields":["name"],"subject":%d,"agent":"%s"}`+"\n", streamNow-int64(i), i, strings.Repeat("x", i%500))
	}
	return b.Bytes()
}

// TestBodySentAgain: the same bytes give the same identities whatever their compression, and other bytes others.
func TestBodySentAgain(t *testing.T) {
	plain := body(5000)
	var zipped bytes.Buffer
	gz := gzip.NewWriter(&zipped)
	if _, err := gz.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	identities := func(data []byte) []string {
		t.Helper()
		var out []string
		s := newStream(t, ingest.StreamOptions{Source: "web"})
		err := s.DecodeBody(t.Context(), streamNow, bytes.NewReader(data), 1<<30, func(b *ingest.Batch) error {
			for i := range b.Records {
				r := &b.Records[i]
				out = append(out, fmt.Sprint(r.Source, r.Position, r.Time, r.Subjects))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := identities(plain)
	seen := map[string]bool{}
	for _, id := range want {
		seen[id] = true
	}
	if len(seen) != 5000 {
		t.Errorf("%d identities of 5000 records", len(seen))
	}
	for name, data := range map[string][]byte{"again": plain, "gzip": zipped.Bytes(), "zstd": enc.EncodeAll(plain, nil)} {
		if d := cmp.Diff(want, identities(data)); d != "" {
			t.Errorf("%s: identities differ:\n%s", name, d)
		}
	}
}

// TestBodyCutAndSentAgain: a body whose connection breaks, wherever it does, and that comes again in other pieces has the identities it
// has when it comes whole, in the same batches: neither a record nor a rejected line counts twice.
func TestBodyCutAndSentAgain(t *testing.T) {
	long := strings.Repeat("y", whosaw.MaxLine+10) + "\n"
	plain := slices.Concat(body(9000), []byte(long), body(2000), []byte("no record\n"+long[1:]), body(10_000))
	s := newStream(t, ingest.StreamOptions{Source: "web"})
	batches := func(r io.Reader) (out []string, err error) {
		err = s.DecodeBody(t.Context(), streamNow, r, 1<<30, func(b *ingest.Batch) error {
			var id strings.Builder
			for i := range b.Records {
				fmt.Fprintln(&id, b.LineOf[i], b.Records[i].Position, b.Records[i].Time)
			}
			for i := range b.Rejects {
				fmt.Fprintln(&id, b.Rejects[i].Line, b.Rejects[i].Position, b.Rejects[i].Reason)
			}
			out = append(out, id.String())
			return nil
		})
		return out, err
	}
	want, err := batches(bytes.NewReader(plain))
	if err != nil || len(want) < 3 {
		t.Fatalf("%d batches, %v", len(want), err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		pieces := pieceReader{bytes.NewReader(plain), rng}
		got, err := batches(pieces)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("in pieces: %v, batches (-whole +pieces):\n%.300s", err, d)
		}
		n := rng.IntN(len(plain))
		got, err = batches(io.MultiReader(pieceReader{bytes.NewReader(plain[:n]), rng}, iotest.ErrReader(io.ErrUnexpectedEOF)))
		if !ingest.IsBodyError(err) || len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("cut after %d of %d bytes: %v, and %d batches that are not the first of the body", n, len(plain), err, len(got))
		}
	}
}

// pieceReader reads as from a network: some of what is asked for.
type pieceReader struct {
	r   io.Reader
	rng *rand.Rand
}

func (p pieceReader) Read(b []byte) (int, error) {
	return p.r.Read(b[:min(len(b), 1+p.rng.IntN(1<<16))])
}

// TestBodyOfLongLines: batches are bounded by their bytes too.
func TestBodyOfLongLines(t *testing.T) {
	var b bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&b, `{"time":%d,"route":"GET /me","status":200,"subject":%d,"unknown":"%s"}`+"\n", streamNow-int64(i), i, strings.Repeat("x", 900_000))
	}
	var given []int64
	err := newStream(t, ingest.StreamOptions{Source: "web"}).DecodeBody(t.Context(), streamNow, &b, 1<<30, func(b *ingest.Batch) error {
		given = append(given, b.Lines)
		return nil
	})
	if err != nil || len(given) < 4 {
		t.Errorf("90 MB of lines came in batches of %d lines, %v", given, err)
	}
}

func TestBodyCutOrTooLong(t *testing.T) {
	plain := body(3000)
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := enc.EncodeAll(plain, nil)
	s := newStream(t, ingest.StreamOptions{Source: "web"})
	read := func(data []byte, limit int64) (int64, error) {
		var n int64
		err := s.DecodeBody(t.Context(), streamNow, bytes.NewReader(data), limit, func(b *ingest.Batch) error {
			n += int64(len(b.Records))
			return nil
		})
		return n, err
	}
	if _, err := read(packed[:len(packed)-10], 1<<30); !ingest.IsBodyError(err) {
		t.Errorf("a cut body: %v", err)
	}
	n, err := read(body(20_000), 5<<20)
	if !ingest.IsBodyError(err) || n < 8192 || n >= 20_000 || !strings.Contains(err.Error(), fmt.Sprintf("the first %d of its lines were taken", n)) {
		t.Errorf("a body that is too long gave %d records: %v", n, err)
	}
	if n, err := read(plain, int64(len(plain))); err != nil || n != 3000 {
		t.Errorf("a body of just the length gave %d records: %v", n, err)
	}
	if n, err := read(bytes.TrimSuffix(plain, []byte("\n")), 1<<30); err != nil || n != 3000 {
		t.Errorf("a body without the last line feed gave %d records: %v", n, err)
	}
	stop := errors.New("stop")
	err = s.DecodeBody(t.Context(), streamNow, bytes.NewReader(plain), 1<<30, func(*ingest.Batch) error { return stop })
	if err != stop {
		t.Errorf("the receiver's error became %v", err)
	}
}

func TestRejectLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rejects.jsonl")
	l, err := ingest.OpenRejectLog(path, 4096)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		r := ingest.RejectedLine{Raw: fmt.Appendf(nil, "line %d", i)}
		r.Source, r.Reason = "web", "no record"
		if err := l.Add([]ingest.RejectedLine{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path + ".1")
	if err != nil {
		t.Fatal(err)
	}
	all := append(before, now...)
	if len(now) > 4096 || len(before) > 4096 || !bytes.Contains(now, []byte(`"raw":"line 99"`)) {
		t.Errorf("files of %d and %d bytes", len(now), len(before))
	}
	last := -1
	for line := range strings.Lines(string(all)) {
		var n int
		if _, err := fmt.Sscanf(line[strings.Index(line, `"raw":"line `):], `"raw":"line %d"`, &n); err != nil {
			t.Fatal(err)
		}
		if last >= 0 && n != last+1 {
			t.Errorf("line %d follows %d", n, last)
		}
		last = n
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
