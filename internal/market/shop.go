package market

import (
	"slices"

	"github.com/whosaw/whosaw/internal/draw"
)

// The numbers of customers are handed out in order, to guests at the check-out too, and a number is never
// used twice: of each 30, 13 belong to a customer, 2 to one who left, 15 to nobody. So a thief who
// counts from 1 meets nobody in 57 of 100, as in the case.
const (
	blockNumbers   = 30
	blockCustomers = 13
	blockWithdrawn = 2
)

// shop is what does not change from day to day.
type shop struct {
	cfg       Config
	numbers   []uint32 // of customer 0, 1, 2, …: increasing
	withdrawn []uint32
	canaries  map[uint32]bool // asked, never walked through
	holds     []uint64        // bit n: number n belongs to a customer
}

func newShop(cfg Config) *shop {
	s := &shop{cfg: cfg, canaries: make(map[uint32]bool)}
	for block := 0; len(s.numbers) < cfg.Customers; block++ {
		d := newDraw(cfg.Seed, forNumbers, block, 0)
		var order [blockNumbers]uint32
		for i := range order {
			order[i] = uint32(block*blockNumbers + i + 1)
		}
		for i := blockNumbers - 1; i > 0; i-- {
			j := d.Below(i + 1)
			order[i], order[j] = order[j], order[i]
		}
		owned := order[:min(blockCustomers, cfg.Customers-len(s.numbers))]
		slices.Sort(owned)
		s.numbers = append(s.numbers, owned...)
		left := order[blockCustomers : blockCustomers+blockWithdrawn]
		slices.Sort(left)
		s.withdrawn = append(s.withdrawn, left...)
	}
	s.holds = make([]uint64, s.numbers[len(s.numbers)-1]/64+1)
	for c, n := range s.numbers {
		s.holds[n/64] |= 1 << (n % 64)
		// One customer in 400 is planted: an account that nobody has a reason to open.
		if d := newDraw(cfg.Seed, forCustomer, c, 1); c%400 == 199 || d.OneIn(4000) {
			s.canaries[n] = true
		}
	}
	return s
}

// exists reports whether the number belongs to a customer today.
func (s *shop) exists(number uint32) bool {
	i := number / 64
	return int(i) < len(s.holds) && s.holds[i]>>(number%64)&1 == 1
}

// index gives the customer who has a number that exists.
func (s *shop) index(number uint32) int {
	i, _ := slices.BinarySearch(s.numbers, number)
	return i
}

// lastNumber is the highest number of a customer.
func (s *shop) lastNumber() int { return int(s.numbers[len(s.numbers)-1]) }

// customer is what a customer is like, the same every day.
type customer struct {
	index  int
	number uint32
	habit  habit
	app    bool
	agent  string
	others int // entries of other people in the address book
	abroad bool
	host   uint64
	v6     bool
	// refresh is the day, modulo tokenDays, on which the app's credential is renewed.
	refresh int
}

// tokenDays is how long a credential of the app lives.
const tokenDays = 30

func (s *shop) customer(index int) customer {
	d := newDraw(s.cfg.Seed, forCustomer, index, 0)
	c := customer{index: index, number: s.numbers[index]}
	c.habit = habit(d.Pick(habitWeights))
	if s.canaries[c.number] {
		c.habit = dormant
	}
	c.app = d.Permille(560)
	if c.app {
		c.agent = appAgents[d.Pick(appAgentWeights)]
	} else {
		c.agent = webAgents[d.Pick(webAgentWeights)]
	}
	c.others = d.Pick([]int{46, 24, 14, 9, 5, 2})
	c.abroad = d.Permille(12)
	c.v6 = d.Permille(260)
	c.host = d.Next()
	c.refresh = d.Below(tokenDays)
	return c
}

// origin is where the customer is during one visit: at home, on the road, or abroad.
func (c *customer) origin(d *draw.Draw) origin {
	switch {
	case c.abroad:
		return hostOrigin(64 + c.index%32)
	case c.app && d.Permille(550):
		return carrierOrigin(d.Below(6))
	case c.v6:
		return home6Origin(c.index, c.host)
	default:
		return homeOrigin(c.index)
	}
}

// renewal gives the day (which may lie before the first) and the time within it at which the app's credential
// in use at time t was issued.
func (s *shop) renewal(c *customer, t int64) (day int, at int64) {
	today := int((t - s.cfg.Start) / dayMillis)
	day = today - (today-c.refresh+tokenDays<<20)%tokenDays
	for {
		d := newDraw(s.cfg.Seed, forToken, c.index, day)
		at = s.cfg.Start + int64(day)*dayMillis + int64(d.Between(1_000, 600_000))
		if at <= t {
			return day, at
		}
		day -= tokenDays
	}
}

// credential is the id of the credential an app was given on a day.
func (s *shop) credential(c *customer, day int) uint64 {
	d := newDraw(s.cfg.Seed, forToken, c.index, day)
	d.Next()
	return d.Next()
}
