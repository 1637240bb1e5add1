package near

import (
	"os"
	"syscall"
	"unsafe"
)

const madvHugepage = 14 // MADV_HUGEPAGE, madvise(2)

// large asks for large pages. Whatever the system answers: without them the memory is the same.
func large(b []byte) {
	page := uintptr(os.Getpagesize())
	skip := -uintptr(unsafe.Pointer(&b[0])) & (page - 1)
	if uintptr(len(b)) < skip+page {
		return
	}
	_ = syscall.Madvise(b[skip:skip+(uintptr(len(b))-skip)&^(page-1)], madvHugepage)
}
