package sim

// calendar is when the things happen that happen once: days drawn per seed within the watched days.
type calendar struct {
	saleDay                 int
	campaignDay             int // the first; there are params.Campaign.Days
	releaseDay              int
	logoutDay               int
	logoutAt                int64
	rotation                int64 // from then on the next key signs the log-ins
	stormAt                 int64
	backupFrom, backupUntil int64
	travelDay               int
	skewFrom, skewUntil     int64
	skew                    int64
	left                    int64 // the builder's last hour
}

func (s *shop) plan() calendar {
	p := s.params
	d := s.draw(forCalendar, 0, 0)
	watched := func() int { return p.WarmUpDays + d.Below(s.cfg.Days) }
	at := func(day int, local int) int64 { return s.begin + int64(day)*dayMillis + atHour(local) }
	c := calendar{saleDay: watched(), releaseDay: watched(), logoutDay: watched(), travelDay: watched()}
	c.campaignDay = watched()
	c.logoutAt = at(c.logoutDay, p.OnceHours.from(&d)) + int64(d.Below(int(hour)))
	c.rotation = at(watched(), p.OnceHours.from(&d))
	c.stormAt = at(watched(), p.OnceHours.from(&d)) + 20*minute
	c.backupFrom = at(watched(), p.OnceHours.from(&d))
	c.backupUntil = c.backupFrom + minute*int64(p.Backup.Minutes)
	c.skewFrom = at(watched(), p.OnceHours.from(&d))
	c.skewUntil = c.skewFrom + int64(p.Clock.Days)*dayMillis
	if d.OneIn(2) {
		c.skew = -second * int64(p.Clock.SlowSeconds.from(&d))
	} else {
		c.skew = second * int64(p.Clock.FastSeconds.from(&d))
	}
	c.left = s.begin + dayMillis + atHour(18)
	return c
}

// declare writes the changes of a day that the house announces.
func (s *sink) declare(day int) {
	c, p := &s.run.calendar, s.run.params
	change := func(k state, from, until int64) {
		s.add(event{kind: kindChange, time: from, state: k, since: from, till: until})
	}
	if day == c.campaignDay {
		change(kindCampaign, s.start, s.start+int64(p.Campaign.Days)*dayMillis)
	}
	if day == c.releaseDay {
		change(kindRelease, s.start, s.start+int64(p.Devices.UpgradeDays)*dayMillis)
	}
	if day == c.logoutDay {
		change(kindForcedLogout, c.logoutAt, c.logoutAt+2*dayMillis)
	}
	if c.rotation >= s.start && c.rotation < s.start+dayMillis {
		s.add(event{kind: kindKey, time: c.rotation, key: keyLoginNext, state: stateActive, since: c.rotation})
		s.add(event{kind: kindKey, time: c.rotation + second, key: keyLogin, state: stateRetired, since: c.rotation + second})
		s.feed(keyLoginNext, c.rotation, c.rotation)
	}
}

// signer is the key that signs a log-in, or a renewal, at a time.
func (s *shop) signer(t int64) key {
	c := &s.calendar
	switch {
	case t >= c.backupFrom && t < c.backupUntil:
		return keyBackup
	case t >= c.rotation:
		return keyLoginNext
	}
	return keyLogin
}
