package scope

import (
	"context"
	"fmt"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
)

// manyReferences is from how many records that are no accesses on a question holds only those issuances that the segment in hand asks about.
// Tests set it lower.
var manyReferences = int64(maxKnown)

// references is how many records of the view are no accesses.
func (e *Engine) references() (n int64) {
	for _, p := range e.view.Parts() {
		n += int64(p.References)
	}
	return n
}

// many reports whether there are too many issuances to hold them all, and side tables tell where those of a credential are: without these, all
// would be read for each segment.
func (w *world) many() bool {
	if !w.partial {
		return false // they are held
	}
	if w.areMany.Load() {
		return true // for all of a question, whatever becomes of a side table meanwhile
	}
	all, untold := int64(0), int64(0)
	for _, p := range w.engine.view.Parts() {
		if p.First > w.asOf || p.References == 0 {
			continue
		}
		all += int64(p.References)
		if w.tells(&p) == nil {
			untold += int64(p.References)
		}
	}
	yes := all > manyReferences && untold <= max(all/8, manyReferences)
	if yes {
		w.areMany.Store(true)
	}
	return yes
}

// tells gives the side table that says what a part issued as of the world, nil if there is none.
func (w *world) tells(p *ledger.Part) *index.Issued {
	if w.engine.index == nil || p.Last > w.asOf {
		return nil
	}
	return w.engine.index.SideTable(p)
}

// table gives what the side table of the chunk's segment says of each access, nil if the credentials' issuances must be looked up: also where no term asks
// what was issued, for then the chunk lacks columns that it takes to tell rows from accesses.
func (c *chunk) table(w *chunkWorld) []bool {
	if w.known != nil || w.looked {
		return w.table
	}
	w.looked = true
	p := &c.q.view.Parts()[c.part]
	if c.alone || !c.q.judges() || len(c.q.asOf) > 1 || !p.Whole() || p.Last > w.asOf || !w.many() {
		return nil
	}
	err := index.Guarded(func() error {
		b := c.q.index.Block(p)
		if b == nil {
			return nil
		}
		x, err := c.q.issuedOf(c.ctx, c.part, p, b, true)
		if err != nil || x == nil {
			return err
		}
		table := x.ByAccess(c.Chunk)
		if err := x.Intact(); err != nil {
			return err // also where nobody asks afterwards whether what the answer stands on is intact
		}
		w.table = table
		return nil
	})
	if err = bypass(err); err != nil && c.err == nil {
		c.err = err
	}
	return w.table
}

// issuances gives an index that knows to whom the chunk's credentials were issued, where the accesses do not say by whom they are, and without a side table
// also which were issued.
func (c *chunk) issuances(w *chunkWorld) *reference.Index {
	if w.known != nil {
		return w.known
	}
	if w.some == nil && w.many() {
		some, err := w.someIssuances(c.ctx, c.credentials(c.table(w)))
		if err != nil {
			if c.err == nil {
				c.err = err
			}
			some = reference.New()
		}
		w.some = some
	}
	if w.some != nil {
		return w.some
	}
	return c.whole(w)
}

// someIssuances reads the issuances of some credentials: in the segments whose side tables say that they may have some, and in those
// without one.
func (w *world) someIssuances(ctx context.Context, want *credentialSet) (*reference.Index, error) {
	out := reference.New()
	if len(want.sorted) == 0 {
		return out, nil
	}
	for i, p := range w.engine.view.Parts() {
		if p.First > w.asOf {
			break
		}
		if p.References == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if x := w.tells(&p); x != nil && !want.meets(x) {
			continue // of one that is damaged the records say what it had
		}
		err := w.engine.view.SomeReferences(ctx, i, func(seq uint64, kind whosaw.Type, realm, credential string) bool {
			return kind == whosaw.TypeIssuance && seq <= w.asOf && credential != "" && want.has(index.CredentialHash(realm, credential))
		}, func(seq uint64, r *whosaw.Record) error {
			out.Apply(seq, r)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read reference records: %w", err)
		}
	}
	return out, nil
}

// credentialSet is the hashes of some credentials.
type credentialSet struct {
	sorted []uint64
	sieve  []uint64 // by the low bits; a power of two long
}

// credentials gives those of the chunk's candidates whose issuances must be read. Where a side table says which were issued, that are those by nobody
// that is named, and those about nobody; where nobody asks what was issued, those about nobody.
func (c *chunk) credentials(table []bool) *credentialSet {
	var hashes []uint64
	judged := c.alone || c.q.judges()
	realm := make([]uint32, len(c.Credential.Dict)) // in which a credential was noted last, and 1 more
	add := func(i uint32) {
		code := c.Credential.Codes[i]
		if code == 0 || realm[code] == c.Realm.Codes[i]+1 {
			return
		}
		if (!judged || table != nil && (!table[i] || c.Principal.Codes[i] != 0)) && len(c.own(i)) > 0 {
			return
		}
		realm[code] = c.Realm.Codes[i] + 1
		hashes = append(hashes, index.CredentialHash(c.Realm.At(int(i)), c.Credential.Dict[code]))
	}
	if c.rows == nil {
		for i := range uint32(c.N) {
			add(i)
		}
	}
	for _, rows := range c.rows {
		for _, i := range rows {
			add(i)
		}
	}
	return newCredentialSet(hashes)
}

// newCredentialSet makes one of hashes, which it sorts.
func newCredentialSet(hashes []uint64) *credentialSet {
	slices.Sort(hashes)
	s := &credentialSet{sorted: slices.Compact(hashes)}
	words := 1
	for words < len(s.sorted)/4 { // sixteen bits each
		words *= 2
	}
	s.sieve = make([]uint64, words)
	for _, h := range s.sorted {
		s.sieve[h>>6&uint64(words-1)] |= 1 << (h & 63)
	}
	return s
}

func (s *credentialSet) has(hash uint64) bool {
	if s.sieve[hash>>6&uint64(len(s.sieve)-1)]>>(hash&63)&1 == 0 {
		return false
	}
	_, ok := slices.BinarySearch(s.sorted, hash)
	return ok
}

// meets reports whether a segment may have issued one of the credentials.
func (s *credentialSet) meets(x *index.Issued) (yes bool) {
	err := index.Guarded(func() error {
		x.Own(func(hash uint64) bool {
			yes = s.has(hash)
			return !yes
		})
		return x.Intact()
	})
	return yes || err != nil
}
