package detect

import "github.com/whosaw/whosaw/internal/near"

// history remembers, of many millions of hashes, the last day on which each was met, and four bits beside it, in 8 bytes at a load
// between a half and two thirds: 12 to 16 bytes each. What a hash stands for is told apart by how it is made: a
// customer (two kinds: who logged in, who was seen), a customer with a network, a class of agents or a route, a session. Of a hundred million two are taken for one.
type history struct {
	shards [historyShards]historyShard
	n      int
}

// historyShard is a part of it, so that growing never holds up an access for long.
type historyShard struct {
	slots []uint64 // 0: free; else 48 bits of the hash, twelve of the day, four of tally
	n     int
}

const (
	historyShards = 256
	// historyDays is how long what was not met again is kept when room is needed: over a year, for those who come at Christmas.
	historyDays = 400
	mostTally   = 15
)

// entry of the history: a home, which all of one subject share, so that they lie side by side, and what it is.
type historyKey struct {
	shard uint8
	slot  uint64 // 24 bits that say where, 24 that say what; the rest is zero
}

func (s *historyShard) home(slot uint64) int { return int(slot >> 40 * uint64(len(s.slots)) >> 24) }

// find gives the place of a key, nil if it was not met.
func (x *history) find(k historyKey) *uint64 {
	s := &x.shards[k.shard]
	if s.n == 0 {
		return nil
	}
	for at := s.home(k.slot); s.slots[at] != 0; {
		if s.slots[at]>>16 == k.slot>>16 {
			return &s.slots[at]
		}
		if at++; at == len(s.slots) {
			at = 0
		}
	}
	return nil
}

// bring gathers where a home's keys lie: they begin anywhere in a line.
func (x *history) bring(k historyKey, l *near.Lines) {
	s := &x.shards[k.shard]
	if s.n == 0 {
		return
	}
	at := s.home(k.slot)
	near.Add(l, &s.slots[at])
	near.Add(l, &s.slots[min(at+7, len(s.slots)-1)])
}

// put adds a key that is not in; nil if there is no room for more. today tells what may go first.
func (x *history) put(k historyKey, today int32, most int) *uint64 {
	s := &x.shards[k.shard]
	if 3*(s.n+1) > 2*len(s.slots) {
		x.grow(s, today)
	}
	if x.n >= most {
		return nil
	}
	x.n++
	s.n++
	return s.place(k.slot)
}

func (s *historyShard) place(slot uint64) *uint64 {
	at := s.home(slot)
	for s.slots[at] != 0 {
		if at++; at == len(s.slots) {
			at = 0
		}
	}
	s.slots[at] = slot
	return &s.slots[at]
}

// grow drops what was not met for long, and makes room for a quarter more if that is not enough.
func (x *history) grow(s *historyShard, today int32) {
	old, kept := s.slots, 0
	for i, slot := range old {
		if slot == 0 {
			continue
		}
		if since := sinceDay(&slot, today); since > historyDays {
			old[i] = 0
			continue
		}
		kept++
	}
	x.n -= s.n - kept
	s.n = kept
	size := len(old)
	if 5*kept >= 3*size {
		size += size/4 + 4
	}
	s.slots = make([]uint64, size)
	for _, slot := range old {
		if slot != 0 {
			s.place(slot)
		}
	}
}

// sinceDay is how many days before on a place was last met; below zero if after it.
func sinceDay(slot *uint64, on int32) int32 {
	d := (on - int32(*slot>>4&0xfff)) & 0xfff
	if d > 0x7ff {
		d -= 0x1000
	}
	return d
}

func tally(slot *uint64) int { return int(*slot & mostTally) }

// meet notes that a place was met on a day; its tally counts such days.
func meet(slot *uint64, on int32) {
	n := *slot & mostTally
	*slot = *slot>>16<<16 | uint64(on&0xfff)<<4 | min(n+1, mostTally)
}

// setTally keeps a number beside a day.
func setTally(slot *uint64, on int32, n int) {
	*slot = *slot>>16<<16 | uint64(on&0xfff)<<4 | uint64(n)
}

// What a hash in the history stands for.
const (
	metSubject uint64 = 1 + iota
	metNetwork
	metDevice
	metSession
	metVisits
	metMonotone
	metRoute
)

// historyID gives the key of a subject with something else.
func historyID(what, realm uint64, s subject, other uint64) historyKey {
	return historyHome(realm, s).of(what, other)
}

// historyHome gives the home of a subject.
func historyHome(realm uint64, s subject) historyKey {
	h := mix(uint64(s) ^ realm)
	return historyKey{uint8(h >> 56), h >> 32 << 40}
}

// of gives the key of something at a home.
func (k historyKey) of(what, other uint64) historyKey {
	k.slot |= (mix(other+what*0x9e3779b97f4a7c15)&0xffffff | 1) << 16 // never a free place
	return k
}

// metOn gives the place of what was met, and reports whether it was ever before; where it was not, this day is its first. nil: there is no
// room.
func (e *Engine) metOn(h historyKey, on int32) (slot *uint64, before bool) {
	slot = e.history.find(h)
	if slot != nil {
		return slot, true
	}
	slot = e.history.put(h, dayOf(e.sure), e.cfg.MaxHistory)
	if slot != nil {
		meet(slot, on)
	}
	return slot, false
}
