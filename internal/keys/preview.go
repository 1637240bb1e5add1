package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
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

// met is a credential that was used.
type met struct{ credential, principal string }

// Preview counts. now is by the clock of the machine; days before it count.
func (k *Keeper) Preview(ctx context.Context, realm, name string, days int) (Preview, error) {
	if days < 1 || days > 3650 {
		return Preview{}, bad("give 1 to 3650", "days: out of range")
	}
	view, err := k.cfg.View()
	if err != nil {
		return Preview{}, err
	}
	p, err := preview(ctx, view, realm, name, k.now(), days)
	return p, errors.Join(err, view.Close())
}

func preview(ctx context.Context, view *ledger.View, realm, name string, now int64, days int) (Preview, error) {
	p := Preview{Key: name, Realm: realm, Days: days, From: whosaw.Time(now - int64(days)*24*3_600_000), Classes: map[string]int64{}, Programs: []string{}, MaxAge: int64(MaxAge.Seconds())}
	used := map[met]bool{}
	credentials := map[string]bool{}
	var all int64
	err := accesses(ctx, view, int64(p.From), ledger.ColRealm|ledger.ColKey|ledger.ColCredential|ledger.ColPrincipal, func(c *ledger.Chunk, i int) {
		credential := at(&c.Credential, i)
		if credential == "" {
			return
		}
		all++
		if at(&c.Key, i) != name || at(&c.Realm, i) != realm {
			return
		}
		p.Accesses++
		used[met{credential, at(&c.Principal, i)}] = true
		credentials[credential] = true
	})
	if err != nil {
		return p, fmt.Errorf("preview the kill: %w", err)
	}
	if all > 0 {
		p.Share = float64(p.Accesses) / float64(all)
	}
	ref, expires := reference.New(), map[string]int64{}
	err = view.References(ctx, func(seq uint64, r *whosaw.Record) error {
		switch {
		case r.Realm != realm:
		case r.Type == whosaw.TypeFeed, r.Type == whosaw.TypeIssuance && credentials[r.Credential]:
			ref.Apply(seq, r)
			if r.Ref != nil && r.Type == whosaw.TypeIssuance {
				expires[r.Credential] = max(expires[r.Credential], r.Ref.Expires)
			}
		case r.Type == whosaw.TypeIssuance && r.Key == name:
			p.Feed = true
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("preview the kill: %w", err)
	}
	p.Feed = p.Feed || ref.IssuanceFeed(realm, name, "", "", now).Known
	p.sort(used, realm, name, now, ref, expires)
	return p, nil
}

// sort tells the sessions apart. A credential that several principals use is one session, honest if it is for one of them.
func (p *Preview) sort(used map[met]bool, realm, name string, now int64, ref *reference.Index, expires map[string]int64) {
	honest, whose := map[string]bool{}, map[string]bool{}
	seen := map[string]bool{}
	for m := range used {
		seen[m.credential] = true
		if ref.Issued(realm, m.credential, name, m.principal) {
			honest[m.credential] = true
			if e := expires[m.credential]; (e == 0 || e > now) && m.principal != "" {
				whose[m.principal] = true
			}
		}
	}
	for credential := range seen {
		e := expires[credential]
		switch {
		case honest[credential] && e != 0 && e <= now:
			p.Expired++
		case honest[credential]:
			p.Sessions++
		case p.Feed:
			p.Never++
		default:
			p.Unknown++
		}
	}
	p.Principals = int64(len(whose))
	for _, principal := range slices.Sorted(maps.Keys(whose)) {
		class, _, _ := strings.Cut(principal, ":")
		p.Classes[class]++
		if class != "customer" && class != "staff" && len(p.Programs) < maxPrograms {
			p.Programs = append(p.Programs, principal)
		}
	}
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
