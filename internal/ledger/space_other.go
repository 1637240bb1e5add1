//go:build !linux && !darwin && !freebsd

package ledger

import (
	"errors"
	"fmt"
)

// Space says that it cannot tell on this system.
func Space(dir string) (free, size int64, err error) {
	return 0, 0, fmt.Errorf("ask for free space of %s: %w", dir, errors.ErrUnsupported)
}
