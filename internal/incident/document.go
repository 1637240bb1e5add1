package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/regime"
)

// Document is what one duty of one law asks to be said, as far as it was said. Every number in it is one of Figures, and those are of one
// scope version.
type Document struct {
	Incident int64         `json:"incident"`
	Title    string        `json:"title"`
	Law      string        `json:"law"`
	Version  string        `json:"law_version"`
	Name     string        `json:"name"`
	Duty     string        `json:"duty"`
	Whom     string        `json:"whom"`
	Lang     string        `json:"lang"`
	Scope    int           `json:"scope_version"`
	AsOf     uint64        `json:"as_of"`
	Figures  []Figure      `json:"figures"`
	Gaps     []string      `json:"gaps"`
	Parts    []Part        `json:"parts"`
	Moments  []regime.Mark `json:"moments"`
	Source   string        `json:"source"`
	Counsel  string        `json:"counsel"`
	Faults   []Fault       `json:"faults"`
	Hash     string        `json:"hash"` // SHA-256 of the document as JSON, without this and faults
}

// Figure is a number of a scope version. Sign is = where it is exact, ≥ where a gap touches it.
type Figure struct {
	Name  string `json:"name"` // subjects, others, disclosures, field:phone, masked:door_code
	Says  string `json:"says"`
	Sign  string `json:"sign"`
	Value int64  `json:"value"`
}

// Part is one of the contents that the law asks for.
type Part struct {
	Content  string    `json:"content"`
	Heading  string    `json:"heading"`
	Text     string    `json:"text"` // with the figures in it; "": nobody said anything yet
	By       string    `json:"by,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Verified bool      `json:"verified"`
	Source   string    `json:"source,omitempty"`
}

// Fault is why a document may not be signed yet, with the cure.
type Fault struct {
	Content string `json:"content,omitempty"`
	Says    string `json:"says"`
}

// Document makes the document of a duty from what was stated, in a language, on a scope version (0: the last).
func (in *Incident) Document(law *regime.Law, duty, lang string, version int) (*Document, error) {
	i := slices.IndexFunc(law.Duties, func(d regime.Duty) bool { return d.ID == duty })
	if i < 0 {
		return nil, fmt.Errorf("duty %s of law %s: %w", duty, law.ID, ErrUnknown)
	}
	d := &law.Duties[i]
	v, err := in.Version(version)
	if err != nil {
		return nil, err
	}
	doc := &Document{
		Incident: in.Number, Title: in.Title, Law: law.ID, Version: law.Version, Name: law.Name.In(lang), Duty: d.ID, Whom: d.Whom.In(lang), Lang: lang,
		Scope: v.Number, AsOf: v.AsOf, Figures: v.figures(lang), Gaps: []string{}, Parts: []Part{}, Moments: []regime.Mark{}, Source: law.Source, Counsel: regime.Counsel,
		Faults: []Fault{},
	}
	for _, g := range v.Answer.Gaps {
		doc.Gaps = append(doc.Gaps, g.Says)
	}
	for _, m := range in.Marks {
		if m.Withdrawn == "" {
			doc.Moments = append(doc.Moments, m.Mark)
		}
	}
	for _, content := range d.Content {
		p := Part{Content: content, Heading: headings[content].In(lang)}
		j := slices.IndexFunc(in.Statements, func(s Said) bool { return s.Content == content && s.Lang == lang })
		if j < 0 {
			doc.Faults = append(doc.Faults, Fault{content, "nobody said anything about it in this language: whosaw incident state"})
		} else {
			s := &in.Statements[j]
			p.By, p.At, p.Verified, p.Source = s.By, s.At, s.Verified, s.Source
			p.Text = doc.fill(content, s.Text)
			doc.wording(&p, v)
		}
		doc.Parts = append(doc.Parts, p)
	}
	doc.leftOut(v)
	doc.Hash, err = doc.hash()
	return doc, err
}

func (v *Version) figures(lang string) []Figure {
	sign := "="
	if len(v.Answer.Gaps) > 0 {
		sign = "≥"
	}
	a := &v.Answer
	out := []Figure{
		{"subjects", figureNames["subjects"].In(lang), sign, a.Subjects},
		{"others", figureNames["others"].In(lang), "", a.Others},
		{"disclosures", figureNames["disclosures"].In(lang), sign, a.Disclosures},
	}
	for _, m := range []struct {
		name   string
		counts map[string]int64
	}{{"field", a.Fields}, {"masked", a.Masked}} {
		var names []string
		for f := range m.counts {
			names = append(names, f)
		}
		slices.Sort(names)
		for _, f := range names {
			out = append(out, Figure{m.name + ":" + f, figureNames[m.name].In(lang) + ": " + fieldName(f, lang), sign, m.counts[f]})
		}
	}
	return out
}

// slot is whatever stands in braces: one that names no figure is a fault, not a text that people would read.
var slot = regexp.MustCompile(`\{[^{}]*\}`)

// fill puts the figures where a text asks for them: {subjects}, {field:phone}.
func (doc *Document) fill(content, text string) string {
	return slot.ReplaceAllStringFunc(text, func(s string) string {
		name := s[1 : len(s)-1]
		i := slices.IndexFunc(doc.Figures, func(f Figure) bool { return f.Name == name })
		if i < 0 {
			doc.Faults = append(doc.Faults, Fault{content, fmt.Sprintf("%s is no figure of scope version %d", s, doc.Scope)})
			return s
		}
		if f := &doc.Figures[i]; f.Sign == "≥" {
			return atLeast.In(doc.Lang) + figure.Int(f.Value)
		}
		return figure.Int(doc.Figures[i].Value)
	})
}

func (doc *Document) hash() (string, error) {
	plain := *doc
	plain.Faults, plain.Hash = nil, ""
	text, err := json.Marshal(&plain)
	if err != nil {
		return "", fmt.Errorf("hash document: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// number is a count as a person writes it: from a thousand on, with or without marks between the thousands.
var number = regexp.MustCompile(`\d{1,2}(?:,\d{2})+,\d{3}|\d{1,3}(?:[,.' ]\d{3})+|\d{4,}`)

// rounded is a count in thousands and more: 4.5 million, 450만.
var rounded = regexp.MustCompile(`(?i)(\d+(?:[,.]\d+)*)(천만|백만|십만|만|천|억|\s*(?:thousand\b|million\b|billion\b|ألف|آلاف|مليون|ملايين|مليار|হাজার|লাখ|লক্ষ|কোটি|মিলি(?:\x{9df}|\x{9af}\x{9bc})ন))`)

var scales = map[string]float64{
	"thousand": 1e3, "million": 1e6, "billion": 1e9, "천": 1e3, "만": 1e4, "십만": 1e5, "백만": 1e6, "천만": 1e7, "억": 1e8, "ألف": 1e3, "آلاف": 1e3, "مليون": 1e6, "ملايين": 1e6, "مليار": 1e9,
	"হাজার": 1e3, "লাখ": 1e5, "লক্ষ": 1e5, "কোটি": 1e7, "মিলি\u09dfন": 1e6, "মিলি\u09af\u09bcন": 1e6,
}

// plainDigits writes digits of other scripts and wide ones, and what stands between thousands, as others do, so that they are looked at alike. What does
// not show goes.
func plainDigits(text string) string {
	return strings.Map(func(r rune) rune {
		for _, zero := range []rune{0x660, 0x6f0, 0x9e6, 0xff10} {
			if r >= zero && r <= zero+9 {
				return '0' + r - zero
			}
		}
		switch {
		case r == 0x66c || r == 0xff0c:
			return ','
		case r == 0x66b || r == 0xff0e:
			return '.'
		case r == 0x2019:
			return '\''
		case unicode.Is(unicode.Zs, r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, text)
}

// calendar is what has digits and is no count: dates, times, article numbers with a mark before them, phone numbers.
var calendar = regexp.MustCompile(`\d{4}-\d{2}-\d{2}|\d{1,2}:\d{2}(?::\d{2})?|\b(?:19|20)\d{2}\b|\d{2,4}-\d{3,4}-\d{4}|\b1\d{3}-\d{4}\b|(?:19|20)\d{2}년`)

// wording holds a text against what is known: words that make a leak smaller than it is, and numbers that are nobody's.
func (doc *Document) wording(p *Part, v *Version) {
	fault := func(format string, args ...any) {
		doc.Faults = append(doc.Faults, Fault{p.Content, fmt.Sprintf(format, args...)})
	}
	plain := plainDigits(p.Text)
	find := func(words *regexp.Regexp) string { // also across line ends, and where something that does not show stands between
		if m := words.FindString(p.Text); m != "" {
			return m
		}
		return words.FindString(strings.Join(strings.Fields(plain), " "))
	}
	if v.Answer.Subjects > 0 {
		if m := find(softened); m != "" {
			fault("%q: data that was shown was leaked; say leak (유출), not exposure (노출)", m)
		}
	}
	if m := find(nothingToDo); m != "" {
		for _, f := range urgent {
			if v.Answer.Fields[f] > 0 {
				fault("%q: %s of %s was shown in clear, so there is something to do: say what", m, f, figure.Of(v.Answer.Fields[f], "person", "people"))
				break
			}
		}
	}
	known := func(n int64) bool {
		return slices.ContainsFunc(doc.Figures, func(f Figure) bool { return f.Value == n }) || n == v.Answer.Subjects+v.Answer.Others
	}
	nobodys := func(m string) {
		fault("%s is no figure of scope version %d: write {subjects}, {field:phone} and the like, or make the version that counts it", m, doc.Scope)
	}
	for _, m := range rounded.FindAllStringSubmatch(plain, -1) {
		n, err := strconv.ParseFloat(strings.ReplaceAll(m[1], ",", ""), 64)
		if n *= scales[strings.TrimSpace(strings.ToLower(m[2]))]; err != nil || n != math.Trunc(n) || n > 1e15 || !known(int64(n)) {
			nobodys(m[0])
		}
	}
	plain = rounded.ReplaceAllString(plain, " ")
	for _, m := range number.FindAllString(calendar.ReplaceAllString(plain, " "), -1) {
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, m)
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || !known(n) {
			nobodys(m)
		}
	}
}

// leftOut finds fields in the scope that no text about what leaked names.
func (doc *Document) leftOut(v *Version) {
	i := slices.IndexFunc(doc.Parts, func(p Part) bool { return p.Content == "what_leaked" && p.Text != "" })
	if i < 0 {
		return
	}
	var fields []string
	for f := range v.Answer.Fields {
		fields = append(fields, f)
	}
	slices.Sort(fields)
	for _, f := range fields {
		if !names(doc.Parts[i].Text, doc.Lang, f) {
			doc.Faults = append(doc.Faults, Fault{"what_leaked", fmt.Sprintf("%s of %s was shown in clear, and the text leaves it out: name the %s",
				f, figure.Of(v.Answer.Fields[f], "person", "people"), fieldName(f, doc.Lang))})
		}
	}
}

// names reports whether a text names a field. A word of it that stands in the name of another does not: who reads of an e-mail address is not told of
// the address.
func names(text, lang, field string) bool {
	text = strings.ToLower(text)
	for _, other := range namesOfOthers[field] {
		text = strings.ReplaceAll(text, other, " ")
	}
	words := append(slices.Clone(fieldWords[field][lang]), strings.ReplaceAll(field, "_", " "), field)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}
