package notice

import "strings"

// What is done with a notice, as the title of its event in the book of incidents. It is kept as it stands here; pages have words of their own for each.
const (
	DeedMade     = "made"
	DeedApproved = "approved"
	DeedSample   = "sample sent"
	DeedWave     = "wave"
	DeedWaveOver = "wave over"
	DeedPaused   = "paused"
	DeedResumed  = "resumed"
	DeedStopped  = "stopped"
	DeedDone     = "done"
	DeedInDoubt  = "in doubt"
	DeedLeft     = "in doubt, and left so"
	DeedAgain    = "again" // with deedOf and the outcome of those who are tried again
	DeedExported = "exported"
	DeedBounces  = "bounces"
	DeedPurged   = "who was told was removed"
)

// deedOf stands between a deed and the outcome of those to whom it was done.
const deedOf = ": "

// Deeds are all that there are.
var Deeds = []string{
	DeedMade, DeedApproved, DeedSample, DeedWave, DeedWaveOver, DeedPaused, DeedResumed, DeedStopped, DeedDone, DeedInDoubt, DeedLeft, DeedAgain, DeedExported, DeedBounces, DeedPurged,
}

// ReadDeed reads the title of an event: what was done, and the outcome of those to whom it was done, if it was one.
func ReadDeed(title string) (deed, outcome string) {
	deed, outcome, _ = strings.Cut(title, deedOf)
	return deed, outcome
}
