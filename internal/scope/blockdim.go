package scope

import (
	"math"
	"net/netip"
	"strconv"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// blockDim is a dimension of Top in a block: a code for each row, by its origin, its shape or itself. Code 0 is missing.
type blockDim struct {
	n     int // codes are below
	value func(code int) (string, error)
	// find calls fn with the codes of values.
	find func(values map[string]uint32, fn func(code int, id uint32)) error
	// guess, if not nil, gives in little time the codes in the block's list of the largest that may be those of a value.
	guess func(value string) []uint64

	v4      *index.Monotone // if values are addresses or their networks: the IPv4 addresses, that of code 1 first; the others come behind them
	origins *index.Column
	shapes  []uint32
	runs    *index.Runs
	own     func(subject uint64) uint64 // for the code index.PrincipalOwn
	same    []uint32                    // for each code the least that has the same value; nil: itself

	// What there may be to find the rows of a few codes without looking at all.
	spans func(codes []uint32) ([]span32, bool)                             // their origins; false: looking at all is faster
	owned func(codes []uint32) (rows []index.Span, err error)               // in which all rows of index.PrincipalOwn lie that have one of them
	rows  func(codes []uint32, fn func(code uint32, row int)) (bool, error) // their rows; false: they are not known
	check func() error                                                      // looks at the checksums of runs
}

// distinct is how many values there can be.
func (d *blockDim) distinct() int {
	if d.same == nil || d.n > 1<<16 {
		return d.n
	}
	n := 0
	for code, first := range d.same {
		if int(first) == code {
			n++
		}
	}
	return n
}

// dimOpener makes a dimension ready. It reports false if the block cannot tell.
type dimOpener func(w *topWorker) (blockDim, bool, error)

// blockDimensions are those that blocks have.
var blockDimensions = map[string]dimOpener{
	"ip":          addrDim(32, 128, netip.Addr.String),
	"network":     addrDim(24, 48, network),
	"key":         textDim((*index.Block).Key, nil),
	"client":      textDim((*index.Block).Client, nil),
	"country":     textDim((*index.Block).Country, nil),
	"asn":         asnDim,
	"agent":       textDim((*index.Block).Agent, nil),
	"agent_class": textDim((*index.Block).Agent, whosaw.AgentClass),
	"tls":         textDim((*index.Block).TLS, nil),
	"source":      textDim((*index.Block).Source, nil),
	"route":       routeDim,
	"principal":   principalDim,
	"credential":  credentialDim,
}

// byValue finds values one by one.
func byValue(code func(value string) int) func(values map[string]uint32, fn func(code int, id uint32)) error {
	return func(values map[string]uint32, fn func(code int, id uint32)) error {
		for v, id := range values {
			if at := code(v); at > 0 {
				fn(at, id)
			}
		}
		return nil
	}
}

// folded gives the same value's codes the least of them.
func folded(n int, value func(code int) string) (same []uint32) {
	same = make([]uint32, n)
	first := map[string]uint32{}
	for code := 1; code < n; code++ {
		v := value(code)
		at, ok := first[v]
		if !ok {
			at = uint32(code)
			first[v] = at
		}
		same[code] = at
		if v == "" {
			same[code] = 0
		}
	}
	return same
}

// textDim is for texts, or what is made of them.
func textDim(of func(b *index.Block) (index.Column, index.Texts, error), as func(text string) string) dimOpener {
	return func(w *topWorker) (blockDim, bool, error) {
		c, dict, err := of(w.b)
		d := blockDim{n: dict.Len() + 1, origins: &c, value: func(code int) (string, error) { return dict.At(code), nil }, find: byValue(dict.Find)}
		if as == nil || err != nil {
			return d, true, err
		}
		if missing := as(""); missing != "" { // a value for those without one: it has the code of the first that has it, or one of its own
			return d, false, nil
		}
		value := func(code int) string { return as(dict.At(code)) }
		d.value = func(code int) (string, error) { return value(code), nil }
		d.same = folded(d.n, value)
		d.find = func(values map[string]uint32, fn func(code int, id uint32)) error {
			for code := 1; code < d.n; code++ {
				if id, ok := values[value(code)]; ok && d.same[code] == uint32(code) {
					fn(code, id)
				}
			}
			return nil
		}
		return d, true, nil
	}
}

// addrDim is for addresses and their networks. It reports false for a block with IPv4 addresses in IPv6 form: they stand for
// the others, but not beside them.
func addrDim(bits4, bits6 int, text func(a netip.Addr) string) dimOpener {
	return func(w *topWorker) (blockDim, bool, error) {
		c, dict, err := w.b.IP()
		if err != nil {
			return blockDim{}, false, err
		}
		if from, to := dict.Between(mappedFirst, mappedLast); from < to {
			return blockDim{}, false, nil
		}
		d := blockDim{n: dict.Len() + 1, origins: &c, v4: dict.V4()}
		d.value = func(code int) (string, error) {
			if code == 0 {
				return "", nil
			}
			return text(dict.At(code)), nil
		}
		// The addresses of a network follow each other: the first stands for all.
		first := func(value string) int {
			n, err := netip.ParsePrefix(value)
			if a, err2 := netip.ParseAddr(value); err2 == nil {
				n, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
			if err != nil {
				return 0
			}
			s := newNetworkSet(map[netip.Prefix]struct{}{n: {}})
			if from, to := dict.Between(s.ranges[0].first, s.ranges[0].last); from < to {
				return from
			}
			return 0
		}
		d.find = byValue(first)
		d.spans = func(codes []uint32) ([]span32, bool) { return w.spansOf(&d, codes) }
		if bits4 == 32 {
			return d, true, nil
		}
		d.same = make([]uint32, d.n)
		var last netip.Prefix
		for code := d.v4.Len() + 1; code < d.n; code++ {
			p := netip.PrefixFrom(dict.At(code), bits6).Masked()
			d.same[code] = uint32(code)
			if p == last {
				d.same[code] = d.same[code-1]
			}
			last = p
		}
		var batch [batchRows]uint64
		before := uint64(math.MaxUint64)
		for from := 0; from < d.v4.Len(); from += batchRows {
			addrs := batch[:min(batchRows, d.v4.Len()-from)]
			d.v4.Fill(addrs, from)
			for i, a := range addrs {
				code := from + i + 1
				d.same[code] = uint32(code)
				if n := a >> (32 - bits4); n == before {
					d.same[code] = d.same[code-1]
				} else {
					before = n
				}
			}
		}
		return d, true, nil
	}
}

func asnDim(w *topWorker) (blockDim, bool, error) {
	c, dict, err := w.b.ASN()
	text := func(code int) string {
		if code == 0 {
			return ""
		}
		return strconv.FormatUint(dict.Value(code), 10)
	}
	d := blockDim{n: dict.Len() + 1, origins: &c, value: func(code int) (string, error) { return text(code), nil }}
	d.find = func(values map[string]uint32, fn func(code int, id uint32)) error {
		for code := 1; code < d.n; code++ {
			if id, ok := values[text(code)]; ok {
				fn(code, id)
			}
		}
		return nil
	}
	return d, true, err
}

func routeDim(w *topWorker) (blockDim, bool, error) {
	d := blockDim{n: 1, shapes: make([]uint32, len(w.versions[0].shapes))}
	codes, list := map[string]int{"": 0}, []string{""}
	for i := range w.shapes.Len() {
		s, err := index.ParseShape(w.shapes.At(i + 1))
		if err != nil {
			return d, false, err
		}
		code, ok := codes[s.Route]
		if !ok {
			code = len(list)
			codes[s.Route], list = code, append(list, s.Route)
		}
		d.shapes[i] = uint32(code)
	}
	d.n = len(list)
	d.value = func(code int) (string, error) { return list[code], nil }
	d.find = byValue(func(v string) int { return codes[v] })
	return d, true, nil
}

func principalDim(w *topWorker) (blockDim, bool, error) {
	p, err := w.b.Principals()
	d := blockDim{
		n: int(p.Limit()), runs: &p.Runs, own: p.Own, value: func(code int) (string, error) { return p.Value(uint64(code)), nil },
		find: byValue(func(v string) int { return int(p.Find(v)) }),
	}
	d.owned = func(codes []uint32) (out []index.Span, err error) {
		for _, code := range codes {
			number, ok := p.Owned(uint64(code))
			if !ok {
				continue
			}
			out = append(out, w.q.rowsWith(w.b, &w.q.parts[w.part], p.Customer(number))...)
		}
		return out, nil
	}
	return d, true, err
}

func credentialDim(w *topWorker) (blockDim, bool, error) {
	runs, n := w.b.Credentials()
	posted, err := w.b.Postings()
	if err != nil {
		return blockDim{}, false, err
	}
	d := blockDim{n: int(n), runs: &runs, check: w.b.CheckCredentials, guess: posted.Find}
	d.value = func(code int) (string, error) {
		texts, err := w.texts()
		if err != nil {
			return "", err
		}
		return texts.At(ledger.TextCredential, uint32(code))
	}
	d.find = func(values map[string]uint32, fn func(code int, id uint32)) error {
		texts, err := w.texts()
		if err != nil {
			return err
		}
		left := map[string]uint32{}
		for v, id := range values {
			found := false
			for _, code := range posted.Find(v) {
				s, err := texts.At(ledger.TextCredential, uint32(code))
				if err != nil {
					return err
				}
				if found = s == v; found {
					fn(int(code), id)
					break
				}
			}
			if !found {
				left[v] = id
			}
		}
		if len(left) == 0 {
			return nil
		}
		return texts.Each(ledger.TextCredential, func(code uint32, s string) bool {
			if id, ok := left[s]; ok {
				fn(int(code), id)
				delete(left, s)
			}
			return len(left) > 0
		})
	}
	d.rows = func(codes []uint32, fn func(code uint32, row int)) (bool, error) {
		for _, code := range codes {
			if !posted.Posted(uint64(code)) {
				return false, nil
			}
		}
		for _, code := range codes {
			if err := posted.Rows(uint64(code), func(row int) { fn(code, row) }); err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return d, true, nil
}

// spansOf gives the origins of some addresses, or of the networks that they are the first of, by searching for each, key by key; ok
// is false if looking at all is faster.
func (w *topWorker) spansOf(d *blockDim, codes []uint32) (out []span32, ok bool) {
	key, dict, err := w.b.Key()
	if err != nil || (dict.Len()+1)*len(codes)*searchCost > d.origins.Len() {
		return nil, false
	}
	for k := range dict.Len() + 1 {
		if from, to := key.Range(k); from >= to {
			continue
		}
		for _, code := range codes {
			end := int(code) + 1
			for d.same != nil && end < d.n && d.same[end] == code {
				end++
			}
			if from, to := key.Pairs(k, int(code), end); from < to {
				out = append(out, span32{from, to})
			}
		}
	}
	return out, true
}
