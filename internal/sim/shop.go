package sim

import (
	"slices"

	"github.com/whosaw/whosaw/internal/draw"
)

// shop is what does not change from day to day.
type shop struct {
	cfg    Config
	params *params
	begin  int64 // midnight of the first warm-up day
	days   int   // with those of the warm-up

	numbers []uint32 // of customer 0, 1, 2, …: increasing
	gone    []uint32 // withdrawn or merged before the log begins
	holds   []uint64 // bit n: number n belongs to a customer, now or later
	joiners int      // the last so many customers join during the run

	calendar calendar
	useTable []uint8 // classes of use, a thousand
	dormant  uint8   // the class of those who do not come
	hours    []uint8
	steps    []uint8
	books    []uint8
	nats     []uint8 // which carrier's address, unevenly
}

func newShop(cfg Config, p *params) *shop {
	s := &shop{cfg: cfg, params: p, begin: cfg.Start - int64(p.WarmUpDays)*dayMillis, days: p.WarmUpDays + cfg.Days}
	s.tables()
	s.handOut()
	s.calendar = s.plan()
	return s
}

func (s *shop) tables() {
	p := s.params
	var shares []int
	for i, u := range p.Use {
		shares = append(shares, u.Share)
		if u.VisitsPermille == 0 {
			s.dormant = uint8(i)
		}
	}
	s.useTable = picker(shares)
	s.hours = picker(p.Hours[:])
	s.books = picker(p.Numbers.BookWeights)
	steps := p.Steps
	s.steps = picker([]int{
		pageHome: steps.Home, pageSearch: steps.Search, pageProduct: steps.Product, pageCart: steps.Cart, pageMe: steps.Me, pageAddresses: steps.Addresses,
		pageOrders: steps.Orders, pageOrder: steps.Order, pageEdit: steps.Edit, pagePayment: steps.Payment, pageBuy: steps.Buy,
	})
	// The first address of the carriers has a third of their customers, the next half of the rest, and so on down.
	n := max(p.Networks.LeastNATs, s.cfg.Customers/p.Networks.CustomersPerNAT)
	weights := make([]int, min(n, 112))
	for i := range weights {
		weights[i] = 1 + 24/(2*i+1)
	}
	s.nats = picker(weights)
}

// handOut gives numbers to the customers and to those who left, block by block.
func (s *shop) handOut() {
	p := &s.params.Numbers
	order := make([]uint32, p.Block)
	for block := 0; len(s.numbers) < s.cfg.Customers; block++ {
		d := s.draw(forNumbers, block, 0)
		for i := range order {
			order[i] = uint32(block*p.Block + i + 1)
		}
		for i := p.Block - 1; i > 0; i-- {
			j := d.Below(i + 1)
			order[i], order[j] = order[j], order[i]
		}
		owned := order[:min(p.Customers, s.cfg.Customers-len(s.numbers))]
		slices.Sort(owned)
		s.numbers = append(s.numbers, owned...)
		left := order[p.Customers : p.Customers+p.Withdrawn]
		slices.Sort(left)
		s.gone = append(s.gone, left...)
	}
	s.holds = make([]uint64, s.lastNumber()/64+1)
	for _, n := range s.numbers {
		s.holds[n/64] |= 1 << (n % 64)
	}
	s.joiners = s.cfg.Customers * p.JoinPermille / 1000
}

func (s *shop) draw(what purpose, who, day int) draw.Draw {
	return draw.New(s.cfg.Seed, uint64(what), who, day)
}

// lastNumber is the highest number of a customer.
func (s *shop) lastNumber() int { return int(s.numbers[len(s.numbers)-1]) }

// index gives the customer with a number, if the number belongs to one at a time.
func (s *shop) index(number uint32, t int64) (int, bool) {
	if w := number / 64; int(w) >= len(s.holds) || s.holds[w]>>(number%64)&1 == 0 {
		return 0, false
	}
	i, _ := slices.BinarySearch(s.numbers, number)
	return i, s.here(i, t)
}

// here reports whether a customer has joined and not withdrawn at a time.
func (s *shop) here(i int, t int64) bool {
	return t >= s.joins(i) && t < s.leaves(i)
}

// joins is when a customer's account was made: before the log, or, for the last in order, during it.
func (s *shop) joins(i int) int64 {
	first := s.cfg.Customers - s.joiners
	if i < first {
		return 0
	}
	return s.begin + hour + int64(s.days)*dayMillis/int64(s.joiners+1)*int64(i-first+1) - hour/2
}

// leaves is when a customer's account is closed.
func (s *shop) leaves(i int) int64 {
	t := s.traits(i)
	if t.special != leaver {
		return 1 << 62
	}
	d := s.draw(forMember, i, 1)
	return s.begin + int64(1+d.Below(s.days))*dayMillis + s.moment(&d)
}

// special marks the few customers who are not like the others.
type special uint8

const (
	ordinary special = iota
	canary           // planted: nobody has a reason to open it
	tester           // an account of quality assurance
	leaver           // withdraws during the run
)

// traits is what is asked of every customer every day, from one draw.
type traits struct {
	class   uint8 // of use
	special special
}

func (s *shop) traits(i int) traits {
	d := s.draw(forUse, i, 0)
	t := traits{class: s.useTable[d.Below(len(s.useTable))]}
	p := &s.params.Numbers
	h := d.Next()
	switch {
	case i%p.CanaryOneIn == p.CanaryOneIn/2:
		t.special, t.class = canary, s.dormant
	case i%p.CanaryOneIn == p.CanaryOneIn/4 && i/p.CanaryOneIn < s.params.QA.Accounts, i < 2:
		t.special, t.class = tester, s.dormant
	case i < s.cfg.Customers-s.joiners && h%1000 < uint64(p.LeavePermille):
		t.special = leaver
	}
	return t
}

// member is what a customer is like, the same every day.
type member struct {
	index   int
	number  uint32
	traits  traits
	app     bool
	devices [2]agent
	others  uint16 // entries of other people in the address book
	vpn     bool
	v6      bool
	shared  bool // the home has two customers
	home    int
	host    uint64
	refresh int // the day, modulo the life of a token, on which the app's credential is renewed
	upgrade int // days from an app's release until this device has it
}

func (s *shop) member(i int) member {
	p := s.params
	d := s.draw(forMember, i, 0)
	m := member{index: i, traits: s.traits(i), home: i}
	if i < len(s.numbers) {
		m.number = s.numbers[i]
	}
	m.app = d.Permille(p.Devices.AppPermille)
	for k := range m.devices {
		if m.app {
			m.devices[k] = agent(appAgents[d.Below(len(appAgents))])
		} else {
			m.devices[k] = agent(webAgents[d.Below(len(webAgents))])
		}
	}
	if !d.Permille(p.Devices.SecondPermille) {
		m.devices[1] = m.devices[0]
	}
	m.others = uint16(s.books[d.Below(len(s.books))])
	m.vpn = d.Permille(p.Networks.VPNPermille)
	m.refresh = d.Below(p.Devices.TokenDays)
	m.upgrade = d.Below(p.Devices.UpgradeDays)
	m.host = d.Next()
	// Two customers in a row may be of one household.
	if pair := s.draw(forMember, i/2, 2); pair.Permille(p.Networks.HouseholdPermille) {
		m.home, m.shared = i&^1, true
	}
	home := s.draw(forMember, m.home, 3)
	m.v6 = home.Permille(p.Networks.IPv6Permille)
	return m
}

// where is the customer during one visit: at home, on the road, at somebody else's, or behind a company abroad.
func (s *shop) where(m *member, d *draw.Draw) (place, what) {
	n := &s.params.Networks
	switch {
	case m.vpn:
		return host(m.index % 4096), whatVPN
	case m.app && d.Permille(n.CarrierPermille):
		return s.carrier(int(s.nats[d.Below(len(s.nats))])), whatNAT
	case d.Permille(n.OtherPermille):
		return home4(d.Below(s.cfg.Customers)), whatElsewhere
	case m.v6:
		return home6(m.home, m.host), whatIPv6
	case m.shared:
		return home4(m.home), whatHousehold
	}
	return home4(m.home), plain
}

// agentOn is a customer's device on a day: an app has its release some days after it came out.
func (s *shop) agentOn(m *member, device, day int) (agent, bool) {
	a := m.devices[device&1]
	since := day - s.calendar.releaseDay - m.upgrade
	if !m.app || since < 0 {
		return a, false
	}
	if a == agentAppIOS {
		return agentNewIOS, since < 2
	}
	return agentNewAndroid, since < 2
}

// moment is a time of day after the shop's rhythm, counted from midnight UTC; the shop's clocks show nine hours more.
func (s *shop) moment(d *draw.Draw) int64 {
	return atHour(int(s.hours[d.Below(len(s.hours))])) + int64(d.Below(int(hour)))
}

// atHour is an hour of the shop's clocks, counted from midnight UTC.
func atHour(local int) int64 { return int64(local+24-9) % 24 * hour }

// weekday is 0 on Mondays.
func (s *shop) weekday(day int) int { return int((s.begin/dayMillis + int64(day) + 3) % 7) }

// anybody picks a customer who is there and no canary or test account.
func (s *shop) anybody(d *draw.Draw, t int64) int {
	for {
		i := d.Below(len(s.numbers))
		if k := s.traits(i).special; s.cfg.Customers < 8 || k != canary && k != tester && s.here(i, t) {
			return i
		}
	}
}
