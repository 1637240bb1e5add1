//go:build amd64 || arm64

package near

// fetch asks for the lines of n addresses.
//
//go:noescape
func fetch(at *uintptr, n int)
