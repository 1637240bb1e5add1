package reference

import (
	"cmp"
	"slices"
	"strings"

	"github.com/whosaw/whosaw/internal/snapshot"
)

const (
	maxRealms = 1 << 20
	maxMany   = 1 << 31 // what only memory bounds
)

// State walks over everything the index holds. Whoever adds a member to it adds it here.
func (x *Index) State(c *snapshot.Codec) {
	c.Mark("reference")
	snapshot.Int(c, &x.bound)
	if c.Reading() && x.realms == nil {
		x.realms = map[string]*realm{}
	}
	snapshot.Map(c, &x.realms, maxRealms, c.String, func(p **realm) {
		if c.Reading() {
			*p = &realm{reasons: map[reasonKey]spans{}, keys: map[string]*key{}, persons: map[string]*staff{}}
		}
		(*p).state(c)
	})
}

func (g *realm) state(c *snapshot.Codec) {
	g.late.state(c)
	g.early.state(c)
	c.Bool(&g.forgotten)
	snapshot.Int(c, &g.until)
	g.principals.state(c)
	g.subjects.state(c)
	snapshot.Slice(c, &g.lives, maxMany, func(l *life) {
		snapshot.Int(c, &l.since)
		snapshot.Int(c, &l.lastLogin)
		snapshot.Uint(c, &l.history)
		snapshot.Uint(c, &l.state)
		if int(l.state) >= len(stateNames) {
			c.Fail("a subject's state is unknown")
		}
	})
	snapshot.Slice(c, &g.histories, maxMany, func(h *history) { h.state(c, g) })
	for i := range g.lives {
		if int(g.lives[i].history) > len(g.histories) {
			c.Fail("a subject's history is missing")
			return
		}
	}
	g.feeds.state(c)
	reasonsState(c, &g.reasons)
	for k := range g.reasons { // their order does not matter
		g.forms |= k.form()
	}
	snapshot.Map(c, &g.keys, maxMany, c.String, func(p **key) {
		if c.Reading() {
			*p = &key{readers: map[string]int64{}}
		}
		(*p).states.state(c)
		snapshot.Slice(c, &(*p).kills, maxMany, func(s *span) { s.state(c) })
		for _, t := range []*int64{&(*p).seen, &(*p).created, &(*p).rotated, &(*p).disposed, &(*p).ownedAt} {
			snapshot.Int(c, t)
		}
		c.String(&(*p).owner)
		snapshot.Map(c, &(*p).readers, maxMany, c.String, func(t *int64) { snapshot.Int(c, t) })
	})
	snapshot.Map(c, &g.persons, maxMany, c.String, func(p **staff) {
		if c.Reading() {
			*p = &staff{}
		}
		(*p).states.state(c)
	})
	snapshot.Int(c, &g.subjectCount)
	snapshot.Int(c, &g.canaries)
	if c.Reading() {
		g.check(c)
	}
}

// check finds numbers that lead nowhere.
func (g *realm) check(c *snapshot.Codec) {
	known := func(w who) bool {
		switch n := int(w >> 1); {
		case w == noOne:
			return true
		case w&customerMark != 0:
			return n >= 1 && n <= len(g.subjects.refs)
		default:
			return n >= 1 && n <= len(g.principals.refs)
		}
	}
	for _, l := range []*issuances{&g.late, &g.early} {
		if len(l.first) != len(l.credentials.refs) {
			c.Fail("an issuance is missing")
			return
		}
		for i := range l.first {
			if n := &l.first[i]; !known(n.who) || !known(n.owns) || n.owns != noOne && n.owns&customerMark == 0 {
				c.Fail("an issuance names nobody")
				return
			}
		}
		for id, m := range l.more {
			if int(id) >= len(l.first) || m.owner != noOne && (m.owner&customerMark == 0 || !known(m.owner)) {
				c.Fail("issuances of no credential")
				return
			}
		}
	}
	if len(g.lives) > len(g.subjects.refs) {
		c.Fail("lives of nobody")
	}
}

func (l *issuances) state(c *snapshot.Codec) {
	l.credentials.state(c)
	snapshot.Slice(c, &l.first, maxMany, func(n *issuance) { n.state(c) })
	snapshot.Map(c, &l.more, maxMany, func(id *uint32) { snapshot.Uint(c, id) }, func(p **chain) {
		if c.Reading() {
			*p = &chain{}
		}
		(*p).state(c)
	})
	snapshot.Int(c, &l.size)
	snapshot.Int(c, &l.until)
}

func (n *issuance) state(c *snapshot.Codec) {
	snapshot.Int(c, &n.time)
	snapshot.Uint(c, &n.key)
	snapshot.Uint(c, &n.who)
	snapshot.Uint(c, &n.owns)
}

func (m *chain) state(c *snapshot.Codec) {
	snapshot.Slice(c, &m.list, maxMany, func(n *issuance) { n.state(c) })
	snapshot.Uint(c, &m.owner)
	snapshot.Int(c, &m.ownedAt)
	long := m.earliest != nil
	c.Bool(&long)
	if !long {
		return
	}
	var pairs []pairing
	for p := range m.earliest {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b pairing) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.who, b.who)) })
	if c.Reading() {
		m.earliest, m.index = map[pairing]int64{}, map[issuance]int{}
		for i, o := range m.list {
			o.time = 0
			m.index[o] = i
		}
	}
	snapshot.Slice(c, &pairs, maxMany, func(p *pairing) {
		t := m.earliest[*p]
		snapshot.Uint(c, &p.key)
		snapshot.Uint(c, &p.who)
		snapshot.Int(c, &t)
		if c.Reading() {
			m.earliest[*p] = t
		}
	})
}

func (n *names) state(c *snapshot.Codec) {
	c.Hashes(&n.refs, maxNames)
	n.arena.state(c)
	if !c.Reading() || c.Err() != nil || len(n.refs) == 0 {
		return
	}
	for _, ref := range n.refs {
		if ref&stringRef != 0 && !n.arena.holds(ref&^stringRef) {
			c.Fail("a name is missing")
			return
		}
	}
	size := 16
	for len(n.refs) > size/4*3 {
		size += size / 2
	}
	n.rebuild(size)
}

func (a *arena) state(c *snapshot.Codec) {
	snapshot.Int(c, &a.open)
	snapshot.Slice(c, &a.blocks, maxMany, func(p *[]byte) {
		size, text := cap(*p), ""
		if !c.Reading() {
			text = string(*p)
		}
		snapshot.Int(c, &size)
		c.String(&text)
		if !c.Reading() {
			return
		}
		if size < len(text) || size > max(len(text), blockSize) {
			c.Fail("a block of names is too small for what it holds")
			return
		}
		*p = append(make([]byte, 0, size), text...)
	})
	if c.Reading() && (a.open < 0 || a.open > max(0, len(a.blocks)-1)) {
		c.Fail("no block of names is open")
	}
}

// holds reports whether a text begins and ends within its block.
func (a *arena) holds(at uint64) bool {
	block, offset := at>>blockBits, at&(blockSize-1)
	if block >= uint64(len(a.blocks)) || offset >= uint64(len(a.blocks[block])) {
		return false
	}
	b := a.blocks[block][offset:]
	n := uint64(0)
	for i := range b {
		if i > 4 {
			return false
		}
		n |= uint64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return n <= uint64(len(b)-i-1)
		}
	}
	return false
}

func (h *history) state(c *snapshot.Codec, g *realm) {
	snapshot.Slice(c, (*[]event)(h), maxMany, func(e *event) {
		snapshot.Int(c, &e.since)
		snapshot.Int(c, &e.lastLogin)
		snapshot.Uint(c, &e.state)
		snapshot.Uint(c, &e.into)
		said := e.contacts != nil
		c.Bool(&said)
		snapshot.Slice(c, &e.contacts, maxMany, func(n *uint32) { snapshot.Uint(c, n) })
		if said && e.contacts == nil {
			e.contacts = []uint32{}
		}
		if int(e.state) >= len(stateNames) || int(e.into) > len(g.subjects.refs) {
			c.Fail("a subject's record leads nowhere")
		}
	})
	if !c.Reading() {
		return
	}
	if len(*h) == 0 {
		c.Fail("a history without records")
		return
	}
	h.settle(0)
}

func (f *feeds) state(c *snapshot.Codec) {
	snapshot.Map(c, &f.keys, maxMany, c.String, func(n *uint32) { snapshot.Uint(c, n) })
	snapshot.Map(c, &f.clients, maxMany, c.String, c.Bool)
	c.Bool(&f.bare)
	declarationsState(c, &f.declared)
	declarationsState(c, &f.reasons)
}

func declarationsState(c *snapshot.Codec, p *map[feedOf][]declaration) {
	var list []feedOf
	for of := range *p {
		list = append(list, of)
	}
	slices.SortFunc(list, func(a, b feedOf) int {
		return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.client, b.client), strings.Compare(a.route, b.route))
	})
	m := *p
	if c.Reading() {
		m = map[feedOf][]declaration{}
	}
	snapshot.Slice(c, &list, maxMany, func(of *feedOf) {
		declared := m[*of]
		c.String(&of.key)
		c.String(&of.client)
		c.String(&of.route)
		snapshot.Slice(c, &declared, maxMany, func(d *declaration) {
			d.span.state(c)
			snapshot.Int(c, &d.latest)
			snapshot.Uint(c, &d.order)
			c.Bool(&d.hasLost)
			c.Float(&d.lost)
			snapshot.Int(c, &d.lag)
		})
		if c.Reading() {
			m[*of] = declared
		}
	})
	if c.Reading() && len(m) > 0 {
		*p = m
	}
}

func reasonsState(c *snapshot.Codec, p *map[reasonKey]spans) {
	list := make([]reasonKey, 0, len(*p))
	for k := range *p {
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b reasonKey) int {
		return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.principal, b.principal))
	})
	n := c.Len(len(list), maxMany)
	for i := range n {
		var k reasonKey
		var s spans
		if !c.Reading() {
			k = list[i]
			s = (*p)[k]
		}
		snapshot.Uint(c, &k.subject)
		snapshot.Uint(c, &k.principal)
		s.state(c)
		if c.Err() != nil {
			return
		}
		if c.Reading() {
			(*p)[k] = s
		}
	}
}

func (s *span) state(c *snapshot.Codec) {
	snapshot.Int(c, &s.from)
	snapshot.Int(c, &s.until)
}

func (s *spans) state(c *snapshot.Codec) {
	s.first.state(c)
	var runs [][]span
	if s.runs != nil {
		runs = *s.runs
	}
	snapshot.Slice(c, &runs, maxMany, func(run *[]span) {
		snapshot.Slice(c, run, maxMany, func(x *span) { x.state(c) })
	})
	if c.Reading() && len(runs) > 0 {
		s.runs = &runs
	}
}

func (l *timeline) state(c *snapshot.Codec) {
	snapshot.Slice(c, (*[]turn)(l), maxMany, func(n *turn) {
		snapshot.Int(c, &n.since)
		snapshot.Int(c, &n.until)
		c.String(&n.state)
		c.String(&n.nowState)
		snapshot.Int(c, &n.nowSince)
		snapshot.Int(c, &n.nowUntil)
	})
}
