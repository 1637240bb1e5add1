package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/whosaw/whosaw"
)

// SomeReferences is [View.PartReferences] of those records that want asks for, by their sequence, type, realm and credential; nil asks for all. The others are
// not read beyond that: a segment has many issuances, of which most questions ask for few.
func (v *View) SomeReferences(
	ctx context.Context, part int, want func(seq uint64, kind whosaw.Type, realm, credential string) bool, fn func(seq uint64, r *whosaw.Record) error,
) error {
	if part < 0 || part >= len(v.parts) {
		return errors.New("read references: the view has no such part")
	}
	p := &v.parts[part]
	if p.References == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	refs, err := v.refs(p, false)
	if err != nil {
		return fmt.Errorf("read references of sequence %d: %w", p.First, err)
	}
	for j, ref := range refs[:p.References] {
		if j%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if want != nil {
			kind, realm, credential, ok := peek(ref.bytes)
			if ok && !want(ref.seq, kind, realm, credential) {
				continue
			}
		}
		if err := p.give(ref, fn); err != nil { // of one that cannot be read it says why
			return err
		}
	}
	return nil
}

// peek reads of a canonical record what it is of; ok is false if it cannot.
func peek(s string) (kind whosaw.Type, realm, credential string, ok bool) {
	d := reader{s: s}
	for last := uint64(0); d.err == nil && len(d.s) > 0; {
		field := d.uvarint()
		if field <= last || d.err != nil {
			return 0, "", "", false
		}
		last = field
		switch field {
		case fieldType:
			kind = whosaw.Type(d.number(uint64(whosaw.TypeAct)))
		case fieldRealm:
			realm = d.text()
		case fieldID, fieldSource, fieldRoute, fieldPrincipal:
			d.text()
		case fieldTime, fieldPosition, fieldOthers, fieldStatus, fieldOutcome:
			d.uvarint()
		case fieldSubjects, fieldFields, fieldMasked:
			for n := d.uvarint(); n > 0 && d.err == nil; n-- {
				d.take(d.uvarint())
			}
		case fieldCredential:
			credential = d.text()
			return kind, realm, credential, d.err == nil
		default: // fields are in order: it has none
			return kind, realm, "", true
		}
	}
	return kind, realm, credential, d.err == nil
}
