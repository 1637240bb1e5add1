package notice

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/whosaw/whosaw/internal/incident"
)

// Letter is what all notices of one say: the texts of each language, with what was stated in the incident. It is approved as it is, by its hash.
type Letter struct {
	Notice   int64 `json:"notice"`
	Incident int64 `json:"incident"`
	Version  int   `json:"version"` // of the scope
	// Address is the page on which a code is checked.
	Address string            `json:"address"`
	First   string            `json:"first"` // the language for people of whom no other is known
	Langs   map[string]*Words `json:"langs"`
	// Masked are the fields that were shown masked in the scope version, where people of whom nothing else was shown are told.
	Masked []string `json:"masked,omitempty"`
}

// Words are one language of a letter.
type Words struct {
	Texts
	Organisation string `json:"organisation"`
	Happened     string `json:"happened"`
	Measures     string `json:"measures"`
	Remedy       string `json:"remedy,omitempty"`
	Contact      string `json:"contact"`
}

// Recipient is whom a notice is for. Its email and name are nowhere but in memory while it is sent.
type Recipient struct {
	Row    uint32
	Other  bool // in somebody's address book
	Fields []string

	Email, Name, Lang string
}

// letterOf puts a letter together, with what keeps it from being approved.
func letterOf(in *incident.Incident, v *incident.Version, cfg *Config, texts map[string]*Texts) (*Letter, []incident.Fault) {
	l := &Letter{Incident: in.Number, Version: v.Number, Address: cfg.Address, First: cfg.languages()[0], Langs: map[string]*Words{}}
	var faults []incident.Fault
	for _, lang := range cfg.languages() {
		t, ok := texts[lang]
		if !ok {
			faults = append(faults, incident.Fault{Says: "there are no texts in language " + lang + ": put " + lang + ".yaml into the directory notice.texts"})
			continue
		}
		w := &Words{Texts: *t, Organisation: cfg.organisation(lang)}
		if w.Organisation == "" {
			faults = append(faults, incident.Fault{Says: "notice.organisation names the company in no language"})
		}
		say := func(content string, needed bool) string {
			text, wrong := in.Say(content, lang, v)
			if text != "" || needed {
				faults = append(faults, wrong...)
			}
			return text
		}
		w.Happened, w.Measures, w.Contact, w.Remedy = say("when_and_how", true), say("measures", true), say("contact", true), say("remedy", false)
		if own := say("rights", false); own != "" {
			w.Rights = own
		}
		for _, p := range t.parts() {
			faults = append(faults, v.Wording(lang+" "+p.name, lang, p.text)...)
		}
		l.Langs[lang] = w
	}
	if l.Address == "" {
		faults = append(faults, incident.Fault{Says: "people cannot check whether a notice is genuine: set notice.address to the page"})
	}
	return l, faults
}

// leaves finds fields of a set that a letter has no words for, or names by another's.
func (l *Letter) leaves(fields []string) []incident.Fault {
	var out []incident.Fault
	for _, lang := range slices.Sorted(maps.Keys(l.Langs)) {
		for _, f := range fields {
			switch t, ok := l.Langs[lang].Fields[f]; {
			case !ok:
				out = append(out, incident.Fault{Content: lang, Says: fmt.Sprintf("%s was shown in clear, and the texts have no name and advice for it: add fields.%s to %s.yaml in the directory notice.texts", f, f, lang)})
			case !incident.Names(t.Name, lang, f) && !incident.Names(t.Advice, lang, f):
				out = append(out, incident.Fault{Content: lang, Says: fmt.Sprintf("%s was shown in clear, and fields.%s of %s.yaml does not name it: call it what it is", f, f, lang)})
			}
		}
	}
	return out
}

// leavesMasked finds what a letter lacks for people of whom masked values only were shown.
func (l *Letter) leavesMasked() []incident.Fault {
	var out []incident.Fault
	for _, lang := range slices.Sorted(maps.Keys(l.Langs)) {
		w := l.Langs[lang]
		if w.MaskedIntro == "" || w.MaskedAdvice == "" {
			out = append(out, incident.Fault{Content: lang, Says: fmt.Sprintf("people of whom masked values only were shown are told, and the texts have no masked_intro and masked_advice: add them to %s.yaml in the directory notice.texts", lang)})
		}
		for _, f := range l.Masked {
			if _, ok := w.Fields[f]; !ok {
				out = append(out, incident.Fault{Content: lang, Says: fmt.Sprintf("%s was shown masked, and the texts have no name for it: add fields.%s to %s.yaml in the directory notice.texts", f, f, lang)})
			}
		}
	}
	return out
}

func (l *Letter) hash() (string, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return "", fmt.Errorf("hash letter: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// Message is a notice as one person gets it.
type Message struct {
	Lang    string `json:"lang"`
	Dir     string `json:"dir"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
}

// part is a heading with what stands below it.
type part struct {
	Heading string
	Intro   string
	Items   []item
	Text    string
	Code    bool // the page's address and the code
}

type item struct{ Name, Text string }

// sheet is what both forms of a notice are made of.
type sheet struct {
	Lang, Dir, Subject    string
	Sample                string
	Greeting, Opening     string
	Parts                 []part
	AddressLabel, Address string
	CodeLabel, Code       string
	Sent                  string
}

// LangOf gives the language of the letter for somebody who reads lang, as in ko-KR.
func (l *Letter) LangOf(lang string) string {
	base, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(lang, "_", "-")), "-")
	if l.Langs[base] != nil {
		return base
	}
	return l.First
}

// sheet fills a letter in for a person.
func (l *Letter) sheet(r *Recipient, code string, sent time.Time, sample bool) (_ *sheet, err error) {
	lang := l.LangOf(r.Lang)
	w := l.Langs[lang]
	if w == nil {
		return nil, errors.New("fill in notice: the letter has no language")
	}
	fill := strings.NewReplacer("{organisation}", w.Organisation, "{date}", sent.Format(time.DateOnly), "{name}", cleanName(r.Name)).Replace
	s := &sheet{
		Lang: lang, Dir: w.Dir, Subject: fill(w.Subject), AddressLabel: w.AddressLabel, Address: l.Address, CodeLabel: w.CodeLabel, Code: code, Sent: fill(w.Sent),
	}
	if sample {
		s.Sample = w.Texts.Sample
	}
	switch {
	case cleanName(r.Name) != "":
		s.Greeting = fill(w.Greeting)
	case r.Other:
		s.Greeting = fill(w.GreetingOther)
	default:
		s.Greeting = fill(w.GreetingCustomer)
	}
	s.Opening = fill(w.OpeningCustomer)
	if r.Other {
		s.Opening = fill(w.OpeningOther)
	}
	leaked, todo := part{Heading: w.Headings.Leaked, Intro: fill(w.LeakedIntro)}, part{Heading: w.Headings.Todo}
	if len(r.Fields) == 0 {
		if leaked, todo, err = l.maskedParts(w, fill); err != nil {
			return nil, err
		}
	}
	for _, f := range order(r.Fields) {
		t, ok := w.Fields[f]
		if !ok {
			return nil, fmt.Errorf("fill in notice: no text for field %s in language %s", f, lang)
		}
		leaked.Items = append(leaked.Items, item{Name: t.Name})
		todo.Items = append(todo.Items, item{t.Name, fill(t.Advice)})
	}
	s.Parts = append(s.Parts, leaked, todo, part{Heading: w.Headings.Happened, Text: w.Happened}, part{Heading: w.Headings.Measures, Text: w.Measures})
	if w.Remedy != "" {
		s.Parts = append(s.Parts, part{Heading: w.Headings.Remedy, Text: w.Remedy})
	}
	s.Parts = append(s.Parts, part{Heading: w.Headings.Rights, Text: fill(w.Rights)}, part{Heading: w.Headings.Contact, Text: w.Contact},
		part{Heading: w.Headings.Genuine, Text: fill(w.Genuine), Code: true})
	if w.Dir == "rtl" {
		s.isolate()
	}
	return s, nil
}

// maskedParts are what leaked and what to do, to somebody of whom masked values only were shown: which of the fields is not known of one person.
func (l *Letter) maskedParts(w *Words, fill func(string) string) (leaked, todo part, err error) {
	if w.MaskedIntro == "" || w.MaskedAdvice == "" || len(l.Masked) == 0 {
		return leaked, todo, errors.New("fill in notice: it has no words for people of whom masked values only were shown; make it with --masked, with masked_intro and masked_advice in the texts")
	}
	leaked, todo = part{Heading: w.Headings.Leaked, Intro: fill(w.MaskedIntro)}, part{Heading: w.Headings.Todo, Text: fill(w.MaskedAdvice)}
	for _, f := range l.Masked {
		t, ok := w.Fields[f]
		if !ok {
			return leaked, todo, fmt.Errorf("fill in notice: no text for field %s in language %s", f, w.Texts.Lang)
		}
		leaked.Items = append(leaked.Items, item{Name: t.Name})
	}
	return leaked, todo, nil
}

// latin is a date, a phone number, an address, a name in Latin letters: what is read from left to right in any script.
var latin = regexp.MustCompile(`[A-Za-z0-9](?:[ -~]*[A-Za-z0-9])?`)

// isolate puts what is read from left to right between marks that say so (U+2066, U+2069): without them 2026-11-22 stands as 22-11-2026 in a text from right to left.
func (s *sheet) isolate() {
	turn := func(t *string) { *t = latin.ReplaceAllString(*t, "\u2066${0}\u2069") }
	for _, t := range []*string{&s.Greeting, &s.Opening, &s.Sent} {
		turn(t)
	}
	for i := range s.Parts {
		p := &s.Parts[i]
		turn(&p.Text)
		for j := range p.Items {
			turn(&p.Items[j].Text)
		}
	}
}

// first are fields after whose leak there is something to do at once: they come first, as people read the first lines.
var first = []string{"door_code", "credential", "payment", "national_id"}

func order(fields []string) []string {
	out := slices.Clone(fields)
	rank := func(f string) int {
		if i := slices.Index(first, f); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortStableFunc(out, func(a, b string) int { return rank(a) - rank(b) })
	return out
}

// maxName bounds a name that the shop gives.
const maxName = 100

// pageLike is what mail programs make a link of: the name of somebody in an address book is what a customer wrote there.
var pageLike = regexp.MustCompile(`(?i)[/\\@]|www\.|[\p{L}\p{N}]\.\p{L}{2,}`)

// cleanName takes out of a name what could end a line or turn the direction of what follows; one that is too long, or that looks like an address of a page, is left out.
func cleanName(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)), " ")
	if len([]rune(s)) > maxName || pageLike.MatchString(s) || strings.ContainsAny(s, "{}") {
		return ""
	}
	return s
}

// Render makes a person's notice. code is theirs; sent is the day it bears.
func (l *Letter) Render(r *Recipient, code string, sent time.Time, sample bool) (*Message, error) {
	s, err := l.sheet(r, code, sent, sample)
	if err != nil {
		return nil, err
	}
	html, err := s.html()
	if err != nil {
		return nil, err
	}
	subject := s.Subject
	if s.Sample != "" {
		subject = s.Sample + " " + subject
	}
	return &Message{Lang: s.Lang, Dir: s.Dir, Subject: subject, Text: s.text(), HTML: html}, nil
}
