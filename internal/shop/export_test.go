package shop

// What the package's tests look at from outside.
var (
	DoorMasked = doorMasked
	Hide       = hide
)
