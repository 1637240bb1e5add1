package market

import (
	"slices"
	"strconv"

	"github.com/whosaw/whosaw/internal/draw"
)

// opening writes what the house knows when the log begins: its keys, the person who built the backup log-in, its
// customers, and the credentials that apps still hold from before.
func (r *run) opening() {
	t := r.cfg.Start
	months := func(n int) int64 { return t - int64(n)*30*dayMillis }
	r.add(event{kind: kindPerson, time: t, principal: "staff:noru", state: "active", since: months(41), list: []string{keyBackup}})
	r.add(event{kind: kindKey, time: t, key: keyLogin, state: "active", since: months(2), client: "log-in"})
	r.add(event{kind: kindKey, time: t, key: keyStaff, state: "active", since: months(2), client: "staff log-in"})
	r.add(event{kind: kindKey, time: t, key: keyJobs, state: "active", since: months(2), client: "jobs"})
	r.add(event{kind: kindKey, time: t, key: keyBackup, state: "active", since: months(22), client: "backup log-in", list: []string{"staff:noru"}})
	for i := range r.numbers {
		c := r.customer(i)
		d := newDraw(r.cfg.Seed, forCustomer, i, 2)
		e := event{kind: kindSubject, time: t, subjects: r.one(c.number), state: "active"}
		since, back := d.Between(30, 1500), d.Below(25)
		if c.habit == dormant {
			since += 200
			back = d.Between(181, since)
		}
		e.since = t - int64(since)*dayMillis - int64(d.Below(86400))*second
		e.till = max(e.since, t-int64(back)*dayMillis-int64(d.Below(86400))*second)
		if r.canaries[c.number] {
			e.state, e.till = "canary", 0
		}
		r.add(e)
		if c.app && c.habit != dormant {
			day, _ := r.renewal(&c, t+second-1)
			r.issue(&c, t, r.credential(&c, day), keyLogin, c.origin(&d))
		}
	}
	for i, number := range r.withdrawn {
		d := newDraw(r.cfg.Seed, forStale, i, 0)
		r.add(event{kind: kindSubject, time: t, subjects: r.one(number), state: "withdrawn", since: t - int64(d.Between(1, 700))*dayMillis})
		if c, ok := r.stale(i); ok {
			r.issue(&c, t, r.credential(&c, -1), keyLogin, homeOrigin(c.index))
		}
	}
	// The one who built the backup log-in works on the first day for the last time.
	left := t + 9*hour
	r.add(event{kind: kindPerson, time: left, principal: "staff:noru", state: "left", since: left, list: []string{keyBackup}})
}

func (r *run) one(number uint32) []uint32 { return []uint32{number} }

// issue writes the issuance of a customer's credential.
func (r *run) issue(c *customer, t int64, credential uint64, key string, from origin) {
	client := clientWeb
	if c.app {
		client = clientApp
	}
	r.add(event{kind: kindIssuance, time: t, subjects: r.one(c.number), credential: credential, key: key, client: client, from: from})
}

// honestDay makes everything of one day that nobody needs to be told about.
func (r *run) honestDay(day int) {
	r.delivered = slices.Compact(slices.Sorted(slices.Values(r.orders)))
	r.orders = r.orders[:0]
	start := r.cfg.Start + int64(day)*dayMillis
	weekday := int((start/dayMillis + 3) % 7)
	for i := range r.numbers {
		c := r.customer(i)
		if c.habit == dormant {
			continue
		}
		if c.app && (day-c.refresh+tokenDays<<20)%tokenDays == 0 {
			_, at := r.renewal(&c, start+hour)
			d := newDraw(r.cfg.Seed, forToken, i, day)
			d.Skip(4)
			r.issue(&c, at, r.credential(&c, day), keyLogin, c.origin(&d))
		}
		d := newDraw(r.cfg.Seed, forDay, i, day)
		if !d.Permille(visitPermille[c.habit] * weekdayPermille[weekday] / 1000) {
			continue
		}
		for visits := 1 + d.Below(6)/5; visits > 0; visits-- {
			r.visit(&c, &d, start+moment(&d))
		}
	}
	r.guests(day, start)
	r.crawlers(day, start)
	r.probes(start)
	if weekday < 5 {
		r.desk(day, start)
	}
	if weekday < 6 {
		r.couriers(day, start)
	}
	r.invoices(day, start)
	r.staleApps(day, start)
	if day == r.cfg.Days/2 {
		r.storm(day, start+3*hour+20*minute)
	}
}

// moment is a time of day after the shop's rhythm, counted from midnight UTC.
func moment(d *draw.Draw) int64 {
	local := int64(d.Pick(hourWeights))
	return (local+24-9)%24*hour + int64(d.Below(int(hour)))
}

// steps are the pages of a visit: most show nobody's data.
var (
	steps       = []page{pageHome, pageSearch, pageProduct, pageCart, pageMe, pageAddresses, pageOrders, pageEdit, pageOrder}
	stepWeights = []int{10, 24, 34, 9, 3, 3, 6, 1, 3}
)

// visit is a customer's session: a log-in, unless the app still holds a credential, then pages.
func (r *run) visit(c *customer, d *draw.Draw, t int64) {
	base := event{subjects: nil, principal: customerName(c.number), agent: c.agent, client: clientWeb, key: keyLogin, from: c.origin(d), status: 200}
	if c.app {
		base.client = clientApp
		day, _ := r.renewal(c, t)
		base.credential = r.credential(c, day)
	} else {
		t = r.logIn(c, d, t, &base)
	}
	books := 0
	show := func(p page) {
		t += int64(d.Between(900, 45_000))
		e := base
		e.time, e.page, e.number = t, p, r.pathNumber(c, d, p)
		switch {
		case pages[p].fields|pages[p].masked != 0:
			e.subjects = r.one(c.number)
		case p == pageProduct && d.OneIn(150):
			e.status = 404
		}
		if p == pageAddresses {
			// The first page of an address book has three entries of others at most.
			books++
			e.others = c.others
			if books == 1 {
				e.others = min(c.others, 3)
			}
		}
		r.add(e)
	}
	for n := d.Between(4, 15); n > 0; n-- {
		p := steps[d.Pick(stepWeights)]
		switch p {
		case pageEdit:
			show(pageAddresses)
		case pageOrder:
			show(pageAddresses)
			show(pagePayment)
			r.orders = append(r.orders, c.number)
		}
		show(p)
	}
}

// logIn is the log-in of a visit, wrong at times. For an hour of the first day the house tries out its backup.
func (r *run) logIn(c *customer, d *draw.Draw, t int64, base *event) int64 {
	e := event{time: t, page: pageLogin, status: 200, agent: base.agent, client: base.client, from: base.from}
	if d.OneIn(25) {
		wrong := e
		wrong.status = 401
		r.add(wrong)
		e.time += int64(d.Between(4_000, 20_000))
	}
	base.credential = d.Next()
	if since := e.time - r.cfg.Start; since >= hour && since < 2*hour {
		base.key = keyBackup
	}
	r.issue(c, e.time, base.credential, base.key, base.from)
	r.add(e)
	return e.time
}

func customerName(number uint32) string {
	return "customer:" + strconv.FormatUint(uint64(number), 10)
}

// pathNumber is what stands in the path of a page: never a customer's number, which only the credential tells.
func (r *run) pathNumber(c *customer, d *draw.Draw, p page) uint32 {
	switch p {
	case pageSearch:
		return uint32(d.Between(1, 9))
	case pageProduct:
		return uint32(d.Between(1, 4000))
	case pageEdit:
		return 100_000 + c.number*8 + uint32(d.Below(3))
	}
	return 0
}

// guests look round without logging in.
func (r *run) guests(day int, start int64) {
	for i := range 1 + r.cfg.Customers/60 {
		d := newDraw(r.cfg.Seed, forGuest, i, day)
		t := start + moment(&d)
		e := event{status: 200, agent: webAgents[d.Pick(webAgentWeights)], from: homeOrigin(50_000 + d.Below(60_000))}
		if d.OneIn(3) {
			e.from = carrierOrigin(d.Below(6))
		}
		for n := d.Between(2, 9); n > 0; n-- {
			e.page = steps[d.Pick(stepWeights[:4])]
			e.number = r.pathNumber(nil, &d, e.page)
			e.time = t
			t += int64(d.Between(2_000, 60_000))
			r.add(e)
		}
	}
}

// probes is the house's own monitor, which asks every four minutes whether the shop is up. So the log has no silent hour.
func (r *run) probes(start int64) {
	for t := start; t < start+dayMillis; t += 4 * minute {
		r.add(event{time: t, status: 200, page: pageHealth, agent: agentProbe, from: officeOrigin()})
	}
}

func (r *run) crawlers(day int, start int64) {
	for i := range 4 {
		d := newDraw(r.cfg.Seed, forCrawler, i, day)
		e := event{time: start + int64(d.Below(int(hour))), status: 200, page: pageRobots, agent: crawlerAgents[i%2], from: crawlerOrigin(i)}
		n := d.Between(r.cfg.Customers/80+4, r.cfg.Customers/40+8)
		for i := range n {
			e.number, e.status = uint32(d.Between(1, 4200)), 200
			if i > 0 {
				e.page = pageProduct
				if d.OneIn(30) {
					e.status = 404
				}
			}
			r.add(e)
			e.time += 22*hour/int64(n) + int64(d.Below(20_000))
		}
	}
}

// desk is the help desk: agents behind one address who open customers for whom there is a ticket, and at times
// mistype a number.
func (r *run) desk(day int, start int64) {
	for i := range max(2, r.cfg.Customers/160) {
		d := newDraw(r.cfg.Seed, forAgent, i, day)
		t := start + int64(d.Below(int(20*minute)))
		base := event{status: 200, principal: "staff:desk-" + strconv.Itoa(i+1), credential: d.Next(), key: keyStaff, client: clientDesk, agent: webAgents[4*(i%2)], from: officeOrigin()}
		r.add(event{kind: kindIssuance, time: t, principal: base.principal, credential: base.credential, key: keyStaff, client: clientDesk, from: base.from})
		for n := d.Between(8, 16); n > 0; n-- {
			t += int64(d.Between(2, 55)) * minute / 2
			e := base
			e.number = r.numbers[d.Below(len(r.numbers))]
			for r.canaries[e.number] {
				e.number = r.numbers[d.Below(len(r.numbers))]
			}
			e.page, e.time = pageDeskCustomer, t+int64(d.Between(2_000, 60_000))
			if typed := uint32(d.Between(1, r.lastNumber())); d.OneIn(40) && !r.exists(typed) {
				e.number, e.status = typed, 404
			} else {
				r.add(event{kind: kindReason, time: t, subjects: r.one(e.number), principal: base.principal, state: "ticket", since: t, till: t + 2*hour})
			}
			e.subjects = r.one(e.number)
			r.add(e)
			if e.status == 200 && d.Permille(700) {
				e.page = pageDeskOrders
				e.time += int64(d.Between(4_000, 90_000))
				r.add(e)
			}
		}
	}
}

// couriers carry out what was ordered the day before: a manifest of a dozen customers a page, then door by door.
func (r *run) couriers(day int, start int64) {
	n := max(1, r.cfg.Customers/500)
	for i := range n {
		stops := r.delivered[len(r.delivered)*i/n : len(r.delivered)*(i+1)/n]
		if len(stops) == 0 {
			continue
		}
		d := newDraw(r.cfg.Seed, forCourier, i, day)
		t := start + 20*minute + int64(d.Below(int(20*minute)))
		base := event{status: 200, principal: "staff:courier-" + strconv.Itoa(i+1), credential: d.Next(), key: keyStaff, client: clientCourier, agent: agentCourier, from: carrierOrigin(d.Below(6))}
		r.add(event{kind: kindIssuance, time: t, principal: base.principal, credential: base.credential, key: keyStaff, client: clientCourier, from: base.from})
		for _, s := range stops {
			r.add(event{kind: kindReason, time: t, subjects: r.one(s), principal: base.principal, state: "delivery", since: t, till: t + 12*hour})
		}
		for page, list := range slices.Collect(slices.Chunk(stops, 12)) {
			t += int64(d.Between(3_000, 30_000))
			e := base
			e.time, e.page, e.number, e.subjects = t, pageManifest, uint32(day*1000+i*100+page+1), slices.Clone(list)
			r.add(e)
		}
		for _, s := range stops {
			t += int64(d.Between(3, 16)) * minute
			if d.OneIn(2) {
				e := base
				e.time, e.page, e.number, e.subjects = t, pageStop, 500_000+s, r.one(s)
				r.add(e)
			}
		}
	}
}

// invoices is a job of the night over the orders of the day before.
func (r *run) invoices(day int, start int64) {
	if len(r.delivered) == 0 {
		return
	}
	d := newDraw(r.cfg.Seed, forJob, 0, day)
	t := start + 17*hour + int64(d.Below(int(minute)))
	base := event{status: 200, principal: "service:billing", credential: d.Next(), key: keyJobs, client: clientJobs, agent: agentJobs, from: officeOrigin()}
	r.add(event{kind: kindIssuance, time: t, principal: base.principal, credential: base.credential, key: keyJobs, client: clientJobs, from: base.from})
	r.add(event{kind: kindReason, time: t, principal: base.principal, state: "job", since: t, till: t + 2*hour})
	order := slices.Clone(r.delivered)
	for i := len(order) - 1; i > 0; i-- {
		j := d.Below(i + 1)
		order[i], order[j] = order[j], order[i]
	}
	for i, s := range order {
		t += int64(d.Between(40, 900))
		e := base
		e.time, e.page, e.number, e.subjects = t, pageInvoice, uint32(day*10_000+i+1), r.one(s)
		r.add(e)
	}
}

// stale gives the app of customer i of those who left, if it was never removed and still asks for its owner.
func (s *shop) stale(i int) (customer, bool) {
	d := newDraw(s.cfg.Seed, forStale, i, 1)
	if !d.OneIn(9) {
		return customer{}, false
	}
	return customer{index: s.cfg.Customers + i, number: s.withdrawn[i], app: true, agent: appAgents[2]}, true
}

func (r *run) staleApps(day int, start int64) {
	for i := range r.withdrawn {
		c, ok := r.stale(i)
		if !ok {
			continue
		}
		if d := newDraw(r.cfg.Seed, forStale, i, 2+day); d.OneIn(16) {
			r.ask(&c, start+moment(&d), pageMe, 404)
		}
	}
}

// ask is one request of an app with the credential it holds.
func (r *run) ask(c *customer, t int64, p page, status int) {
	e := event{
		time: t, page: p, status: status, subjects: r.one(c.number), principal: customerName(c.number),
		key: keyLogin, client: clientApp, agent: c.agent, from: homeOrigin(c.index),
	}
	if c.index >= r.cfg.Customers {
		e.credential = r.credential(c, -1)
	} else {
		day, _ := r.renewal(c, t)
		e.credential = r.credential(c, day)
	}
	if p == pageAddresses && status == 200 {
		e.others = c.others
	}
	r.add(e)
}

// storm is three minutes in which the address book fails, and apps ask again and again; one of them belongs to
// somebody who left.
func (r *run) storm(day int, t int64) {
	hit := 0
	for i := 0; i < len(r.numbers) && hit < 6; i++ {
		c := r.customer(i)
		if !c.app || c.habit > often {
			continue
		}
		hit++
		d := newDraw(r.cfg.Seed, forStorm, i, day)
		at := t + int64(d.Below(int(minute)))
		for n := d.Between(8, 25); n > 0; n-- {
			r.ask(&c, at, pageAddresses, 503)
			at += int64(d.Between(1_500, 4_000))
		}
		r.ask(&c, t+3*minute+int64(d.Below(20_000)), pageAddresses, 200)
	}
	for i := range r.withdrawn {
		if c, ok := r.stale(i); ok {
			for n := range int64(60) {
				r.ask(&c, t+n*1_500, pageMe, 404)
			}
			return
		}
	}
}
