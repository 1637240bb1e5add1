package public

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/whosaw/whosaw/internal/incident"
)

// homePage is what home.html shows.
type homePage struct {
	*frame
	Posted  []posted
	Lookup  bool
	Notices bool // notices with codes are sent
}

// posted is a notice as it stands.
type posted struct {
	Title            string
	Lang, Dir        string // of the text, which may be in another language than the page
	Parts            []incident.Part
	First, FirstAt   string
	Until, UntilAt   string
	Days             int
	Over             bool // its days are over
	Gaps             []shownGap
	Version          int
	Counted          string // when the scope version was made
	CountedAt        string
	Incident, Number int64
}

type shownGap struct{ From, Until, FromAt, UntilAt string }

func (p *Pages) home(w http.ResponseWriter, r *http.Request) error {
	page := &homePage{frame: p.frame(r, "home", "home.title"), Lookup: len(p.cfg.Lookups.offers()) > 0, Notices: p.cfg.Genuine != nil}
	list, err := p.cfg.Book.Incidents(r.Context())
	if err != nil {
		return err
	}
	now := p.cfg.Now()
	for _, in := range list {
		for i := range slices.Backward(in.Postings) {
			if n := &in.Postings[i]; n.Removed == nil {
				page.Posted = append(page.Posted, p.posted(page.words, in, n, now))
			}
		}
	}
	p.page(w, "home.html", page, http.StatusOK)
	return nil
}

func (p *Pages) posted(w *words, in *incident.Incident, n *incident.Posting, now time.Time) posted {
	text := &n.Texts[0]
	if i := slices.IndexFunc(n.Texts, func(t incident.PostedText) bool { return t.Lang == w.Lang }); i >= 0 {
		text = &n.Texts[i]
	}
	dir := "ltr"
	if t := p.words[text.Lang]; t != nil {
		dir = t.Dir()
	}
	moment := func(t time.Time) string { return t.In(p.cfg.Zone).Format("2006-01-02 15:04 MST") }
	stamp := func(t time.Time) string { return t.In(p.cfg.Zone).Format(time.RFC3339) }
	counted := madeAt(in, n.Version)
	out := posted{
		Title: n.Title, Lang: text.Lang, Dir: dir, Parts: text.Parts, First: w.day(n.First.In(p.cfg.Zone)), FirstAt: stamp(n.First),
		Until: w.day(n.Until.In(p.cfg.Zone)), UntilAt: stamp(n.Until), Days: n.Days, Over: !now.Before(n.Until), Version: n.Version,
		Counted: w.day(counted.In(p.cfg.Zone)), CountedAt: stamp(counted), Incident: in.Number, Number: n.Event,
	}
	for _, g := range n.Gaps {
		out.Gaps = append(out.Gaps, shownGap{moment(g.From), moment(g.Until), stamp(g.From), stamp(g.Until)})
	}
	return out
}

// Standing are the posted notices that have to be readable now.
type Standing struct{ Incident, Event int64 }

// StandingOf lists them.
func StandingOf(list []*incident.Incident) []Standing {
	var out []Standing
	for _, in := range list {
		for i := range in.Postings {
			if in.Postings[i].Removed == nil {
				out = append(out, Standing{in.Number, in.Postings[i].Event})
			}
		}
	}
	return out
}

// Mark stands on the page where the notice does.
func (s Standing) Mark() string { return fmt.Sprintf(`id="p%d-%d"`, s.Incident, s.Event) }
