package console

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw/internal/figure"
)

// A language is a file of messages, words/xx.json: key to text. In a text {0} stands for the first value, **…** is bold, and
// !!…!! says how many customers were taken. A key that ends in .1 is the form for one of something. A language is added by
// adding its file.
type dictionary map[string]map[string]string

// defaultLanguage is what is spoken to those who asked for none that is there.
const defaultLanguage = "en"

func readWords(files fs.FS) (dictionary, error) {
	names, err := fs.Glob(files, "words/*.json")
	if err != nil {
		return nil, err
	}
	out := dictionary{}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		var words map[string]string
		if err := json.Unmarshal(data, &words); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out[strings.TrimSuffix(path.Base(name), ".json")] = words
	}
	return out, nil
}

// languages lists those that are there.
func (d dictionary) languages() []string {
	var out []string
	for l := range d {
		out = append(out, l)
	}
	slices.Sort(out)
	return out
}

// choose picks a language: the one asked for by the switch, else the first of Accept-Language that is there.
func (d dictionary) choose(cookie, accept string) string {
	if d[cookie] != nil {
		return cookie
	}
	best, most := defaultLanguage, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		lang, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if d[lang] != nil && q > most {
			best, most = lang, q
		}
	}
	return best
}

// speech speaks one language.
type speech struct {
	lang  string
	words map[string]string
}

func (d dictionary) in(lang string) speech { return speech{lang, d[lang]} }

// text gives a message as it stands. A key that is not there is shown: a test finds it before anybody does.
func (s speech) text(key string) string {
	if t, ok := s.words[key]; ok {
		return t
	}
	return key
}

// Raw gives a message with its places open, for the page to fill.
func (s speech) Raw(key string) string { return s.text(key) }

// T gives a message with its values, as plain text.
func (s speech) T(key string, values ...any) string {
	return fill(s.text(key), values, func(v string) string { return v }, func(string) string { return "" })
}

// N gives a message about a number of things, {0}.
func (s speech) N(key string, n int64, values ...any) string {
	if _, ok := s.words[key+".1"]; ok && n == 1 {
		key += ".1"
	}
	return s.T(key, append([]any{figure.Int(n)}, values...)...)
}

// Rich gives a message with its marks as markup; values are escaped.
func (s speech) Rich(key string, values ...any) template.HTML {
	open := map[string]bool{}
	mark := func(m string) string {
		open[m] = !open[m]
		switch {
		case !open[m]:
			return "</b>"
		case m == "!!":
			return `<b class="taken">`
		}
		return "<b>"
	}
	return template.HTML(fill(s.text(key), values, template.HTMLEscapeString, mark)) //nolint:gosec // our own text; values are escaped
}

// NRich is N with marks.
func (s speech) NRich(key string, n int64, values ...any) template.HTML {
	if _, ok := s.words[key+".1"]; ok && n == 1 {
		key += ".1"
	}
	return s.Rich(key, append([]any{figure.Int(n)}, values...)...)
}

// fill puts values and marks into a text. A value that is template.HTML was made by Rich.
func fill(text string, values []any, escape, mark func(string) string) string {
	var b strings.Builder
	for len(text) > 0 {
		at := strings.IndexAny(text, "{*!")
		if at < 0 {
			b.WriteString(escape(text))
			break
		}
		b.WriteString(escape(text[:at]))
		text = text[at:]
		switch {
		case strings.HasPrefix(text, "**"), strings.HasPrefix(text, "!!"):
			b.WriteString(mark(text[:2]))
			text = text[2:]
		case len(text) > 2 && text[0] == '{' && text[2] == '}' && text[1] >= '0' && text[1] <= '9':
			if i := int(text[1] - '0'); i < len(values) {
				if h, ok := values[i].(template.HTML); ok {
					b.WriteString(string(h))
				} else {
					b.WriteString(escape(fmt.Sprint(values[i])))
				}
			}
			text = text[3:]
		default:
			b.WriteString(escape(text[:1]))
			text = text[1:]
		}
	}
	return b.String()
}
