package scope

import "sync"

// groupKey is what accesses are grouped by: a stretch of time and a value (Top), or a stretch of time and a filter
// (Timeline).
type groupKey struct {
	slot  int64
	value uint32
}

// groups numbers group keys. Safe for concurrent use.
type groups struct {
	mu   sync.Mutex
	ids  map[groupKey]uint32
	list []groupKey
}

func newGroups() *groups { return &groups{ids: make(map[groupKey]uint32)} }

func (g *groups) id(k groupKey) uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	id, ok := g.ids[k]
	if !ok {
		id = uint32(len(g.list))
		g.list = append(g.list, k)
		g.ids[k] = id
	}
	return id
}

// groupTally counts accesses by group, for one worker.
type groupTally struct {
	groups   *groups
	ids      map[groupKey]uint32
	last     groupKey
	lastID   uint32
	any      bool
	accesses []int64 // by group
}

// add counts an access and gives the number of its group.
func (t *groupTally) add(k groupKey) uint32 {
	if !t.any || k != t.last {
		id, ok := t.ids[k]
		if !ok {
			id = t.groups.id(k)
			t.ids[k] = id
		}
		t.last, t.lastID, t.any = k, id, true
	}
	t.accesses = counted(t.accesses, t.lastID)
	return t.lastID
}

// counted adds one to a group's number.
func counted(accesses []int64, group uint32) []int64 {
	for len(accesses) <= int(group) {
		accesses = append(accesses, 0)
	}
	accesses[group]++
	return accesses
}

// chunkGroups finds the groups of a chunk's accesses: by slot, then by the chunk's own code of the value.
type chunkGroups struct {
	groups *groups
	value  func(code uint32) (uint32, bool) // the number of a code's value; false: it stands for a missing member
	codes  int
	slots  map[int64][]uint32 // the group + 2 by code; 1: missing, 0: not looked up yet
	last   int64
	table  []uint32 // of last
}

// id gives the group of an access; false if it has no value.
func (g *chunkGroups) id(slot int64, code uint32) (uint32, bool) {
	if g.table == nil || slot != g.last {
		g.last = slot
		if g.table = g.slots[slot]; g.table == nil {
			if g.slots == nil || len(g.slots)*g.codes > 1<<22 {
				g.slots = make(map[int64][]uint32) // what was found can be found again
			}
			g.table = make([]uint32, g.codes)
			g.slots[slot] = g.table
		}
	}
	if g.table[code] == 0 {
		g.table[code] = 1
		if v, ok := g.value(code); ok {
			g.table[code] = g.groups.id(groupKey{slot, v}) + 2
		}
	}
	return g.table[code] - 2, g.table[code] > 1
}
