package scope

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
)

// Difference is how the lists of two filters differ.
type Difference struct {
	Added, Removed, Same int64    // subjects of the second alone, of the first alone, of both
	AddedIDs, RemovedIDs []string // the first of them, in the order of lists
}

// Difference compares whom two filters' lists have, with what is kept; it names n at most of those that were added, and of those that were removed. No
// list is made: it looks at who they are, not at what was disclosed of each.
func (m *Memo) Difference(ctx context.Context, e *Engine, a, b whosaw.Filter, n int) (Difference, error) {
	var of [2]*membership
	for i, f := range []whosaw.Filter{a, b} {
		c, err := m.counted(ctx, e, f, time.Time{})
		if err != nil {
			return Difference{}, err
		}
		if c.people.len() > maxMemoPeople {
			return Difference{}, ErrNoMemo
		}
		of[i] = c.members()
	}
	var d Difference
	d.Removed, d.Same, d.RemovedIDs = of[0].without(of[1], n)
	d.Added, _, d.AddedIDs = of[1].without(of[0], n)
	return d, nil
}

// membership is whom a list has.
type membership struct {
	ints map[string][]*index.Bits // by realm: those below markLimit; not to be written
	more map[person]struct{}      // the others
}

// members gives whom a count is about.
func (c *counts) members() *membership {
	m := &membership{ints: map[string][]*index.Bits{}, more: map[person]struct{}{}}
	maps := map[uint32][]*bitmap{}
	if c.marks != nil {
		for k, all := range c.marks.kinds {
			maps[k.realm] = append(maps[k.realm], all...)
		}
	}
	own := map[uint32]*bitmap{}
	c.people.each(func(e *entry) {
		if uint64(e.key) >= markLimit {
			m.more[person{c.realms.name(e.realm), c.ids.subject(e.key)}] = struct{}{}
			return
		}
		if own[e.realm] == nil {
			own[e.realm] = &bitmap{b: c.budget}
			maps[e.realm] = append(maps[e.realm], own[e.realm])
		}
		own[e.realm].add(uint64(e.key))
	})
	for realm, all := range maps {
		m.ints[c.realms.name(realm)] = united(all).pages
	}
	return m
}

// without counts those that another does not have, and those that both have. It names n at most of the former, first ones first.
func (m *membership) without(o *membership, n int) (only, both int64, first []string) {
	var found []person
	for realm, pages := range m.ints {
		others, named := o.ints[realm], 0
		for at, p := range pages {
			if p == nil {
				continue
			}
			none := &index.Bits{}
			if at < len(others) && others[at] != nil {
				none = others[at]
			}
			for i, word := range p {
				both += int64(bits.OnesCount64(word & none[i]))
				rest := word &^ none[i]
				only += int64(bits.OnesCount64(rest))
				for ; rest != 0 && named < n; rest &= rest - 1 {
					found = append(found, person{realm, strconv.Itoa(at<<pageShift | i<<6 | bits.TrailingZeros64(rest))})
					named++
				}
			}
		}
	}
	for p := range m.more {
		if _, ok := o.more[p]; ok {
			both++
			continue
		}
		only++
		found = append(found, p)
	}
	slices.SortFunc(found, func(a, b person) int { return cmp.Or(compareID(a.id, b.id), strings.Compare(a.realm, b.realm)) })
	for _, p := range found[:min(n, len(found))] {
		first = append(first, p.id)
	}
	return only, both, first
}
