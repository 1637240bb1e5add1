package config_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/whosaw/whosaw/internal/config"
)

var update = flag.Bool("update", false, "write reference.yaml anew")

// TestReference holds reference.yaml to the fields' comments: every key is documented where it is defined.
func TestReference(t *testing.T) {
	w := &writer{t: t, comments: map[string]map[string]string{}}
	w.line(0, "# Every key of whosaw.yaml, what it means, and what holds where it is left out. Keys that are commented out have")
	w.line(0, "# no value unless you give one. Sizes: 512, 64KiB, 2GiB. Lengths of time: 500ms, 30s, 2h.")
	w.structure(reflect.ValueOf(*config.Default()), 0, false)
	if *update {
		if err := os.WriteFile("reference.yaml", w.out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if config.Reference != w.out.String() && !*update {
		t.Error("reference.yaml is not what the fields' comments say: run go test ./internal/config -update")
	}
	// It is a file that can be read, and it says the defaults.
	file := filepath.Join(t.TempDir(), "whosaw.yaml")
	if err := os.WriteFile(file, w.out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := got.Write(&a); err != nil {
		t.Fatal(err)
	}
	if err := config.Default().Write(&b); err != nil {
		t.Fatal(err)
	}
	if a.String() != b.String() {
		t.Errorf("the reference does not say the defaults:\n%s\n%s", a.String(), b.String())
	}
}

type writer struct {
	t        *testing.T
	out      bytes.Buffer
	comments map[string]map[string]string // by package and "Type.Field"
}

func (w *writer) line(depth int, s string) {
	w.out.WriteString(strings.TrimRight(strings.Repeat("  ", depth)+s, " ") + "\n")
}

// structure writes the fields of a struct. Behind off everything is commented out.
func (w *writer) structure(v reflect.Value, depth int, off bool) {
	mark := ""
	if off {
		mark = "# "
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		doc := w.comment(v.Type(), f.Name)
		if doc == "" {
			w.t.Errorf("%s.%s has no comment that says what %s means", v.Type(), f.Name, name)
		}
		if depth == 0 {
			w.line(0, "")
		}
		for _, l := range wrap(doc, 118-2*depth) {
			w.line(depth, "# "+l)
		}
		field := v.Field(i)
		for field.Kind() == reflect.Pointer {
			field = reflect.New(field.Type().Elem()).Elem()
			if mark == "" {
				mark = "# "
			}
		}
		switch {
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			w.line(depth, mark+name+": []")
			w.line(depth, "# - each with")
			w.structure(reflect.New(field.Type().Elem()).Elem(), depth+1, true)
		case field.Kind() == reflect.Struct && !scalar(field):
			w.line(depth, mark+name+":")
			w.structure(field, depth+1, off || mark != "")
		case off || field.IsZero() && !off && field.Kind() == reflect.String:
			w.line(depth, "# "+name+": "+w.value(field))
		default:
			w.line(depth, mark+name+": "+w.value(field))
		}
		if !off {
			mark = ""
		}
	}
}

func scalar(v reflect.Value) bool {
	_, ok := v.Interface().(interface{ MarshalText() ([]byte, error) })
	return ok
}

func (w *writer) value(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return d.String()
	}
	data, err := yaml.Marshal(v.Interface())
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// comment finds a field's comment in the source of its package.
func (w *writer) comment(t reflect.Type, field string) string {
	byName := w.comments[t.PkgPath()]
	if byName == nil {
		byName = map[string]string{}
		w.comments[t.PkgPath()] = byName
		dir := filepath.Join("..", "..", strings.TrimPrefix(t.PkgPath(), "github.com/whosaw/whosaw"))
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			w.t.Fatalf("no source of %s: %v", path.Base(t.PkgPath()), err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				w.t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if s, ok := spec.Type.(*ast.StructType); ok {
					for _, f := range s.Fields.List {
						text := strings.TrimSpace(f.Doc.Text() + " " + f.Comment.Text())
						for _, id := range f.Names {
							byName[spec.Name.Name+"."+id.Name] = text
						}
					}
				}
				return false
			})
		}
	}
	return byName[t.Name()+"."+field]
}

func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// TestMistakes: each names its key and the cure.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"listen: nowhere":                           "listen: \"nowhere\" is no address",
		"listen: 0.0.0.0:1":                         "tls.cert and tls.key, or tls.off",
		"tls: {cert: a}":                            "tls: give both",
		"tls: {cert: a, key: b, off: true}":         "tls.off: a certificate is named too",
		"zone: Mars":                                "zone: ",
		"log: {level: loud}":                        "log.level: ",
		"log: {format: xml}":                        "log.format: ",
		"memory: 1MiB":                              "memory: less than",
		"memory: lots":                              "is no size: write 512, 64KiB, 2GiB",
		"query: {timeout: soon}":                    "is no length of time",
		"query: {timeout: 0s}":                      "query: ",
		"detect: {alarms_per_month: 0}":             "detect: alarms_per_month",
		"detect: {budgets: [{of: staff, day: 1}]}":  "detect.budgets[0]: of: \"staff\"",
		"detect: {budgets: [{of: key:a}]}":          "detect.budgets[0]: give day",
		"ingest: {backlog: 5}":                      "ingest.backlog: 5",
		"ingest: {max_body: 2GiB}":                  "ingest.max_decompressed",
		"ingest: {sources: [{name: a}, {name: a}]}": "ingest.sources[1].name: a is the source of ingest.sources[0].name",
		"ingest: {sources: [{name: a, format: b}]}": "ingest.sources[0]: format \"b\"",
		"ingest: {sources: [{name: a, format: nginx, mapping: b}]}":                      "ingest.sources[0]: mapping: goes with",
		"alarm: {channels: [{name: x}]}":                                                 "alarm.channels[0]",
		"follow: [{path: /x}]":                                                           "follow /x: ",
		"jetstream: [{stream: x}]":                                                       "jetstream x: servers",
		"ingest: {sources: [{name: a}]}\nfollow: [{path: /x, format: nginx, source: a}]": "follow[0].source: a is the source of",
		"ingest: {sources: [{name: whosaw}]}":                                            "whosaw's own records",
		"nonsense: 1":                                                                    "whosaw config example",
		"listen: [":                                                                      "whosaw.yaml",
		"query:\n  timeout: 5s\n  timeout: 6s":                                           "already defined",
		"zone: Mars\nlog: {level: loud}":                                                 "log.level",
		"guard:\n  mode: enforce\n  doors:\n    - {name: a, kind: nginx, listen: 127.0.0.1:1}\n  policy:\n    hold: true": "whosaw.yaml:6: guard.policy.hold: hold: true cannot be enforced at door a",
		"guard:\n  mode: enforce": "whosaw.yaml:2: guard.doors: the guard is on, and nothing asks it",
		"guard: {tokens: {issuers: [{issuer: a, jwks_file: b, algorithms: [HS256]}]}}":                                  "none and HS256 are never taken",
		"guard: {tokens: {longest_life: 1m}}":                                                                           "guard.tokens.longest_life: give at least 1h",
		"guard: {tokens: {longest_life: 24h, issuers: [{issuer: a, jwks_file: b, algorithms: [ES256], max_age: 48h}]}}": "let go after tokens.longest_life, 24h0m0s",
	} {
		file := filepath.Join(t.TempDir(), "whosaw.yaml")
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(file)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "whosaw.yaml") {
			t.Errorf("%q gives %v, want something with %q", text, err, want)
		}
	}
}

// A file that cannot be read is named with what to do.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{filepath.Join(dir, "none.yaml"): "whosaw config example > ", dir: "it must be a file"} {
		if _, err := config.Load(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s gives %v, want something with %q", name, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string]config.Size{"512": 512, "64KiB": 64 << 10, "1.5GiB": 3 << 29, "2 MB": 2_000_000, "0": 0} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s is %d, %v", text, s, err)
		}
		out, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back config.Size
		if err := back.UnmarshalText(out); err != nil || back != s {
			t.Errorf("%s comes back from %s as %d, %v", text, out, back, err)
		}
	}
	for text, want := range map[string]time.Duration{"500ms": 500 * time.Millisecond, "14d": 14 * 24 * time.Hour, "2h": 2 * time.Hour, "1h30m": 90 * time.Minute} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s is %v, %v", text, time.Duration(d), err)
		}
		if out, err := d.MarshalText(); err != nil || string(out) != text {
			t.Errorf("%s is written %s, %v", text, out, err)
		}
	}
	for _, bad := range []string{"", "-1", "x", "NaN", "1e300", "1 parsec"} {
		var s config.Size
		if err := s.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a size of %d", bad, s)
		}
	}
}
