package shop

import "golang.org/x/crypto/argon2"

// What the package's tests look at from outside.
var (
	DoorMasked = doorMasked
	Hide       = hide
	HashSlow   = hashSlow
	HashFast   = hashFast
	Matches    = matches
	Nobody     = nobody
)

// Cheap has new passwords kept at next to no cost, or at the real one.
func Cheap(yes bool) {
	if yes {
		chosen = cost{argon2.Version, 8, 1, 1}
	} else {
		chosen = cost{argon2.Version, 19 << 10, 2, 1}
	}
}
