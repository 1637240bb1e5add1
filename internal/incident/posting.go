package incident

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/regime"
)

// Posting is a notice to everybody, as it stands or stood on the public pages.
type Posting struct {
	Event   int64        `json:"event"`
	Title   string       `json:"title"`
	Law     string       `json:"law"`
	Duty    string       `json:"duty"`
	Version int          `json:"version"` // of the scope
	First   time.Time    `json:"first"`   // when it was posted
	Days    int          `json:"days"`    // that it has to stand
	Texts   []PostedText `json:"texts"`
	Gaps    []PostingGap `json:"gaps"`
	// Until is First and the days and, for each gap, as long again.
	Until   time.Time  `json:"until"`
	Removed *time.Time `json:"removed"` // null: it stands
	Early   bool       `json:"early"`   // it was removed before Until
	Why     string     `json:"why,omitempty"`
}

// PostedText is a posted notice in one language. It has the sentences of the document that was signed, and nothing else of it.
type PostedText struct {
	Lang  string `json:"lang"`
	Hash  string `json:"hash"` // of the document
	Parts []Part `json:"parts"`
}

// PostingGap is a time in which a posted notice could not be read.
type PostingGap struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// Lookup is what people may look themselves up in.
type Lookup struct {
	Title   string    `json:"title"`
	Version int       `json:"version"` // of the scope; 0: the last there is
	Since   time.Time `json:"since"`
}

func (in *Incident) post(e *Event) {
	if e.Kind == Posted {
		in.Postings = append(in.Postings, Posting{
			Event: e.Number, Title: e.Title, Law: e.Law, Duty: e.Duty, Version: e.Version, First: e.At, Days: e.Days, Texts: e.Texts, Gaps: []PostingGap{},
			Until: e.At.AddDate(0, 0, e.Days),
		})
		return
	}
	i := slices.IndexFunc(in.Postings, func(p Posting) bool { return p.Event == e.Of })
	p := &in.Postings[i]
	if e.Kind == Removed {
		at := e.At
		p.Removed, p.Early, p.Why = &at, at.Before(p.Until), e.Note
		return
	}
	p.Gaps = append(p.Gaps, PostingGap{e.When.UTC(), e.Until.UTC()})
	p.Until = p.Until.Add(e.Until.Sub(*e.When))
}

// Stood gives how long a notice has stood at now, without its gaps.
func (p *Posting) Stood(now time.Time) time.Duration {
	if p.Removed != nil {
		now = *p.Removed
	}
	stood := max(0, now.Sub(p.First))
	for _, g := range p.Gaps {
		stood -= g.Until.Sub(g.From)
	}
	return max(0, stood)
}

// StandingDay is 24 hours of a posted notice, the first from when it was posted on.
type StandingDay struct {
	From  time.Time
	Up    time.Duration // that it could be read, up to now
	Down  time.Duration // that it could not
	Ahead bool          // nothing of it has come
}

// Standing gives the days of a notice up to its end, each with how long it could be read: together that is [Posting.Stood].
func (p *Posting) Standing(now time.Time) []StandingDay {
	if p.Removed != nil {
		now = *p.Removed
	}
	var out []StandingDay
	for from := p.First; from.Before(p.Until); from = from.Add(24 * time.Hour) {
		until := from.Add(24 * time.Hour)
		d := StandingDay{From: from, Ahead: !from.Before(now)}
		if until.After(p.Until) {
			until = p.Until
		}
		if until.After(now) {
			until = now
		}
		for _, g := range p.Gaps {
			lo, hi := g.From, g.Until
			if lo.Before(from) {
				lo = from
			}
			if hi.After(until) {
				hi = until
			}
			d.Down += max(0, hi.Sub(lo))
		}
		d.Up = max(0, until.Sub(from)-d.Down)
		out = append(out, d)
	}
	return out
}

// Met reports whether a notice has stood as long as it has to, and how long it has yet to stand.
func (p *Posting) Met(now time.Time) (met bool, left time.Duration) {
	if p.Removed != nil {
		now = *p.Removed
	}
	left = max(0, p.Until.Sub(now))
	return left == 0, left
}

// PostingSpec asks for a notice to everybody.
type PostingSpec struct {
	Duty    string   `json:"duty"`    // of the law: one to the public
	Langs   []string `json:"langs"`   // of the texts; the first is shown to who reads none of them
	Version int      `json:"version"` // of the scope; 0: the last
	Title   string   `json:"title"`   // by which the public knows the incident
	Days    int      `json:"days"`    // 0: as long as the law asks; a law that names no days: 30
}

// defaultDays is how long a notice stands where the law names no days.
const defaultDays = 30

// Post puts a notice onto the public pages. Its text in each language is the document of the duty; one that has faults, or was not signed
// off as it is, is refused. The duty counts as fulfilled.
func (b *Book) Post(ctx context.Context, incident int64, who string, law *regime.Law, spec PostingSpec) (int64, error) {
	in, err := b.Incident(ctx, incident)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(law.Duties, func(d regime.Duty) bool { return d.ID == spec.Duty })
	switch {
	case i < 0:
		return 0, fmt.Errorf("duty %s of law %s: %w", spec.Duty, law.ID, ErrUnknown)
	case law.Duties[i].To != "public": // what is for the authority is not for everybody, and posting it tells the authority nothing
		return 0, invalid(fmt.Errorf("posted: %s/%s is no duty to the public: post one that is", law.ID, spec.Duty))
	case len(spec.Langs) == 0:
		return 0, invalid(errors.New("posted: give the languages"))
	case strings.TrimSpace(spec.Title) == "":
		return 0, invalid(errors.New("posted: give a title by which the public knows the incident"))
	}
	d := &law.Duties[i]
	days := max(d.Stands, spec.Days)
	if days == 0 {
		days = defaultDays
	}
	if spec.Days > 0 && spec.Days < d.Stands {
		return 0, invalid(fmt.Errorf("posted: the law asks for %d days", d.Stands))
	}
	body := Body{Law: law.ID, Duty: d.ID, Title: spec.Title, Days: days}
	for _, lang := range spec.Langs {
		doc, err := in.Document(law, d.ID, lang, spec.Version)
		if err != nil {
			return 0, err
		}
		if len(doc.Faults) > 0 {
			return 0, invalid(fmt.Errorf("posted: the text in %s has %s, the first: %s", lang, figure.Of(int64(len(doc.Faults)), "fault", "faults"), doc.Faults[0].Says))
		}
		if !slices.ContainsFunc(in.Signed, func(e Event) bool { return e.Hash == doc.Hash }) {
			return 0, invalid(fmt.Errorf("posted: nobody has signed off the text in %s as it is now: whosaw incident sign", lang))
		}
		text := PostedText{Lang: lang, Hash: doc.Hash}
		for _, p := range doc.Parts {
			// Who said it, and by what it was verified, is for the house.
			text.Parts = append(text.Parts, Part{Content: p.Content, Heading: p.Heading, Text: p.Text, Verified: p.Verified})
		}
		body.Texts, body.Version = append(body.Texts, text), doc.Scope
	}
	number, err := b.record(ctx, incident, who, Posted, &body)
	if err != nil {
		return 0, err
	}
	now := b.cfg.Now().UTC()
	_, err = b.record(ctx, incident, who, Told, &Body{Law: law.ID, Duty: d.ID, When: &now, Document: fmt.Sprintf("posted notice, event %d", number), Hash: body.Texts[0].Hash, Version: body.Version})
	return number, err
}

func (in *Incident) posting(event int64) (*Posting, error) {
	i := slices.IndexFunc(in.Postings, func(p Posting) bool { return p.Event == event })
	if i < 0 {
		return nil, fmt.Errorf("posted notice %d of incident %d: %w", event, in.Number, ErrUnknown)
	}
	return &in.Postings[i], nil
}

// Remove takes a posted notice down. Before its days are over a reason is asked for; it is on record that they were not.
func (b *Book) Remove(ctx context.Context, incident int64, who string, posting int64, why string) error {
	in, err := b.Incident(ctx, incident)
	if err != nil {
		return err
	}
	p, err := in.posting(posting)
	if err != nil {
		return err
	}
	now := b.cfg.Now()
	if p.Removed != nil {
		return invalid(fmt.Errorf("removed: it was taken down at %s", p.Removed.Format(time.RFC3339)))
	}
	// What could not be read until now is counted first: the reason is for less than it looks.
	if err := b.SawPosting(ctx, incident, posting, false); err != nil {
		return err
	}
	if in, err = b.Incident(ctx, incident); err != nil {
		return err
	}
	if p, err = in.posting(posting); err != nil {
		return err
	}
	if now.Before(p.Until) && strings.TrimSpace(why) == "" {
		return invalid(fmt.Errorf("removed: it has to stand until %s, %d more days: give a reason, which is recorded", p.Until.Format(time.RFC3339),
			int((p.Until.Sub(now)+24*time.Hour-1)/(24*time.Hour))))
	}
	_, err = b.record(ctx, incident, who, Removed, &Body{Of: posting, Note: why})
	return err
}

const (
	// SeenEvery is how often somebody looks whether a posted notice can be read.
	SeenEvery = time.Minute
	// gapFrom is the shortest time without a look that counts as a gap: one look may be late, two are not.
	gapFrom = 3 * SeenEvery
)

// postingKeeper is who records gaps.
const postingKeeper = "service:whosaw"

// SawPosting notes that a posted notice could be read now (read), or only counts what has passed. When there was no such note for longer
// than looks are apart, over a stop of the server too, the time between is recorded as a gap.
func (b *Book) SawPosting(ctx context.Context, incident, posting int64, read bool) error {
	in, err := b.Incident(ctx, incident)
	if err != nil {
		return err
	}
	p, err := in.posting(posting)
	if err != nil || p.Removed != nil {
		return err
	}
	now := b.cfg.Now().UTC()
	seen := p.First
	var ms int64
	switch err := b.cfg.DB.Read().QueryRowContext(ctx, "SELECT seen FROM posting_seen WHERE incident = ? AND event = ?", incident, posting).Scan(&ms); {
	case err == nil:
		seen = time.UnixMilli(ms).UTC()
	case !errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("read posted notice: %w", err)
	}
	if now.Before(seen) {
		return nil // the clock was put back: what was seen stays seen
	}
	if now.Sub(seen) > gapFrom && seen.Before(p.Until) && !slices.ContainsFunc(p.Gaps, func(g PostingGap) bool { return !g.Until.Before(now) }) {
		if last := len(p.Gaps) - 1; last >= 0 && p.Gaps[last].Until.After(seen) {
			seen = p.Gaps[last].Until // recorded before the note of it was: a crash between
		}
		if now.Sub(seen) > gapFrom {
			until := now
			if _, err := b.record(ctx, incident, postingKeeper, Missed, &Body{Of: posting, When: &seen, Until: &until}); err != nil {
				return err
			}
		}
	} else if !read {
		return nil
	}
	err = b.cfg.DB.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO posting_seen (incident, event, seen) VALUES (?, ?, ?)
			ON CONFLICT (incident, event) DO UPDATE SET seen = excluded.seen`, incident, posting, now.UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("note posted notice: %w", err)
	}
	return nil
}
