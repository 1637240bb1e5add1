//go:build unix

package index

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a file for reading.
func mapFile(name string) (b []byte, unmap func() error, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.Size() == 0 || info.Size() > maxFile {
		return nil, nil, errDamaged
	}
	if b, err = unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, nil, err
	}
	return b, func() error { return unix.Munmap(b) }, nil
}

// want has the system begin to read bytes of a mapped file, all at once instead of a few pages at a time when they are touched.
func want(b []byte, lo, hi int) {
	lo &^= os.Getpagesize() - 1
	_ = unix.Madvise(b[lo:hi], unix.MADV_WILLNEED) // advice: without it the answer is the same
}
