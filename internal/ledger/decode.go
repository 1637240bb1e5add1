package ledger

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/whosaw/whosaw"
)

var (
	errShort        = errors.New("ends too early")
	errNotCanonical = errors.New("is not in canonical form")
)

// Decode reads a canonical record. It takes nothing that Encode would not have written, so that
// two different byte strings are never the same record.
func Decode(b []byte) (whosaw.Record, error) {
	var r whosaw.Record
	err := decodeRecord(string(b), &r)
	return r, err
}

// decodeRecord fills r, which must be zero. r's strings share memory with s.
func decodeRecord(s string, r *whosaw.Record) error {
	if len(s) > MaxRecord {
		return fmt.Errorf("decode record: more than %d bytes", MaxRecord)
	}
	d := reader{s: s}
	last := uint64(0)
	for d.err == nil && len(d.s) > 0 {
		field := d.uvarint()
		if d.err == nil && field <= last {
			d.fail(errNotCanonical)
		}
		last = field
		switch {
		case d.err != nil:
		case field < fieldState:
			d.access(field, r)
		case r.Type == whosaw.TypeAccess:
			d.fail(errors.New("is an access with members of a reference record"))
		default:
			d.reference(field, r)
		}
	}
	if d.err != nil {
		return fmt.Errorf("decode record: field %d %w", last, d.err)
	}
	return nil
}

// access reads a field that records of every type may have.
func (d *reader) access(field uint64, r *whosaw.Record) {
	switch field {
	case fieldType:
		r.Type = whosaw.Type(d.number(uint64(whosaw.TypeAct)))
		r.Ref = new(whosaw.Reference) // a type that is stated is not an access
	case fieldID:
		r.ID = d.text()
	case fieldTime:
		r.Time = d.integer()
	case fieldRealm:
		r.Realm = d.text()
	case fieldSource:
		r.Source = d.text()
	case fieldPosition:
		r.Position = d.integer()
	case fieldSubjects:
		r.Subjects = d.list(1)
		if slices.Contains(r.Subjects, "") {
			d.fail(errNotCanonical)
		}
	case fieldOthers:
		r.Others = d.integer()
	case fieldRoute:
		r.Route = d.text()
	case fieldFields:
		r.Fields = d.list(0)
	case fieldMasked:
		r.Masked = d.list(0)
	case fieldStatus:
		n := d.integer()
		if n < 0 || n > maxStatus {
			d.fail(errNotCanonical)
		}
		r.Status = int(n)
	case fieldOutcome:
		r.Outcome = whosaw.Outcome(d.number(uint64(whosaw.OutcomeNone)))
	case fieldPrincipal:
		r.Principal = d.text()
	case fieldCredential:
		r.Credential = d.text()
	case fieldKey:
		r.Key = d.text()
	case fieldClient:
		r.Client = d.text()
	case fieldIP:
		r.IP = d.addr()
	case fieldCountry:
		r.Country = d.text()
	case fieldASN:
		r.ASN = uint32(d.number(math.MaxUint32))
	case fieldAgent:
		r.Agent = d.text()
	case fieldTLS:
		r.TLS = d.text()
	case fieldReason:
		r.Reason = d.text()
	case fieldBytes:
		r.Bytes = d.integer()
	case fieldRequest:
		r.Request = d.text()
	default:
		d.fail(errUnknownField)
	}
}

var errUnknownField = errors.New("is unknown: the ledger was written by a newer whosaw, use that one")

// reference reads a field that only records other than accesses have.
func (d *reader) reference(field uint64, r *whosaw.Record) {
	f := r.Ref
	switch field {
	case fieldState:
		f.State = d.text()
	case fieldKind:
		f.Kind = d.text()
	case fieldInto:
		f.Into = d.text()
	case fieldPerson:
		f.Person = d.text()
	case fieldOf:
		f.Of = d.text()
	case fieldUse:
		f.Use = d.text()
	case fieldNote:
		f.Note = d.text()
	case fieldSince:
		f.Since = d.integer()
	case fieldFrom:
		f.From = d.integer()
	case fieldUntil:
		f.Until = d.integer()
	case fieldExpires:
		f.Expires = d.integer()
	case fieldLastLogin:
		f.LastLogin = d.integer()
	case fieldLag:
		f.Lag = d.float()
		if f.Lag == 0 {
			d.fail(errNotCanonical)
		}
	case fieldLost:
		f.Lost, f.HasLost = d.float(), true
	case fieldCount:
		f.Count = d.integer()
	case fieldContacts:
		f.Contacts = d.list(1)
	case fieldKeys:
		f.Keys = d.list(1)
	case fieldPrincipals:
		f.Principals = d.list(1)
	case fieldReaders:
		f.Readers = d.list(1)
	default:
		d.fail(errUnknownField)
	}
}

// reader takes values off the front of s. After the first fault every value is zero.
type reader struct {
	s   string
	err error
}

func (d *reader) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.s = ""
}

// uvarint reads a number in the shortest form there is for it.
func (d *reader) uvarint() uint64 {
	var n uint64
	for i := 0; i < len(d.s); i++ {
		c := d.s[i]
		if i == 9 && c > 1 || i > 0 && c == 0 {
			d.fail(errNotCanonical)
			return 0
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.s = d.s[i+1:]
			return n
		}
	}
	d.fail(errShort)
	return 0
}

// number reads a number from 1 to most: 0 is missing, and what is missing is not written.
func (d *reader) number(most uint64) uint64 {
	n := d.uvarint()
	if d.err == nil && (n == 0 || n > most) {
		d.fail(errNotCanonical)
		return 0
	}
	return n
}

func (d *reader) integer() int64 { return unzigzag(d.number(math.MaxUint64)) }

func (d *reader) float() float64 {
	b := d.take(8)
	if d.err != nil {
		return 0
	}
	var u uint64
	for i := range 8 {
		u = u<<8 | uint64(b[i])
	}
	f := math.Float64frombits(u)
	if !finite(f) || u == 1<<63 {
		d.fail(errNotCanonical)
		return 0
	}
	return f
}

func (d *reader) take(n uint64) string {
	if d.err != nil || n > uint64(len(d.s)) {
		d.fail(errShort)
		return ""
	}
	b := d.s[:n]
	d.s = d.s[n:]
	return b
}

func (d *reader) text() string { return d.take(d.number(math.MaxUint64)) }

func (d *reader) addr() netip.Addr {
	switch b := d.take(d.uvarint()); len(b) {
	case 4:
		return netip.AddrFrom4([4]byte([]byte(b)))
	case 16:
		return netip.AddrFrom16([16]byte([]byte(b)))
	}
	d.fail(errNotCanonical)
	return netip.Addr{}
}

// list reads a list of at least least strings, which may be empty themselves.
func (d *reader) list(least uint64) []string {
	n := d.uvarint()
	if d.err == nil && n < least {
		d.fail(errNotCanonical)
	}
	if d.err == nil && n > uint64(len(d.s)) { // each string takes a byte at least
		d.fail(errShort)
	}
	if d.err != nil {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.take(d.uvarint())
	}
	return list
}
