package detect

import (
	"crypto/sha256"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/whosaw/whosaw"
)

// archive holds every issuance in four bytes, where the reference records hold the latest few million whole: a credential may
// be used years after its log-in, and must then not be called never issued. It has no false no. A false yes, one in a
// thousand credentials for each part, makes a forged credential count as issued.
//
// Which bits stand for a credential hangs on all credentials before: a replay gives the same, and nobody outside can make one
// that meets another's bits.
type archive struct {
	parts []archivePart
	hash  [sha256.Size]byte // over all credentials so far
	who   []byte            `state:"-"` // in hand
}

// archivePart holds the issuances of a time: each part is four times as large as the one before, up to 64 MB.
type archivePart struct {
	key   [sha256.Size]byte
	lines [][8]uint64 // of 512 bits, for sixteen issuances
	room  int

	noKey, noWho bool // some of its issuances do not name them
}

const (
	firstArchive = 1 << 10
	lastArchive  = 1 << 24
	perLine      = 16
)

// What stands for a key or principal that is not named, and for any. The hashes of names are odd.
const (
	notNamed uint64 = 0
	anyName  uint64 = 2
)

// add keeps an issuance.
func (a *archive) add(r *whosaw.Record) {
	if r.Credential == "" {
		return
	}
	if n := len(a.parts); n == 0 || a.parts[n-1].room == 0 {
		size := firstArchive
		if n > 0 {
			size = min(4*perLine*len(a.parts[n-1].lines), lastArchive)
		}
		a.parts = append(a.parts, archivePart{key: sha256.Sum256(a.hash[:]), lines: make([][8]uint64, size/perLine), room: size})
	}
	p := &a.parts[len(a.parts)-1]
	p.room--
	d := p.digest(r.Realm, r.Credential)
	for i, b := range d {
		a.hash[i] ^= b
	}
	key, who := text(r.Key), text(r.Principal)
	if r.Principal == "" && len(r.Subjects) > 0 {
		a.who = append(append(a.who[:0], customerPrefix...), r.Subjects[0]...)
		who = xxhash.Sum64(a.who) | 1
	}
	p.noKey, p.noWho = p.noKey || key == notNamed, p.noWho || who == notNamed
	line, h := p.line(&d)
	mark(line, h)
	mark(line, pairing(h, key, who))
	mark(line, pairing(h, key, anyName))
	mark(line, pairing(h, anyName, who))
}

// agrees reports whether an issuance of the credential agrees on key and principal wherever both name them.
func (a *archive) agrees(realm, credential, key, principal string) bool {
	keys, whos := [2]uint64{text(key), notNamed}, [2]uint64{text(principal), notNamed}
	if key == "" {
		keys = [2]uint64{anyName, anyName}
	}
	if principal == "" {
		whos = [2]uint64{anyName, anyName}
	}
	for i := len(a.parts) - 1; i >= 0; i-- {
		p := &a.parts[i]
		d := p.digest(realm, credential)
		line, h := p.line(&d)
		if !marked(line, h) {
			continue
		}
		if key == "" && principal == "" {
			return true
		}
		for i, k := range keys {
			for j, w := range whos {
				if i == 1 && !p.noKey || j == 1 && !p.noWho {
					continue
				}
				if marked(line, pairing(h, k, w)) {
					return true
				}
			}
		}
	}
	return false
}

func (p *archivePart) digest(realm, credential string) [sha256.Size]byte {
	b := append(make([]byte, 0, 256), p.key[:]...)
	b = append(append(append(b, realm...), 0), credential...)
	return sha256.Sum256(b)
}

// line gives the line that a digest falls on, and the hash that stands for its credential there.
func (p *archivePart) line(d *[sha256.Size]byte) (line *[8]uint64, h uint64) {
	at, _ := bits.Mul64(word(d[:8]), uint64(len(p.lines)))
	return &p.lines[at], word(d[8:16])
}

func word(b []byte) (w uint64) {
	for i, c := range b {
		w |= uint64(c) << (8 * i)
	}
	return w
}

// pairing gives the hash of a credential with a key and a principal.
func pairing(h, key, who uint64) uint64 {
	return mix(mix(h^key) ^ bits.RotateLeft64(who, 32))
}

// mark sets the four bits of a line that a hash stands for, and marked reports whether they are set.
func mark(line *[8]uint64, h uint64) {
	for range 4 {
		line[h>>6&7] |= 1 << (h & 63)
		h >>= 9
	}
}

func marked(line *[8]uint64, h uint64) bool {
	for range 4 {
		if line[h>>6&7]>>(h&63)&1 == 0 {
			return false
		}
		h >>= 9
	}
	return true
}
