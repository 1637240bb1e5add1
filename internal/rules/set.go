package rules

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

//go:embed *.yaml
var embedded embed.FS

// Set is the rules loaded, one for each detector. It is not changed once made.
type Set struct {
	Rules []Rule // those that come with whosaw or replace one of them, by detector; also those that are off
}

// maxFile bounds a rule file.
const maxFile = 1 << 20

var shipped = sync.OnceValue(func() *Set {
	s := &Set{}
	list, err := embedded.ReadDir(".")
	if err != nil {
		panic("BUG: no embedded rules: " + err.Error())
	}
	for _, f := range list {
		data, err := embedded.ReadFile(f.Name())
		if err != nil {
			panic("BUG: read an embedded rule: " + err.Error())
		}
		r, err := parse("shipped/"+f.Name(), data, nil)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		r.source = data
		s.Rules = append(s.Rules, *r)
	}
	return s
})

// Shipped gives the rules that come with whosaw.
func Shipped() *Set { return shipped() }

// Source gives a rule as it is written.
func (r *Rule) Source() []byte { return r.source }

// Load lays rule files over the shipped ones. Each path is a file, or a directory whose *.yaml and *.yml are read. Its error
// reports every faulty file.
func Load(paths ...string) (*Set, error) {
	files, err := Files(paths...)
	if err != nil {
		return nil, err
	}
	var own []*Rule
	var errs []error
	for _, file := range files {
		list, err := ParseFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		own = append(own, list...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return Shipped().With(own...)
}

// Files lists the rule files that paths name, in order.
func Files(paths ...string) ([]string, error) {
	var out []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("find rules: %w: name a rule file or a directory of them; whosaw rules show nonexistent > %s begins one", err, path)
			}
			return nil, fmt.Errorf("find rules: %w: it must be readable by whoever runs whosaw", err)
		}
		if !info.IsDir() {
			out = append(out, path)
			continue
		}
		list, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("list rules: %w", err)
		}
		for _, e := range list {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
				out = append(out, filepath.Join(path, e.Name()))
			}
		}
	}
	return out, nil
}

// ParseFile reads a user's rules: one, or several with --- between them.
func ParseFile(path string) ([]*Rule, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("find rule: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: larger than %d MiB: this is not a rule", path, maxFile>>20)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read rule: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a user's rules from the contents of a file. Its error reports every faulty rule.
func Parse(path string, data []byte) ([]*Rule, error) {
	var out []*Rule
	var errs []error
	for _, doc := range documents(data) {
		r, err := parse(path, doc, Shipped().Of)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r.source = bytes.TrimLeft(doc, "\n")
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}

// documents takes a file apart at its --- lines. Each part keeps its place in the file, so that a fault names the right line.
func documents(data []byte) [][]byte {
	var out [][]byte
	var doc []byte
	lines, full := 0, false
	end := func() {
		if full {
			out = append(out, doc)
		}
		doc, full = bytes.Repeat([]byte("\n"), lines), false
	}
	for line := range bytes.Lines(data) {
		lines++
		if bytes.Equal(bytes.TrimRight(line, " \r\n"), []byte("---")) {
			end()
			continue
		}
		text := bytes.TrimSpace(line)
		full = full || len(text) > 0 && text[0] != '#'
		doc = append(doc, line...)
	}
	if end(); len(out) == 0 {
		out = append(out, nil) // which says that it is empty
	}
	return out
}

// With gives the set in which rules replace those of the same name, or of the same detector if that one is off.
func (s *Set) With(own ...*Rule) (*Set, error) {
	out := &Set{Rules: slices.Clone(s.Rules)}
	replaced := map[string]string{}
	for _, r := range own {
		if other, twice := replaced[r.Name]; twice {
			return nil, fmt.Errorf("%s: rule %s stands in %s too: keep one of them", r.File, r.Name, other)
		}
		replaced[r.Name] = r.File
		if i := slices.IndexFunc(out.Rules, func(x Rule) bool { return x.Name == r.Name }); i >= 0 {
			if out.Rules[i].Detector != r.Detector {
				return nil, fmt.Errorf("%s: rule %s is one of %s: give yours another name, and switch that one off", r.File, r.Name, out.Rules[i].Detector)
			}
			out.Rules[i] = *r
			continue
		}
		out.Rules = append(out.Rules, *r)
	}
	on := map[string]*Rule{}
	for i := range out.Rules {
		r := &out.Rules[i]
		if r.Off != "" {
			continue
		}
		if other := on[r.Detector]; other != nil {
			return nil, fmt.Errorf("%s: %s has the rule %s already: give yours its name to replace it, or switch that one off (rule: %s, off: why)", r.File, r.Detector, other.Name, other.Name)
		}
		on[r.Detector] = r
	}
	slices.SortStableFunc(out.Rules, func(a, b Rule) int { return strings.Compare(a.Detector, b.Detector) })
	return out, nil
}

// Fingerprint is another wherever a rule says something else. Cases are part of it.
func (s *Set) Fingerprint() [sha256.Size]byte {
	h := sha256.New()
	for i := range s.Rules {
		fmt.Fprintf(h, "%d\n%s", len(s.Rules[i].source), s.Rules[i].source)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Of gives the rule of a detector: the one that is on, else one that is off; nil if there is none.
func (s *Set) Of(detector string) *Rule {
	var off *Rule
	for i := range s.Rules {
		if r := &s.Rules[i]; r.Detector == detector {
			if r.Off == "" {
				return r
			}
			off = r
		}
	}
	return off
}

// Named gives a rule by its name, nil if there is none.
func (s *Set) Named(name string) *Rule {
	for i := range s.Rules {
		if s.Rules[i].Name == name {
			return &s.Rules[i]
		}
	}
	return nil
}
