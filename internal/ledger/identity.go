package ledger

import "github.com/whosaw/whosaw"

// A record is known by its id, realm and time, or, without an id, by source, position, type and
// time. The type is part of the second because one line of a log may say two things: that a page
// was opened, and that the log-in it was gave out a credential.

func sameIdentity(a, b *whosaw.Record) bool {
	if a.Time != b.Time || a.ID != b.ID {
		return false
	}
	if a.ID != "" {
		return a.Realm == b.Realm
	}
	return a.Position == b.Position && a.Type == b.Type && a.Source == b.Source
}

func identityHash(r *whosaw.Record) uint64 {
	if r.ID != "" {
		return mix(hashString(r.ID)^hashString(r.Realm)<<1, uint64(r.Time))
	}
	return mix(hashString(r.Source)+uint64(r.Type), mix(uint64(r.Position), uint64(r.Time)))
}

// identities finds the records of a part by their identities. Hashes are cheap and always kept;
// the table over them is made when somebody first asks, so that an import in order never pays.
type identities struct {
	hashes []uint64 // by the number of the record in the part
	table  table    // of numbers + 1
	tabled int      // how many of them it has
	warm   uint64   // keeps the compiler from leaving reads out
}

func (k *identities) add(hash uint64) { k.hashes = push(k.hashes, hash) }

// touch looks where the items would be found, so that their waits for memory overlap. Where nobody asked yet, nobody
// may ever.
func (k *identities) touch(items []item) {
	if len(k.table.slots) == 0 {
		return
	}
	mask := uint32(len(k.table.slots) - 1)
	for i := range items {
		k.warm ^= k.table.slots[uint32(items[i].hash)&mask]
	}
}

// find calls same with the number of each record whose identity has this hash until it says yes.
func (k *identities) find(hash uint64, same func(number int) (bool, error)) (number int, ok bool, err error) {
	for ; k.tabled < len(k.hashes); k.tabled++ {
		h := k.hashes[k.tabled]
		i := k.table.begin(uint32(h))
		for code, _ := k.table.at(i, uint32(h)); code != 0; code, _ = k.table.at(i, uint32(h)) {
			i = k.table.next(i)
		}
		k.table.set(i, uint32(h), uint32(k.tabled+1))
	}
	i := k.table.begin(uint32(hash))
	for {
		code, like := k.table.at(i, uint32(hash))
		if code == 0 {
			return 0, false, nil
		}
		if number := int(code - 1); like && k.hashes[number] == hash {
			if yes, err := same(number); yes || err != nil {
				return number, yes, err
			}
		}
		i = k.table.next(i)
	}
}
