package detect

import (
	"hash/maphash"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

// What is worked out of texts that come again and again. None of these caches changes an answer.

// routeCache remembers what is known of routes: houses have tens to hundreds. The latest lie side by side, all of them in a map behind.
type routeCache struct {
	version *catalog.Version
	slots   []knownRoute
	routes  map[string]*catalog.Route
}

// knownRoute is what is known of one route.
type knownRoute struct {
	hash    uint64 // 0: a free place
	text    string
	rt      *catalog.Route // nil if no catalog knows it
	results [4]result      // of the latest kinds of access
	next    uint8
}

type result struct {
	of      uint32
	outcome whosaw.Outcome
}

const (
	routeSlots = 256
	// maxRoutes bounds the map; it begins anew when full.
	maxRoutes = 1 << 15
)

// get gives what is known of an access's route. It is good until the next call.
func (c *routeCache) get(cat *catalog.Catalog, r *whosaw.Record) *knownRoute {
	var version *catalog.Version
	if cat != nil {
		version = cat.At(r.Time)
	}
	if c.slots == nil || version != c.version {
		*c = routeCache{version: version, slots: make([]knownRoute, routeSlots)}
	}
	hash := text(r.Route) | 1
	k := &c.slots[hash>>8%routeSlots]
	if k.hash == hash && k.text == r.Route {
		return k
	}
	*k = knownRoute{hash: hash, text: clone(r.Route)}
	if version == nil {
		return k
	}
	rt, ok := c.routes[k.text]
	if !ok {
		if c.routes == nil || len(c.routes) >= maxRoutes {
			c.routes = make(map[string]*catalog.Route)
		}
		rt = version.Route(k.text)
		c.routes[k.text] = rt
	}
	k.rt = rt
	return k
}

// outcome gives the outcome of an access to the route. It depends on little: of the fields and the masked ones only on whether they are stated,
// and whether there are any.
func (k *knownRoute) outcome(r *whosaw.Record, subject bool) whosaw.Outcome {
	switch {
	case r.Outcome != whosaw.OutcomeUnstated:
		return r.Outcome
	case r.Status < 0 || r.Status >= 1<<20:
		return k.show(r, subject)
	}
	of := uint32(r.Status)<<8 | stated(r.Fields)<<6 | stated(r.Masked)<<4 | 1
	if subject {
		of |= 2
	}
	for i := range k.results {
		if x := &k.results[i]; x.of == of {
			return x.outcome
		}
	}
	o := k.show(r, subject)
	k.results[k.next%uint8(len(k.results))] = result{of, o}
	k.next++
	return o
}

func (k *knownRoute) show(r *whosaw.Record, subject bool) whosaw.Outcome {
	return catalog.Show(k.rt, r.Fields, r.Masked, r.Status, r.Outcome, r.Others, subject).Outcome
}

// stated tells a list that is not stated from an empty one and from one with something in it.
func stated(list []string) uint32 {
	switch {
	case list == nil:
		return 0
	case len(list) == 0:
		return 1
	}
	return 2
}

// agentClass is an agent's class and its hash.
type agentClass struct {
	name string
	hash uint64
}

// agents remembers the classes of agents by a hash with a seed that is drawn, as known does and for the same reason: their texts are long, and
// nobody can make two that meet.
type agents struct {
	sets []agentSet // nil until the first agent
	seed maphash.Seed
}

// agentSet is a cache line.
type agentSet struct {
	hashes [2]uint64 // the one asked for last first
	class  [2]agentClass
}

// agentSets makes the cache hold 16,384 agents in half a megabyte.
const agentSets = 1 << 13

func (a *agents) class(agent string) agentClass {
	if a.sets == nil {
		a.sets = make([]agentSet, agentSets)
	}
	h := maphash.String(a.seed, agent) | 1 // never that of a free place
	s := &a.sets[h>>8%agentSets]
	if s.hashes[0] == h {
		return s.class[0]
	}
	s.hashes[0], s.hashes[1] = s.hashes[1], s.hashes[0]
	s.class[0], s.class[1] = s.class[1], s.class[0]
	if s.hashes[0] != h {
		name := clone(whosaw.AgentClass(agent))
		s.hashes[0], s.class[0] = h, agentClass{name, text(name)}
	}
	return s.class[0]
}
