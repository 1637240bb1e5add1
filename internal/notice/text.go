package notice

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed texts/*.yaml
var shipped embed.FS

// Texts are the words of a notice in one language: a file of texts/, or of the directory notice.texts.
type Texts struct {
	Lang string `yaml:"lang" json:"lang"` // as in ko
	Dir  string `yaml:"dir" json:"dir"`   // ltr, or rtl: from right to left

	Subject          string `yaml:"subject" json:"subject"`
	Greeting         string `yaml:"greeting" json:"greeting"` // to somebody whose {name} is known
	GreetingCustomer string `yaml:"greeting_customer" json:"greeting_customer"`
	GreetingOther    string `yaml:"greeting_other" json:"greeting_other"` // to a person in an address book
	OpeningCustomer  string `yaml:"opening_customer" json:"opening_customer"`
	OpeningOther     string `yaml:"opening_other" json:"opening_other"`

	Headings    Headings             `yaml:"headings" json:"headings"`
	LeakedIntro string               `yaml:"leaked_intro" json:"leaked_intro"`
	Fields      map[string]FieldText `yaml:"fields" json:"fields"` // by the field's name in the catalog
	// MaskedIntro and MaskedAdvice stand instead of the list and the advice in the notice of somebody of whom masked values only were shown. They may
	// be missing: then nobody of those can be told.
	MaskedIntro  string `yaml:"masked_intro" json:"masked_intro,omitempty"`
	MaskedAdvice string `yaml:"masked_advice" json:"masked_advice,omitempty"`
	Rights       string `yaml:"rights" json:"rights"` // where nobody stated rights in the incident
	Genuine      string `yaml:"genuine" json:"genuine"`

	AddressLabel string `yaml:"address_label" json:"address_label"`
	CodeLabel    string `yaml:"code_label" json:"code_label"`
	Sent         string `yaml:"sent" json:"sent"` // the line at the end
	Sample       string `yaml:"sample" json:"sample"`
}

// Headings are those of a notice's parts.
type Headings struct {
	Leaked   string `yaml:"leaked" json:"leaked"`
	Todo     string `yaml:"todo" json:"todo"`
	Happened string `yaml:"happened" json:"happened"`
	Measures string `yaml:"measures" json:"measures"`
	Remedy   string `yaml:"remedy" json:"remedy"`
	Rights   string `yaml:"rights" json:"rights"`
	Contact  string `yaml:"contact" json:"contact"`
	Genuine  string `yaml:"genuine" json:"genuine"`
}

// FieldText is what a notice says about a field.
type FieldText struct {
	Name   string `yaml:"name" json:"name"`     // as in "your phone number"
	Advice string `yaml:"advice" json:"advice"` // what to do now that it leaked
}

// LoadTexts reads the shipped texts, and those of a directory ("" for none), which replace them language by language.
func LoadTexts(dir string) (map[string]*Texts, error) {
	out := map[string]*Texts{}
	sub, err := fs.Sub(shipped, "texts")
	if err != nil {
		return nil, fmt.Errorf("read texts of notices: %w", err)
	}
	if err := loadTexts(out, sub, "texts"); err != nil {
		return nil, err
	}
	if dir == "" {
		return out, nil
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("read texts of notices: %w", err)
	}
	return out, loadTexts(out, os.DirFS(dir), dir)
}

func loadTexts(out map[string]*Texts, files fs.FS, where string) error {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return fmt.Errorf("read texts of notices: %w", err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("read texts of notices: %w", err)
		}
		t := new(Texts)
		if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict(), yaml.DisallowUnknownField()).Decode(t); err != nil {
			return fmt.Errorf("%s: %s", filepath.Join(where, name), strings.TrimSpace(yaml.FormatError(err, false, false)))
		}
		if err := t.check(strings.TrimSuffix(name, ".yaml")); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(where, name), err)
		}
		out[t.Lang] = t
	}
	return nil
}

// parts are the texts that must be there, by their names in the file.
func (t *Texts) parts() []struct{ name, text string } {
	h := &t.Headings
	out := []struct{ name, text string }{
		{"subject", t.Subject}, {"greeting", t.Greeting}, {"greeting_customer", t.GreetingCustomer}, {"greeting_other", t.GreetingOther},
		{"opening_customer", t.OpeningCustomer}, {"opening_other", t.OpeningOther},
		{"headings.leaked", h.Leaked}, {"headings.todo", h.Todo}, {"headings.happened", h.Happened}, {"headings.measures", h.Measures}, {"headings.remedy", h.Remedy},
		{"headings.rights", h.Rights}, {"headings.contact", h.Contact}, {"headings.genuine", h.Genuine},
		{"leaked_intro", t.LeakedIntro}, {"rights", t.Rights}, {"genuine", t.Genuine}, {"address_label", t.AddressLabel}, {"code_label", t.CodeLabel}, {"sent", t.Sent}, {"sample", t.Sample},
	}
	for _, p := range []struct{ name, text string }{{"masked_intro", t.MaskedIntro}, {"masked_advice", t.MaskedAdvice}} {
		if p.text != "" {
			out = append(out, p)
		}
	}
	var fields []string
	for f := range t.Fields {
		fields = append(fields, f)
	}
	slices.Sort(fields)
	for _, f := range fields {
		out = append(out, struct{ name, text string }{"fields." + f + ".name", t.Fields[f].Name}, struct{ name, text string }{"fields." + f + ".advice", t.Fields[f].Advice})
	}
	return out
}

var slots = regexp.MustCompile(`\{[^{}]*\}`)

// allowed are the slots of each text; others have only {organisation}.
var allowed = map[string][]string{"greeting": {"{name}"}, "sent": {"{date}", "{organisation}"}}

func (t *Texts) check(name string) error {
	var errs []error
	if t.Lang == "" || t.Lang != name || len(t.Lang) > 8 {
		errs = append(errs, fmt.Errorf("lang: %q: give the language the file is named after", t.Lang))
	}
	if t.Dir != "ltr" && t.Dir != "rtl" {
		errs = append(errs, fmt.Errorf("dir: %q: give ltr, or rtl for a script from right to left", t.Dir))
	}
	for _, p := range t.parts() {
		if strings.TrimSpace(p.text) == "" {
			errs = append(errs, fmt.Errorf("%s: the text is missing", p.name))
		}
		may, ok := allowed[p.name]
		if !ok {
			may = []string{"{organisation}"}
		}
		for _, s := range slots.FindAllString(p.text, -1) {
			if !slices.Contains(may, s) {
				errs = append(errs, fmt.Errorf("%s: nothing is filled in for %s: only %s", p.name, s, strings.Join(may, ", ")))
			}
		}
	}
	if !strings.Contains(t.Greeting, "{name}") {
		errs = append(errs, errors.New("greeting: it has no {name}"))
	}
	return errors.Join(errs...)
}
