package scope

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/reference"
)

// few keeps the issuances of those credentials that were asked about, of a ledger with too many to hold them all. Segments whose side tables say that they
// issued none of them are not read. The zero value works; it belongs to one ledger.
type few struct {
	mu   sync.Mutex
	kept *fewRecords
}

// maxFew is how many credentials are kept at most. With more all are forgotten, and looked for again. Tests set it lower.
var maxFew = 1 << 18

// fewRecords are some records as of a sequence.
type fewRecords struct {
	index *reference.Index
	asked *credentialSet
	asOf  uint64
	last  uint64 // of them: as of any sequence from it to asOf they are the same
	gone  uint64 // see index.Gone
}

// judge calls fn with the issuances of some credentials in a world. It must not be kept.
func (k *few) judge(ctx context.Context, w *world, about *credentialSet, fn func(known *reference.Index)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	x, gone := k.kept, index.Gone(w.engine.view)
	if x != nil && x.gone == gone && w.asOf < x.asOf && (w.asOf < x.last || len(about.without(x.asked)) > 0) {
		// It has what came after that world, or would miss it when it is asked about the next.
		x = &fewRecords{index: reference.New(), asked: newCredentialSet(nil), gone: gone}
		if err := x.read(ctx, w, about); err != nil {
			return err
		}
		fn(x.index)
		return nil
	}
	if x == nil || x.gone != gone || len(x.asked.sorted)+len(about.sorted) > maxFew {
		x = &fewRecords{index: reference.New(), asked: newCredentialSet(nil), gone: gone}
	}
	k.kept = nil // until it is whole again
	if err := x.read(ctx, w, about); err != nil {
		return err
	}
	k.kept = x
	fn(x.index)
	return nil
}

// read adds the issuances of more credentials in a world, and what came since of all.
func (x *fewRecords) read(ctx context.Context, w *world, about *credentialSet) error {
	fresh := newCredentialSet(about.without(x.asked))
	all := x.asked
	if len(fresh.sorted) > 0 {
		all = newCredentialSet(slices.Concat(x.asked.sorted, fresh.sorted))
	}
	for i, p := range w.engine.view.Parts() {
		if p.First > w.asOf {
			break
		}
		of := all
		if p.Last <= x.asOf {
			of = fresh
		}
		if p.References == 0 || len(of.sorted) == 0 {
			continue
		}
		if table := w.tells(&p); table != nil && !of.meets(table) {
			continue
		}
		if err := x.part(ctx, w, i, fresh, all); err != nil {
			return err
		}
	}
	x.asked, x.asOf = all, max(x.asOf, w.asOf)
	return nil
}

// part adds the issuances of fresh credentials that a part has, and those that came since of all. Of one credential records come in order: of what is
// fresh there is none yet.
func (x *fewRecords) part(ctx context.Context, w *world, part int, fresh, all *credentialSet) error {
	want := func(seq uint64, kind whosaw.Type, realm, credential string) bool {
		if kind != whosaw.TypeIssuance || credential == "" || seq > w.asOf {
			return false
		}
		of := all
		if seq <= x.asOf {
			of = fresh
		}
		return len(of.sorted) > 0 && of.has(index.CredentialHash(realm, credential))
	}
	err := w.engine.view.SomeReferences(ctx, part, want, func(seq uint64, r *whosaw.Record) error {
		x.index.Apply(seq, r)
		x.last = max(x.last, seq)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read reference records: %w", err)
	}
	return nil
}

// without gives those that another set does not have.
func (s *credentialSet) without(o *credentialSet) (out []uint64) {
	for _, hash := range s.sorted {
		if !o.has(hash) {
			out = append(out, hash)
		}
	}
	return out
}

// credentialsOf gives the credentials of some accesses.
func credentialsOf(list []whosaw.Record) *credentialSet {
	var hashes []uint64
	for i := range list {
		if r := &list[i]; r.Credential != "" {
			hashes = append(hashes, index.CredentialHash(r.Realm, r.Credential))
		}
	}
	return newCredentialSet(hashes)
}
