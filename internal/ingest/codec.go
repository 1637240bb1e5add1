package ingest

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"

	"github.com/whosaw/whosaw"
)

// The form in which records wait to be sorted: a mask of the members that are there, then these members. It lives
// for one run and has no version. Time, source and position are in the sort key.
const (
	hasID = 1 << iota
	hasRealm
	hasSubjects
	hasOthers
	hasRoute
	hasRequestLine // method and path
	hasFields
	hasMasked
	hasStatus
	hasOutcome
	hasPrincipal
	hasCredential
	hasKey
	hasClient
	hasIP
	hasCountry
	hasASN
	hasAgent
	hasTLS
	hasReason
	hasBytes
	hasRequest
	hasRef
)

// appendRecord encodes r. Equal records give equal bytes.
func appendRecord(b []byte, r *whosaw.Record) []byte {
	at := len(b)
	b = append(b, byte(r.Type), 0, 0, 0)
	mask := uint32(0)
	text := func(bit uint32, s string) {
		if s != "" {
			mask |= bit
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	number := func(bit uint32, n uint64) {
		if n != 0 {
			mask |= bit
			b = binary.AppendUvarint(b, n)
		}
	}
	list := func(bit uint32, l []string) {
		if l != nil {
			mask |= bit
			b = appendList(b, l)
		}
	}
	text(hasID, r.ID)
	text(hasRealm, r.Realm)
	list(hasSubjects, r.Subjects)
	number(hasOthers, uint64(r.Others))
	text(hasRoute, r.Route)
	if r.Method != "" || r.Path != "" {
		mask |= hasRequestLine
		b = appendText(appendText(b, r.Method), r.Path)
	}
	list(hasFields, r.Fields)
	list(hasMasked, r.Masked)
	number(hasStatus, uint64(r.Status))
	number(hasOutcome, uint64(r.Outcome))
	text(hasPrincipal, r.Principal)
	text(hasCredential, r.Credential)
	text(hasKey, r.Key)
	text(hasClient, r.Client)
	if r.IP.IsValid() {
		mask |= hasIP
		if r.IP.Is4() {
			a := r.IP.As4()
			b = append(append(b, 4), a[:]...)
		} else {
			a := r.IP.As16()
			b = append(append(b, 16), a[:]...)
		}
	}
	text(hasCountry, r.Country)
	number(hasASN, uint64(r.ASN))
	text(hasAgent, r.Agent)
	text(hasTLS, r.TLS)
	text(hasReason, r.Reason)
	number(hasBytes, uint64(r.Bytes))
	text(hasRequest, r.Request)
	if r.Ref != nil {
		mask |= hasRef
		b = appendReference(b, r.Ref)
	}
	b[at+1], b[at+2], b[at+3] = byte(mask), byte(mask>>8), byte(mask>>16)
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendList(b []byte, l []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(l)))
	for _, s := range l {
		b = appendText(b, s)
	}
	return b
}

func appendReference(b []byte, f *whosaw.Reference) []byte {
	for _, s := range []string{f.State, f.Kind, f.Into, f.Person, f.Of, f.Use, f.Note} {
		b = appendText(b, s)
	}
	for _, n := range []int64{f.Since, f.From, f.Until, f.Expires, f.LastLogin, f.Count} {
		b = binary.AppendVarint(b, n)
	}
	b = appendFloat(appendFloat(b, f.Lag), f.Lost)
	b = append(b, boolByte(f.HasLost))
	for _, l := range [][]string{f.Contacts, f.Keys, f.Principals, f.Readers} {
		if b = append(b, boolByte(l != nil)); l != nil {
			b = appendList(b, l)
		}
	}
	return b
}

func appendFloat(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// errSpill says that what was written to the temporary directory came back different.
var errSpill = errors.New("the sorted records are damaged; check the disk of the temporary directory")

// recordDecoder decodes records out of one block. Strings share the block's memory; lists are cut from slabs.
type recordDecoder struct {
	s    string
	bad  bool
	slab []string
}

func (d *recordDecoder) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(d.s) && i < binary.MaxVarintLen64; i++ {
		c := d.s[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.s = d.s[i+1:]
			return v
		}
	}
	d.bad = true
	return 0
}

func (d *recordDecoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *recordDecoder) take(n uint64) string {
	if n > uint64(len(d.s)) {
		d.bad = true
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *recordDecoder) text() string { return d.take(d.uvarint()) }

func (d *recordDecoder) list() []string {
	n := d.uvarint()
	if n > uint64(len(d.s)) {
		d.bad = true
		return nil
	}
	if n == 0 {
		return []string{}
	}
	if uint64(cap(d.slab)-len(d.slab)) < n {
		d.slab = make([]string, 0, max(256, n))
	}
	start := len(d.slab)
	for range n {
		d.slab = append(d.slab, d.text())
	}
	return d.slab[start:len(d.slab):len(d.slab)]
}

// decode fills r, but for time, source and position. false: the bytes are not what appendRecord gave.
func (d *recordDecoder) decode(s string, r *whosaw.Record) bool {
	d.s, d.bad = s, false
	head := d.take(4)
	if d.bad {
		return false
	}
	*r = whosaw.Record{Type: whosaw.Type(head[0])}
	mask := uint32(head[1]) | uint32(head[2])<<8 | uint32(head[3])<<16
	text := func(bit uint32, dst *string) {
		if mask&bit != 0 {
			*dst = d.text()
		}
	}
	text(hasID, &r.ID)
	text(hasRealm, &r.Realm)
	if mask&hasSubjects != 0 {
		r.Subjects = d.list()
	}
	if mask&hasOthers != 0 {
		r.Others = int64(d.uvarint())
	}
	text(hasRoute, &r.Route)
	if mask&hasRequestLine != 0 {
		r.Method, r.Path = d.text(), d.text()
	}
	if mask&hasFields != 0 {
		r.Fields = d.list()
	}
	if mask&hasMasked != 0 {
		r.Masked = d.list()
	}
	if mask&hasStatus != 0 {
		r.Status = int(d.uvarint())
	}
	if mask&hasOutcome != 0 {
		r.Outcome = whosaw.Outcome(d.uvarint())
	}
	text(hasPrincipal, &r.Principal)
	text(hasCredential, &r.Credential)
	text(hasKey, &r.Key)
	text(hasClient, &r.Client)
	if mask&hasIP != 0 {
		r.IP = d.addr()
	}
	text(hasCountry, &r.Country)
	if mask&hasASN != 0 {
		r.ASN = uint32(d.uvarint())
	}
	text(hasAgent, &r.Agent)
	text(hasTLS, &r.TLS)
	text(hasReason, &r.Reason)
	if mask&hasBytes != 0 {
		r.Bytes = int64(d.uvarint())
	}
	text(hasRequest, &r.Request)
	if mask&hasRef != 0 {
		r.Ref = d.reference()
	}
	return !d.bad && d.s == ""
}

func (d *recordDecoder) addr() netip.Addr {
	n := d.take(1)
	if d.bad {
		return netip.Addr{}
	}
	s := d.take(uint64(n[0]))
	switch len(s) {
	case 4:
		return netip.AddrFrom4([4]byte{s[0], s[1], s[2], s[3]})
	case 16:
		var a [16]byte
		copy(a[:], s)
		return netip.AddrFrom16(a)
	}
	d.bad = true
	return netip.Addr{}
}

func (d *recordDecoder) reference() *whosaw.Reference {
	f := &whosaw.Reference{}
	for _, dst := range []*string{&f.State, &f.Kind, &f.Into, &f.Person, &f.Of, &f.Use, &f.Note} {
		*dst = d.text()
	}
	for _, dst := range []*int64{&f.Since, &f.From, &f.Until, &f.Expires, &f.LastLogin, &f.Count} {
		*dst = d.varint()
	}
	f.Lag, f.Lost = d.float(), d.float()
	f.HasLost = d.flag()
	for _, dst := range []*[]string{&f.Contacts, &f.Keys, &f.Principals, &f.Readers} {
		if d.flag() {
			*dst = d.list()
		}
	}
	return f
}

func (d *recordDecoder) flag() bool {
	s := d.take(1)
	return !d.bad && s[0] != 0
}

func (d *recordDecoder) float() float64 {
	s := d.take(8)
	if d.bad {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64([]byte(s)))
}
