//go:build unix && !linux

package index

func populate([]byte) {}
