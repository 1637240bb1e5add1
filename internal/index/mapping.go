package index

import (
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// mapping is a file that lies in memory. Somebody else may cut it short meanwhile, or the disk may fail: then a look at it is a fault of the
// processor, which ends the process unless it is looked at under Guarded; or, in the page where it ends now, zeros, which Intact tells.
type mapping struct {
	b     []byte
	name  string
	info  fs.FileInfo // when it was mapped
	unmap func() error
	lost  atomic.Bool // it is not what was mapped any more
}

// mappings are those that there are, for Guarded to know whose a fault is.
var mappings struct {
	mu  sync.Mutex
	all map[*mapping]struct{}
}

func openMapping(name string) (*mapping, error) {
	b, info, unmap, err := mapFile(name)
	if err != nil {
		return nil, err
	}
	m := &mapping{b: b, name: name, info: info, unmap: unmap}
	mappings.mu.Lock()
	defer mappings.mu.Unlock()
	if mappings.all == nil {
		mappings.all = map[*mapping]struct{}{}
	}
	mappings.all[m] = struct{}{}
	return m, nil
}

func (m *mapping) close() error {
	if m == nil {
		return nil
	}
	mappings.mu.Lock()
	delete(mappings.all, m)
	mappings.mu.Unlock()
	return m.unmap()
}

// gone reports whether the file is known not to be what was mapped.
func (m *mapping) gone() bool { return m != nil && m.lost.Load() }

// intact is an error if the file was cut or written to since it was mapped. To be called when it was read: nothing holds then.
func (m *mapping) intact() error {
	if m == nil {
		return nil
	}
	if m.lost.Load() || m.changed() {
		m.lost.Store(true)
		return &DamageError{m.name}
	}
	return nil
}

// changed reports whether the file has another length or was written to. One that was removed or replaced keeps what it had.
func (m *mapping) changed() bool {
	now, err := os.Stat(m.name)
	return err == nil && os.SameFile(now, m.info) && (now.Size() != m.info.Size() || !now.ModTime().Equal(m.info.ModTime()))
}

// replaced reports whether there may be something to be mapped anew.
func (m *mapping) replaced() bool {
	now, err := os.Stat(m.name)
	return err == nil && (!os.SameFile(now, m.info) || now.Size() != m.info.Size() || !now.ModTime().Equal(m.info.ModTime()))
}

// Guarded calls fn. Whoever reads what blocks and side tables give, in any goroutine, does so within it: if a file of theirs cannot be read any
// more, what fn did does not count, and the error is a [DamageError]. Locks that fn holds then must be given back by defer.
func Guarded(fn func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		x := recover()
		if x == nil {
			return
		}
		m := faulted(x)
		if m == nil {
			panic(x)
		}
		m.lost.Store(true)
		err = &DamageError{m.name}
	}()
	return fn()
}

// faulted gives the mapping that a panic is about, nil if it is about none.
func faulted(x any) *mapping {
	fault, ok := x.(interface{ Addr() uintptr }) // a [runtime.Error], see debug.SetPanicOnFault
	if !ok {
		return nil
	}
	mappings.mu.Lock()
	defer mappings.mu.Unlock()
	for m := range mappings.all {
		if m.holds(fault.Addr()) {
			return m
		}
	}
	return nil
}
