package ingest_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

// rec is a record line; n tells them apart.
func rec(n int) string {
	return fmt.Sprintf(`{"time":%d,"subject":"%d","route":"GET /me","status":200}`, whenMS+int64(n), n)
}

func recs(from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		b.WriteString(rec(n) + "\n")
	}
	return b.String()
}

func gz(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.String()
}

func zst(t testing.TB, s string, o ...zstd.EOption) string {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, o...)
	if err != nil {
		t.Fatal(err)
	}
	z.Write([]byte(s))
	z.Close()
	return b.String()
}

func sourceOf(s string) string {
	sum := sha256.Sum256([]byte(s[:min(len(s), 4096)]))
	return hex.EncodeToString(sum[:8])
}

// TestCompressed reads one log in every wrapping: the records, sources and positions are the same.
func TestCompressed(t *testing.T) {
	text := recs(0, 3000)
	half := strings.Index(text[len(text)/2:], "\n") + len(text)/2 - 7 // in the middle of a line
	want := read(t, ingest.Options{}, file(t, "plain", text))
	if want.Accepted != 3000 || want.Inputs[0].Source != sourceOf(text) {
		t.Fatalf("%+v", want.Summary)
	}
	for name, packed := range map[string]string{
		"gzip":                    gz(text),
		"gzip, two members":       gz(text[:half]) + gz(text[half:]),
		"gzip, an empty member":   gz("") + gz(text) + gz(""),
		"gzip, padded":            gz(text) + strings.Repeat("\x00", 1000),
		"zstd":                    zst(t, text),
		"zstd, two frames":        zst(t, text[:half]) + zst(t, text[half:]),
		"zstd, a skippable frame": "\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zst(t, text),
	} {
		got := read(t, ingest.Options{}, file(t, "log", packed))
		if got.Inputs[0].Compression != name[:4] || got.Inputs[0].Source != want.Inputs[0].Source {
			t.Errorf("%s: %+v", name, got.Inputs[0])
		}
		same(t, name, want.records, got.records)
	}
}

func same(t testing.TB, name string, want, got []whosaw.Record) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d records, want %d", name, len(got), len(want))
		return
	}
	for i := range want {
		a, b := whosaw.AppendJSON(nil, &want[i]), whosaw.AppendJSON(nil, &got[i])
		if !bytes.Equal(a, b) || want[i].Source != got[i].Source || want[i].Position != got[i].Position {
			t.Errorf("%s: record %d is %s at %s:%d, want %s at %s:%d", name, i, b, got[i].Source, got[i].Position, a, want[i].Source, want[i].Position)
			return
		}
	}
}

// TestCutArchives cuts archives everywhere: what came before is kept, and the cut is one counted reject.
func TestCutArchives(t *testing.T) {
	text := recs(0, 400)
	dir := t.TempDir()
	for name, packed := range map[string]string{
		"gzip": gz(text), "zstd": zst(t, text, zstd.WithEncoderCRC(true), zstd.WithEncoderLevel(zstd.SpeedFastest)),
	} {
		for cut := len(packed) - 1; cut > 3; cut -= 1 + cut/40 {
			path := filepath.Join(dir, "cut")
			write(t, path, packed[:cut])
			got := read(t, ingest.Options{}, path)
			in := got.Inputs[0]
			if got.Rejected != 1 || !in.Truncated {
				t.Fatalf("%s cut at %d: %+v", name, cut, got.Summary)
			}
			if r := got.rejects[0]; !strings.Contains(r.Reason, fmt.Sprintf("%s ends early at byte %d: the file is cut", name, cut)) ||
				!strings.HasPrefix(text[r.Position:], r.Raw) {
				t.Fatalf("%s cut at %d: %+v", name, cut, r)
			}
			for i := range got.records {
				if p := got.records[i].Position; !strings.HasPrefix(text[p:], rec(i)) {
					t.Fatalf("%s cut at %d: record %d at %d", name, cut, i, p)
				}
			}
		}
	}
}

func TestDamagedArchives(t *testing.T) {
	text := recs(0, 4000)
	packed := []byte(gz(text))
	packed[len(packed)-5] ^= 1 // the checksum
	for name, c := range map[string]struct {
		data, reason string
		accepted     int64
	}{
		"checksum":           {string(packed), "gzip is damaged", 4000},
		"followed by a text": {gz(text) + "and then this\n", "is not gzip", 4000},
		"zstd followed":      {zst(t, text) + "and then this\n", "zstd", 4000},
		"window":             {zst(t, text+strings.Repeat(" \n", 1<<20), zstd.WithWindowSize(512<<20), zstd.WithSingleSegment(false)), "window", 0},
		"only a magic":       {"\x1f\x8b", "gzip ends early", 0},
		"magic and garbage":  {"\x1f\x8b\x08\x00garbage garbage garbage", "gzip", 0},
		"zstd and garbage":   {"\x28\xb5\x2f\xfdgarbage garbage garbage", "zstd", 0},
	} {
		got := read(t, ingest.Options{}, file(t, "log", c.data))
		if got.Accepted != c.accepted || got.Rejected != 1 || !strings.Contains(got.rejects[0].Reason, c.reason) || !got.Inputs[0].Truncated {
			t.Errorf("%s: %+v", name, got.Summary)
		}
	}
}

// TestBomb reads archives that expand to far more than memory should hold.
func TestBomb(t *testing.T) {
	if testing.Short() {
		t.Skip("expands 256 MB")
	}
	long := strings.Repeat("x", 64<<20)
	for name, packed := range map[string]string{"gzip": gz(rec(1) + "\n" + long + "\n" + rec(2) + "\n"), "zstd": zst(t, rec(1)+"\n"+long+"\n"+rec(2)+"\n")} {
		got := read(t, ingest.Options{}, file(t, name, packed))
		if got.Accepted != 2 || got.Rejected != 1 || got.rejects[0].Line != 2 || !strings.Contains(got.rejects[0].Reason, "longer than 1 MiB") ||
			got.records[1].Position != int64(len(rec(1))+len(long)+2) || !got.rejects[0].Cut {
			t.Errorf("%s: %+v", name, got.Summary)
		}
	}
}

func TestLines(t *testing.T) {
	a, b := rec(1), rec(2)
	longest := rec(3)[:len(rec(3))-1] + `,"agent":"` + strings.Repeat("a", whosaw.MaxLine-len(rec(3))-11) + `"}`
	for _, c := range []struct {
		name, text         string
		accepted, rejected int64
		positions          []int64
		reason             string
		line, at           int64
	}{
		{name: "plain", text: a + "\n" + b + "\n", accepted: 2, positions: []int64{0, int64(len(a) + 1)}},
		{name: "no last line feed", text: a + "\n" + b, accepted: 2, positions: []int64{0, int64(len(a) + 1)}},
		{name: "CRLF", text: a + "\r\n" + b + "\r\n", accepted: 2, positions: []int64{0, int64(len(a) + 2)}},
		{name: "blank lines", text: "\n \t\n" + a + "\n\r\n\n" + b + "\n\n", accepted: 2, positions: []int64{4, int64(len(a) + 8)}},
		{name: "byte order mark", text: "\xef\xbb\xbf" + a + "\n" + b + "\n", accepted: 2, positions: []int64{3, int64(len(a) + 4)}},
		{name: "leading space", text: "  " + a + "\n", accepted: 1, positions: []int64{0}},
		{name: "half-written", text: a + "\n" + b[:30], accepted: 1, rejected: 1, positions: []int64{0}, reason: "half-written", line: 2, at: int64(len(a) + 1)},
		{name: "cut in the middle", text: a + "\n" + b[:30] + "\n" + b + "\n", accepted: 2, rejected: 1, positions: []int64{0, int64(len(a) + 32)}, line: 2, at: int64(len(a) + 1)},
		{name: "bad last line", text: a + "\n{}", accepted: 1, rejected: 1, positions: []int64{0}, reason: "member time", line: 2, at: int64(len(a) + 1)},
		{name: "NUL bytes", text: "\x00\x00" + a + "\n\n" + b + "\n", accepted: 1, rejected: 1, positions: []int64{int64(len(a) + 4)}, reason: "NUL bytes", line: 1},
		{name: "not UTF-8", text: a + "\n" + strings.Replace(b, "GET", "G\xffT", 1) + "\n", accepted: 1, rejected: 1, positions: []int64{0}, reason: "UTF-8", line: 2, at: int64(len(a) + 1)},
		{name: "longest line", text: a + "\n" + longest + "\n" + b + "\n", accepted: 3, positions: []int64{0, int64(len(a) + len(longest) + 2), int64(len(a) + 1)}},
		{name: "a byte too long", text: a + "\n" + longest + " \n" + b + "\n", accepted: 2, rejected: 1, positions: []int64{0, int64(len(a) + len(longest) + 3)},
			reason: "longer than 1 MiB", line: 2, at: int64(len(a) + 1)},
		{name: "too long at the end", text: a + "\n" + longest + longest, accepted: 1, rejected: 1, positions: []int64{0}, reason: "longer than 1 MiB", line: 2, at: int64(len(a) + 1)},
		{name: "seconds", text: a + "\n" + `{"time":1779012303,"subject":"1"}` + "\n", accepted: 1, rejected: 1, positions: []int64{0}, reason: "looks like seconds", line: 2, at: int64(len(a) + 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := read(t, ingest.Options{}, file(t, "log", c.text))
			if got.Accepted != c.accepted || got.Rejected != c.rejected || got.Inputs[0].Format != ingest.FormatRecords {
				t.Fatalf("%+v", got.Summary)
			}
			for i := range got.records {
				if got.records[i].Position != c.positions[i] {
					t.Errorf("record %d at %d, want %d", i, got.records[i].Position, c.positions[i])
				}
			}
			if c.rejected > 0 {
				if r := got.rejects[0]; r.Line != c.line || r.Position != c.at || !strings.Contains(r.Reason, c.reason) || r.Hint == "" {
					t.Errorf("reject %+v", r.Reject)
				}
			}
		})
	}
}

func TestElements(t *testing.T) {
	a, b, c := rec(1), rec(2), rec(3)
	long := `{"time":1,"x":"` + strings.Repeat(`ab\"`, 500_000) + `"}`
	for _, x := range []struct {
		name, text         string
		accepted, rejected int64
		reason             string
		truncated          bool
	}{
		{name: "array", text: "[" + a + "," + b + "\n,\n" + c + "]", accepted: 3},
		{name: "empty", text: "[]\n[]", accepted: 0},
		{name: "over lines", text: "[\n" + strings.ReplaceAll(a, ",", ",\n ") + "\n]", accepted: 1},
		{name: "no end", text: "[" + a + "," + b, accepted: 2, rejected: 1, reason: "ends early", truncated: true},
		{name: "cut element", text: "[" + a + "," + b[:20], accepted: 1, rejected: 1, reason: "half-written", truncated: true},
		{name: "not objects", text: "[" + a + `,7,"x",` + b + ", null]", accepted: 2, rejected: 3, reason: "not an object"},
		{name: "bad object", text: "[" + a + `,{"a" 1},` + b + "]", accepted: 2, rejected: 1},
		{name: "too long", text: "[" + a + "," + long + "," + b + "]", accepted: 2, rejected: 1, reason: "longer than 1 MiB"},
		{name: "too long at the end", text: "[" + a + "," + long[:len(long)-2], accepted: 1, rejected: 1, reason: "longer than 1 MiB", truncated: true},
		{name: "text behind", text: "[" + a + "]\nwhat is this\n" + b + "\n", accepted: 2, rejected: 1, reason: "not an object"},
		{name: "NUL bytes", text: "[" + a + ",{\"time\":\x001}," + b + "]", accepted: 2, rejected: 1, reason: "NUL"},
		{name: "unbalanced", text: "[" + a + `,{"a":{"b":1},` + b + "]", accepted: 1, rejected: 2, truncated: true},
	} {
		t.Run(x.name, func(t *testing.T) {
			o := ingest.Options{Format: ingest.FormatRecords}
			got := read(t, o, file(t, "log", x.text))
			if got.Accepted != x.accepted || got.Rejected != x.rejected {
				t.Fatalf("%+v", got.Summary)
			}
			if x.name != "unbalanced" && got.Inputs[0].Truncated != x.truncated {
				t.Errorf("truncated %v", got.Inputs[0].Truncated)
			}
			for i := range got.records {
				if p := got.records[i].Position; x.text[p] != '{' {
					t.Errorf("record %d: no element begins at %d", i, p)
				}
			}
			if x.rejected > 0 && !strings.Contains(got.rejects[0].Reason, x.reason) {
				t.Errorf("reject %+v", got.rejects[0].Reject)
			}
			// In small pieces the result is the same.
			p, err := ingest.NewPlan(context.Background(), []string{ingest.Stdin}, ingest.Options{Source: got.Inputs[0].Source, Format: o.Format, Stdin: &drip{s: x.text}})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			again := readPlan(t, p, ingest.Options{Now: testNow, RejectFile: filepath.Join(t.TempDir(), "r")})
			same(t, "dripping", got.records, again.records)
			if again.Rejected != got.Rejected {
				t.Errorf("dripping: %d rejected, want %d", again.Rejected, got.Rejected)
			}
		})
	}
}

// drip gives a few bytes at a time, or up to step, sometimes none.
type drip struct {
	s    string
	n    int
	step int
	end  error // nil: io.EOF
}

func (d *drip) Read(p []byte) (int, error) {
	if d.s == "" {
		return 0, cmp.Or(d.end, io.EOF)
	}
	d.n++
	if d.n%7 == 0 {
		return 0, nil
	}
	k := min(len(p), len(d.s), max(d.step, 1+d.n*d.n%4099))
	copy(p, d.s[:k])
	d.s = d.s[k:]
	return k, nil
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/b.log", recs(10, 20))
	write(t, dir+"/a/2.gz", gz(recs(0, 5)))
	write(t, dir+"/a/1.log", `203.0.113.7 - - `+when+` "GET /users/7 HTTP/1.1" 200 1 "-" "curl"`+"\n")
	write(t, dir+"/a/error.log", "2026/05/17 10:05:03 [error] something happened\n")
	write(t, dir+"/empty", "")
	write(t, dir+"/old.tar.bz2", "BZh91AY&SY")
	write(t, dir+"/rejects.jsonl", `{"source":"a","file":"b","line":1,"position":0,"reason":"c","hint":"d","raw":"e"}`+"\n")
	link(t, "b.log", dir+"/link.log")
	link(t, "nowhere", dir+"/broken")
	link(t, ".", dir+"/a/loop")
	link(t, "..", dir+"/a/up")
	link(t, "self", dir+"/self")
	link(t, "/dev/zero", dir+"/zero")
	l, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	got := read(t, ingest.Options{}, dir)
	if got.Accepted != 10+5+1+10 || got.Rejected != 0 {
		t.Errorf("%+v", got.Summary)
	}
	var names []string
	for _, in := range got.Inputs {
		names = append(names, strings.TrimPrefix(in.Path, dir+"/"))
	}
	if s := strings.Join(names, " "); s != "a/1.log a/2.gz b.log empty link.log" {
		t.Errorf("inputs %s", s)
	}
	want := map[string]string{
		"a/error.log": "none of its first lines", "old.tar.bz2": "bzip2", "rejects.jsonl": "reject file", "broken": "no such file",
		"a/loop": "link to a directory that holds it", "a/up": "link to a directory that holds it", "self": "too many levels", "zero": "a device", "socket": "a socket",
	}
	for _, p := range got.Problems {
		name := strings.TrimPrefix(p.Path, dir+"/")
		if w := want[name]; w == "" || !strings.Contains(p.Reason, w) {
			t.Errorf("problem %s", p)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("no problem about %s", name)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func TestPlanErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/empty.d/x", "BZh91AY&SY")
	if err := os.Mkdir(dir+"/nothing.d", 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		name  string
		o     ingest.Options
		paths []string
		says  string
	}{
		{"nothing", ingest.Options{}, nil, "no logs named"},
		{"an empty name", ingest.Options{}, []string{""}, "an empty name is no log"},
		{"an empty directory", ingest.Options{}, []string{dir + "/nothing.d"}, "no file lies there"},
		{"missing", ingest.Options{}, []string{dir + "/none"}, "nothing in " + dir + " is called none"},
		{"socket", ingest.Options{}, []string{dir + "/socket"}, "it is a socket"},
		{"device", ingest.Options{}, []string{"/dev/zero"}, "it is a device"},
		{"no log inside", ingest.Options{}, []string{dir + "/empty.d"}, "bzip2"},
		{"zip", ingest.Options{}, []string{file(t, "a", "PK\x03\x04....")}, "unzip"},
		{"tar", ingest.Options{}, []string{file(t, "a", gz("access.log"+strings.Repeat("\x00", 247)+"ustar\x0000"+strings.Repeat("\x00", 300)+recs(0, 9)))}, "tar archive"},
		{"UTF-16", ingest.Options{}, []string{file(t, "a", "\xff\xfe{\x00")}, "iconv"},
		{"prose", ingest.Options{}, []string{file(t, "a", "dear diary\n")}, "--format"},
		{"NUL bytes alone", ingest.Options{}, []string{file(t, "a", strings.Repeat("\x00", 1000))}, "--format"},
		{"other JSON", ingest.Options{}, []string{file(t, "a", `{"zeit":1,"wer":"x"}`+"\n")}, "(zeit, wer)"},
		{"rejects", ingest.Options{}, []string{file(t, "a", `{"source":"","file":"","position":1,"reason":"","raw":""}`+"\n")}, "reject file"},
		{"format", ingest.Options{Format: "csv"}, []string{dir}, "records, combined"},
		{"format mapping", ingest.Options{Format: "mapping"}, []string{dir}, "--mapping FILE"},
		{"format and mapping", ingest.Options{Format: "nginx", Mapping: "m"}, []string{dir}, "--mapping goes with"},
		{"mapping missing", ingest.Options{Mapping: dir + "/none"}, []string{dir}, "no such file"},
		{"mapping a directory", ingest.Options{Mapping: dir}, []string{dir}, "not a file"},
		{"stdin twice", ingest.Options{Stdin: strings.NewReader(rec(1))}, []string{"-", "-"}, "named twice"},
		{"no stdin", ingest.Options{}, []string{"-"}, "there is none"},
		{"source", ingest.Options{Source: "a\nb"}, []string{dir}, "--source"},
		{"source mark", ingest.Options{Source: "a#issuance"}, []string{dir}, "--source"},
	} {
		if _, err := ingest.NewPlan(context.Background(), c.paths, c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.says)
		}
	}
}

func TestFormatInsists(t *testing.T) {
	text := rec(1) + "\n" + `203.0.113.7 - - ` + when + ` "GET /users/7 HTTP/1.1" 200 1 "-" "curl"` + "\n"
	for format, reason := range map[string]string{"records": "JSON", "combined": "no time in brackets", "nginx": "JSON", "cloudtrail": "CloudTrail"} {
		got := read(t, ingest.Options{Format: format}, file(t, "log", text))
		if got.Lines != 2 || got.Accepted > 1 || got.Rejected < 1 || got.Inputs[0].Format != format {
			t.Errorf("%s: %+v", format, got.Summary)
		}
		if !strings.Contains(got.rejects[0].Reason, reason) && !strings.Contains(got.rejects[len(got.rejects)-1].Reason, reason) {
			t.Errorf("%s: %+v", format, got.rejects)
		}
	}
}

// TestRecognisedBehindBadLines has a first line of no use.
func TestRecognisedBehindBadLines(t *testing.T) {
	got := read(t, ingest.Options{}, file(t, "log", strings.Repeat("bad\n", 500)+strings.Repeat("y", 3<<20)+"\n"+recs(0, 3)))
	if got.Inputs[0].Format != ingest.FormatRecords || got.Accepted != 3 || got.Rejected != 501 {
		t.Errorf("%+v", got.Summary)
	}
}

func TestStdin(t *testing.T) {
	text := recs(0, 1000)
	a, b := stdin(t, ingest.Options{Source: "gw"}, gz(text)), stdin(t, ingest.Options{Source: "gw"}, text)
	same(t, "gzip", a.records, b.records)
	if a.records[0].Source != "gw" || len(a.Notes) != 0 {
		t.Errorf("%+v", a.Summary)
	}
	// Without a name each reading is a new source, and that is said.
	var sources []string
	for range 2 {
		r := read(t, ingest.Options{Stdin: strings.NewReader(text)}, ingest.Stdin)
		sources = append(sources, r.Inputs[0].Source)
		if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "--source") {
			t.Errorf("notes %q", r.Notes)
		}
	}
	if sources[0] == sources[1] || sources[0] == sourceOf(text) {
		t.Errorf("sources %q", sources)
	}
	if _, err := ingest.NewPlan(context.Background(), []string{"-"}, ingest.Options{Stdin: io.MultiReader(strings.NewReader(""), broken{})}); err == nil {
		t.Error("a broken standard input is no error")
	}
}

// broken cannot be read.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

// TestReread reads standard input twice, as a pass that suggests a catalog and one that reads do.
func TestReread(t *testing.T) {
	tmp := t.TempDir()
	o := ingest.Options{Now: testNow, Stdin: strings.NewReader(zst(t, recs(0, 100))), Reread: true, TempDir: tmp}
	p, err := ingest.NewPlan(context.Background(), []string{"-"}, o)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	o.Observe = func(r *whosaw.Record) { seen++ }
	if _, err := ingest.Read(context.Background(), p, o, nil); err != nil || seen != 100 {
		t.Errorf("first reading: %d records, %v", seen, err)
	}
	o.RejectFile = filepath.Join(t.TempDir(), "r")
	if got := readPlan(t, p, o); got.Accepted != 100 {
		t.Errorf("second reading: %+v", got.Summary)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	empty(t, tmp)
	// Without Reread the second reading says why it cannot be.
	o = ingest.Options{Now: testNow, Stdin: strings.NewReader(recs(0, 3))}
	if p, err = ingest.NewPlan(context.Background(), []string{"-"}, o); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if s, err := ingest.Read(context.Background(), p, o, nil); (err != nil) != (i == 1) {
			t.Errorf("reading %d: %+v, %v", i, s, err)
		}
	}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
}

func TestObserveSeesRawPaths(t *testing.T) {
	line := `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1 "-" "curl"` + "\n"
	var seen []string
	got := read(t, ingest.Options{Observe: func(r *whosaw.Record) { seen = append(seen, r.Method+" "+r.Path) }}, file(t, "log", line))
	if len(seen) != 1 || seen[0] != "GET /users/7?x=1" || len(got.records) != 1 {
		t.Errorf("observed %q", seen)
	}
	if r := got.records[0]; r.Route == "" || strings.Contains(r.Route, "7") || len(r.Subjects) != 1 {
		t.Errorf("resolved to %q, %q", r.Route, r.Subjects)
	}
}
