//go:build !linux

package near

func large([]byte) {}
