package public

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/incident"
)

// noticePage is what notice.html shows.
type noticePage struct {
	*frame
	Off    bool   // no notices with codes are sent
	Answer string // yes, sample, no; "": nothing was asked
	Sent   string
	Stamp  string
	About  string // the incident's public name; "": it has none
	Number int64
}

func (p *Pages) notice(w http.ResponseWriter, r *http.Request) error {
	p.page(w, "notice.html", &noticePage{frame: p.frame(r, "notice", "notice.title"), Off: p.cfg.Genuine == nil}, http.StatusOK)
	return nil
}

// maxCode is the longest code that is looked at.
const maxCode = 200

// check says whether a notice is genuine. It shows no code again: what was typed may be a slip of something personal.
func (p *Pages) check(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return errBadForm
	}
	n := &noticePage{frame: p.frame(r, "notice", "notice.title"), Off: p.cfg.Genuine == nil}
	code := strings.TrimSpace(r.PostForm.Get("code"))
	if n.Off || code == "" {
		p.page(w, "notice.html", n, http.StatusOK)
		return nil
	}
	n.Answer = "no"
	if len(code) <= maxCode {
		found, err := p.cfg.Genuine(r.Context(), code)
		switch {
		case err == nil && found.Sample:
			n.Answer = "sample"
		case err == nil:
			sent := found.Sent.In(p.cfg.Zone)
			n.Answer, n.Number, n.Sent, n.Stamp = "yes", found.Incident, n.day(sent), sent.Format(time.RFC3339)
			in, err := p.cfg.Book.Incident(r.Context(), found.Incident)
			if err != nil && !errors.Is(err, incident.ErrUnknown) {
				return err
			}
			if err == nil {
				n.About = titleOf(in)
			}
		case !errors.Is(err, ErrNotGenuine):
			return err
		}
	}
	p.page(w, "notice.html", n, http.StatusOK)
	return nil
}
