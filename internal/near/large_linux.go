package near

import (
	"os"
	"syscall"
	"unsafe"
)

const (
	madvHugepage = 14      // MADV_HUGEPAGE, madvise(2)
	leastLarge   = 1 << 20 // bytes for which the system is asked: each stretch that it is asked for costs it a mapping of its own
)

// large asks for large pages. Whatever the system answers: without them the memory is the same.
func large(b []byte) {
	if len(b) < leastLarge {
		return
	}
	page := uintptr(os.Getpagesize())
	skip := -uintptr(unsafe.Pointer(&b[0])) & (page - 1)
	_ = syscall.Madvise(b[skip:skip+(uintptr(len(b))-skip)&^(page-1)], madvHugepage)
}
