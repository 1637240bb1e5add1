package console

import (
	"context"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"

	"github.com/whosaw/whosaw"
)

// What pages that stand beside these use of them: look, languages, ways in. They are the demo's.

// Words are messages as words/xx.json has them.
type Words struct{ all dictionary }

// ReadWords reads words/*.json of a file system.
func ReadWords(files fs.FS) (Words, error) {
	all, err := readWords(files)
	return Words{all}, err
}

// Speech speaks one language.
type Speech struct{ speech }

// Of chooses the language of a request, as these pages do: by the same cookie.
func (w Words) Of(r *http.Request) Speech {
	return w.In(w.all.choose(preferred(r, cookieLang), r.Header.Get("Accept-Language")))
}

// In speaks a language that is there.
func (w Words) In(lang string) Speech { return Speech{w.all.in(lang)} }

// Languages lists those that are there.
func (w Words) Languages() []string { return w.all.languages() }

// Theme is light or dark where somebody fixed it under Settings; "": as the browser has it.
func Theme(r *http.Request) string {
	if t := preferred(r, cookieTheme); t == "light" || t == "dark" {
		return t
	}
	return ""
}

// SetLanguage keeps a language for these pages and those beside them.
func (w Words) SetLanguage(rw http.ResponseWriter, lang string) {
	if w.all[lang] == nil {
		return
	}
	http.SetCookie(rw, &http.Cookie{Name: cookieLang, Value: lang, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

// Strict sends the policy of invariant 2 with a page.
func Strict(fn http.HandlerFunc) http.Handler { return guarded(fn) }

// Safe makes text from a record harmless to look at.
func Safe(s string) string { return safe(s) }

// ScopePath is the address of a filter's page.
func (c *Console) ScopePath(ctx context.Context, f whosaw.Filter) (string, error) {
	id, err := c.filterHandle(ctx, f)
	return "/scope/" + id, err
}

// SubjectPath is the address of a customer's page.
func (c *Console) SubjectPath(ctx context.Context, subject string) (string, error) {
	id, err := c.subjectHandle(ctx, subjectRef{Subject: subject})
	return "/subject/" + id, err
}

// FindingPath is the address of a finding's page.
func FindingPath(number int64) string { return "/findings/" + strconv.FormatInt(number, 10) }

// KeyPath is the address of a key's page.
func KeyPath(realm, name string) string { return keyPath(realm, name) }

// Level is the level in a word, as the plate has it.
func (c *Console) Level(lang string) (level, word, says string) {
	s := c.watch.state()
	p := s.plate(c.words.in(lang), c.cfg.Zone)
	return p.Level, p.Word, p.Says
}

// Sentence is the truth about a finding in a language, to be read aloud: what it says, and whom a count of its filter gave; nil: without figures.
func (c *Console) Sentence(lang string, x *whosaw.Finding, a *whosaw.ScopeAnswer) template.HTML {
	f := &frame{speech: c.words.in(lang), Zone: c.cfg.Zone, At: c.cfg.Now()}
	if a == nil {
		return f.plainSentence(x)
	}
	return f.sentence(x, a)
}
