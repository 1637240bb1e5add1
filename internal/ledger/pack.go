package ledger

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strconv"
	"unsafe"
)

// How values lie in the sections of a segment; docs/formats/ledger.md has the same in prose.

// appendPlanes appends numbers as planes: how many bytes the greatest needs, then the lowest byte
// of each, then the next byte of each, … Alike bytes stand together, which is what compresses.
func appendPlanes[T uint8 | uint32 | uint64](b []byte, values []T) []byte {
	var all T
	for _, v := range values {
		all |= v
	}
	width := (bits.Len64(uint64(all)) + 7) / 8
	b = append(b, byte(width))
	for j := range width {
		n := len(b)
		b = append(b, make([]byte, len(values))...)
		plane, shift := b[n:], 8*j
		for i, v := range values {
			plane[i] = byte(v >> shift)
		}
	}
	return b
}

// planes reads n numbers; each must fit T.
func planes[T uint8 | uint32 | uint64](d *reader, n int) []T {
	width := d.take(1)
	if d.err != nil {
		return nil
	}
	if int(width[0]) > int(unsafe.Sizeof(T(0))) || n > len(d.s) && width[0] > 0 {
		d.fail(errShort)
		return nil
	}
	values := make([]T, n)
	for j := range int(width[0]) {
		plane, shift := d.take(uint64(n)), 8*j
		if d.err != nil {
			return nil
		}
		for i := range values {
			values[i] |= T(plane[i]) << shift
		}
	}
	return values
}

// The ways to tell what is common to many strings of a dictionary, so that only the rest is kept.
const (
	templateDecimal = 1 // prefix and a number
	templateHex     = 2 // prefix and bytes as lower-case hex
	templateUUID    = 3 // prefix and 16 bytes as 8-4-4-4-12 lower-case hex
)

// template is what strings of a dictionary have in common.
type template struct {
	kind   byte
	bytes  int // templateHex: how many
	prefix string
}

const (
	maxTemplates   = 255
	minTemplateUse = 16
	minHex         = 16 // digits: shorter ones are as well kept as text
	maxPrefix      = 64
)

const uuidDashes = 1<<8 | 1<<13 | 1<<18 | 1<<23

// templateOf gives the template that fits a string; kind is 0 if none does.
func templateOf(s string) template {
	if n := len(s) - 36; n >= 0 && n <= maxPrefix && isUUID(s[n:]) {
		return template{templateUUID, 16, s[:n]}
	}
	hex, digits := len(s), len(s)
	for hex > 0 && hexValue[s[hex-1]] >= 0 {
		hex--
		if digits == hex+1 && s[hex] <= '9' {
			digits = hex
		}
	}
	if len(s)-digits > 18 || len(s)-digits < len(s)-hex && len(s)-hex >= minHex {
		digits = len(s)
	}
	for digits < len(s)-1 && s[digits] == '0' {
		digits++
	}
	if digits < len(s) && digits <= maxPrefix {
		return template{templateDecimal, 0, s[:digits]}
	}
	hex += (len(s) - hex) & 1
	if n := len(s) - hex; n >= minHex && n <= 2*64 && hex <= maxPrefix {
		return template{templateHex, n / 2, s[:hex]}
	}
	return template{}
}

var hexValue = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i, c := range "0123456789abcdef" {
		t[c] = int8(i)
	}
	return t
}()

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if uuidDashes>>i&1 == 1 {
			if s[i] != '-' {
				return false
			}
		} else if hexValue[s[i]] < 0 {
			return false
		}
	}
	return true
}

// appendUnhex appends the bytes that hex digits stand for; dashes are passed over.
func appendUnhex(b []byte, s string) []byte {
	high := int8(-1)
	for i := range len(s) {
		v := hexValue[s[i]]
		switch {
		case v < 0:
		case high < 0:
			high = v
		default:
			b = append(b, byte(high)<<4|byte(v))
			high = -1
		}
	}
	return b
}

// appendDictionary appends strings: the templates, for each string which template it has (0:
// none), the strings without one, and what each template leaves of those that have it.
func appendDictionary(b []byte, values []string) []byte {
	templates, of := chooseTemplates(values)
	b = binary.AppendUvarint(b, uint64(len(values)))
	b = append(b, byte(len(templates)))
	for _, t := range templates {
		b = append(b, t.kind, byte(t.bytes))
		b = binary.AppendUvarint(b, uint64(len(t.prefix)))
		b = append(b, t.prefix...)
	}
	b = appendPlanes(b, of)
	var lengths []uint32
	numbers := make([][]uint64, len(templates)+1)
	hex := make([][]byte, len(templates)+1)
	for i, s := range values {
		k := of[i]
		if k == 0 {
			lengths = append(lengths, uint32(len(s)))
			continue
		}
		t := &templates[k-1]
		if rest := s[len(t.prefix):]; t.kind == templateDecimal {
			n, _ := strconv.ParseUint(rest, 10, 64)
			numbers[k] = append(numbers[k], n)
		} else {
			hex[k] = appendUnhex(hex[k], rest)
		}
	}
	b = appendPlanes(b, lengths)
	for i, s := range values {
		if of[i] == 0 {
			b = append(b, s...)
		}
	}
	for k := range templates {
		if templates[k].kind == templateDecimal {
			b = appendPlanes(b, numbers[k+1])
		} else {
			b = append(b, hex[k+1]...)
		}
	}
	return b
}

// chooseTemplates gives the templates that many strings have, and for each string its own: an
// index into them + 1, or 0.
func chooseTemplates(values []string) (chosen []template, of []uint8) {
	type use struct{ count, index int }
	uses := map[template]*use{}
	var last template
	var lastUse *use
	find := func(s string) *use {
		t := templateOf(s)
		if t.kind == 0 {
			return nil
		}
		if lastUse == nil || t != last {
			u := uses[t]
			if u == nil {
				if len(uses) >= 1<<14 {
					return nil
				}
				u = new(use)
				uses[t] = u
			}
			last, lastUse = t, u
		}
		return lastUse
	}
	each := make([]*use, len(values))
	for i, s := range values {
		if each[i] = find(s); each[i] == nil {
			continue
		}
		u := each[i]
		if u.count++; u.count == minTemplateUse && len(chosen) < maxTemplates {
			chosen = append(chosen, last)
			u.index = len(chosen)
		}
	}
	of = make([]uint8, len(values))
	for i, u := range each {
		if u != nil {
			of[i] = uint8(u.index)
		}
	}
	return chosen, of
}

const hexDigits = "0123456789abcdef"

// dictionary reads the n strings that appendDictionary wrote, behind the given beginning.
func (d *reader) dictionary(values []string, n int) []string { return d.some(values, n, all) }

const all = -1

// some is dictionary for one string, by its number, or for all.
func (d *reader) some(values []string, n, only int) []string {
	d.expect(n)
	templates := make([]template, d.byte())
	for i := range templates {
		t := &templates[i]
		t.kind, t.bytes = d.byte(), int(d.byte())
		t.prefix = d.take(d.uvarint())
		if t.kind == 0 || t.kind > templateUUID || t.kind == templateUUID && t.bytes != 16 {
			d.fail(errNotCanonical)
		}
	}
	if d.err != nil {
		return nil
	}
	of := planes[uint8](d, n)
	uses := make([]int, len(templates)+1)
	for _, k := range of {
		if int(k) > len(templates) {
			d.fail(errNotCanonical)
			return nil
		}
		uses[k]++
	}
	lengths := planes[uint32](d, uses[0])
	base, kept := len(values), len(of)
	if only != all {
		kept = 1
	}
	values = append(values, make([]string, kept)...)
	next := 0
	for i, k := range of {
		if k != 0 || d.err != nil {
			continue
		}
		if s := d.take(uint64(lengths[next])); only == all {
			values[base+i] = s
		} else if only == i {
			values[base] = s
		}
		next++
	}
	rests := make([]rest, len(templates)+1)
	size := 0
	for k, t := range templates {
		if t.kind == templateDecimal {
			rests[k+1].numbers = planes[uint64](d, uses[k+1])
		} else {
			rests[k+1].bytes = d.take(uint64(uses[k+1]) * uint64(t.bytes))
		}
		size += uses[k+1] * (len(t.prefix) + max(20, 2*t.bytes+4))
		if d.err != nil || size > maxSection {
			d.fail(errShort)
			return nil
		}
	}
	if len(d.s) > 0 {
		d.fail(errNotCanonical)
		return nil
	}
	if d.err != nil {
		return nil
	}
	if only != all {
		if k := of[only]; k != 0 {
			for _, x := range of[:only] {
				if x == k {
					rests[k].skip(&templates[k-1])
				}
			}
			values[base] = string(rests[k].next(nil, &templates[k-1]))
		}
		return values
	}
	text := make([]byte, 0, size) // never grows: the strings lie in it
	for i, k := range of {
		if k != 0 {
			start := len(text)
			text = rests[k].next(text, &templates[k-1])
			values[base+i] = unsafe.String(&text[start:][0], len(text)-start)
		}
	}
	return values
}

// rest is what a template left of its strings.
type rest struct {
	numbers []uint64
	bytes   string
}

// skip passes over the next string.
func (r *rest) skip(t *template) {
	if t.kind == templateDecimal {
		r.numbers = r.numbers[1:]
		return
	}
	r.bytes = r.bytes[t.bytes:]
}

// next appends the next string.
func (r *rest) next(text []byte, t *template) []byte {
	text = append(text, t.prefix...)
	if t.kind == templateDecimal {
		text = strconv.AppendUint(text, r.numbers[0], 10)
		r.numbers = r.numbers[1:]
		return text
	}
	for i := range t.bytes {
		if t.kind == templateUUID && (i == 4 || i == 6 || i == 8 || i == 10) {
			text = append(text, '-')
		}
		c := r.bytes[i]
		text = append(text, hexDigits[c>>4], hexDigits[c&15])
	}
	r.bytes = r.bytes[t.bytes:]
	return text
}

func (d *reader) byte() byte {
	if b := d.take(1); d.err == nil {
		return b[0]
	}
	return 0
}

// appendAddrs appends a dictionary of addresses.
func appendAddrs(b []byte, addrs []netip.Addr) []byte {
	kinds := make([]uint8, len(addrs))
	var v4 []uint32
	var v6 []byte
	for i, a := range addrs {
		if a.Is4() {
			ip := a.As4()
			v4 = append(v4, binary.BigEndian.Uint32(ip[:]))
		} else {
			ip := a.As16()
			kinds[i], v6 = 1, append(v6, ip[:]...)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(addrs)))
	b = appendPlanes(b, kinds)
	b = appendPlanes(b, v4)
	return append(b, v6...)
}

// addrs reads a dictionary of n addresses, behind the missing one.
func (d *reader) addrs(n int) []netip.Addr {
	d.expect(n)
	if d.err != nil {
		return nil
	}
	kinds := planes[uint8](d, n)
	v6 := 0
	for _, k := range kinds {
		v6 += int(k & 1)
		if k > 1 {
			d.fail(errNotCanonical)
		}
	}
	v4 := planes[uint32](d, len(kinds)-v6)
	addrs := make([]netip.Addr, 1, 1+n)
	for _, k := range kinds {
		if d.err != nil {
			return nil
		}
		if k == 0 {
			var ip [4]byte
			binary.BigEndian.PutUint32(ip[:], v4[0])
			addrs, v4 = append(addrs, netip.AddrFrom4(ip)), v4[1:]
		} else if b := d.take(16); d.err == nil {
			addrs = append(addrs, netip.AddrFrom16([16]byte([]byte(b))))
		}
	}
	return addrs
}

// expect reads the size of a dictionary, which the rows have told already: nothing is made room
// for because a number says so.
func (d *reader) expect(n int) {
	if got := d.uvarint(); d.err == nil && got != uint64(n) {
		d.fail(errCodes)
	}
}

// appendSets appends a dictionary of sets of names.
func appendSets(b []byte, sets [][]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(sets)))
	for _, set := range sets {
		b = appendStrings(b, set)
	}
	return b
}

// sets reads a dictionary of n sets, behind the missing one.
func (d *reader) sets(n int) [][]string {
	d.expect(n)
	sets := [][]string{nil}
	for range n {
		set := d.list(0)
		if d.err != nil {
			return nil
		}
		sets = append(sets, set)
	}
	return sets
}
