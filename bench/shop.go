package main

import (
	"math"
	"math/bits"
	"net/netip"
)

// The shop. Times are milliseconds.
const (
	days    = 153
	dayMS   = 86_400_000
	startMS = 1_776_124_800_000 // 2026-04-14T00:00:00Z
	endMS   = startMS + days*dayMS

	attackAddrs = 2313
	workers     = 64 // of the attack, each with a range of member numbers
	desks       = 2000
	couriers    = 20_000
	partners    = 50
	agents      = 1500
	natAddrs    = 4096
	desksBehind = 40 // addresses of the call centre
	perSession  = 20 // accesses of a customer that one token serves
	keptDays    = 10 // days in which the stolen key still signs honest tokens
	staffDays   = 30 // that a token of the house's own lasts
	home        = "KR"
)

// Numbers of the keys: the stolen one, those of customers, that of the house's own.
const (
	keyStolen = iota
	keyFirst
	keySecond
	keyThird
	keyStaff
	keyCount
)

var keyNames = [keyCount]string{"login-2024-b", "login-2026-a", "login-2026-b", "login-2026-c", "desk-2026"}

var countries = [...]string{home, "US", "JP", "CN", "VN", "DE", "SG", "RU"}

// fieldNames are in the order of their bits, which is that of the alphabet.
var fieldNames = [...]string{
	"address", "birth_date", "contents", "door_code", "email", "location", "name", "order_history", "payment", "phone",
}

const (
	fAddress = 1 << iota
	fBirth
	fContents
	fDoor
	fEmail
	fLocation
	fName
	fOrders
	fPayment
	fPhone
)

type route struct {
	name   string
	fields uint16
}

var routes = [...]route{
	{"GET /me/addresses", fAddress | fName | fPhone},
	{"GET /me", fEmail | fName | fBirth},
	{"GET /me/orders", fOrders},
	{"GET /me/addresses/{id}/edit", fAddress | fDoor | fName | fPhone},
	{"GET /products/{id}", 0},
	{"GET /search", 0},
	{"GET /cart", 0},
	{"GET /me/payment", fPayment},
	{"GET /deliveries/{id}", fAddress | fName | fPhone | fLocation | fContents},
	{"GET /desk/customers/{id}", fAddress | fEmail | fName | fPhone},
}

// Kinds of principals, and what they are called.
const (
	kindCustomer = iota
	kindDesk
	kindCourier
	kindPartner
)

var kindNames = [...]string{"customer:", "staff:desk-", "staff:courier-", "partner:"}

// access is one access with numbers for everything.
type access struct {
	ts        int64
	token     uint64
	principal uint64 // kind<<32 | number
	customer  uint32
	ip        uint32
	agent     uint16
	asn       uint16
	status    uint16
	fields    uint16 // what was shown
	route     uint8
	key       uint8
	country   uint8
	issued    bool
}

// shop is n accesses in 153 days.
type shop struct {
	n        int64
	members  uint64   // member numbers, a sixth of which nobody has
	sessions []uint8  // tokens that a customer is given over the time
	attack   []uint32 // addresses
	steps    int64    // accesses of a worker
	stolen   share    // of accesses, the attack's
	nobody   share    // of member numbers, those that nobody has
}

// share is so many of so many.
type share struct{ some, of int64 }

func newShop(n int64) *shop { return makeShop(n, max(uint64(n)/25, 4096), share{2, 11}, share{1, 6}) }

func makeShop(n int64, members uint64, stolen, nobody share) *shop {
	s := &shop{n: n, members: members, stolen: stolen, nobody: nobody}
	s.sessions = make([]uint8, s.members)
	own := float64(n) * float64(stolen.of-stolen.some) / float64(stolen.of) * 0.88 / math.Cbrt(float64(s.members))
	for c := range s.sessions {
		expected := own * (math.Cbrt(float64(c+1)) - math.Cbrt(float64(c)))
		s.sessions[c] = uint8(min(max(expected/perSession+0.5, 1), days))
	}
	for i := range uint64(attackAddrs) {
		s.attack = append(s.attack, address(1<<40|i))
	}
	s.steps = max((stolen.some*(n/stolen.of)+workers-1)/workers, 1)
	return s
}

// mix is a number that looks random.
func mix(n uint64) uint64 {
	n ^= n >> 31
	n *= 0x7fb5d329728ea185
	n ^= n >> 27
	n *= 0x81dadef4bc2dd44d
	return n ^ n>>33
}

func mix2(a, b uint64) uint64 { return mix(mix(a) ^ b*0x9e3779b97f4a7c15) }

// number gives the number of the attack's access i, spread evenly; false if it is none of the attack's.
func (p share) number(i int64) (int64, bool) {
	before := i / p.of * p.some
	r := i % p.of
	n := before + r*p.some/p.of
	return n, before+(r+1)*p.some/p.of > n
}

// below scales a random number to one below n.
func below(random, n uint64) uint64 {
	hi, _ := bits.Mul64(random, n)
	return hi
}

// address is the address of what has the number who; no private or special ranges.
func address(who uint64) uint32 {
	h := mix(who ^ 0xadd)
	return uint32(20+below(h, 150))<<24 | uint32(h)&0xffffff
}

func (s *shop) exists(customer uint32) bool {
	return int64(mix2(0xe, uint64(customer))%uint64(s.nobody.of)) >= s.nobody.some
}

// time is when access i happens.
func (s *shop) time(i int64) int64 {
	hi, lo := bits.Mul64(uint64(i), days*dayMS)
	q, _ := bits.Div64(hi, lo, uint64(s.n))
	return startMS + int64(q)
}

// at gives access i, 0 to n-1.
func (s *shop) at(i int64, a *access) {
	*a = access{ts: s.time(i), status: 200}
	if number, ok := s.stolen.number(i); ok {
		s.harvest(i, number, a)
	} else {
		s.honest(i, a)
	}
	h := mix2(0xa5, uint64(a.ip>>12))
	a.asn = uint16(4000 + h%1200)
}

// harvest is access i if it is the attack's: each worker takes the member numbers of its range in
// order, and asks each a few times.
func (s *shop) harvest(i, number int64, a *access) {
	h := mix2(0xa77ac, uint64(i))
	width := int64(s.members) / workers
	a.customer = uint32(number%workers*width + number/workers*width/s.steps)
	a.principal = uint64(a.customer)
	a.token = mix2(0x70ce, uint64(i))
	a.key = keyStolen
	a.ip = s.attack[below(h, attackAddrs)]
	if mix2(0xc0, uint64(a.ip))%10 < 6 {
		a.country = uint8(1 + mix2(0xc1, uint64(a.ip))%uint64(len(countries)-1))
	}
	h = mix(h)
	a.agent = 7
	if h%100 >= 68 {
		a.agent = uint16(8 + h>>32%3)
	}
	switch step := h >> 8 % 20; {
	case step < 14:
		a.route = 0
	case step < 17:
		a.route = 2
	default:
		a.route = 3
	}
	if !s.exists(a.customer) {
		a.status = 404
		return
	}
	a.fields = routes[a.route].fields
}

func (s *shop) honest(i int64, a *access) {
	h := mix2(0x40e57, uint64(i))
	x := float64(h>>11) / (1 << 53)
	a.customer = uint32(x * x * x * float64(s.members))
	for !s.exists(a.customer) {
		a.customer = uint32((uint64(a.customer) + 1) % s.members)
	}
	h = mix(h)
	day := (a.ts - startMS) / dayMS
	who := uint64(0)
	switch part := h % 1000; {
	case part < 880:
		s.own(a, day)
		who = uint64(a.customer)
		a.route = uint8(h >> 16 % 8)
	case part < 940:
		who = staff(a, kindDesk, below(mix(h), desks), day)
		a.route = 9
	case part < 995:
		who = staff(a, kindCourier, below(mix(h), couriers), day)
		a.route = 8
	default:
		who = staff(a, kindPartner, below(mix(h), partners), day)
		a.route = 2
	}
	a.issued = true
	a.agent = uint16(mix2(0xa6, who) % agents)
	switch {
	case a.principal>>32 == kindDesk:
		a.ip = address(2<<40 | who%desksBehind)
	case a.principal>>32 != kindPartner && h>>24%8 < 3:
		a.ip = address(3<<40 | below(mix(h^1), natAddrs))
	default:
		a.ip = address(4<<40 | who)
	}
	if mix2(0xc2, uint64(a.ip))%100 == 0 {
		a.country = uint8(1 + mix2(0xc1, uint64(a.ip))%uint64(len(countries)-1))
	}
	switch {
	case h>>40%200 == 0:
		a.status = 404
	case h>>40%200 == 1:
		a.status = 403
	default:
		a.fields = routes[a.route].fields
	}
}

// own makes the access one of the customer's own.
func (s *shop) own(a *access, day int64) {
	a.principal = uint64(a.customer)
	if day < keptDays && keepsOld(a.customer) {
		a.key, a.token = keyStolen, oldToken(a.customer)
		return
	}
	a.key = customerKey(a.customer)
	a.token = sessionToken(a.customer, day*int64(s.sessions[a.customer])/days)
}

// staff makes the access one of the house's own people, and gives a number that nobody else has.
func staff(a *access, kind, number uint64, day int64) uint64 {
	a.principal = kind<<32 | number
	a.key, a.token = keyStaff, staffToken(a.principal, day/staffDays)
	return a.principal
}

// keepsOld is whether a customer has a token of the stolen key from before.
func keepsOld(customer uint32) bool { return customer%16 == 3 }

func customerKey(customer uint32) uint8 { return uint8(keyFirst + mix2(0x4e, uint64(customer))%3) }

func oldToken(customer uint32) uint64 { return mix2(0x01d, uint64(customer)) }

func sessionToken(customer uint32, session int64) uint64 {
	return mix2(0x5e5510, uint64(customer)<<8|uint64(session))
}

func staffToken(principal uint64, month int64) uint64 {
	return mix2(0x57aff, principal<<8|uint64(month))
}

// issuance is a token that was given out.
type issuance struct {
	ts        int64
	token     uint64
	principal uint64
	key       uint8
}

// issuances calls fn with the tokens that are given out on a day.
func (s *shop) issuances(day int64, fn func(issuance)) {
	at := func(token uint64) int64 { return startMS + day*dayMS + int64(below(mix(token), 3_600_000)) }
	for c, n := range s.sessions {
		customer := uint32(c)
		if !s.exists(customer) {
			continue
		}
		sessions := int64(n)
		session := day * sessions / days
		if day == 0 || session != (day-1)*sessions/days {
			token := sessionToken(customer, session)
			fn(issuance{at(token), token, uint64(customer), customerKey(customer)})
		}
		if day == 0 && keepsOld(customer) {
			token := oldToken(customer)
			fn(issuance{at(token), token, uint64(customer), keyStolen})
		}
	}
	if day%staffDays != 0 {
		return
	}
	for kind, count := range []uint64{kindDesk: desks, kindCourier: couriers, kindPartner: partners} {
		for number := range count {
			principal := uint64(kind)<<32 | number
			token := staffToken(principal, day/staffDays)
			fn(issuance{at(token), token, principal, keyStaff})
		}
	}
}

func addr(ip uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
}
