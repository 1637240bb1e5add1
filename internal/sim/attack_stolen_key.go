package sim

import "github.com/whosaw/whosaw/internal/draw"

// The case. Somebody holds a copy of the backup key. They sign a credential for number 1, 2, 3, … and open what the
// number's owner could open; where there is no owner the shop answers 404, and they go on.
var stolenKey = attacker{"stolen-key", func(a *attack, d *draw.Draw) func(*sink) {
	p := &a.run.params.Attacks.StolenKey
	k := &keyThief{attack: a, next: 1}
	if a.run.cfg.Seed%2 == 1 {
		k.addresses = a.from(d, "addresses", p.FastAddresses)
		k.nightly = true
		a.lasts(a.from(d, "nights", p.FastNights))
	} else {
		k.addresses = a.from(d, "addresses", p.SlowAddresses)
	}
	k.base = d.Below(20_000)
	k.agent = [...]agent{agentWindows, agentPython, agentOkHTTP, agentGo}[d.Below(4)]
	k.until = uint32(max(1, int64(a.run.lastNumber())*int64(a.from(d, "reach_percent", p.ReachPercent))/100))
	return k.day
}}

type keyThief struct {
	*attack
	addresses, base int
	nightly         bool
	agent           agent
	next, until     uint32 // numbers
}

func (k *keyThief) day(s *sink) {
	d := k.draw(0, s.day)
	if s.day == k.first-1 && s.day >= k.run.params.WarmUpDays {
		// The evening before, the key is tried on three numbers.
		for n := range uint32(3) {
			k.take(s, n+1, s.start+14*hour+int64(n)*47*second)
		}
		return
	}
	quota := k.quota(s.day)
	begin, length := s.start, dayMillis-10*minute
	if k.nightly {
		begin, length = begin+int64(k.run.params.Attacks.StolenKey.NightMinutes.from(&d))*minute, hour*int64(k.run.params.Attacks.StolenKey.NightHours)
	}
	for before := k.spent; k.spent < before+quota && k.next <= k.until; k.next++ {
		// The workers keep a steady pace, each waiting a little for its answers.
		k.take(s, k.next, begin+length*(k.spent-before)/quota)
	}
}

// take opens the pages of one number with a credential made for it.
func (k *keyThief) take(s *sink, number uint32, t int64) {
	r := k.run
	p := &r.params.Attacks.StolenKey
	d := k.draw(int(number), s.day)
	base := event{
		subject: number, role: roleCustomer, who: number, credential: d.Next(), key: keyBackup, client: clientWeb, agent: k.agent,
		from: host(k.base + 7*d.Below(k.addresses)), status: 200,
	}
	open := func(show page, status, others uint16) {
		e := base
		e.time, e.page, e.status, e.others = t, show, status, others
		k.add(s, e)
		t += int64(p.RequestMillis.from(&d))
	}
	if d.OneIn(p.RefusedOneIn) {
		open(pageMe, 429, 0)
		t += 5 * second
	}
	i, ok := r.index(number, t)
	if !ok {
		open(pageMe, 404, 0)
		if d.OneIn(p.AgainOneIn) {
			open(pageMe, 404, 0)
		}
		return
	}
	open(pageMe, 200, 0)
	m := r.member(i)
	for view := range p.ListViews.from(&d) {
		others := m.others
		if view == 0 {
			others = min(others, 3)
		}
		open(pageAddresses, 200, others)
	}
	if d.OneIn(p.EditOneIn) {
		open(pageEdit, 200, 0)
	}
	if d.OneIn(p.OrdersOneIn) {
		open(pageOrders, 200, 0)
	}
}
