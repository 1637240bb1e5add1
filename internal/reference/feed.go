package reference

import (
	"math"
	"sort"
	"strings"

	"github.com/whosaw/whosaw"
)

// Feed says what is known about the completeness of issuances, or of reasons.
type Feed struct {
	Known    bool    // there are issuances (reasons) or a feed record for it
	Declared bool    // a feed record valid at the time states the loss; else completeness is inferred
	Lost     float64 // declared share of lost records; 0 with Declared: the feed is complete
	Lag      int64   // declared lag, milliseconds
}

// Inferred reports that there are issuances, but no record says how complete they are.
func (f Feed) Inferred() bool { return f.Known && !f.Declared }

// Complete reports that the feed is declared to lose nothing.
func (f Feed) Complete() bool { return f.Declared && f.Lost == 0 }

// feeds holds what is known of one realm's feeds.
type feeds struct {
	keys     map[string]uint32        // that issuances name, numbered from 1
	clients  map[string]bool          // that issuances name
	bare     bool                     // an issuance names neither key nor client: the feed is the whole realm's
	declared map[feedOf][]declaration // of issuances
	reasons  map[feedOf][]declaration // of reasons
}

// feedOf is the thing a feed record is about; empty members are not named.
type feedOf struct{ key, client, route string }

func (o feedOf) named() int {
	n := 0
	for _, s := range [3]string{o.key, o.client, o.route} {
		if s != "" {
			n++
		}
	}
	return n
}

// declaration is one feed record. Those of one thing are sorted by from, then by sequence.
type declaration struct {
	span
	latest  int64 // the greatest until of this and those before: where a search may stop
	order   uint64
	hasLost bool
	lost    float64
	lag     int64
}

// seen notes an issuance.
func (f *feeds) seen(r *whosaw.Record) {
	if r.Key == "" && r.Client == "" {
		f.bare = true
	}
	f.keyNumber(r.Key)
	if r.Client != "" && !f.clients[r.Client] {
		if f.clients == nil {
			f.clients = map[string]bool{}
		}
		f.clients[strings.Clone(r.Client)] = true
	}
}

// keyNumber gives the key's number, made if need be; 0 for none.
func (f *feeds) keyNumber(key string) uint32 {
	if key == "" {
		return 0
	}
	n, ok := f.keys[key]
	if !ok {
		if f.keys == nil {
			f.keys = map[string]uint32{}
		}
		n = uint32(len(f.keys) + 1)
		f.keys[strings.Clone(key)] = n
	}
	return n
}

func (f *feeds) findKey(key string) uint32 {
	if key == "" {
		return 0
	}
	if n, ok := f.keys[key]; ok {
		return n
	}
	return strangeKey
}

// declare applies a feed record.
func (f *feeds) declare(seq uint64, r *whosaw.Record) {
	ref := reference(r)
	s, ok := stretch(r)
	declared := &f.declared
	if ref.Of == "reason" {
		declared = &f.reasons
	}
	if ref.Of != "issuance" && ref.Of != "reason" || !ok {
		return
	}
	d := declaration{span: s, order: seq, hasLost: ref.HasLost}
	if ref.HasLost {
		d.lost = min(max(ref.Lost, 0), 1)
	}
	if ref.Lag > 0 {
		d.lag = int64(min(math.Round(ref.Lag*1000), 1<<53))
	}
	of := feedOf{strings.Clone(r.Key), strings.Clone(r.Client), strings.Clone(r.Route)}
	if *declared == nil {
		*declared = map[feedOf][]declaration{}
	}
	list := (*declared)[of]
	at := sort.Search(len(list), func(i int) bool { return list[i].from > d.from })
	list = append(list, declaration{})
	copy(list[at+1:], list[at:])
	list[at] = d
	for i := at; i < len(list); i++ {
		list[i].latest = list[i].until
		if i > 0 {
			list[i].latest = max(list[i].latest, list[i-1].latest)
		}
	}
	(*declared)[of] = list
}

// KeyKnown reports whether an issuance, a feed record or a key record names the key: one that nobody names may have been
// made up by whoever presents it.
func (x *Index) KeyKnown(realm, key string) bool {
	g := x.realms[realm]
	if g == nil || key == "" {
		return false
	}
	if g.feeds.keys[key] != 0 {
		return true
	}
	for of := range g.feeds.declared { // any will do
		if of.key == key {
			return true
		}
	}
	return x.Key(realm, key, math.MaxInt64).State != ""
}

// IssuanceFeed gives the feed that covers an access with this key and client at event time t. Of several
// feed records the one that names most of key, client and route counts, then the latest.
func (x *Index) IssuanceFeed(realm, key, client, route string, t int64) Feed {
	g := x.realms[realm]
	if g == nil {
		return Feed{}
	}
	f := &g.feeds
	feed := Feed{Known: f.bare || key != "" && f.keys[key] != 0 || client != "" && f.clients[client]}
	feed.declare(f.declared, key, client, route, t)
	return feed
}

// ReasonFeed is the same for reasons; it is known where a feed record declares it, or where the realm has any reason.
func (x *Index) ReasonFeed(realm, key, client, route string, t int64) Feed {
	g := x.realms[realm]
	if g == nil {
		return Feed{}
	}
	feed := Feed{Known: len(g.reasons) > 0}
	feed.declare(g.feeds.reasons, key, client, route, t)
	return feed
}

// declare takes what feed records say into the feed.
func (feed *Feed) declare(declared map[feedOf][]declaration, key, client, route string, t int64) {
	if len(declared) == 0 {
		return
	}
	var lag, lost best
	for i := range 8 {
		of := part(i, key, client, route)
		list := declared[of]
		for k := sort.Search(len(list), func(k int) bool { return list[k].from > t }) - 1; k >= 0 && list[k].latest > t; k-- {
			d := &list[k]
			if d.until <= t {
				continue
			}
			feed.Known = true
			lag.take(of, d)
			if d.hasLost {
				lost.take(of, d)
				break
			}
		}
	}
	if lag.d != nil {
		feed.Lag = lag.d.lag
	}
	if lost.d != nil {
		feed.Declared, feed.Lost = true, lost.d.lost
	}
}

// part gives what a feed record of an access's key, client and route may be of: bit by bit of i, from all to one of each.
func part(i int, key, client, route string) feedOf {
	var of feedOf
	if i&1 != 0 {
		of.key = key
	}
	if i&2 != 0 {
		of.client = client
	}
	if i&4 != 0 {
		of.route = route
	}
	return of
}

// FeedOver is the member Known of IssuanceFeed for all of a stretch of time, both ends included; same is false if it differs
// within it.
func (x *Index) FeedOver(realm, key, client, route string, first, last int64) (known, same bool) {
	g := x.realms[realm]
	if g == nil {
		return false, true
	}
	f := &g.feeds
	if f.bare || key != "" && f.keys[key] != 0 || client != "" && f.clients[client] {
		return true, true
	}
	same = true
	for i := range 8 {
		of := part(i, key, client, route)
		for _, d := range f.declared[of] {
			if d.from <= first && d.until > last {
				return true, true
			}
			if d.from <= last && d.until > first {
				same = false
			}
		}
	}
	return false, same
}

// best is the declaration that counts so far.
type best struct {
	named int
	d     *declaration
}

func (b *best) take(of feedOf, d *declaration) {
	n := of.named()
	if b.d == nil || n > b.named || n == b.named && (d.from > b.d.from || d.from == b.d.from && d.order > b.d.order) {
		b.named, b.d = n, d
	}
}
