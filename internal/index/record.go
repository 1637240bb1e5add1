package index

import (
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// number gives one of a section's numbers, and looks at its checksum.
func (b *Reader) number(s section, p *Packed, i int) (uint64, error) {
	return b.at(s, 0, p, i)
}

// text gives one of a section's n texts, by its place, and looks at its checksum. It lies in the block's memory.
func (b *Block) text(s section, n, i int) (string, error) {
	all := b.bytes(s)
	ends := newPacked(all, n+1, b.extents[s].width)
	if i < 0 || i >= n {
		return "", &DamageError{b.name}
	}
	if err := b.checkNumbers(s, &ends, i, i+2); err != nil {
		return "", err
	}
	at := packedSize(n+1, b.extents[s].width)
	from, to := at+int(ends.At(i)), at+int(ends.At(i+1))
	if from > to || to > len(all) {
		return "", &DamageError{b.name}
	}
	if err := b.check(s, from, to); err != nil {
		return "", err
	}
	return unsafe.String(unsafe.SliceData(all[from:to]), to-from), nil
}

// OriginOf gives the origin of a row.
func (b *Reader) OriginOf(row int) (int, error) {
	starts, err := b.partly(sectionStarts, &b.starts, b.head.origins+1, uint64(b.head.rows))
	if err != nil {
		return 0, err
	}
	o := min(max(0, starts.Search(uint64(row)+1)-1), b.head.origins-1)
	return o, starts.look.err
}

// WhoOf gives the subject's number and the shape of a row.
func (b *Block) WhoOf(row int) (subject, shape uint64, err error) {
	if err := b.checkNumbers(sectionWho, &b.who, row, row+1); err != nil {
		return 0, 0, err
	}
	who := b.who.At(row)
	return who >> b.head.shapeBits, who & b.mask, nil
}

// whoOf is WhoOf for a single row.
func (b *Reader) whoOf(row int) (subject, shape uint64, err error) {
	who, err := b.number(sectionWho, &b.who, row)
	return who >> b.head.shapeBits, who & b.mask, err
}

// TimeOf gives the event time of a row.
func (b *Reader) TimeOf(row int) (int64, error) {
	t, err := b.number(sectionTime, &b.times, row)
	return b.head.minTime + int64(t), err
}

// RealmOf gives the realm of a row. It lies in the block's memory.
func (b *Reader) RealmOf(row int) (string, error) {
	if b.head.dicts[memberRealm] == 0 {
		return "", nil
	}
	o, err := b.OriginOf(row)
	if err != nil {
		return "", err
	}
	code, err := b.code(memberRealm, &one{origin: o})
	if err != nil || code == 0 {
		return "", err
	}
	return b.text(sectionDict+section(memberRealm), b.head.dicts[memberRealm], code-1)
}

// Record gives the access of a row, as its source told it but for its position in the source, and the first row of the
// access. text gives strings that the segment keeps. The record's strings may lie in the block's memory.
func (b *Reader) Record(row int, text func(col ledger.TextColumn, code uint32) (string, error)) (r whosaw.Record, first int, err error) {
	origin, err := b.OriginOf(row)
	if err != nil {
		return r, 0, err
	}
	if err := b.origin(origin, &r); err != nil {
		return r, 0, err
	}
	subjects, err := b.Subjects()
	if err != nil {
		return r, 0, err
	}
	for first = row; ; first-- {
		_, number, err := b.whoOf(first)
		if err != nil {
			return r, 0, err
		}
		s, err := b.text(sectionShapes, b.head.shapes, int(number))
		if err != nil {
			return r, 0, err
		}
		if len(s) == 0 || first == 0 && s[0]&shapeFirst == 0 {
			return r, 0, &DamageError{b.name}
		}
		if s[0]&shapeFirst == 0 {
			continue
		}
		shape, err := parseShape(s)
		if err != nil {
			return r, 0, err
		}
		r.Route, r.Fields, r.Masked, r.Status = shape.Route, shape.Fields, shape.Masked, int(shape.Status)
		r.Outcome, r.Others = whosaw.Outcome(shape.Outcome), shape.Others
		if shape.Subject {
			err = b.subjectsFrom(first, &subjects, &r)
		}
		if err != nil {
			return r, 0, err
		}
		break
	}
	if r.Time, err = b.TimeOf(first); err != nil {
		return r, 0, err
	}
	if r.Principal, err = b.principal(first, &r); err != nil {
		return r, 0, err
	}
	for _, t := range [...]struct {
		c   rowColumn
		col ledger.TextColumn
		to  *string
	}{
		{rowCredential, ledger.TextCredential, &r.Credential}, {rowID, ledger.TextID, &r.ID}, {rowReason, ledger.TextReason, &r.Reason},
		{rowRequest, ledger.TextRequest, &r.Request},
	} {
		code, err := b.value(t.c, first)
		if err == nil {
			*t.to, err = text(t.col, uint32(code))
		}
		if err != nil {
			return r, 0, err
		}
	}
	n, err := b.value(rowBytes, first)
	r.Bytes = unzigzag(n)
	return r, first, err
}

// subjectsFrom gives a record the subjects of the access whose first row this is.
func (b *Reader) subjectsFrom(first int, subjects *Subjects, r *whosaw.Record) error {
	for row := first; row < b.head.rows; row++ {
		subject, number, err := b.whoOf(row)
		if err != nil {
			return err
		}
		if row > first {
			s, err := b.text(sectionShapes, b.head.shapes, int(number))
			if err != nil {
				return err
			}
			if len(s) == 0 || s[0]&shapeFirst != 0 {
				return nil
			}
		}
		r.Subjects = append(r.Subjects, subjects.name(subject))
	}
	return nil
}

// name gives the id of a subject's number.
func (s *Subjects) name(number uint64) string {
	id, text, isText := s.Get(number)
	if isText {
		return text
	}
	return strconv.FormatUint(id, 10)
}

// principal gives the principal of an access from its first row.
func (b *Reader) principal(first int, r *whosaw.Record) (string, error) {
	code, err := b.value(rowPrincipal, first)
	if err != nil {
		return "", err
	}
	base := uint64(principalLiteral + b.head.principals)
	switch {
	case code == 0:
		return "", nil
	case code == principalOwn:
		if len(r.Subjects) == 0 {
			return "", &DamageError{b.name}
		}
		return ownPrefix + r.Subjects[0], nil
	case code < base:
		return b.text(sectionPrincipals, b.head.principals, int(code-principalLiteral))
	}
	subjects, err := b.Subjects()
	if err != nil {
		return "", err
	}
	return ownPrefix + subjects.name(code-base), nil
}

// origin gives a record what its origin has.
func (b *Reader) origin(o int, r *whosaw.Record) error {
	var codes [members]int
	at := one{origin: o}
	for m := range members {
		if m == memberCredential {
			continue // whether there is one, the row says
		}
		var err error
		if codes[m], err = b.code(m, &at); err != nil {
			return err
		}
	}
	for _, x := range [...]struct {
		m  member
		to *string
	}{
		{memberKey, &r.Key}, {memberAgent, &r.Agent}, {memberCountry, &r.Country}, {memberClient, &r.Client}, {memberTLS, &r.TLS},
		{memberRealm, &r.Realm}, {memberSource, &r.Source},
	} {
		if codes[x.m] == 0 {
			continue
		}
		var err error
		if *x.to, err = b.text(sectionDict+section(x.m), b.head.dicts[x.m], codes[x.m]-1); err != nil {
			return err
		}
	}
	if n := codes[memberASN]; n > 0 {
		p := b.packed(sectionASN, b.head.asns)
		asn, err := b.number(sectionASN, &p, n-1)
		if err != nil {
			return err
		}
		r.ASN = uint32(asn)
	}
	var err error
	r.IP, err = b.addr(codes[memberIP])
	return err
}

// addr gives the address of a code.
func (b *Reader) addr(code int) (netip.Addr, error) {
	switch {
	case code <= 0 || code > b.head.v4+b.head.v6:
		return netip.Addr{}, nil
	case code <= b.head.v4:
		v4, err := b.partly(sectionV4, &b.v4, b.head.v4, 1<<32-1)
		if err != nil {
			return netip.Addr{}, err
		}
		return addrOf4(v4.At(code - 1)), v4.look.err
	}
	at := 16 * (code - 1 - b.head.v4)
	if err := b.check(sectionV6, at, at+16); err != nil {
		return netip.Addr{}, err
	}
	return netip.AddrFrom16([16]byte(b.bytes(sectionV6)[at:])), nil
}
