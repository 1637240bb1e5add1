package public

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed words/*.json templates/*.html static
var files embed.FS

// words are the texts of one language. In a text {0} stands for the first value.
type words struct {
	Lang  string
	texts map[string]string
}

func readWords() (map[string]*words, error) {
	names, err := files.ReadDir("words")
	if err != nil {
		return nil, err
	}
	out := map[string]*words{}
	for _, e := range names {
		data, err := files.ReadFile("words/" + e.Name())
		if err != nil {
			return nil, err
		}
		w := &words{Lang: strings.TrimSuffix(path.Base(e.Name()), ".json")}
		if err := json.Unmarshal(data, &w.texts); err != nil {
			return nil, fmt.Errorf("read %s: %w", e.Name(), err)
		}
		out[w.Lang] = w
	}
	return out, nil
}

// choose picks a language: the one asked for, else the first of Accept-Language that is there, else English.
func choose(all map[string]*words, asked, accept string) *words {
	if w := all[asked]; w != nil {
		return w
	}
	best, most := all["en"], 0.0
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
		if w := all[lang]; w != nil && q > most {
			best, most = w, q
		}
	}
	return best
}

// languages lists those that are there.
func languages(all map[string]*words) []string { return slices.Sorted(maps.Keys(all)) }

// Dir is the direction that the language is written in.
func (w *words) Dir() string {
	if w.Lang == "ar" {
		return "rtl"
	}
	return "ltr"
}

// T gives a text with its values, escaped and each in a direction of its own: a number in an Arabic sentence stays a number.
func (w *words) T(key string, values ...any) template.HTML {
	text, ok := w.texts[key]
	if !ok {
		text = key // a test finds it before anybody does
	}
	out := template.HTMLEscapeString(text)
	for i, v := range values {
		out = strings.ReplaceAll(out, "{"+strconv.Itoa(i)+"}", "<bdi>"+template.HTMLEscapeString(fmt.Sprint(v))+"</bdi>")
	}
	return template.HTML(out) //nolint:gosec // our own text; values are escaped
}

var months = map[string][]string{
	"en": {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	"ar": {"يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر"},
	"bn": {"জানুয়ারি", "ফেব্রুয়ারি", "মার্চ", "এপ্রিল", "মে", "জুন", "জুলাই", "আগস্ট", "সেপ্টেম্বর", "অক্টোবর", "নভেম্বর", "ডিসেম্বর"},
}

// day writes a day as the language does.
func (w *words) day(t time.Time) string {
	if w.Lang == "ko" {
		return t.Format("2006년 1월 2일")
	}
	return fmt.Sprintf("%d %s %d", t.Day(), months[w.Lang][t.Month()-1], t.Year())
}
