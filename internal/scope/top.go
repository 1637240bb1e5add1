package scope

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// dimension is what Top groups by.
type dimension struct {
	name string
	cols ledger.Columns
	open func(c *ledger.Chunk) valued
}

// valued is a column of a chunk: the code of each row, and how many codes there are, and the value of each,
// "" for missing.
type valued struct {
	codes []uint32
	n     int
	value func(code uint32) string
}

func byString(cols ledger.Columns, name string, strs func(c *ledger.Chunk) *ledger.Strings) dimension {
	return dimension{name, cols, func(c *ledger.Chunk) valued {
		s := strs(c)
		return valued{s.Codes, len(s.Dict), func(code uint32) string { return s.Dict[code] }}
	}}
}

func byAddr(name string, text func(a netip.Addr) string) dimension {
	return dimension{name, ledger.ColIP, func(c *ledger.Chunk) valued {
		return valued{c.IP.Codes, len(c.IP.Dict), func(code uint32) string {
			if a := c.IP.Dict[code]; a.IsValid() {
				return text(a.Unmap())
			}
			return ""
		}}
	}}
}

var dimensions = []dimension{
	byAddr("ip", netip.Addr.String),
	byAddr("network", network),
	byString(ledger.ColPrincipal, "principal", func(c *ledger.Chunk) *ledger.Strings { return &c.Principal }),
	byString(ledger.ColKey, "key", func(c *ledger.Chunk) *ledger.Strings { return &c.Key }),
	byString(ledger.ColCredential, "credential", func(c *ledger.Chunk) *ledger.Strings { return &c.Credential }),
	byString(ledger.ColClient, "client", func(c *ledger.Chunk) *ledger.Strings { return &c.Client }),
	byString(ledger.ColCountry, "country", func(c *ledger.Chunk) *ledger.Strings { return &c.Country }),
	{"asn", ledger.ColASN, byASN},
	byString(ledger.ColAgent, "agent", func(c *ledger.Chunk) *ledger.Strings { return &c.Agent }),
	{"agent_class", ledger.ColAgent, func(c *ledger.Chunk) valued {
		return valued{c.Agent.Codes, len(c.Agent.Dict), func(code uint32) string { return whosaw.AgentClass(c.Agent.Dict[code]) }}
	}},
	byString(ledger.ColTLS, "tls", func(c *ledger.Chunk) *ledger.Strings { return &c.TLS }),
	byString(ledger.ColRoute, "route", func(c *ledger.Chunk) *ledger.Strings { return &c.Route }),
	byString(ledger.ColSource, "source", func(c *ledger.Chunk) *ledger.Strings { return &c.Source }),
}

// byASN gives the numbers codes: their column has no dictionary.
func byASN(c *ledger.Chunk) valued {
	codes, byNumber, list := make([]uint32, len(c.ASN)), make(map[uint32]uint32), []uint32(nil)
	for row, asn := range c.ASN {
		code, ok := byNumber[asn]
		if !ok {
			code = uint32(len(list))
			byNumber[asn], list = code, append(list, asn)
		}
		codes[row] = code
	}
	return valued{codes, len(list), func(code uint32) string {
		if list[code] == 0 {
			return ""
		}
		return strconv.FormatUint(uint64(list[code]), 10)
	}}
}

// network gives the IPv4/24 or IPv6/48 that an address lies in.
func network(a netip.Addr) string {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		panic("BUG: 24 and 48 are lengths of prefixes")
	}
	return p.String()
}

// Dimensions lists what Top can group by.
func Dimensions() []string {
	list := make([]string, len(dimensions))
	for i, d := range dimensions {
		list[i] = d.name
	}
	return list
}

// Top gives, for each day and value of a dimension that occurs among the accesses which match a filter, how
// many subjects were disclosed and how many accesses match: most subjects first, then by day, then by value.
// limit 0 gives all. Days are those of the engine's zone.
func (e *Engine) Top(ctx context.Context, by string, filter whosaw.Filter, limit int) ([]whosaw.TopRow, error) {
	at := slices.IndexFunc(dimensions, func(d dimension) bool { return d.name == by })
	if at < 0 {
		return nil, fmt.Errorf("top by %q is not known: give one of %s", by, strings.Join(Dimensions(), ", "))
	}
	if limit < 0 {
		return nil, fmt.Errorf("limit %d is negative: give a number of rows, or 0 for all", limit)
	}
	var rows []whosaw.TopRow
	err := e.answer([]whosaw.Filter{filter}, func(q *question) (err error) {
		rows, err = q.top(ctx, dimensions[at], limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// top is Top of the question's first filter.
func (q *question) top(ctx context.Context, by dimension, limit int) ([]whosaw.TopRow, error) {
	t := topper{dimension: by, values: newNames(q.budget), groups: newGroups(), members: newMemberSet(q.budget)}
	if blocks, rest := q.topBlocks(&t, by.name, limit); blocks != nil {
		rows, ok, err := blocks.run(ctx, rest)
		if ok || err != nil {
			return rows, err
		}
		t.values, t.groups, t.members = newNames(q.budget), newGroups(), newMemberSet(q.budget)
	}
	accesses, err := t.read(ctx, q, nil)
	if err != nil {
		return nil, err
	}
	groups := make([]uint32, len(t.groups.list))
	for g := range groups {
		groups[g] = uint32(g)
	}
	return t.rows(by.name, groups, accesses, limit), nil
}

// read counts all groups of some parts; nil: of all.
func (t *topper) read(ctx context.Context, q *question, parts []int) ([]int64, error) {
	var writers []*memberWriter
	var tallies []*[]int64
	err := q.scanParts(ctx, q.columns()|t.cols, parts, func() (work, func(ledger.Part) bool) {
		w, accesses := t.members.writer(), new([]int64)
		writers, tallies = append(writers, w), append(tallies, accesses)
		zone := days{zone: q.zone}
		return func(c *chunk) error { return t.chunk(c, w, accesses, &zone) }, nil
	})
	if err != nil {
		return nil, err
	}
	accesses := make([]int64, len(t.groups.list))
	for i, w := range writers {
		w.flush()
		for g, n := range *tallies[i] {
			accesses[g] += n
		}
	}
	if q.budget.spent() {
		return nil, ErrMemory
	}
	return accesses, nil
}

// topper is one call of Top.
type topper struct {
	dimension
	values  *names
	groups  *groups // by day and number of the value
	members *memberSet
}

func (t *topper) chunk(c *chunk, w *memberWriter, accesses *[]int64, zone *days) error {
	column := t.open(c.Chunk)
	groups := chunkGroups{groups: t.groups, codes: column.n, value: func(code uint32) (uint32, bool) {
		v := column.value(code)
		if v == "" {
			return 0, false
		}
		return t.values.id(v), true
	}}
	return c.hits(0, func(h *hit) {
		g, ok := groups.id(zone.of(c.Time[h.row]), column.codes[h.row])
		if !ok {
			return
		}
		*accesses = counted(*accesses, g)
		if len(h.pairs) == 0 {
			return
		}
		realm := c.realm(h.row)
		for i := range h.pairs {
			w.add(g, h.pairs[i].key, realm)
		}
	})
}

// rows makes the answer from groups that hold the largest. It sorts no more than a few times limit rows at once.
func (t *topper) rows(by string, groups []uint32, accesses []int64, limit int) []whosaw.TopRow {
	subjects := t.members.count(len(t.groups.list))
	before := func(a, b uint32) int {
		x, y := t.groups.list[a], t.groups.list[b]
		return cmp.Or(cmp.Compare(subjects[b], subjects[a]), cmp.Compare(x.slot, y.slot),
			strings.Compare(t.values.name(x.value), t.values.name(y.value)))
	}
	var best []uint32
	for _, g := range groups {
		best = append(best, g)
		if limit > 0 && len(best) >= 4*limit+1024 {
			slices.SortFunc(best, before)
			best = best[:limit]
		}
	}
	slices.SortFunc(best, before)
	if limit > 0 && len(best) > limit {
		best = best[:limit]
	}
	rows := make([]whosaw.TopRow, len(best))
	for i, g := range best {
		k := t.groups.list[g]
		rows[i] = whosaw.TopRow{
			Day: dayName(k.slot), By: by, Value: t.values.name(k.value), Subjects: subjects[g], Accesses: accesses[g],
		}
	}
	return rows
}
