package keys

import (
	"context"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Preview says whom the kill of a key logs out, by what the ledger holds. Every figure is counted.
type Preview struct {
	Key   string      `json:"key"`
	Realm string      `json:"realm,omitempty"`
	Days  int         `json:"days"` // that sessions were used in
	From  whosaw.Time `json:"from"`
	// Sessions are the honest ones that end: credentials issued under this key, not expired, used in those days.
	Sessions   int64            `json:"sessions"`
	Principals int64            `json:"principals"`   // that they belong to
	Classes    map[string]int64 `json:"classes"`      // of these, by the word before the colon: customer, staff, service
	Programs   []string         `json:"programs"`     // services and partners among them, at most 100: what stops without a person to log in again
	Expired    int64            `json:"expired"`      // issued under this key, used in those days, expired by now: they end anyway
	Never      int64            `json:"never_issued"` // used in those days and never issued: what the narrower cut refuses
	Unknown    int64            `json:"unknown"`      // used, and nobody reports issuances of this key: honest or not is not known
	Share      float64          `json:"share"`        // of all accesses with a credential in those days, those under this key
	Accesses   int64            `json:"accesses"`     // under this key in those days
	Feed       bool             `json:"feed"`         // issuances of the key are on record
	MaxAge     int64            `json:"max_age"`      // seconds until a gateway that asks for the key set has heard of it
}

const maxPrograms = 100

// Preview counts. now is by the clock of the machine; days before it count.
func (k *Keeper) Preview(ctx context.Context, realm, name string, days int) (Preview, error) {
	if days < 1 || days > 3650 {
		return Preview{}, bad("give 1 to 3650", "days: out of range")
	}
	now := k.now()
	p := Preview{
		Key: name, Realm: realm, Days: days, From: whosaw.Time(now - int64(days)*24*3_600_000), Classes: map[string]int64{}, Programs: []string{},
		MaxAge: int64(MaxAge.Seconds()),
	}
	err := k.tallies.preview(ctx, k.cfg.View, tallyOf{realm, name, days}, int64(p.From), now, &p)
	return p, err
}

// count tells the sessions of a tally apart, and forgets uses before its time. A credential that several principals use is one session, honest if it is for
// one of them.
func (p *Preview) count(t *tally, now int64) {
	whose := map[string]bool{}
	for credential, x := range t.sessions {
		n := len(x.by)
		x.by = slices.DeleteFunc(x.by, func(u use) bool { return u.last < t.from })
		if t.uses -= n - len(x.by); len(x.by) == 0 {
			delete(t.sessions, credential)
			continue
		}
		honest, over := false, x.ends != 0 && x.ends <= now
		for i := range x.by {
			if u := &x.by[i]; u.honest {
				honest = true
				if !over && u.principal != "" {
					whose[u.principal] = true
				}
			}
		}
		switch {
		case honest && over:
			p.Expired++
		case honest:
			p.Sessions++
		case p.Feed:
			p.Never++
		default:
			p.Unknown++
		}
	}
	p.Principals = int64(len(whose))
	for principal := range whose {
		class, _, _ := strings.Cut(principal, ":")
		p.Classes[class]++
		if class != "customer" && class != "staff" {
			p.Programs = append(p.Programs, principal)
		}
	}
	slices.Sort(p.Programs)
	p.Programs = p.Programs[:min(maxPrograms, len(p.Programs))]
}

// accesses calls fn with each access of event time from on.
func accesses(ctx context.Context, view *ledger.View, from int64, columns ledger.Columns, fn func(c *ledger.Chunk, i int)) error {
	for part, info := range view.Parts() {
		if info.Accesses == 0 || info.MaxTime < from {
			continue
		}
		c, err := view.Load(ctx, part, columns)
		if err != nil {
			return err
		}
		for i := range c.N {
			if c.Time[i] >= from {
				fn(c, i)
			}
		}
	}
	return nil
}

// at gives the value of a row of a column that may be short where its rows are missing.
func at(s *ledger.Strings, i int) string {
	if i >= len(s.Codes) {
		return ""
	}
	return s.At(i)
}
