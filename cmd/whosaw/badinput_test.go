package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// good is record line i of a log in which nothing is wrong.
func good(i int) string {
	return fmt.Sprintf(`{"time":"2026-11-03T10:%02d:%02d.000Z","route":"GET /me","subject":%d,"fields":["name"],"ip":"192.0.2.%d","status":200}`,
		i/60%60, i%60, 1000+i, i%200+1)
}

func goodLines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(good(i))
		b.WriteByte('\n')
	}
	return b.String()
}

func gz(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t *testing.T, text string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(text), nil)
}

// noise is text that does not compress to nothing, so that a cut archive still holds lines.
func noise(n int) string {
	var b strings.Builder
	seed := uint64(1)
	for i := range n {
		seed = seed*6364136223846793005 + 1442695040888963407
		b.WriteString(strings.Replace(good(i), `"status"`, fmt.Sprintf(`"request":"%016x","status"`, seed), 1))
		b.WriteByte('\n')
	}
	return b.String()
}

// badInput is one kind of bad input: what the user has, and what must come of it.
type badInput struct {
	name  string
	files map[string]string              // written below the test's directory
	setup func(t *testing.T, dir string) // what files cannot say
	args  []string                       // after `investigate`; DIR is the test's directory
	stdin string                         //
	code  int                            // exit code
	read  *[4]int64                      // lines, accepted, rejected, duplicates
	says  []string                       // in what is printed
	check func(t *testing.T, dir string) // what else must hold
}

func counts(lines, accepted, rejected, duplicates int64) *[4]int64 {
	return &[4]int64{lines, accepted, rejected, duplicates}
}

// reject is a log of two good lines around a bad one.
func reject(name, line string, says ...string) badInput {
	return badInput{
		name: name, files: map[string]string{"log": good(1) + "\n" + line + "\n" + good(2) + "\n"},
		args: []string{"DIR/log"}, read: counts(3, 2, 1, 0), says: says,
	}
}

// keep is a log of two good lines around an odd one that is a record all the same.
func keep(name, line string, says ...string) badInput {
	b := reject(name, line, says...)
	b.read = counts(3, 3, 0, 0)
	return b
}

const secret = "Hong-Gildong" // stands for personal data: it must never be printed

func with(member string) string {
	return `{"time":"2026-11-03T10:00:00Z","route":"GET /me","status":200,"agent":"` + secret + `",` + member + `}`
}

func badInputs(t *testing.T) []badInput {
	noisy := noise(4000)
	zipped, zstded := gz(t, noisy), zst(t, noisy)
	return []badInput{
		reject("NUL bytes", strings.Repeat("\x00", 200), "NUL"),
		reject("a line of 100 MB", `{"time":"2026-11-03T10:00:00Z","agent":"`+strings.Repeat("x", 100<<20)+`"}`, "longer than 1 MiB"),
		reject("invalid UTF-8", with(`"principal":"`+"\xff\xfe"+`"`), "UTF-8"),
		reject("time in 1970", `{"time":"1970-01-01T00:00:00Z","subject":1}`, "time"),
		reject("time in 9999", `{"time":"9999-12-31T23:59:59Z","subject":1}`, "time"),
		reject("time in seconds", `{"time":1793700000,"subject":1}`, "seconds"),
		reject("time in microseconds", `{"time":1793700000000000,"subject":1}`, "microseconds"),
		reject("time missing", `{"subject":1,"route":"GET /me"}`, "time"),
		reject("time in words", with(`"id":"x"`)[:8]+`"yesterday","subject":1}`, "time"),
		reject("a number with a fraction as subject", with(`"subject":7.5`), "subject"),
		reject("a number with an exponent as subject", with(`"subject":1e3`), "subject"),
		reject("an id of 10 kB", with(`"subject":"`+strings.Repeat("7", 10_000)+`"`), "256"),
		reject("subject and subjects", with(`"subject":7,"subjects":[8]`), "subject"),
		reject("a member twice", with(`"subject":7,"subject":8`), "twice"),
		reject("a field in clear and masked", with(`"subject":7,"fields":["phone"],"masked":["phone"]`), "masked"),
		reject("status 9999", `{"time":"2026-11-03T10:00:00Z","status":9999}`, "status"),
		reject("an address that is none", with(`"ip":"300.1.2.3"`), "ip"),
		reject("a country that is none", with(`"country":"Korea"`), "country"),
		reject("an unknown type", with(`"type":"acess"`), "access"),
		reject("an issuance without credential", `{"type":"issuance","time":"2026-11-03T10:00:00Z","subject":7}`, "credential"),
		reject("an array for an object", `["`+secret+`"]`, "object"),
		reject("JSON 100,000 deep", with(`"x":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)), "deep"),
		reject("JSON cut in the middle", with(`"subject":7`)[:60], ""),
		reject("a bare word", secret, ""),
		keep("control characters", with(`"subject":7,"principal":"staff:\u001b[2J\u0007kim"`)),
		keep("bidirectional characters", with("\"subject\":7,\"principal\":\"staff:\u202egnp.exe\"")),
		keep("unknown members", with(`"subject":7,"colour":"blue","nested":{"a":[1,2,{"b":null}]}`), "colour|left out"),
		keep("null for missing", with(`"subject":null,"principal":null,"others":null`)),
		keep("escapes in member names", with(`"s\u0075bject":7`)),
		{
			name: "gzip cut", files: map[string]string{"log.gz": string(zipped[:len(zipped)/2])},
			args: []string{"DIR/log.gz"}, says: []string{"cut"},
		},
		{
			name: "zstd cut", files: map[string]string{"log.zst": string(zstded[:len(zstded)/2])},
			args: []string{"DIR/log.zst"}, says: []string{"cut"},
		},
		{
			name: "gzip with damage in the middle", files: map[string]string{"log.gz": damage(zipped), "ok": goodLines(3)},
			args: []string{"DIR/log.gz", "DIR/ok"}, says: []string{"damaged|corrupt|checksum"},
		},
		{
			name: "two gzip members and rubbish after them", files: map[string]string{"log.gz": string(gz(t, goodLines(2))) + string(gz(t, good(5)+"\n")) + "rubbish"},
			args: []string{"DIR/log.gz"}, read: counts(4, 3, 1, 0),
		},
		{name: "an empty file", files: map[string]string{"log": ""}, args: []string{"DIR/log"}, read: counts(0, 0, 0, 0), says: []string{"empty|no line|no record|nothing"}},
		{name: "blank lines alone", files: map[string]string{"log": "\n \n\r\n"}, args: []string{"DIR/log"}, read: counts(0, 0, 0, 0)},
		{name: "nothing on standard input", args: []string{"-"}, read: counts(0, 0, 0, 0)},
		{
			name: "a half-written last line", files: map[string]string{"log": goodLines(2) + good(3)[:70]},
			args: []string{"DIR/log"}, read: counts(3, 2, 1, 0), says: []string{"half-written"},
		},
		{
			name: "a last line without line feed", files: map[string]string{"log": goodLines(2) + good(3)},
			args: []string{"DIR/log"}, read: counts(3, 3, 0, 0),
		},
		{
			name: "CRLF and a byte-order mark", files: map[string]string{"log": "\ufeff" + strings.ReplaceAll(goodLines(3), "\n", "\r\n")},
			args: []string{"DIR/log"}, read: counts(3, 3, 0, 0),
		},
		{
			name: "the same file twice", files: map[string]string{"log": goodLines(5)},
			args: []string{"DIR/log", "DIR/log"}, read: counts(10, 5, 0, 5),
		},
		{
			name: "rotated and grown", files: map[string]string{"log.1": goodLines(200), "log": goodLines(300)},
			args: []string{"DIR/log.1", "DIR/log"}, read: counts(500, 300, 0, 200),
		},
		{
			name: "the same log re-compressed", files: map[string]string{"log": noisy, "log.gz": string(zipped), "log.zst": string(zstded)},
			args: []string{"DIR/log", "DIR/log.gz", "DIR/log.zst"}, read: counts(12000, 4000, 0, 8000),
		},
		{
			name: "one id, two contents", files: map[string]string{"log": with(`"id":"a","subject":7`) + "\n" + with(`"id":"a","subject":8`) + "\n" + with(`"id":"a","subject":7`) + "\n"},
			args: []string{"DIR/log"}, read: counts(3, 1, 1, 1), says: []string{"id"},
		},
		{
			name: "a directory with a socket, a pipe and a loop in it", files: map[string]string{"d/log": goodLines(3), "d/sub/log2": good(7) + "\n"},
			setup: func(t *testing.T, dir string) {
				// The path of a socket is short: it is made by its relative name.
				t.Chdir(filepath.Join(dir, "d"))
				l, err := net.Listen("unix", "socket")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
				if err := syscall.Mkfifo("pipe", 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("..", "sub/loop"); err != nil {
					t.Fatal(err)
				}
			},
			args: []string{"DIR/d"}, read: counts(4, 4, 0, 0), says: []string{"socket"},
		},
		{name: "a file that is not there", args: []string{"DIR/missing.log"}, code: exitFailed, says: []string{"missing.log"}},
		{
			name: "an unreadable file",
			setup: func(t *testing.T, dir string) {
				// root reads everything, but nobody reads the memory at address 0.
				if os.Getuid() == 0 {
					if err := os.Symlink("/proc/self/mem", filepath.Join(dir, "log")); err != nil {
						t.Fatal(err)
					}
				} else if err := os.WriteFile(filepath.Join(dir, "log"), []byte(good(1)), 0o000); err != nil {
					t.Fatal(err)
				}
			},
			args: []string{"DIR/log"}, code: exitFailed, says: []string{"log"},
		},
		{name: "a picture", files: map[string]string{"log": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + strings.Repeat("\x01\x9f\x00", 300)}, args: []string{"DIR/log"}, code: exitFailed, says: []string{"format"}},
		{name: "a format by hand that is not the log's", files: map[string]string{"log": goodLines(3)}, args: []string{"--format", "combined", "DIR/log"}, read: counts(3, 0, 3, 0)},
		{name: "a format that does not exist", files: map[string]string{"log": goodLines(3)}, args: []string{"--format", "xml", "DIR/log"}, code: exitUsage, says: []string{"combined"}},
		{name: "no log", code: exitUsage, says: []string{"investigate"}},
		{
			name: "a data directory that is a file", files: map[string]string{"log": goodLines(3), "data": "x"},
			args: []string{"--data", "DIR/data", "DIR/log"}, code: exitFailed, says: []string{"data"},
		},
		{
			name: "a data directory that cannot be written", files: map[string]string{"log": goodLines(3)},
			setup: func(t *testing.T, dir string) {
				// root writes everywhere but into /sys.
				target := "/sys/kernel"
				if os.Getuid() != 0 {
					target = filepath.Join(dir, "locked")
					if err := os.Mkdir(target, 0o500); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Symlink(target, filepath.Join(dir, "readonly")); err != nil {
					t.Fatal(err)
				}
			},
			args: []string{"--data", "DIR/readonly/case", "DIR/log"}, code: exitFailed, says: []string{"readonly/case"},
		},
		{name: "a report on a full disk", files: map[string]string{"log": goodLines(3)}, args: []string{"--report", "/dev/full", "DIR/log"}, code: exitFailed, says: []string{"report|/dev/full"}},
		{name: "a broken catalog", files: map[string]string{"log": goodLines(1), "c.yaml": "routes:\n  - rout: GET /me\n"}, args: []string{"--catalog", "DIR/c.yaml", "DIR/log"}, code: exitFailed, says: []string{"c.yaml", "2"}},
		{name: "a broken mapping", files: map[string]string{"log": goodLines(1), "m.yaml": "tim: ts\n"}, args: []string{"--mapping", "DIR/m.yaml", "DIR/log"}, code: exitFailed, says: []string{"m.yaml"}},
		{name: "a zone that does not exist", files: map[string]string{"log": goodLines(1)}, args: []string{"--zone", "Seoul", "DIR/log"}, code: exitUsage, says: []string{"Asia/Seoul"}},
		{
			name: "HTML in a user agent", files: map[string]string{"log": strings.ReplaceAll(goodLines(3), `"ip"`, `"agent":"<script>alert(1)</script>","principal":"<img src=x onerror=alert(1)>","ip"`)},
			args: []string{"--report", "DIR/report.html", "DIR/log"}, read: counts(3, 3, 0, 0),
			check: func(t *testing.T, dir string) {
				page, err := os.ReadFile(filepath.Join(dir, "report.html"))
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(page, []byte("<script>alert")) || bytes.Contains(page, []byte("<img src=x")) {
					t.Error("markup of the log is markup of the report")
				}
			},
		},
		{
			name: "combined: odd requests", args: []string{"DIR/log"}, read: counts(5, 4, 1, 0),
			files: map[string]string{"log": `192.0.2.1 - - [03/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 12 "-" "agent \"quoted\" \\ end"
192.0.2.1 - - [03/Nov/2026:10:00:01 +0000] "\x16\x03\x01" 400 226 "-" "-"
host.example - - [03/Nov/2026:10:00:02 +0000] "-" 408 - "-" "-"
2001:db8::1 - kim [03/Nov/2026:10:00:03 +0000] "GET /b HTTP/1.1" 304 - "-" "x"
192.0.2.1 - - [03/Nov/2026:10:00:04 +0000] "GET /c HTTP/1.1" 200 12 "-" "no end
`},
		},
	}
}

// damage turns over bytes in the middle of an archive.
func damage(data []byte) string {
	data = bytes.Clone(data)
	for i := len(data) / 2; i < len(data)/2+64; i++ {
		data[i] ^= 0x55
	}
	return string(data)
}

// TestBadInput: a clear error or a counted reject each, nothing else lost, nothing personal printed, nothing
// that draws on the terminal.
func TestBadInput(t *testing.T) {
	for _, c := range badInputs(t) {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.setup != nil {
				c.setup(t, dir)
			}
			args := []string{"investigate"}
			for _, a := range c.args {
				args = append(args, strings.ReplaceAll(a, "DIR", dir))
			}
			stdout, stderr, code := whosawRunWith(t, t.Context(), strings.NewReader(c.stdin), args...)
			printed := stdout + stderr
			if code != c.code {
				t.Fatalf("exit %d, want %d\n%s", code, c.code, printed)
			}
			for _, words := range c.says {
				if !anyOf(printed, words) {
					t.Errorf("%q is not in what is printed:\n%s", words, printed)
				}
			}
			if strings.Contains(printed, secret) || strings.Contains(printed, base64.StdEncoding.EncodeToString([]byte(secret))) {
				t.Errorf("personal data in what is printed:\n%s", printed)
			}
			for _, r := range printed {
				if (r < ' ' && r != '\n') || r == 0x7f || (r >= 0x80 && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
					t.Fatalf("%U is printed raw:\n%q", r, printed)
				}
			}
			if strings.Contains(printed, "panic") || strings.Contains(printed, "goroutine") {
				t.Errorf("a panic:\n%s", printed)
			}
			if c.read != nil {
				stdin := strings.NewReader(c.stdin)
				out, errs, code := whosawRunWith(t, t.Context(), stdin, append([]string{args[0], "--json"}, args[1:]...)...)
				if code != exitOK {
					t.Fatalf("with --json: exit %d\n%s", code, errs)
				}
				got := readOf(t, out)
				if got != *c.read {
					t.Errorf("lines, accepted, rejected, duplicates: %v, want %v\n%s", got, *c.read, printed)
				}
			} else if c.code == exitOK {
				out, _, _ := whosawRunWith(t, t.Context(), strings.NewReader(c.stdin), append([]string{args[0], "--json"}, args[1:]...)...)
				if got := readOf(t, out); got[0] != got[1]+got[2]+got[3] || got[1] == 0 || got[2] == 0 {
					t.Errorf("lines, accepted, rejected, duplicates: %v: they must add up, with some accepted and some rejected", got)
				}
			}
			if c.check != nil {
				c.check(t, dir)
			}
		})
	}
}

// anyOf reports whether one of the words, separated by |, is in the text.
func anyOf(text, words string) bool {
	for w := range strings.SplitSeq(words, "|") {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}
