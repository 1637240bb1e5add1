package demo

import (
	"math"
	"net/netip"
	"time"

	"github.com/whosaw/whosaw/internal/draw"
)

// What is drawn: each purpose has a sequence of its own, so that one does not move another.
const (
	drawRegular = iota + 1
	drawVisit
	drawLive
	drawCall
	drawLook
)

// habits are who comes to the shop, when, and what they open. The made-up past and the live traffic follow the same ones: so a live day is as calm
// as the days before.
type habits struct {
	seed     uint64
	regulars []string // numbers of customers who come; the others have an account and no reason to
	agents   []string // ids of the desk's
	zone     *time.Location
}

const (
	// regularOf customers, one comes often.
	regularOf = 3
	// visitsPeak is how many visits begin in a minute of the busiest hour.
	visitsPeak = 6.0
	// calls is how many calls each agent takes in a minute of the busiest hour.
	calls = 0.1
)

// newHabits draws the customers who come often. Customers are in order.
func newHabits(seed uint64, customers, agents []string, zone *time.Location) *habits {
	h := &habits{seed: seed, agents: agents, zone: zone}
	for i, id := range customers {
		d := draw.New(seed, drawRegular, i, 0)
		if d.OneIn(regularOf) {
			h.regulars = append(h.regulars, id)
		}
	}
	if len(h.regulars) == 0 {
		h.regulars = customers
	}
	return h
}

// busy is how busy the shop is at a time, 0.6 at four in the morning to 1 at four in the afternoon: whoever tries the demo at night sees people
// too.
func (h *habits) busy(t time.Time) float64 {
	t = t.In(h.zone)
	hour := float64(t.Hour()) + float64(t.Minute())/60
	return 0.8 - 0.2*math.Cos((hour-4)*math.Pi/12)
}

// page is what somebody opens at the shop.
type page struct {
	route  string // as the catalog has it
	path   string
	fields []string
	masked []string
	weight int
}

// What a customer opens in a browser and in the app. The catalog says the same of them: a test holds them to it.
var (
	webPages = []page{
		{"GET /me", "/me", []string{"email", "name"}, nil, 2},
		{"GET /me/orders", "/me/orders", []string{"order_history"}, nil, 5},
		{"GET /me/addresses", "/me/addresses", []string{"address", "name", "phone"}, []string{"door_code"}, 2},
	}
	appPages = []page{
		{"GET /api/profile", "/api/profile", []string{"email", "name"}, nil, 3},
		{"GET /api/orders", "/api/orders", []string{"order_history"}, nil, 5},
		{"GET /api/addresses", "/api/addresses", []string{"address", "name", "phone"}, []string{"door_code"}, 2},
	}
	deskPage = page{"GET /desk/customers/{customer}", "/desk/customers/", []string{"address", "email", "name", "phone"}, []string{"door_code"}, 1}

	// What shows nobody's data is opened between these. The shop's past does not have it: it was taken over from a ledger of what showed data.
	webBrowsing = []string{"/", "/products/1", "/products/4", "/products/7", "/search?q=tea", "/search?q=lamp"}
	appBrowsing = []string{"/api/products"}
)

// visit is somebody who logs in and opens pages.
type visit struct {
	customer int             // of the regulars
	app      bool            // by the app, not in a browser
	agent    string          // browser or app
	ip       netip.Addr      // from where
	pages    []page          // in their order
	pauses   []time.Duration // before each
}

// browsers of honest customers. The thief has one of them too: an agent tells nothing here.
var browsers = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
}

// visit draws one.
func (h *habits) visit(d *draw.Draw) visit {
	at := d.Below(len(h.regulars))
	v := visit{customer: at, app: d.OneIn(4), agent: browsers[at%len(browsers)], ip: home(at)}
	open := webPages
	if v.app {
		v.agent, open = appAgent, appPages
	}
	weights := make([]int, len(open))
	for i := range open {
		weights[i] = open[i].weight
	}
	for range d.Between(2, 5) {
		v.pages = append(v.pages, open[d.Pick(weights)])
		v.pauses = append(v.pauses, time.Duration(d.Between(2_000, 14_000))*time.Millisecond)
	}
	return v
}

const appAgent = "HaneulMarket/7.2 (Android 15)"

// home is a customer's address, one behind which nobody is: RFC 6598.
func home(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{100, 64 + byte(i>>16)&63, byte(i >> 8), byte(i)})
}

// deskAddress is the address of the desk: RFC 1918.
func deskAddress(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 20, 0, 10 + byte(i)}) }

// times draws how often something happens in a span where it happens mean times.
func times(d *draw.Draw, mean float64) int {
	left, n := math.Exp(-mean), -1
	for p := 1.0; p > left; n++ {
		p *= float64(d.Next()>>11) / (1 << 53)
	}
	return n
}
