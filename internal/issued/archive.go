package issued

import (
	"bytes"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/whosaw/whosaw/internal/reference"
	"github.com/whosaw/whosaw/internal/snapshot"
)

// Archive holds every issuance that the reference records have forgotten: a credential may be used years after its log-in, and must
// then not be called never issued; nor must a forged one be called issued. So the answer is exact: what was forgotten lies in sorted
// runs of 24 bytes each, in files where there is a directory for them, else in memory. Only the places of the pages are held.
//
// An entry is told from others by 96 bits of a SHA-256 over realm and credential, of the principal 64 and of the key 32 are
// compared. Nobody can make a credential that meets another's.
type Archive struct {
	dir    string         `state:"-"` // "": memory
	runs   []*run         // the oldest first
	serial uint64         // of the last file
	made   []string       `state:"-"` // files that no state on disk names yet
	faults int64          `state:"-"` // reads that failed
	lost   error          `state:"-"` // why the last run could not be written: it is held in memory
	page   [pageSize]byte `state:"-"`
}

// run is a sorted run of issuances.
type run struct {
	entries int64
	level   uint8 // runs of one level are about as long
	name    string
	memory  []byte   // where it is in no file
	file    *os.File `state:"-"`
	first   []uint64 // the first words of its pages
}

const (
	entrySize  = 24
	perPage    = 170
	pageSize   = perPage*entrySize + 4 // and a CRC-32C
	mergeRuns  = 8                     // runs of a level become one of the next
	maxRuns    = 1 << 10
	runSuffix  = ".issued"
	hashSize   = 12
	keyAt      = hashSize
	whoAt      = keyAt + 4
	maxArchive = 1 << 40
	maxPages   = 1 << 31
)

type entry [entrySize]byte

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// entryOf gives the entry of an issuance. What is not named is zero.
func entryOf(realm, credential, key, who string) (x entry) {
	x.credential(realm, credential)
	x.partners(key, who)
	return x
}

func (x *entry) credential(realm, credential string) {
	b := append(append(append(make([]byte, 0, 256), realm...), 0), credential...)
	sum := sha256.Sum256(b)
	copy(x[:hashSize], sum[:])
}

func (x *entry) partners(key, who string) {
	b := make([]byte, 0, 256)
	if key != "" {
		sum := sha256.Sum256(append(b, key...))
		copy(x[keyAt:whoAt], sum[:])
		x[keyAt] |= 1
	}
	if who != "" {
		sum := sha256.Sum256(append(b, who...))
		copy(x[whoAt:], sum[:])
		x[whoAt] |= 1
	}
}

// agreesWith reports whether two entries of one credential agree on key and principal wherever both name them.
func (x *entry) agreesWith(y []byte) bool {
	var none [8]byte
	same := func(a, b []byte) bool {
		return bytes.Equal(a, b) || bytes.Equal(a, none[:len(a)]) || bytes.Equal(b, none[:len(b)])
	}
	return same(x[keyAt:whoAt], y[keyAt:whoAt]) && same(x[whoAt:], y[whoAt:entrySize])
}

// Add keeps issuances that the reference records are about to forget.
func (a *Archive) Add(old *reference.Old) {
	list := make([]entry, 0, old.Len())
	old.Each(func(credential, key, who string) { list = append(list, entryOf(old.Realm, credential, key, who)) })
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(x, y entry) int { return bytes.Compare(x[:], y[:]) })
	a.put(slices.Compact(list))
}

// put makes a run of entries in order.
func (a *Archive) put(list []entry) {
	i := 0
	a.runs = append(a.runs, a.write(0, func() (entry, bool) {
		if i == len(list) {
			return entry{}, false
		}
		i++
		return list[i-1], true
	}))
	a.merge()
}

// merge makes one run of those of a level when they are many.
func (a *Archive) merge() {
	for level := uint8(0); ; level++ {
		var same []*run
		for _, r := range a.runs {
			if r.level == level {
				same = append(same, r)
			}
		}
		if len(same) == 0 {
			return
		}
		if len(same) < mergeRuns {
			continue
		}
		m := &mergedRuns{}
		for _, r := range same {
			m.open(r)
		}
		joined := a.write(level+1, m.next)
		if m.err != nil {
			a.faults++ // they stay as they are, and are asked one by one
			a.drop(joined)
			return
		}
		a.runs = slices.DeleteFunc(a.runs, func(r *run) bool { return r.level == level })
		for _, r := range same {
			a.drop(r)
		}
		a.runs = append(a.runs, joined)
	}
}

// drop lets go of a run that is asked no more.
func (a *Archive) drop(r *run) {
	if r.file != nil {
		_ = r.file.Close() // it was only read. A state on disk may still name it
	}
}

// write makes a run of entries in order. Where no file can be written, it is held in memory: nothing is forgotten.
func (a *Archive) write(level uint8, next func() (entry, bool)) *run {
	r := &run{level: level}
	if a.dir != "" {
		if f, name, err := a.create(); err != nil {
			a.lost = err
		} else {
			r.file, r.name = f, name
		}
	}
	var page []byte
	flush := func() {
		if len(page) == 0 {
			return
		}
		page = append(page, make([]byte, pageSize-4-len(page))...)
		page = binary.LittleEndian.AppendUint32(page, crc32.Checksum(page, castagnoli))
		if r.file != nil {
			if _, err := r.file.Write(page); err != nil {
				a.lost = err
				r.toMemory()
			}
		}
		if r.file == nil {
			r.memory = append(r.memory, page...)
		}
		page = page[:0]
	}
	for {
		x, ok := next()
		if !ok {
			break
		}
		if len(page) == 0 {
			r.first = append(r.first, binary.BigEndian.Uint64(x[:8]))
		}
		page = append(page, x[:]...)
		if r.entries++; len(page) == perPage*entrySize {
			flush()
		}
	}
	flush()
	if r.file != nil {
		if err := r.file.Sync(); err != nil {
			a.lost = err
			r.toMemory()
		}
	}
	if r.file != nil {
		r.reopen(a)
	}
	if r.file == nil {
		r.name = ""
	}
	return r
}

// reopen makes a file that is whole one that nothing writes to.
func (r *run) reopen(a *Archive) {
	f, err := os.Open(filepath.Join(filepath.Dir(a.dir), r.name))
	if err != nil {
		a.lost = err
		return
	}
	_ = r.file.Close()
	r.file = f
}

// create makes a file under a name that no other has: a state on disk, of another configuration perhaps, may name those that are there.
func (a *Archive) create() (f *os.File, name string, err error) {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return nil, "", err
	}
	for {
		a.serial++
		name = fmt.Sprintf("%s/%012d%s", filepath.Base(a.dir), a.serial, runSuffix)
		f, err = os.OpenFile(filepath.Join(filepath.Dir(a.dir), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, os.ErrExist) {
			break
		}
	}
	if err == nil {
		a.made = append(a.made, name)
	}
	return f, name, err
}

// toMemory takes what was written of a run back: its file has no space.
func (r *run) toMemory() {
	r.memory, _ = io.ReadAll(io.NewSectionReader(r.file, 0, 1<<62))
	r.memory = r.memory[:len(r.memory)/pageSize*pageSize]
	_ = r.file.Close()
	r.file = nil
}

// read reads a page into buf, and gives its entries.
func (r *run) read(page int, buf []byte) ([]byte, error) {
	if r.file != nil {
		if _, err := r.file.ReadAt(buf[:pageSize], int64(page)*pageSize); err != nil {
			return nil, fmt.Errorf("read issuances: %w", err)
		}
	} else {
		copy(buf, r.memory[page*pageSize:][:pageSize])
	}
	if crc32.Checksum(buf[:pageSize-4], castagnoli) != binary.LittleEndian.Uint32(buf[pageSize-4:]) {
		return nil, errors.New("read issuances: a page has another checksum")
	}
	n := min(int64(perPage), r.entries-int64(page)*perPage)
	return buf[:n*entrySize], nil
}

// Agrees reports whether an issuance of the credential agrees on key and principal wherever both name them. What cannot be read may
// have been issued: nobody is accused for a bad disk.
func (a *Archive) Agrees(realm, credential, key, principal string) bool {
	x := entryOf(realm, credential, key, principal)
	return a.has(&x)
}

func (a *Archive) has(x *entry) bool {
	for i := len(a.runs) - 1; i >= 0; i-- {
		ok, err := a.find(a.runs[i], x)
		if err != nil {
			a.faults++
		}
		if ok || err != nil {
			return true
		}
	}
	return false
}

// settle finds out for many at once, which are in order: each page is read once at most.
func (a *Archive) settle(list []*Ask) {
	for i := len(a.runs) - 1; i >= 0; i-- {
		r, page, at := a.runs[i], 0, -1
		var entries []byte
		for _, x := range list {
			if x.Issued {
				continue
			}
			word := binary.BigEndian.Uint64(x.entry[:8])
			for page+1 < len(r.first) && r.first[page+1] < word {
				page++
			}
			for p := page; p < len(r.first) && r.first[p] <= word && !x.Issued; p++ {
				if p != at {
					var err error
					if entries, err = r.read(p, a.page[:]); err != nil {
						a.faults++
						return
					}
					at = p
				}
				x.Issued = among(entries, &x.entry)
			}
		}
	}
}

func (a *Archive) find(r *run, x *entry) (bool, error) {
	word := binary.BigEndian.Uint64(x[:8])
	// The page before the first one that begins with the word may end with it.
	page := max(0, sort.Search(len(r.first), func(i int) bool { return r.first[i] >= word })-1)
	for ; page < len(r.first) && r.first[page] <= word; page++ {
		entries, err := r.read(page, a.page[:])
		if err != nil {
			return false, err
		}
		if among(entries, x) {
			return true, nil
		}
	}
	return false, nil
}

// among reports whether one of a page's entries is of the credential and agrees.
func among(entries []byte, x *entry) bool {
	n := len(entries) / entrySize
	at := sort.Search(n, func(i int) bool { return bytes.Compare(entries[i*entrySize:][:hashSize], x[:hashSize]) >= 0 })
	for ; at < n && bytes.Equal(entries[at*entrySize:][:hashSize], x[:hashSize]); at++ {
		if x.agreesWith(entries[at*entrySize:]) {
			return true
		}
	}
	return false
}

// mergedRuns gives the entries of several runs in order, each once.
type mergedRuns struct {
	heads []*runReader
	last  entry
	any   bool
	err   error
}

type runReader struct {
	r    *run
	page int
	left []byte
	buf  [pageSize]byte
}

func (m *mergedRuns) open(r *run) {
	if x := (&runReader{r: r}); x.more(m) {
		heap.Push(m, x)
	}
}

// more makes the next entry the first of left.
func (x *runReader) more(m *mergedRuns) bool {
	if len(x.left) == 0 {
		if x.page == len(x.r.first) || m.err != nil {
			return false
		}
		x.left, m.err = x.r.read(x.page, x.buf[:])
		x.page++
	}
	return m.err == nil
}

func (m *mergedRuns) next() (entry, bool) {
	for len(m.heads) > 0 && m.err == nil {
		x := m.heads[0]
		e := entry(x.left)
		if x.left = x.left[entrySize:]; x.more(m) {
			heap.Fix(m, 0)
		} else {
			heap.Pop(m)
		}
		if !m.any || e != m.last {
			m.any, m.last = true, e
			return e, true
		}
	}
	return entry{}, false
}

func (m *mergedRuns) Len() int { return len(m.heads) }
func (m *mergedRuns) Less(i, j int) bool {
	return bytes.Compare(m.heads[i].left[:entrySize], m.heads[j].left[:entrySize]) < 0
}
func (m *mergedRuns) Swap(i, j int) { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }
func (m *mergedRuns) Push(x any)    { m.heads = append(m.heads, x.(*runReader)) }
func (m *mergedRuns) Pop() any {
	x := m.heads[len(m.heads)-1]
	m.heads = m.heads[:len(m.heads)-1]
	return x
}

// State walks over the runs: of those in files over their names, and the places of their pages.
func (a *Archive) State(c *snapshot.Codec) {
	snapshot.Uint(c, &a.serial)
	snapshot.Slice(c, &a.runs, maxRuns, func(r **run) {
		if c.Reading() {
			*r = new(run)
		}
		(*r).state(c, a.dir)
	})
}

func (r *run) state(c *snapshot.Codec, dir string) {
	snapshot.Int(c, &r.entries)
	snapshot.Uint(c, &r.level)
	c.String(&r.name)
	c.Hashes(&r.first, maxPages)
	if r.entries < 1 || r.entries > maxArchive || (r.entries+perPage-1)/perPage != int64(len(r.first)) {
		c.Fail("a run of issuances has another length")
		return
	}
	if r.name == "" {
		pages := len(r.first)
		for i := range pages {
			var page [pageSize]byte
			if !c.Reading() {
				copy(page[:], r.memory[i*pageSize:])
			}
			if c.Bytes(page[:]); c.Reading() {
				r.memory = append(r.memory, page[:]...)
			}
			if c.Err() != nil {
				return
			}
		}
		return
	}
	if !c.Reading() || c.Err() != nil {
		return
	}
	if !filepath.IsLocal(r.name) || filepath.Ext(r.name) != runSuffix || dir == "" {
		c.Fail("a run of issuances has no such name")
		return
	}
	f, err := os.Open(filepath.Join(filepath.Dir(dir), r.name))
	if err == nil {
		r.file = f
		var info os.FileInfo
		if info, err = f.Stat(); err == nil && info.Size() != int64(len(r.first))*pageSize {
			err = errors.New("it has another length")
		}
	}
	if err != nil {
		c.Fail("the issuances in %s cannot be read: %v", r.name, err)
	}
}

// Keep has the archive lie in files of a directory of its own, instead of in memory. It is called before anything is added, or the state read.
func (a *Archive) Keep(dir string) { a.dir = dir }

// Saved is told when a state that names the runs is on disk, or when there is none: files that no state needs any more go.
func (a *Archive) Saved() error {
	if a.dir == "" {
		return nil
	}
	a.made = nil
	list, err := os.ReadDir(a.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the issuances: %w", err)
	}
	for _, file := range list {
		name := filepath.Base(a.dir) + "/" + file.Name()
		if filepath.Ext(name) == runSuffix && !slices.ContainsFunc(a.runs, func(r *run) bool { return r.name == name }) {
			err = errors.Join(err, os.Remove(filepath.Join(a.dir, file.Name())))
		}
	}
	return err
}

// Close lets go of the files, and removes those that no state on disk names. The archive is empty then.
func (a *Archive) Close() error {
	var err error
	for _, name := range a.made {
		if e := os.Remove(filepath.Join(filepath.Dir(a.dir), name)); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	for _, r := range a.runs {
		if r.file != nil {
			err = errors.Join(err, r.file.Close())
		}
	}
	a.runs, a.made = nil, nil
	return err
}

// Take takes over another archive's runs.
func (a *Archive) Take(o *Archive) {
	a.runs = append(a.runs, o.runs...)
	a.made = append(a.made, o.made...)
	a.serial = max(a.serial, o.serial)
	a.faults += o.faults
	o.runs, o.made = nil, nil
	a.merge()
}

// Faults is how many reads failed.
func (a *Archive) Faults() int64 { return a.faults }

// Size is what the archive holds in memory and in files.
func (a *Archive) Size() (memory, files int64) {
	for _, r := range a.runs {
		memory += int64(8*len(r.first) + len(r.memory))
		if r.file != nil {
			files += int64(len(r.first)) * pageSize
		}
	}
	return memory, files
}
