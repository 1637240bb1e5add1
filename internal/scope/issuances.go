package scope

import (
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

// many reports whether there are too many issuances to hold them all, and side tables tell where those of a credential are: without these, all
// would be read for each segment.
func (w *world) many() bool {
	if !w.partial {
		return false // they are held
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
	return all > manyReferences && untold <= max(all/8, manyReferences)
}

// tells gives the side table that says what a part issued as of the world, nil if there is none.
func (w *world) tells(p *ledger.Part) *index.Issued {
	if w.engine.index == nil || p.Last > w.asOf {
		return nil
	}
	return w.engine.index.SideTable(p)
}

// issuances gives an index that knows which of the chunk's credentials were issued.
func (c *chunk) issuances(w *chunkWorld) *reference.Index {
	if w.known != nil {
		return w.known
	}
	if w.some == nil && w.many() {
		some, err := c.someIssuances(w.world)
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

// someIssuances reads the issuances of the chunk's credentials: in the segments whose side tables say that they may have some, and in those
// without one.
func (c *chunk) someIssuances(w *world) (*reference.Index, error) {
	want, out := c.credentials(), reference.New()
	for i, p := range w.engine.view.Parts() {
		if p.First > w.asOf {
			break
		}
		if p.References == 0 {
			continue
		}
		if err := c.ctx.Err(); err != nil {
			return nil, err
		}
		if x := w.tells(&p); x != nil && !want.meets(x) {
			continue // of one that is damaged the records say what it had
		}
		err := w.engine.view.PartReferences(c.ctx, i, func(seq uint64, r *whosaw.Record) error {
			if seq > w.asOf {
				return errEnd
			}
			if r.Type == whosaw.TypeIssuance && r.Credential != "" && want.has(index.CredentialHash(r.Realm, r.Credential)) {
				out.Apply(seq, r)
			}
			return nil
		})
		if err != nil && err != errEnd {
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

// credentials gives those of the chunk's accesses.
func (c *chunk) credentials() *credentialSet {
	var hashes []uint64
	realm := make([]uint32, len(c.Credential.Dict)) // in which a credential was noted last, and 1 more
	for i := range c.N {
		code := c.Credential.Codes[i]
		if code == 0 || realm[code] == c.Realm.Codes[i]+1 {
			continue
		}
		realm[code] = c.Realm.Codes[i] + 1
		hashes = append(hashes, index.CredentialHash(c.Realm.At(i), c.Credential.Dict[code]))
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
