package scope

import (
	"slices"

	"github.com/whosaw/whosaw/internal/ledger"
)

// hit is an access that a filter matches. It is valid until hits calls again.
type hit struct {
	row       uint32
	world     int    // the latest of those in which a term matches it
	shape     *shape // what it showed in that world
	disclosed bool   // in one of the worlds in which a term matches it
	pairs     []pair // if disclosed, the subjects kept; empty: it names nobody
}

// pair is a disclosed access and one of its subjects.
type pair struct {
	key    subjectKey
	set    uint32 // number in the question's sets
	others int64  // credited to the first subject
}

// hits calls fn with each access of the chunk that filter f matches, in sequence order.
func (c *chunk) hits(f int, fn func(h *hit)) error {
	terms := c.q.filters[f]
	var h hit
	if len(terms) == 1 {
		t := terms[0]
		for i, row := range c.rows[t.index] {
			if i&0xffff == 0 && c.ctx.Err() != nil {
				return c.ctx.Err()
			}
			ids, s := c.look(row, t.world)
			if !c.holds(t, row, ids, s) {
				continue
			}
			h = hit{row: row, world: t.world, shape: s, pairs: h.pairs[:0]}
			c.disclose(&h, terms, ids, s)
			fn(&h)
		}
		return c.err
	}
	matching := make([]*term, 0, len(terms))
	c.union(terms, func(row uint32, candidates []*term) {
		matching = matching[:0]
		h = hit{row: row, pairs: h.pairs[:0]}
		for _, t := range candidates {
			ids, s := c.look(row, t.world)
			if !c.holds(t, row, ids, s) {
				continue
			}
			if len(matching) == 0 || c.q.asOf[t.world] > c.q.asOf[h.world] {
				h.world, h.shape = t.world, s
			}
			matching = append(matching, t)
		}
		if len(matching) == 0 {
			return
		}
		if own := c.own(row); len(own) > 0 {
			c.disclose(&h, matching, own, h.shape) // the record's own subjects: every world sees the same
		} else {
			for i, t := range matching {
				ids, s := c.look(row, t.world)
				c.disclose(&h, matching[i:i+1], ids, s)
			}
		}
		fn(&h)
	})
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return c.err
}

// disclose adds to a hit the subjects that one of the terms keeps, if the access was disclosed.
func (c *chunk) disclose(h *hit, terms []*term, ids []ledger.SubjectID, s *shape) {
	if !s.disclosed() {
		return
	}
	h.disclosed = true
	for i, id := range ids {
		if !c.kept(terms, id) {
			continue
		}
		p := pair{key: c.key(id), set: s.set}
		if i == 0 {
			p.others = c.others(h.row, s)
		}
		h.add(p, len(ids) == 1)
	}
}

// add adds a pair. Joined subjects come one at a time, one from each world; the same one was shown the same in
// both, as it is the access that decides what is shown.
func (h *hit) add(p pair, alone bool) {
	if alone && slices.ContainsFunc(h.pairs, func(old pair) bool { return old.key == p.key }) {
		return
	}
	h.pairs = append(h.pairs, p)
}

func (c *chunk) kept(terms []*term, id ledger.SubjectID) bool {
	for _, t := range terms {
		if len(t.subject) == 0 || c.keeps(t, id) {
			return true
		}
	}
	return false
}

// match calls fn with the row of each access that filter f matches, in sequence order. It is hits for
// questions that do not ask what was disclosed.
func (c *chunk) match(f int, fn func(row uint32)) error {
	terms := c.q.filters[f]
	test := func(t *term, row uint32) bool {
		if t.plain() {
			return true
		}
		ids, s := c.look(row, t.world)
		return c.holds(t, row, ids, s)
	}
	if len(terms) == 1 {
		for i, row := range c.rows[terms[0].index] {
			if i&0xffff == 0 && c.ctx.Err() != nil {
				return c.ctx.Err()
			}
			if test(terms[0], row) {
				fn(row)
			}
		}
		return c.err
	}
	c.union(terms, func(row uint32, candidates []*term) {
		for _, t := range candidates {
			if test(t, row) {
				fn(row)
				return
			}
		}
	})
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return c.err
}

// union calls fn with each row that is a candidate of one of the terms, and those terms, in order of rows.
func (c *chunk) union(terms []*term, fn func(row uint32, candidates []*term)) {
	at := make([]int, len(terms))
	candidates := make([]*term, 0, len(terms))
	for n := 0; n&0xffff != 0 || c.ctx.Err() == nil; n++ {
		row := ^uint32(0) // no part has that many rows
		for i, t := range terms {
			if rows := c.rows[t.index]; at[i] < len(rows) {
				row = min(row, rows[at[i]])
			}
		}
		if row == ^uint32(0) {
			return
		}
		candidates = candidates[:0]
		for i, t := range terms {
			if rows := c.rows[t.index]; at[i] < len(rows) && rows[at[i]] == row {
				at[i]++
				candidates = append(candidates, t)
			}
		}
		fn(row, candidates)
	}
}
