package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/whosaw/whosaw"
)

// MaxRecord is the greatest size of a canonical record, in bytes: a line of whosaw.MaxLine with
// room for its source.
const MaxRecord = 2 << 20

// The fields of a canonical record. A number is never given another meaning or another encoding,
// and never used again: what is hashed once must read the same for ever. See docs/formats/ledger.md.
const (
	fieldType       = 1
	fieldID         = 2
	fieldTime       = 3
	fieldRealm      = 4
	fieldSource     = 5
	fieldPosition   = 6
	fieldSubjects   = 7
	fieldOthers     = 8
	fieldRoute      = 9
	fieldFields     = 10
	fieldMasked     = 11
	fieldStatus     = 12
	fieldOutcome    = 13
	fieldPrincipal  = 14
	fieldCredential = 15
	fieldKey        = 16
	fieldClient     = 17
	fieldIP         = 18
	fieldCountry    = 19
	fieldASN        = 20
	fieldAgent      = 21
	fieldTLS        = 22
	fieldReason     = 23
	fieldBytes      = 24
	fieldRequest    = 25

	// From here on only records that are not accesses have them.
	fieldState      = 32
	fieldKind       = 33
	fieldInto       = 34
	fieldPerson     = 35
	fieldOf         = 36
	fieldUse        = 37
	fieldNote       = 38
	fieldSince      = 39
	fieldFrom       = 40
	fieldUntil      = 41
	fieldExpires    = 42
	fieldLastLogin  = 43
	fieldLag        = 44
	fieldLost       = 45
	fieldCount      = 46
	fieldContacts   = 47
	fieldKeys       = 48
	fieldPrincipals = 49
	fieldReaders    = 50
)

// maxStatus is the greatest status that a record may have.
const maxStatus = 999

// Encode appends the canonical bytes of a record to dst. Method and Path are left out: they are
// never stored. A record that cannot be stored gives an error that names the member.
func Encode(dst []byte, r *whosaw.Record) ([]byte, error) {
	if err := storable(r); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = appendRecord(dst, r)
	if n := len(dst) - start; n > MaxRecord {
		return dst[:start], fmt.Errorf("encode record: %d bytes, more than the %d a record may have: shorten its members", n, MaxRecord)
	}
	return dst, nil
}

// storable reports what of a record its canonical form has no place for.
func storable(r *whosaw.Record) error {
	switch {
	case r.Type > whosaw.TypeAct:
		return errors.New("encode record: unknown type")
	case r.Outcome > whosaw.OutcomeNone:
		return errors.New("encode record: unknown outcome")
	case r.Status < 0 || r.Status > maxStatus:
		return fmt.Errorf("encode record: status is not between 0 and %d", maxStatus)
	case r.IP.Zone() != "":
		return errors.New("encode record: ip has a zone: leave it out")
	case slices.Contains(r.Subjects, ""):
		return errors.New("encode record: a subject is empty: leave it out")
	case r.Ref == nil:
		return nil
	case r.Type == whosaw.TypeAccess:
		return errors.New("encode record: an access has members of a reference record")
	case !r.Ref.HasLost && r.Ref.Lost != 0:
		return errors.New("encode record: lost is set but not stated")
	case !finite(r.Ref.Lag) || !finite(r.Ref.Lost):
		return errors.New("encode record: lag or lost is not a finite number")
	}
	return nil
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// appendRecord appends the canonical bytes of a storable record.
func appendRecord(b []byte, r *whosaw.Record) []byte {
	if r.Type != 0 {
		b = append(b, fieldType, byte(r.Type))
	}
	b = appendString(b, fieldID, r.ID)
	b = appendInt(b, fieldTime, r.Time)
	b = appendString(b, fieldRealm, r.Realm)
	b = appendString(b, fieldSource, r.Source)
	b = appendInt(b, fieldPosition, r.Position)
	b = appendList(b, fieldSubjects, r.Subjects)
	b = appendInt(b, fieldOthers, r.Others)
	b = appendString(b, fieldRoute, r.Route)
	b = appendSet(b, fieldFields, r.Fields)
	b = appendSet(b, fieldMasked, r.Masked)
	b = appendInt(b, fieldStatus, int64(r.Status))
	if r.Outcome != 0 {
		b = append(b, fieldOutcome, byte(r.Outcome))
	}
	b = appendString(b, fieldPrincipal, r.Principal)
	b = appendString(b, fieldCredential, r.Credential)
	b = appendString(b, fieldKey, r.Key)
	b = appendString(b, fieldClient, r.Client)
	b = appendAddr(b, fieldIP, r.IP)
	b = appendString(b, fieldCountry, r.Country)
	if r.ASN != 0 {
		b = binary.AppendUvarint(append(b, fieldASN), uint64(r.ASN))
	}
	b = appendString(b, fieldAgent, r.Agent)
	b = appendString(b, fieldTLS, r.TLS)
	b = appendString(b, fieldReason, r.Reason)
	b = appendInt(b, fieldBytes, r.Bytes)
	b = appendString(b, fieldRequest, r.Request)
	if r.Ref != nil {
		b = appendReference(b, r.Ref)
	}
	return b
}

func appendReference(b []byte, f *whosaw.Reference) []byte {
	b = appendString(b, fieldState, f.State)
	b = appendString(b, fieldKind, f.Kind)
	b = appendString(b, fieldInto, f.Into)
	b = appendString(b, fieldPerson, f.Person)
	b = appendString(b, fieldOf, f.Of)
	b = appendString(b, fieldUse, f.Use)
	b = appendString(b, fieldNote, f.Note)
	b = appendInt(b, fieldSince, f.Since)
	b = appendInt(b, fieldFrom, f.From)
	b = appendInt(b, fieldUntil, f.Until)
	b = appendInt(b, fieldExpires, f.Expires)
	b = appendInt(b, fieldLastLogin, f.LastLogin)
	if f.Lag != 0 {
		b = appendFloat(b, fieldLag, f.Lag)
	}
	if f.HasLost {
		b = appendFloat(b, fieldLost, f.Lost)
	}
	b = appendInt(b, fieldCount, f.Count)
	b = appendList(b, fieldContacts, f.Contacts)
	b = appendList(b, fieldKeys, f.Keys)
	b = appendList(b, fieldPrincipals, f.Principals)
	return appendList(b, fieldReaders, f.Readers)
}

func appendString(b []byte, field byte, s string) []byte {
	if s == "" {
		return b
	}
	b = append(b, field)
	if len(s) < 0x80 {
		b = append(b, byte(len(s)))
	} else {
		b = binary.AppendUvarint(b, uint64(len(s)))
	}
	return append(b, s...)
}

func appendInt(b []byte, field byte, n int64) []byte {
	if n == 0 {
		return b
	}
	return binary.AppendUvarint(append(b, field), zigzag(n))
}

func appendFloat(b []byte, field byte, f float64) []byte {
	if f == 0 {
		f = 0 // -0 is 0: equal values have equal bytes
	}
	return binary.BigEndian.AppendUint64(append(b, field), math.Float64bits(f))
}

func appendAddr(b []byte, field byte, a netip.Addr) []byte {
	switch {
	case !a.IsValid():
		return b
	case a.Is4():
		ip := a.As4()
		return append(append(b, field, 4), ip[:]...)
	default:
		ip := a.As16()
		return append(append(b, field, 16), ip[:]...)
	}
}

// appendList appends a list in which nil and empty are the same: missing.
func appendList(b []byte, field byte, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	return appendStrings(append(b, field), list)
}

// appendSet appends a list in which empty is a statement and nil is missing.
func appendSet(b []byte, field byte, list []string) []byte {
	if list == nil {
		return b
	}
	return appendStrings(append(b, field), list)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

func zigzag(n int64) uint64   { return uint64(n)<<1 ^ uint64(n>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
