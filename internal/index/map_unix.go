//go:build unix

package index

import (
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapFile maps a file for reading.
func mapFile(name string) (b []byte, info fs.FileInfo, unmap func() error, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, nil, err
	}
	if info.Size() == 0 || info.Size() > maxFile {
		return nil, nil, nil, errDamaged
	}
	if b, err = unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, nil, nil, err
	}
	// What is going to be read is asked for, see want: without that the system would read much around each page that is touched.
	_ = unix.Madvise(b, unix.MADV_RANDOM)
	want(b, max(0, len(b)-tailAhead), len(b))
	return b, info, func() error { return unix.Munmap(b) }, nil
}

// holds reports whether an address is one of the mapped file, its last page whole.
func (m *mapping) holds(addr uintptr) bool {
	page := uintptr(os.Getpagesize() - 1)
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(m.b)))
	return addr >= begin && addr < (begin+uintptr(len(m.b))+page)&^page
}

// tailAhead is how much of a file's end is read at once: its footer lies there.
const tailAhead = 1 << 15

// want has the system begin to read bytes of a mapped file, all at once instead of a few pages at a time when they are touched.
func want(b []byte, lo, hi int) {
	lo &^= os.Getpagesize() - 1
	_ = unix.Madvise(b[lo:hi], unix.MADV_WILLNEED) // advice: without it the answer is the same
}

// wait waits until bytes of a mapped file are there, which costs less than waiting for each page.
func wait(b []byte, lo, hi int) {
	lo &^= os.Getpagesize() - 1
	populate(b[lo:hi])
}

// all has the system read a mapped file that is going to be read from end to end.
func all(b []byte) { _ = unix.Madvise(b, unix.MADV_SEQUENTIAL) }
