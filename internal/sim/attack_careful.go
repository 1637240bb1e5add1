package sim

import "github.com/whosaw/whosaw/internal/draw"

// The careful thief has a copy of the key that signs every log-in, and a list of members who exist. The requests come
// from homes in the country, with the agent that the victim uses, when people are awake, with a page or two that shows
// nothing between. Only the log-in that should have issued the credential is missing.
var stolenKeyCareful = attacker{"stolen-key-careful", func(a *attack, d *draw.Draw) func(*sink) {
	c := &carefulThief{attack: a, homes: a.from(d, "addresses", a.run.params.Attacks.Careful.Addresses), order: newStride(d, len(a.run.numbers))}
	c.base = d.Below(1 << 20)
	return c.day
}}

type carefulThief struct {
	*attack
	homes, base int
	order       stride
}

func (c *carefulThief) day(s *sink) {
	r := c.run
	p := &r.params.Attacks.Careful
	quota := c.quota(s.day)
	for before := c.spent; c.spent < before+quota; {
		i := c.victim(&c.order, s.start)
		d := c.draw(i, s.day)
		t := s.start + r.moment(&d)
		m := r.member(i)
		device, _ := r.agentOn(&m, 0, s.day)
		base := event{
			status: 200, role: roleCustomer, who: m.number, credential: d.Next(), key: c.copied(t), client: clientWeb, agent: device,
			from: home4((c.base + d.Below(c.homes)*17) % (2 * r.cfg.Customers)),
		}
		show := func(opened page, subject uint32, others uint16) {
			e := base
			e.time, e.page, e.subject, e.others = t, opened, subject, others
			c.add(s, e)
			t += int64(p.PageMillis.from(&d))
		}
		first := pageHome
		if m.app {
			base.client, first = clientApp, pageConfig
		}
		show(first, 0, 0)
		for range p.CoverPages.from(&d) {
			show([...]page{pageHome, pageSearch, pageProduct}[d.Below(3)], 0, 0)
		}
		show(pageMe, m.number, 0)
		for view := range p.Views.from(&d) {
			others := m.others
			if view == 0 {
				others = min(others, 3)
			}
			show(pageAddresses, m.number, others)
		}
	}
}

// copied is the key that signs log-ins, outage or not.
func (c *carefulThief) copied(t int64) key {
	if t >= c.run.calendar.rotation {
		return keyLoginNext
	}
	return keyLogin
}
