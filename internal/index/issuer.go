package index

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/issued"
	"github.com/whosaw/whosaw/internal/ledger"
)

// heldIssuances is how many issuances are held in memory to make side tables when segments are sealed, in some 60 bytes each.
const heldIssuances = 1 << 21

// issuedDir has the others, within Dir.
const issuedDir = "issued"

// issuer knows what was issued up to the end of a segment, so that the side table of the next can be made when that is sealed.
type issuer struct {
	mu    sync.Mutex  // held while it learns or is asked
	known *issued.Set // nil: nothing is known
	last  uint64      // it knows all up to this sequence
	gone  uint64      // see Gone
	held  int         // see Hold
}

// Hold sets how many issuances are held in memory to make side tables, of 2,097,152; the others lie in files. It is called before anything is sealed.
func (s *Store) Hold(issuances int) { s.issuer.held = issuances }

// begin makes the issuer know nothing, and begin to learn.
func (s *Store) begin(gone uint64) error {
	s.issuer.forget()
	set, err := issued.NewSet(s.issuer.held, filepath.Join(s.dir, issuedDir))
	if err != nil {
		return err
	}
	s.issuer.known, s.issuer.last, s.issuer.gone = set, 0, gone
	return nil
}

// forget has the issuer know nothing.
func (x *issuer) forget() {
	if x.known != nil {
		_ = x.known.Close() // what is left goes when the next begins
	}
	x.known = nil
}

// sure reports whether what was said of credentials holds: nothing failed to be read. Else it knows nothing any more.
func (x *issuer) sure() bool {
	if x.known != nil && x.known.Faults() > 0 {
		x.forget()
	}
	return x.known != nil
}

// learn takes a record, and adds what it issues to own.
func (x *issuer) learn(r *whosaw.Record, own *[]uint64) {
	if r.Type != whosaw.TypeIssuance {
		return
	}
	who := r.Principal
	if who == "" && len(r.Subjects) > 0 {
		who = "customer:" + r.Subjects[0]
	}
	x.known.Add(r.Realm, r.Credential, r.Key, who)
	if own != nil && r.Credential != "" {
		*own = append(*own, CredentialHash(r.Realm, r.Credential))
	}
}

// issued gives what tells of each access of a chunk whether its credential was issued. A session's accesses mostly name one key and
// one principal, so what was asked last of a credential is remembered.
func (x *issuer) issued(c *ledger.Chunk) func(i int) bool {
	type memo struct {
		realm, key, principal uint32
		ask                   *issued.Ask
	}
	memos, asks := make([]memo, len(c.Credential.Dict)), make([]*issued.Ask, c.N)
	settler, slab := x.known.Settle(), []issued.Ask(nil)
	for i := range c.N {
		code := c.Credential.Codes[i]
		if code == 0 {
			continue
		}
		m := &memos[code]
		if m.ask == nil || m.realm != c.Realm.Codes[i] || m.key != c.Key.Codes[i] || m.principal != c.Principal.Codes[i] {
			if len(slab) == 0 {
				slab = make([]issued.Ask, 1024)
			}
			*m = memo{c.Realm.Codes[i], c.Key.Codes[i], c.Principal.Codes[i], &slab[0]}
			slab = slab[1:]
			settler.Ask(c.Realm.At(i), c.Credential.At(i), c.Key.At(i), c.Principal.At(i), m.ask)
		}
		asks[i] = m.ask
	}
	settler.End()
	return func(i int) bool { return asks[i] != nil && asks[i].Issued }
}

// follow reports whether the side table of a segment that was just sealed can be made at once. If so, the issuer is held.
func (s *Store) follow(p *ledger.Part) bool {
	x := &s.issuer
	if !x.mu.TryLock() { // earlier segments are being made up for; what seals does not wait
		s.lack()
		return false
	}
	if p.First == 1 && x.known == nil {
		if err := s.begin(s.gone.Load()); err != nil {
			s.fail(err)
		}
	}
	if x.known != nil && x.last+1 == p.First && x.gone == s.gone.Load() {
		return true
	}
	s.lack()
	x.mu.Unlock()
	return false
}

// lack notes that side tables are missing.
func (s *Store) lack() {
	select {
	case s.lacking <- struct{}{}:
	default:
	}
}

// Lacking gives word when BuildIssued should be called: segments were sealed whose side tables could not be made at once, or tables
// hold no more, because retention removed issuances.
func (s *Store) Lacking() <-chan struct{} { return s.lacking }

// BuildIssued makes the side tables that the segments of a ledger lack, and learns what it takes to make those of the segments to come
// when they are sealed. look gives a view of all there is. What is sealed meanwhile does not wait, and has Lacking say so.
func (s *Store) BuildIssued(ctx context.Context, look func() (*ledger.View, error)) error {
	s.issuer.mu.Lock()
	defer s.issuer.mu.Unlock()
	select {
	case <-s.lacking:
	default:
	}
	view, err := look()
	if err != nil {
		return fmt.Errorf("build side tables: %w", err)
	}
	err = s.learnAll(ctx, view)
	if err = errors.Join(err, view.Close()); err != nil {
		return fmt.Errorf("build side tables: %w", err)
	}
	return nil
}

// learnAll learns what a view's sealed segments say, and makes the side tables that their blocks lack: each when its own segment was learnt, for
// what a credential's rows need was mostly issued shortly before.
func (s *Store) learnAll(ctx context.Context, view *ledger.View) error {
	x, gone := &s.issuer, Gone(view)
	s.gone.Store(gone)
	if x.known == nil || x.gone != gone {
		if err := s.begin(gone); err != nil {
			return err
		}
	}
	for i, p := range view.Parts() {
		if !p.Whole() {
			break
		}
		own, fresh := []uint64(nil), p.Last > x.last
		if fresh {
			err := view.PartReferences(ctx, i, func(seq uint64, r *whosaw.Record) error {
				x.learn(r, &own)
				return nil
			})
			if err != nil {
				x.forget() // it may have some of the part's
				return err
			}
			x.last = p.Last
		}
		if err := s.makeMissing(ctx, view, i, own, fresh); err != nil {
			return err
		}
	}
	return nil
}

// makeMissing makes the side table that a part lacks. own has what its records issue, if that was learnt just now.
func (s *Store) makeMissing(ctx context.Context, view *ledger.View, part int, own []uint64, fresh bool) error {
	x, p := &s.issuer, &view.Parts()[part]
	b := s.Block(p)
	if b == nil && !bare(p) {
		return nil
	}
	if t := s.SideTable(p); t != nil && (t.gone == x.gone || b == nil) {
		return nil
	}
	if b == nil {
		if !fresh {
			var err error
			if own, err = OwnIssuances(ctx, view, part); err != nil {
				return err
			}
		}
		return s.placeBare(p, x.gone, own)
	}
	_, err := s.Issued(p, b, func(t *Issued) bool { return t.gone == x.gone }, func() (*Issued, error) {
		if !fresh {
			var err error
			if own, err = OwnIssuances(ctx, view, part); err != nil {
				return nil, err
			}
		}
		c, err := view.Load(ctx, part, IssuedColumns)
		if err != nil {
			return nil, err
		}
		t := MakeIssued(c, x.last, x.gone, own, x.issued(c))
		if !x.sure() {
			return nil, errUnsure
		}
		return t, nil
	})
	return err
}

var errUnsure = errors.New("old issuances could not be read")

// OwnIssuances gives the hashes of the credentials that the records of a view's part issue.
func OwnIssuances(ctx context.Context, view *ledger.View, part int) (own []uint64, err error) {
	err = view.PartReferences(ctx, part, func(_ uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeIssuance && r.Credential != "" {
			own = append(own, CredentialHash(r.Realm, r.Credential))
		}
		return nil
	})
	return own, err
}
