package market

// The theft. Somebody holds a copy of the backup key. They sign a credential for number 1, 2, 3, … and open what the
// number's owner could open; where there is no owner the shop answers 404, and they go on. One try on
// the evening before, then three nights, from 16 addresses that take numbers from one queue.

// attackShare is how far they get: 94 % of the numbers handed out.
const attackShare = 94

// nights are the runs: when they begin (after midnight UTC, nine hours earlier than at the shop), and which per cent of
// the numbers they have reached at the end. Each takes about six hours.
var nights = [...]struct {
	begin int64
	done  int
}{
	{15*hour + 41*minute, 28},
	{14*hour + 7*minute, 69},
	{16*hour + 22*minute, 100},
}

const nightLength = 6 * hour

// attackDay makes the runs of a day. The first is a third into the days; a shop that is too short for three has its theft
// cut short.
func (r *run) attackDay(day int) {
	first := r.cfg.Days / 3
	last := max(1, r.lastNumber()*attackShare/100)
	if day == first-1 {
		r.tryOut(day)
	}
	night := day - first
	if night < 0 || night >= len(nights) {
		return
	}
	from := 0
	if night > 0 {
		from = last * nights[night-1].done / 100
	}
	to := last * nights[night].done / 100
	begin := r.cfg.Start + int64(day)*dayMillis + nights[night].begin
	for n := from; n < to; n++ {
		// The workers keep a steady pace, each waiting a little for its answers.
		r.take(uint32(n+1), day, begin+int64(n-from)*nightLength/int64(to-from), last)
	}
}

// tryOut is the evening before: the key works for the first three numbers.
func (r *run) tryOut(day int) {
	begin := r.cfg.Start + int64(day)*dayMillis + 14*hour + 22*minute
	for n := range int64(3) {
		r.take(uint32(n+1), day, begin+n*47*second, 0)
	}
}

// take opens the pages of one number with a credential made for it.
func (r *run) take(number uint32, day int, t int64, last int) {
	d := newDraw(r.cfg.Seed, forAttack, int(number), day)
	base := event{
		subjects: r.one(number), principal: customerName(number), credential: d.Next(), key: keyBackup, client: clientWeb,
		agent: webAgents[0], from: hostOrigin(d.Below(attackAddresses)), status: 200, attack: true,
	}
	open := func(p page, status, others int) {
		e := base
		e.time, e.page, e.status, e.others = t, p, status, others
		if p == pageEdit {
			e.number = 100_000 + number*8
		}
		// In every shop at least one line of the theft is late and one comes twice.
		if p == pageMe && int(number) == last/7+1 {
			e.at = t + 3*hour
		}
		if p == pageMe && int(number) == last/5+1 {
			e.double = 40 * second
		}
		r.add(e)
		t += int64(d.Between(180, 1_200))
	}
	if d.OneIn(200) {
		open(pageMe, 429, 0)
		t += 5 * second
	}
	if !r.exists(number) {
		open(pageMe, 404, 0)
		if d.OneIn(12) {
			open(pageMe, 404, 0)
		}
		return
	}
	open(pageMe, 200, 0)
	c := r.customer(r.index(number))
	for view := range 1 + d.Pick([]int{4, 3, 2, 1}) {
		others := c.others
		if view == 0 {
			others = min(others, 3)
		}
		open(pageAddresses, 200, others)
	}
	if d.OneIn(45) {
		open(pageEdit, 200, 0)
	}
}
