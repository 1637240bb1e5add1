package market

import "github.com/whosaw/whosaw/internal/draw"

// purpose keeps the draws for one thing apart from those for another.
type purpose uint64

const (
	forNumbers purpose = 1 + iota
	forCustomer
	forDay
	forToken
	forAgent
	forCourier
	forGuest
	forCrawler
	forJob
	forStale
	forStorm
	forDelay
	forAttack
	forSize
)

// newDraw begins the numbers for one purpose, one actor and one day.
func newDraw(seed uint64, what purpose, who int, day int) draw.Draw {
	return draw.New(seed, uint64(what), who, day)
}
