package scope

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sort"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/near"
)

// journal has the issuances that side tables may not know yet, by the hashes of their credentials: of segments with a side table of their own
// from that, of the rest from their records. It reaches back as far as was asked for.
type journal struct {
	reaching sync.Mutex // held while it is made to reach back further

	mu     sync.RWMutex
	parts  []ledger.Part
	from   int // it has the parts from this one on
	listed lastParts
	read   []journalEntry // of parts that were read, sorted by hash
}

type journalEntry struct{ hash, seq uint64 }

// behind gives the first part that has sequences behind one.
func (j *journal) behind(seq uint64) int {
	return sort.Search(len(j.parts), func(i int) bool { return j.parts[i].Last > seq })
}

// touches reports whether an issuance that a side table does not know may be of a credential that has rows without one. The journal
// must reach back to the table.
func (j *journal) touches(x *index.Issued) (yes bool) {
	_, seq := x.AsOf()
	j.mu.RLock()
	defer j.mu.RUnlock()
	first := j.behind(seq)
	if first < j.from {
		return true
	}
	read := j.read
	if len(read) == 0 && j.listed.most <= first {
		return false
	}
	x.Unissued(func(hash uint64) bool {
		for len(read) > 0 && read[0].hash < hash {
			read = read[1:]
		}
		for len(read) > 0 && read[0].hash == hash && !yes {
			yes, read = read[0].seq > seq, read[1:]
		}
		yes = yes || j.listed.has(hash, first)
		return !yes
	})
	return yes
}

// lastParts has for each of some hashes the last part that it is of. Hashes come sorted from each part, and are looked for so: neighbours lie
// beside each other.
type lastParts struct {
	slots []uint64 // hash << 16 | part + 1; 0: free. A power of two long
	shift uint     // of a hash: its slot
	sieve []uint64 // of the hashes that occur, sieveBits for each slot: most that are asked about do not
	n     int
	most  int // the last part that any is of, and 1 more
}

// sieveBits are eight for each slot, of which at most half are used.
const sieveBits = 3

const (
	partBits = 16
	manyPart = 1<<partBits - 1 // stands for all parts whose number has more bits
)

func (l *lastParts) slot(hash uint64) *uint64 {
	mask := uint64(len(l.slots) - 1)
	for at := hash >> l.shift & mask; ; at = (at + 1) & mask {
		if s := &l.slots[at]; *s == 0 || *s>>partBits == hash {
			return s
		}
	}
}

// grow makes room for n more.
func (l *lastParts) grow(n int) {
	if 2*(l.n+n) <= len(l.slots) {
		return
	}
	old := l.slots
	size := uint(bits.Len(uint(2 * (l.n + n))))
	l.sieve = near.Large[uint64](max(1, 1<<size>>(6-sieveBits)))
	l.slots, l.shift = near.Large[uint64](1<<size), index.CredentialBits-min(size, index.CredentialBits)
	for _, s := range old {
		if s != 0 {
			*l.slot(s >> partBits) = s
			l.sift(s >> partBits)
		}
	}
}

// bit gives the place of a hash in the sieve. What a damaged table gives may be greater than any hash.
func (l *lastParts) bit(hash uint64) (word, bit uint64) {
	at := hash << sieveBits >> l.shift
	return at >> 6 & uint64(len(l.sieve)-1), 1 << (at & 63)
}

func (l *lastParts) sift(hash uint64) {
	word, bit := l.bit(hash)
	l.sieve[word] |= bit
}

func (l *lastParts) add(hash uint64, part int) {
	l.most = max(l.most, part+1)
	l.sift(hash)
	s := l.slot(hash)
	if *s == 0 {
		l.n++
	}
	*s = max(*s, hash<<partBits|uint64(min(part+1, manyPart)))
}

// has reports whether a hash may be of one of the parts from first on.
func (l *lastParts) has(hash uint64, first int) bool {
	if len(l.slots) == 0 {
		return false
	}
	if word, bit := l.bit(hash); l.sieve[word]&bit == 0 {
		return false
	}
	return int(*l.slot(hash)&manyPart) > min(first, manyPart-1)
}

// issuances gives the journal of the issuances behind a sequence.
func (w *world) issuances(ctx context.Context, seq uint64) (*journal, error) {
	w.mu.Lock()
	j := w.journal
	if j == nil {
		parts := w.engine.view.Parts()
		parts = parts[:sort.Search(len(parts), func(i int) bool { return parts[i].First > w.asOf })]
		j = &journal{parts: parts, from: len(parts)}
		w.journal = j
	}
	w.mu.Unlock()
	j.reaching.Lock()
	defer j.reaching.Unlock()
	for first := j.behind(seq); j.from > first; {
		if err := w.reach(ctx, j, j.from-1); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// reach adds a part to a journal.
func (w *world) reach(ctx context.Context, j *journal, part int) error {
	e, p := w.engine, &j.parts[part]
	var table *index.Issued
	if p.Last <= w.asOf {
		table = e.index.SideTable(p) // before the journal is held: whoever has that table may look into it
	}
	if table != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.listed.grow(table.OwnLen())
		table.Own(func(hash uint64) bool {
			j.listed.add(hash, part)
			return true
		})
		if err := table.Intact(); err != nil {
			return err // what was added of it is too much at most
		}
		j.from = part
		return nil
	}
	var read []journalEntry
	err := e.view.PartReferences(ctx, part, func(seq uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeIssuance && r.Credential != "" && seq <= w.asOf {
			read = append(read, journalEntry{index.CredentialHash(r.Realm, r.Credential), seq})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read reference records: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.read = append(slices.Clone(j.read), read...)
	slices.SortFunc(j.read, func(a, b journalEntry) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(b.seq, a.seq)) })
	j.from = part
	return nil
}

// asksIssued reports whether a term asks whether credentials were issued.
func (q *question) asksIssued() bool {
	return slices.ContainsFunc(q.terms, func(t *term) bool { return t.issued != nil })
}

var errUnmade = errors.New("there is no side table")

// issuedOf gives the side table of a part's block as of the question's sequence; nil if the part must be read, or if there is
// none and it is not to be made.
func (q *question) issuedOf(ctx context.Context, part int, p *ledger.Part, b *index.Block, make bool) (*index.Issued, error) {
	w, err := q.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	asOf, gone, later := q.asOf[0], index.Gone(q.view), false
	var late *journal
	if x := q.index.SideTable(p); x != nil {
		if _, last := x.AsOf(); last < asOf {
			if late, err = w.issuances(ctx, last); err != nil {
				return nil, err
			}
		}
	}
	x, err := q.index.Issued(p, b, func(x *index.Issued) bool {
		if x.Gone() != gone {
			return false
		}
		first, last := x.AsOf()
		if later = first > asOf; later {
			return true // it knows issuances that the question must not
		}
		if asOf <= last {
			return true
		}
		if late == nil || late.touches(x) {
			return false
		}
		x.Holds(asOf)
		return true
	}, func() (*index.Issued, error) {
		if !make {
			return nil, errUnmade
		}
		own, err := index.OwnIssuances(ctx, q.view, part)
		if err != nil {
			return nil, fmt.Errorf("read reference records: %w", err)
		}
		c, err := q.view.Load(ctx, part, index.IssuedColumns)
		if err != nil {
			return nil, fmt.Errorf("load part %d: %w", part, err)
		}
		judged := newChunk(ctx, q, part, c, nil)
		judged.alone = true // it makes the table
		x := index.MakeIssued(c, asOf, gone, own, func(i int) bool { return judged.issued(uint32(i), 0) })
		return x, judged.err
	})
	if later || err == errUnmade {
		return nil, nil
	}
	if x != nil {
		q.stands(x)
	}
	return x, err
}
