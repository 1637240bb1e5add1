package sim

// fieldSet is a set of kinds of personal data, a bit each. The order is that of the names, bytewise.
type fieldSet uint8

const (
	address fieldSet = 1 << iota
	birthDate
	doorCode
	email
	name
	orderHistory
	payment
	phone
)

var fieldNames = [...]string{"address", "birth_date", "door_code", "email", "name", "order_history", "payment", "phone"}

// page is a page of the shop, of its help desk, its couriers, partners or jobs.
type page uint8

const (
	pageHome page = iota
	pageSearch
	pageProduct
	pageCart
	pageConfig
	pageLogin
	pageSignup
	pageMe
	pageAddresses
	pageEdit
	pageOrders
	pageOrder
	pagePayment
	pageBuy
	pageWishlist
	pageDeskCustomer
	pageDeskOrders
	pageManifest
	pageStop
	pagePartnerOrder
	pageMember
	pageExport
	pageInvoice
	pageRobots
	pageHealth
)

// pages says what each shows when it answers 200.
var pages = [...]struct {
	route          string
	fields, masked fieldSet
}{
	pageHome:         {"GET /", 0, 0},
	pageSearch:       {"GET /search", 0, 0},
	pageProduct:      {"GET /products/{id}", 0, 0},
	pageCart:         {"GET /cart", 0, 0},
	pageConfig:       {"GET /app/config", 0, 0},
	pageLogin:        {"POST /login", 0, 0},
	pageSignup:       {"POST /signup", 0, 0},
	pageMe:           {"GET /me", email | name, 0},
	pageAddresses:    {"GET /me/addresses", address | name | phone, doorCode},
	pageEdit:         {"GET /me/addresses/{id}/edit", address | doorCode | name | phone, 0},
	pageOrders:       {"GET /me/orders", orderHistory, 0},
	pageOrder:        {"GET /orders/{id}", address | name | orderHistory, phone},
	pagePayment:      {"GET /me/payment", 0, payment},
	pageBuy:          {"POST /orders", 0, 0},
	pageWishlist:     {"GET /wishlists/{id}", name, 0},
	pageDeskCustomer: {"GET /desk/customers/{id}", email | name | phone, address},
	pageDeskOrders:   {"GET /desk/customers/{id}/orders", orderHistory, 0},
	pageManifest:     {"GET /delivery/manifests/{id}", address | name | phone, 0},
	pageStop:         {"GET /delivery/stops/{id}", address | doorCode | name | phone, 0},
	pagePartnerOrder: {"GET /partner/orders/{id}", address | name | phone, 0},
	pageMember:       {"GET /internal/members/{id}", birthDate | email | name, 0},
	pageExport:       {"GET /internal/exports/{id}", email | name, 0},
	pageInvoice:      {"GET /internal/invoices/{id}", email | name | orderHistory, 0},
	pageRobots:       {"GET /robots.txt", 0, 0},
	pageHealth:       {"GET /healthz", 0, 0},
}

// key is a signing key, or none.
type key uint8

const (
	keyNone key = iota
	keyLogin
	keyLoginNext
	keyStaff
	keyJobs
	keyPartner
	keyBackup
)

var keyNames = [...]string{"", "login-2026-a", "login-2026-b", "staff-2026-a", "jobs-2026-a", "partner-2025", "backup-2024"}

// keyUses says what each key signs.
var keyUses = [...]string{"", "log-in", "log-in", "staff log-in", "jobs", "partner log-in", "backup log-in"}

// client is the program that a credential was given to, or none.
type client uint8

const (
	clientNone client = iota
	clientWeb
	clientApp
	clientDesk
	clientCourier
	clientPartner
	clientJobs
	clientLoyalty
)

var clientNames = [...]string{"", "web", "app", "help-desk", "courier-app", "partner-api", "jobs", "loyalty"}

// role is a kind of principal. Its name is complete, or a number follows.
type role uint8

const (
	roleNone role = iota
	roleCustomer
	roleDesk
	roleCourier
	rolePartner
	roleBilling
	roleLoyalty
	roleReports
)

var roleNames = [...]struct {
	name     string
	numbered bool
}{
	{"", false}, {"customer:", true}, {"staff:desk-", true}, {"staff:courier-", true}, {"partner:seller-", true},
	{"service:billing", false}, {"service:loyalty", false}, {"service:reports", false},
}

// builder is the person who built the backup log-in and could read its key.
const builder = "staff:noru"

// agent is a user agent, or none.
type agent uint8

const (
	agentNone agent = iota
	agentWindows
	agentMac
	agentAndroid
	agentIPhone
	agentEdge
	agentFirefox
	agentSamsung
	agentOldChrome
	agentAppAndroid
	agentAppIOS
	agentAppOld
	agentNewAndroid
	agentNewIOS
	agentCourier
	agentBilling
	agentLoyalty
	agentReports
	agentProbe
	agentQA
	agentPython
	agentOkHTTP
	agentGo
	agentCurl
	agentBot
	agentOwl
)

var agentNames = [...]string{
	"",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.3 Safari/605.1.15",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.3 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36 Edg/145.0.0.0",
	"Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
	"HaneulMarket/8.4.1 (Android 16)",
	"HaneulMarket/8.4.1 (iOS 26.3)",
	"HaneulMarket/8.3.0 (Android 15)",
	"HaneulMarket/8.5.0 (Android 16)",
	"HaneulMarket/8.5.0 (iOS 26.3)",
	"HaneulCourier/3.1.0 (Android 16)",
	"haneul-billing/2.0",
	"haneul-loyalty/1.9",
	"haneul-reports/4.2",
	"haneul-probe/1.2",
	"haneul-qa/1.0 HeadlessChrome/145.0.0.0",
	"python-requests/2.32.5",
	"okhttp/5.1.0",
	"Go-http-client/2.0",
	"curl/8.14.1",
	"Mozilla/5.0 (compatible; GoraniBot/2.1; +https://gorani.example/bot)",
	"Mozilla/5.0 (compatible; PriceOwl/1.4; +https://priceowl.example/about)",
}

var (
	webAgents = picker([]int{agentWindows: 35, agentMac: 9, agentAndroid: 17, agentIPhone: 18, agentEdge: 9, agentFirefox: 3, agentSamsung: 6, agentOldChrome: 3})
	appAgents = picker([]int{agentAppAndroid: 47, agentAppIOS: 38, agentAppOld: 15})
	// libraryAgents are those of programs: partners use them, and thieves.
	libraryAgents = []agent{agentPython, agentOkHTTP, agentGo, agentCurl}
	deskAgents    = []agent{agentWindows, agentEdge}
)

// picker spreads weights over a table from which one draw picks.
func picker(weights []int) []uint8 {
	var table []uint8
	for i, w := range weights {
		for range w {
			table = append(table, uint8(i))
		}
	}
	return table
}

// what is the awkward thing that made a record: the names are those of Label.Event.
type what uint8

const (
	plain what = iota
	whatNAT
	whatIPv6
	whatHousehold
	whatVPN
	whatElsewhere
	whatDevice
	whatLong
	whatBook
	whatFlashSale
	whatSignup
	whatDesk
	whatTravel
	whatCourier
	whatPartner
	whatJob
	whatCrawler
	whatProbe
	whatQA
	whatWithdrawn
	whatMerged
	whatCampaign
	whatRelease
	whatForcedLogout
	whatRotation
	whatBackup
	whatStaleLink
	whatStorm
	whatSkew
	whatLate
	whatDoubled
	whatFeedLoss
	whatFeedDelay
)

var whatNames = [...]string{
	"", "nat", "ipv6", "household", "vpn", "other_network", "second_device", "long_visit", "address_book",
	"flash_sale", "signup", "help_desk", "travel", "courier", "partner", "nightly_job", "crawler", "probe", "qa",
	"withdrawn", "merged", "campaign", "release", "forced_logout", "key_rotation", "backup_key", "stale_link", "retry_storm",
	"clock_skew", "late", "doubled", "feed_loss", "feed_delay",
}

// Events lists the names that Label.Event can have, in a fixed order.
func Events() []string { return append([]string(nil), whatNames[1:]...) }

// state is a word of a reference record.
type state uint8

const (
	stateNone state = iota
	stateActive
	stateWithdrawn
	stateMerged
	stateCanary
	stateRetired
	stateLeft
	kindOrder
	kindDelivery
	kindTicket
	kindJob
	kindCampaign
	kindRelease
	kindForcedLogout
)

var stateNames = [...]string{
	"", "active", "withdrawn", "merged", "canary", "retired", "left",
	"order", "delivery", "ticket", "job", "campaign", "release", "forced_logout",
}
