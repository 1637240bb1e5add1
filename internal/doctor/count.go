package doctor

import (
	"context"
	"fmt"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
)

// tally counts accesses by what they say.
type tally struct {
	accesses int64
	shows    int64 // answered (2xx, or no status) and not stated to show nothing: the ones that may show data

	subject   int64 // the record names one, or it can be joined
	named     int64 // the record itself names one
	claimed   int64 // from the principal's claim
	joined    int64 // through the credential's issuance
	showsWhom int64 // of shows, those with a subject
	showsBare int64 // of shows, those without a credential
	showsKey  int64 // of shows, those with a key

	credential, key, principal, ip, agent, fields, route int64

	issuances, subjects, canaries, keys, reasons int64
}

// columns are what a tally reads.
const columns = ledger.ColRealm | ledger.ColRoute | ledger.ColFields | ledger.ColMasked | ledger.ColStatus | ledger.ColPrincipal |
	ledger.ColCredential | ledger.ColKey | ledger.ColIP | ledger.ColAgent | ledger.ColSubjects

func count(ctx context.Context, view *ledger.View, cat *catalog.Catalog) (*tally, error) {
	t := &tally{}
	world := reference.New()
	err := view.References(ctx, func(seq uint64, r *whosaw.Record) error {
		world.Apply(seq, r)
		switch r.Type {
		case whosaw.TypeIssuance:
			t.issuances++
		case whosaw.TypeSubject:
			t.subjects++
			if r.Ref != nil && r.Ref.State == "canary" {
				t.canaries++
			}
		case whosaw.TypeKey:
			t.keys++
		case whosaw.TypeReason:
			t.reasons++
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the reference records: %w", err)
	}
	for i, part := range view.Parts() {
		if part.Accesses == 0 {
			continue
		}
		chunk, err := view.Load(ctx, i, columns)
		if err != nil {
			return nil, fmt.Errorf("read the accesses: %w", err)
		}
		t.add(chunk, cat, world)
	}
	return t, nil
}

func (t *tally) add(c *ledger.Chunk, cat *catalog.Catalog, world *reference.Index) {
	t.accesses += int64(c.N)
	t.credential += present(c.Credential.Codes)
	t.key += present(c.Key.Codes)
	t.principal += present(c.Principal.Codes)
	t.ip += present(c.IP.Codes)
	t.agent += present(c.Agent.Codes)
	t.fields += present(c.Fields.Codes)
	t.route += present(c.Route.Codes)
	for i := range c.N {
		whose := true
		switch {
		case c.SubjectStart[i+1] > c.SubjectStart[i]:
			t.named++
		default:
			whose = t.join(c, i, cat, world)
		}
		if whose {
			t.subject++
		}
		if s := c.Status[i]; (s == 0 || s/100 == 2) && !showsNothing(c, i) {
			t.shows++
			if c.Credential.Codes[i] == 0 {
				t.showsBare++
			}
			if c.Key.Codes[i] != 0 {
				t.showsKey++
			}
			if whose {
				t.showsWhom++
			}
		}
	}
}

// showsNothing reports whether the record states that nothing was shown.
func showsNothing(c *ledger.Chunk, i int) bool {
	fields, masked := c.Fields.At(i), c.Masked.At(i)
	return fields != nil && len(fields) == 0 && len(masked) == 0
}

// join reports whether the catalog finds a subject where the record names none.
func (t *tally) join(c *ledger.Chunk, i int, cat *catalog.Catalog, world *reference.Index) bool {
	version := cat.At(c.Time[i])
	if version == nil {
		return false
	}
	route := version.Route(c.Route.At(i))
	if route == nil {
		return false
	}
	principal := c.Principal.At(i)
	if _, ok := route.Join.Claimed(principal); ok {
		t.claimed++
		return true
	}
	if route.Join.Issued(principal) {
		if _, ok := world.SubjectOf(c.Realm.At(i), c.Credential.At(i)); ok {
			t.joined++
			return true
		}
	}
	return false
}

// present counts the rows that have a value: code 0 stands for missing.
func present(codes []uint32) int64 {
	var n int64
	for _, c := range codes {
		if c != 0 {
			n++
		}
	}
	return n
}
