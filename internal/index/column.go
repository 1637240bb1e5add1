package index

import (
	"encoding/binary"
	"sort"

	"github.com/whosaw/whosaw/internal/ledger"
)

// Column is a column of origins: their codes.
type Column struct {
	codes   Packed // of origins, less base; or of addresses
	base    uint64
	n       int
	largest uint64 // code
	per     uint64 // codes of addresses

	section section
	direct  bool      // codes are those of the origins
	origins *Monotone // if not: for key and ip, and for what goes by the address
	key, ip bool
	which   Packed // origins whose code is not that of their address, in order
	others  Packed // and theirs
}

// column gives the codes of a member.
func (b *Block) column(m member) (Column, error) {
	c := b.columnOf(m)
	if !c.direct {
		var err error
		if c.origins, err = b.keysAndIPs(); err != nil {
			return c, err
		}
	}
	return c, b.whole(sectionMember + section(m))
}

// Member gives a member of origins that is a text; ok is false if it is none. Of codes that lie by origins no checksum was looked at:
// call Check before.
func (b *Block) Member(col ledger.Columns) (c Column, dict Texts, ok bool, err error) {
	m, ok := map[ledger.Columns]member{
		ledger.ColKey: memberKey, ledger.ColClient: memberClient, ledger.ColCountry: memberCountry, ledger.ColAgent: memberAgent,
		ledger.ColTLS: memberTLS, ledger.ColSource: memberSource, ledger.ColRealm: memberRealm,
	}[col]
	if !ok {
		return c, dict, false, nil
	}
	if c = b.columnOf(m); !c.direct {
		c, err = b.column(m)
	}
	if err == nil {
		dict, err = b.texts(sectionDict+section(m), b.head.dicts[m])
	}
	return c, dict, true, err
}

// Check looks at the checksums of the codes of some origins.
func (b *Block) Check(c *Column, from, to int) error {
	if !c.direct {
		return nil
	}
	return b.checkNumbers(c.section, &c.codes, from, to)
}

// columnOf is column before checksums are looked at.
func (b *Block) columnOf(m member) Column {
	c := Column{
		n: b.head.origins, largest: uint64(b.head.dicts[m]), per: b.ips(), base: uint64(b.head.columns[m].base),
		key: m == memberKey, ip: m == memberIP, section: sectionMember + section(m),
	}
	switch m {
	case memberIP:
		c.largest = b.ips() - 1
	case memberASN:
		c.largest = uint64(b.head.asns)
	case memberCredential:
		c.largest = 1
	}
	s, head := sectionMember+section(m), &b.head.columns[m]
	c.direct = !(c.key || c.ip || head.byIP)
	all, width := b.bytes(s), b.extents[s].width
	switch {
	case c.key || c.ip:
	case !head.byIP:
		c.codes = newPacked(all, c.n, width)
	default:
		size, place := packedSize(int(c.per), width), widthOf(uint64(c.n))
		c.codes, all = newPacked(all[:size], int(c.per), width), all[size:]
		size = packedSize(head.others, place)
		c.which, c.others = newPacked(all[:size], head.others, place), newPacked(all[size:], head.others, width)
	}
	return c
}

// one is one origin whose codes are read one by one.
type one struct {
	origin int
	pair   uint64 // key and ip, once read
	read   bool
}

// keyAndIP gives the key and ip of an origin.
func (b *Reader) keyAndIP(o *one) (uint64, error) {
	if o.read {
		return o.pair, nil
	}
	origins, err := b.partly(sectionMember, &b.origins, b.head.origins, b.mostKeyAndIP())
	if err != nil {
		return 0, err
	}
	o.pair = origins.At(o.origin)
	o.read = origins.look.err == nil
	return o.pair, origins.look.err
}

// code gives an origin's code of a member, and looks at the checksums of little more than it reads.
func (b *Reader) code(m member, o *one) (int, error) {
	c, s := b.columnOf(m), sectionMember+section(m)
	if c.direct {
		if c.Constant() {
			return int(c.clamp(c.base)), nil // nothing is read
		}
		code, err := b.at(s, 0, &c.codes, o.origin)
		return int(c.clamp(code + c.base)), err
	}
	pair, err := b.keyAndIP(o)
	if err != nil {
		return 0, err
	}
	switch ip := int(pair % c.per); {
	case c.key:
		return int(pair / c.per), nil
	case c.ip:
		return ip, nil
	default:
		if b.head.columns[m].others > 0 {
			if err := b.check(s, packedSize(int(c.per), c.codes.width), b.extents[s].size); err != nil {
				return 0, err
			}
			if i := c.other(o.origin); i < c.which.n && c.which.At(i) == uint64(o.origin) {
				return int(c.clamp(c.others.At(i))), nil
			}
		}
		code, err := b.at(s, 0, &c.codes, ip)
		return int(c.clamp(code)), err
	}
}

// Len is how many origins there are.
func (c *Column) Len() int { return c.n }

// Constant reports that all origins have the same.
func (c *Column) Constant() bool { return c.direct && c.codes.width == 0 }

// At gives an origin's code.
func (c *Column) At(o int) uint64 {
	if c.direct {
		return c.clamp(c.codes.At(o) + c.base)
	}
	both := c.origins.At(o)
	switch {
	case c.key:
		return both / c.per
	case c.ip:
		return both % c.per
	}
	if i := c.other(o); i < c.which.n && c.which.At(i) == uint64(o) {
		return c.clamp(c.others.At(i))
	}
	return c.clamp(c.codes.At(int(both % c.per)))
}

// clamp makes a code that the dictionary does not have, which is never written, that of missing.
func (c *Column) clamp(code uint64) uint64 {
	if code > c.largest {
		return 0
	}
	return code
}

// other gives the place of the first origin from o on that has another code than its address.
func (c *Column) other(o int) int {
	return sort.Search(c.which.n, func(i int) bool { return c.which.At(i) >= uint64(o) })
}

// Fill gives the codes of the origins from one on, as many as dst holds. For many it is much faster than At.
func (c *Column) Fill(dst []uint64, from int) {
	if c.direct {
		c.codes.Fill(dst, from)
		for i, v := range dst {
			dst[i] = c.clamp(v + c.base)
		}
		return
	}
	c.origins.Fill(dst, from)
	// Keys change seldom: the codes of those of one key lie together.
	least, key := uint64(0), uint64(0)
	for i, v := range dst {
		if v-least >= c.per {
			key = v / c.per
			least = key * c.per
		}
		switch {
		case c.key:
			dst[i] = key
		case c.ip:
			dst[i] = v - least
		default:
			dst[i] = c.clamp(c.codes.At(int(v - least)))
		}
	}
	if c.key || c.ip {
		return
	}
	for i := c.other(from); i < c.which.n; i++ {
		at := c.which.At(i) - uint64(from)
		if at >= uint64(len(dst)) {
			return
		}
		dst[at] = c.clamp(c.others.At(i))
	}
}

// Pass calls hit with the origins from one up to another whose codes are allowed.
func (c *Column) Pass(from, to int, allow []bool, hit func(o int)) {
	if c.direct && uint64(len(allow)) >= c.base+c.codes.mask+1 {
		b, width, mask, allow := c.codes.b, c.codes.width, c.codes.mask, allow[c.base:]
		bit := uint(from) * width
		for o := from; o < to; o++ {
			if allow[binary.LittleEndian.Uint64(b[bit>>3:])>>(bit&7)&mask] {
				hit(o)
			}
			bit += width
		}
		return
	}
	var codes [1 << 10]uint64
	for at := from; at < to; at += len(codes) {
		some := codes[:min(len(codes), to-at)]
		c.Fill(some, at)
		for i, code := range some {
			if allow[code] {
				hit(at + i)
			}
		}
	}
}

// Allowed gives room for an answer for each code, longer than it need be: Pass is faster with that.
func (c *Column) Allowed() []bool {
	n := c.largest + 1
	if c.direct {
		n = max(n, c.base+c.codes.mask+1)
	}
	return make([]bool, n)
}

// Direct reports that its codes are those of the origins, not of their keys or addresses, so that they are read faster.
func (c *Column) Direct() bool { return c.direct }

// Range gives the origins of a code of the column by which they are sorted first: Key.
func (c *Column) Range(code int) (from, to int) {
	return c.origins.Search(uint64(code) * c.per), c.origins.Search(uint64(code+1) * c.per)
}

// Pairs gives the origins of a code of Key and codes of IP from one up to another.
func (c *Column) Pairs(key, from, to int) (first, end int) {
	base := uint64(key) * c.per
	return c.origins.Search(base + uint64(from)), c.origins.Search(base + uint64(to))
}

// Pair gives the origins of a code of Key and one of IP, by which they are sorted.
func (c *Column) Pair(key, ip int) (from, to int) {
	return c.origins.Equal(uint64(key)*c.per + uint64(ip))
}
