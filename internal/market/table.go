package market

import "net/netip"

// fieldSet is a set of kinds of personal data, a bit each. The order is that of the names, bytewise.
type fieldSet uint8

const (
	address fieldSet = 1 << iota
	doorCode
	email
	name
	orderHistory
	payment
	phone
)

var fieldNames = [...]string{"address", "door_code", "email", "name", "order_history", "payment", "phone"}

// elsewhere is a field of another store, which no page shows.
const elsewhere = "credential"

// page is a page of the shop, of its help desk, its couriers or its jobs.
type page uint8

const (
	pageHome page = iota
	pageSearch
	pageProduct
	pageCart
	pageLogin
	pageMe
	pageAddresses
	pageEdit
	pageOrders
	pagePayment
	pageOrder
	pageDeskCustomer
	pageDeskOrders
	pageManifest
	pageStop
	pageInvoice
	pageRobots
	pageHealth
)

// pages says what each shows when it answers 200. A "*" in a path is where a number stands.
var pages = [...]struct {
	route, path    string
	fields, masked fieldSet
	size           int // of an answer in bytes, about
}{
	pageHome:         {"GET /", "/", 0, 0, 31800},
	pageSearch:       {"GET /search", "/search?q=*", 0, 0, 24100},
	pageProduct:      {"GET /products/{id}", "/products/*", 0, 0, 18400},
	pageCart:         {"GET /cart", "/cart", 0, 0, 6200},
	pageLogin:        {"POST /login", "/login", 0, 0, 640},
	pageMe:           {"GET /me", "/me", email | name, 0, 910},
	pageAddresses:    {"GET /me/addresses", "/me/addresses", address | name | phone, doorCode, 2300},
	pageEdit:         {"GET /me/addresses/{id}/edit", "/me/addresses/*/edit", address | doorCode | name | phone, 0, 1450},
	pageOrders:       {"GET /me/orders", "/me/orders", orderHistory, 0, 5200},
	pagePayment:      {"GET /me/payment", "/me/payment", 0, payment, 780},
	pageOrder:        {"POST /orders", "/orders", 0, 0, 410},
	pageDeskCustomer: {"GET /desk/customers/{id}", "/desk/customers/*", email | name | phone, address, 1900},
	pageDeskOrders:   {"GET /desk/customers/{id}/orders", "/desk/customers/*/orders", orderHistory, 0, 4700},
	pageManifest:     {"GET /delivery/manifests/{id}", "/delivery/manifests/*", address | name | phone, 0, 7300},
	pageStop:         {"GET /delivery/stops/{id}", "/delivery/stops/*", address | doorCode | name | phone, 0, 1100},
	pageInvoice:      {"GET /internal/invoices/{id}", "/internal/invoices/*", email | name | orderHistory, 0, 2600},
	pageRobots:       {"GET /robots.txt", "/robots.txt", 0, 0, 120},
	pageHealth:       {"GET /healthz", "/healthz", 0, 0, 2},
}

// The keys, clients and agents. No agent or client is the attacker's alone.
const (
	keyLogin  = "login-2026-a"
	keyStaff  = "staff-2026-a"
	keyJobs   = "jobs-2026-a"
	keyBackup = "backup-2024"

	clientWeb     = "web"
	clientApp     = "app"
	clientDesk    = "help-desk"
	clientCourier = "courier-app"
	clientJobs    = "jobs"
)

var webAgents = [...]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.3 Safari/605.1.15",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.3 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36 Edg/145.0.0.0",
	"Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0",
}

var webAgentWeights = []int{38, 9, 24, 17, 9, 3}

var appAgents = [...]string{
	"HaneulMarket/8.4.1 (Android 16)",
	"HaneulMarket/8.4.1 (iOS 26.3)",
	"HaneulMarket/8.3.0 (Android 15)",
}

var appAgentWeights = []int{47, 38, 15}

const (
	agentCourier = "HaneulCourier/3.1.0 (Android 16)"
	agentJobs    = "haneul-billing/2.0"
	agentProbe   = "haneul-probe/1.2"
)

var crawlerAgents = [...]string{
	"Mozilla/5.0 (compatible; GoraniBot/2.1; +https://gorani.example/bot)",
	"Mozilla/5.0 (compatible; PriceOwl/1.4; +https://priceowl.example/about)",
}

// origin is where an access comes from.
type origin struct {
	ip      netip.Addr
	country string
	asn     int
}

// Networks, all reserved: homes in 198.18.0.0/15 and 2001:db8::/32, a mobile carrier that puts
// thousands behind a few addresses in 203.0.113.0/24, the office and two hosting companies.
const (
	asnHome    = 64496
	asnHome6   = 64497
	asnCarrier = 64498
	asnOffice  = 64499
	asnHostA   = 64500
	asnHostB   = 64501
)

func homeOrigin(customer int) origin {
	n := customer * 37 % (1 << 17)
	return origin{netip.AddrFrom4([4]byte{198, byte(18 + n>>16), byte(n >> 8), byte(n)}), "KR", asnHome}
}

func home6Origin(customer int, host uint64) origin {
	a := [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 4: byte(customer >> 24), 5: byte(customer >> 16), 6: byte(customer >> 8), 7: byte(customer)}
	for i := range 8 {
		a[8+i] = byte(host >> (56 - 8*i))
	}
	return origin{netip.AddrFrom16(a), "KR", asnHome6}
}

// carrierOrigin is one of six addresses that all of the carrier's customers share.
func carrierOrigin(n int) origin {
	return origin{netip.AddrFrom4([4]byte{203, 0, 113, byte(11 + n%6)}), "KR", asnCarrier}
}

// officeOrigin is the one address of the help desk.
func officeOrigin() origin {
	return origin{netip.AddrFrom4([4]byte{192, 0, 2, 10}), "KR", asnOffice}
}

// hostOrigin is an address at a hosting company abroad: a customer's VPN, a traveller, a thief.
func hostOrigin(n int) origin {
	if n%2 == 0 {
		return origin{netip.AddrFrom4([4]byte{192, 0, 2, byte(64 + n/2)}), "NL", asnHostA}
	}
	return origin{netip.AddrFrom4([4]byte{198, 51, 100, byte(64 + n/2)}), "SG", asnHostB}
}

// attackAddresses is how many addresses the thief uses: those of the case's address-list phase.
const attackAddresses = 16

func crawlerOrigin(n int) origin {
	return origin{netip.AddrFrom4([4]byte{198, 51, 100, byte(20 + n)}), "US", 64502}
}

// hourWeights is the day's rhythm by hour of local time (UTC+9): a quiet night, a peak after work.
var hourWeights = []int{18, 9, 5, 3, 2, 4, 10, 20, 30, 36, 40, 44, 52, 46, 40, 40, 44, 52, 60, 70, 82, 84, 66, 38}

// weekdayPermille is the week's rhythm, Monday first.
var weekdayPermille = [7]int{950, 930, 940, 980, 1050, 1200, 1150}

// habit is how often a customer comes. The tail is heavy: 8 % of customers make a third of the visits,
// and a quarter has not come for half a year.
type habit uint8

const (
	daily habit = iota
	often
	seldom
	dormant
)

var (
	habitWeights  = []int{8, 27, 40, 25}
	visitPermille = [...]int{daily: 620, often: 260, seldom: 90, dormant: 0}
)
