package public

import (
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"

	"github.com/whosaw/whosaw/internal/incident"
)

// affectedPage is what affected.html shows.
type affectedPage struct {
	*frame
	Choices []choice // incidents to choose from
	choice
	Build  string // of the look-up, for the script; "": none is shown
	Bits   uint32
	Width  int
	Key    string
	Names  []string // of the fields, in the order of the payload
	AsOf   string
	Least  int
	Bucket int
	Gaps   bool   // the records have some
	Answer string // slip, found, not, gone; "": nothing was asked
	Mine   []string
}

type choice struct {
	Number int64
	Title  string
}

func (p *Pages) affected(w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("incident") != "" {
		l, err := p.lookupOf(r)
		if err != nil {
			return err
		}
		p.page(w, "affected.html", p.affectedPage(r, l), http.StatusOK)
		return nil
	}
	offers := p.cfg.Lookups.offers()
	if len(offers) == 1 {
		// The fragment goes along: a link without the number works too.
		to := "/affected/" + strconv.FormatInt(offers[0], 10)
		if lang := r.URL.Query().Get("lang"); p.words[lang] != nil {
			to += "?lang=" + lang
		}
		http.Redirect(w, r, to, http.StatusFound)
		return nil
	}
	page := &affectedPage{frame: p.frame(r, "affected", "affected.title")}
	for _, n := range offers {
		if l := p.cfg.Lookups.of(n); l != nil {
			page.Choices = append(page.Choices, choice{n, p.cfg.Lookups.titleOf(l)})
		}
	}
	p.page(w, "affected.html", page, http.StatusOK)
	return nil
}

func (s *Lookups) titleOf(l *lookup) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.title
}

func (p *Pages) lookupOf(r *http.Request) (*lookup, error) {
	n, err := strconv.ParseInt(r.PathValue("incident"), 10, 64)
	if err != nil {
		return nil, errNotFound
	}
	l := p.cfg.Lookups.of(n)
	if l == nil {
		return nil, errNotFound
	}
	return l, nil
}

func (p *Pages) affectedPage(r *http.Request, l *lookup) *affectedPage {
	f := p.frame(r, "affected", "affected.title")
	id := p.cfg.Lookups.key.ID()
	page := &affectedPage{
		frame: f, choice: choice{int64(l.Incident), p.cfg.Lookups.titleOf(l)}, Build: l.build, Bits: l.Bits, Width: l.width(), Key: hex.EncodeToString(id[:]),
		AsOf: f.day(l.asOf.In(p.cfg.Zone)), Least: Least, Bucket: BucketLen, Gaps: l.gaps,
	}
	for _, name := range l.fields {
		page.Names = append(page.Names, incident.FieldName(name, f.Lang))
	}
	return page
}

// lookUp is for browsers without script. The server learns who asks, and the page says so.
func (p *Pages) lookUp(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return errBadForm
	}
	l, err := p.lookupOf(r)
	if err != nil {
		return err
	}
	page := p.affectedPage(r, l)
	s, err := ParseSecret(int64(l.Incident), l.KeyID, r.PostForm.Get("secret"))
	if err != nil {
		page.Answer = "slip"
		p.page(w, "affected.html", page, http.StatusOK)
		return nil
	}
	found, fields, err := l.match(&s)
	switch {
	case errors.Is(err, errGone):
		page.Answer = "gone"
	case err != nil:
		return err
	case found:
		page.Answer = "found"
		for _, f := range fields {
			page.Mine = append(page.Mine, incident.FieldName(f, page.Lang))
		}
	default:
		page.Answer = "not"
	}
	p.page(w, "affected.html", page, http.StatusOK)
	return nil
}

// bucket answers with one. Which ones there are is no secret; what is in them says nothing to who has none.
func (p *Pages) bucket(w http.ResponseWriter, r *http.Request) error {
	l, err := p.lookupOf(r)
	if err != nil {
		return err
	}
	text := r.PathValue("bucket")
	i, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != l.width() || i >= 1<<l.Bits {
		return errNotFound
	}
	if r.PathValue("build") != l.build {
		w.WriteHeader(http.StatusGone) // it was built anew meanwhile
		return nil
	}
	data, err := l.bucket(uint32(i))
	if errors.Is(err, errGone) {
		w.WriteHeader(http.StatusGone)
		return nil
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // whoever asked has gone
	return nil
}
