//go:build linux || darwin || freebsd

package ledger

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// Space says how many bytes more this process can write on the file system of a directory, and
// how many that has. Quotas are not seen.
func Space(dir string) (free, size int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("ask for free space of %s: %w%s", dir, err, cure(err))
	}
	return blocks(uint64(s.Bavail), uint64(s.Bsize)), blocks(s.Blocks, uint64(s.Bsize)), nil
}

// blocks gives bytes, at most what fits: a file system made up by a network may say anything, and
// where some blocks are kept for root, what is left for others may be below zero.
func blocks(n, size uint64) int64 {
	switch {
	case int64(n) < 0:
		return 0
	case size > 0 && n > math.MaxInt64/size:
		return math.MaxInt64
	}
	return int64(n * size)
}
