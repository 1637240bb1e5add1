package near

import "unsafe"

// Large gives memory for n values that are going to be written to from end to end, all zero, which the collector takes back. Where the system has pages of 2 MB for whoever asks, the
// memory lies in them once it is written to: it comes in a few large pieces, not in thousands of small ones, each of which costs a trap. T must have no pointers.
func Large[T any](n int) []T {
	out := make([]T, n)
	if n > 0 {
		large(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(out))), uintptr(n)*unsafe.Sizeof(out[0])))
	}
	return out
}
