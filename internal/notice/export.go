package notice

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/whosaw/whosaw/internal/incident"
)

// exportHeader are the columns of an export.
var exportHeader = []string{"realm", "id", "kind", "outcome", "language", "fields", "code", "subject", "text"}

// exportBatch is how many people are read, written and noted at once.
const exportBatch = 500

// Export writes the notices of people with some outcomes as CSV, for post, text messages or a print house: ids, texts and codes, no contact data. Each person
// written is noted as handed over. Their languages are what is known here; lang, if not empty, is for whom none is known. Cells are safe in a spreadsheet.
func (b *Book) Export(ctx context.Context, number int64, who string, outcomes []Outcome, lang string, w io.Writer) (int64, error) {
	l := b.lock(number)
	l.Lock()
	defer l.Unlock()
	n, r, letter, err := b.open(ctx, number)
	if err != nil {
		return 0, err
	}
	if n.Approved == "" {
		return 0, refuse("notice %d is not approved: a second person approves it first (whosaw notice approve)", number)
	}
	if len(outcomes) == 0 {
		outcomes = Unreached
	}
	var names []string
	for _, o := range outcomes {
		names = append(names, o.String())
	}
	// On record before anything leaves.
	if err := b.set(ctx, n, who, DeedExported, "people with outcome "+strings.Join(names, ", "), -1, nothing); err != nil {
		return 0, err
	}
	out := csv.NewWriter(w)
	if err := out.Write(exportHeader); err != nil {
		return 0, fmt.Errorf("write export: %w", err)
	}
	var total int64
	for from := uint32(0); ; {
		rows, err := r.with(ctx, from, outcomes, exportBatch)
		if err != nil {
			return total, err
		}
		var done []uint32
		now := b.cfg.Now()
		for i := range rows {
			p := &rows[i]
			k := r.kind(p.What)
			to := &Recipient{Row: p.Row, Other: k.Other, Fields: k.Fields, Lang: p.Lang}
			if to.Lang == "" {
				to.Lang = lang
			}
			code := codeOf(n.secret, uint32(number), p.Row)
			m, err := letter.Render(to, code, now.In(b.cfg.Zone), false)
			if err != nil {
				return total, err
			}
			kind := "customer"
			if k.Other {
				kind = "other"
			}
			cells := []string{k.Realm, p.Subject, kind, p.Outcome.String(), m.Lang, strings.Join(k.Fields, "|"), code, m.Subject, m.Text}
			for j := range cells {
				cells[j] = safeCell(cells[j])
			}
			if err := out.Write(cells); err != nil {
				return total, fmt.Errorf("write export: %w", err)
			}
			done = append(done, p.Row)
		}
		out.Flush()
		if err := out.Error(); err != nil {
			return total, fmt.Errorf("write export: %w", err)
		}
		// Noted when it was written: what a crash leaves out is handed over again, not forgotten.
		if err := r.exported(ctx, done, now); err != nil {
			return total, err
		}
		total += int64(len(rows))
		if len(rows) < exportBatch {
			return total, nil
		}
		from = rows[len(rows)-1].Row + 1
	}
}

// safeCell makes a cell one that no spreadsheet takes for a formula: it gets an apostrophe before it. A number stays one.
func safeCell(s string) string {
	if s == "" {
		return s
	}
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return s
	}
	r, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }))
	if strings.ContainsRune("=+-@＝＋－＠|%", r) || unicode.IsControl(rune(s[0])) {
		return "'" + s
	}
	return s
}

// Bounced notes that mails came back for good, by their Message-IDs ([Bounces]). It gives how many people they are; what is
// not of this notice, was noted already, or never went out is left out.
func (b *Book) Bounced(ctx context.Context, number int64, who string, ids []string) (int64, error) {
	l := b.lock(number)
	l.Lock()
	defer l.Unlock()
	n, r, _, err := b.open(ctx, number)
	if err != nil {
		return 0, err
	}
	var changes []change
	for _, row := range rowsOf(n, ids) {
		x, err := r.at(ctx, row)
		if err != nil {
			continue // not a row of this notice
		}
		if x.Outcome == Sent {
			changes = append(changes, change{row: row, from: Sent, to: Bounced, tries: x.Tries})
		}
	}
	if err := b.set(ctx, n, who, DeedBounces, "", int64(len(changes)), nothing); err != nil {
		return 0, err
	}
	return int64(len(changes)), r.apply(ctx, changes, 0)
}

// rowsOf gives the rows of true message ids, each once.
func rowsOf(n *Notice, ids []string) []uint32 {
	var out []uint32
	for _, text := range ids {
		for _, m := range messageID.FindAllStringSubmatch(strings.ToLower(text), -1) {
			s, err := parse(m[1])
			if err != nil || int64(s.number) != n.Number {
				continue
			}
			if row, ok := s.open(n.secret, forMessageID); ok && row != sampleRow {
				out = append(out, row)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// DryRun is what would happen.
type DryRun struct {
	People   int64            `json:"people"` // that were looked at
	Mailable int64            `json:"mailable"`
	Missing  int64            `json:"no_contact"`
	Bad      int64            `json:"bad_contact"`
	Langs    map[string]int64 `json:"languages"`
	Bytes    int64            `json:"bytes"` // of the mails
	Faults   []incident.Fault `json:"faults"`
	// MaskedOnly are customers of whom masked values only were shown, of all; MaskedTold: they are among the people. Says has it in a sentence.
	MaskedOnly int64  `json:"masked_only"`
	MaskedTold bool   `json:"masked_told"`
	Says       string `json:"says,omitempty"`
}

// Dry asks the shop for up to so many people, spread over all, makes their mails and sends nothing.
func (b *Book) Dry(ctx context.Context, number int64, most int) (*DryRun, error) {
	n, r, letter, err := b.open(ctx, number)
	if err != nil {
		return nil, err
	}
	cfg := &b.cfg.Config
	if cfg.Lookup.URL == "" || cfg.Mail.Host == "" {
		return nil, refuse("set notice.lookup and notice.mail: without them nobody can be reached")
	}
	look, err := newLookup(cfg.Lookup)
	if err != nil {
		return nil, err
	}
	defer look.close()
	c, err := newComposer(&cfg.Mail, uint32(number), n.secret, letter)
	if err != nil {
		return nil, invalid(err)
	}
	out := &DryRun{
		Langs: map[string]int64{}, Faults: append([]incident.Fault{}, letter.leaves(r.fields())...),
		MaskedOnly: int64(r.masked), MaskedTold: r.told != 0, Says: maskedSays(int64(r.masked), r.told != 0),
	}
	// Batches of neighbours, as the sending asks, spread evenly.
	size := min(cfg.Lookup.Batch, most)
	batches := (most + size - 1) / size
	for i := range batches {
		from := uint32(int64(r.total) * int64(i) / int64(batches))
		until := uint32(int64(r.total) * int64(i+1) / int64(batches))
		rows, err := r.list(ctx, "SELECT "+columns+" FROM person WHERE row >= ? AND row < ? ORDER BY row LIMIT ?", from, until, size)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			continue
		}
		people := make([]Person, len(rows))
		for j, p := range rows {
			k := r.kind(p.What)
			people[j] = Person{ID: p.Subject, Realm: k.Realm, Other: k.Other}
		}
		contacts, err := look.contacts(ctx, people)
		if err != nil {
			return nil, invalid(err)
		}
		for j, p := range rows {
			out.People++
			switch to := &contacts[j]; {
			case to.bad:
				out.Bad++
			case to.email == "":
				out.Missing++
			default:
				k := r.kind(p.What)
				m, err := c.compose(&Recipient{Row: p.Row, Other: k.Other, Fields: k.Fields, Email: to.email, Name: to.name, Lang: to.lang}, b.now())
				if err != nil {
					return nil, invalid(err)
				}
				out.Mailable++
				out.Langs[m.lang]++
				out.Bytes += int64(len(m.data))
			}
		}
	}
	return out, nil
}
