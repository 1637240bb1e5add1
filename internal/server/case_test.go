package server_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/retention"
)

// story is the case as it goes on.
type story struct {
	*house
	t       *testing.T
	sent    []access // all that the server has, as it was sent
	kept    []access // what a gateway has not shipped
	version []truth  // of the scope, as each must be
	posted  int64    // the event of the posted notice
	letters map[string]letter
}

// TestTheCase walks through the case at 1 : 1000, from the first forged token to the last notice: over HTTP, SMTP and the public pages, by a clock of its own.
// Whatever is counted is counted here again from the accesses that were sent.
func TestTheCase(t *testing.T) {
	if raceOn || testing.Short() {
		tried, lateOnes, firstDays = tried/10, lateOnes/10, 10
	}
	s := &story{house: newHouse(t), t: t}
	at := func(y int, m time.Month, d, hour, minute int) time.Time {
		return time.Date(y, m, d, hour, minute, 0, 0, seoul)
	}
	for _, moment := range []struct {
		at   time.Time
		what string
		do   func()
	}{
		{opening, "the shop begins to send", s.beginToSend},
		{opening, "nine months of honest traffic raise no alarm; what is old may go", s.honestTraffic},
		{theft, "the first day of forged tokens raises an alarm, which opens an incident", s.firstDay},
		{theft.AddDate(0, 0, firstDays), "a month later a purge leaves what is held", s.purgeLeavesWhatIsHeld},
		{at(2025, 5, 20, 0, 0), "the thief goes on to the end", s.theftGoesOn},
		{at(2025, 11, 16, 18, 0), "customers complain", s.customersComplain},
		{at(2025, 11, 17, 16, 0), "the company knows, says the ministry: the clocks run", s.companyKnows},
		{at(2025, 11, 18, 22, 52), "the company knows, says the company: both marks stand", s.companySaysLater},
		{at(2025, 11, 19, 20, 0), "the first scope, by complaint and one night: a handful", s.scopeByComplaint},
		{at(2025, 11, 19, 21, 35), "the report to the authorities: 29 h 35 min late by the first mark", s.firstReport},
		{at(2025, 11, 19, 22, 34), "the order to keep everything", s.preservationOrder},
		{at(2025, 11, 20, 17, 0), "nobody has been told: the clocks have said so, each once", s.clocksWereTold},
		{at(2025, 11, 29, 10, 0), "the second scope, by cause: everybody", s.scopeByCause},
		{at(2025, 11, 29, 15, 0), "the report again, in words that say what it is", s.secondReport},
		{at(2025, 11, 29, 18, 0), "the notice on the home page", s.postNotice},
		{at(2025, 11, 29, 18, 0), "two days later it may not go", s.noticeStands},
		{at(2026, 2, 5, 10, 0), "records come late: the third scope", s.lateRecords},
		{at(2026, 2, 6, 9, 0), "a notice to each person", s.noticeToEverybody},
		{at(2026, 2, 6, 12, 0), "a true notice is told from a made-up one", s.checkCodes},
		{at(2026, 2, 6, 13, 0), "what is on record in the end", s.inTheEnd},
	} {
		began := time.Now()
		s.pass(moment.at)
		moment.do()
		check(t, s.srv.API().Deadlines(t.Context()))
		if t.Failed() {
			t.Fatalf("at %s: %s", moment.at.Format("2006-01-02 15:04"), moment.what)
		}
		t.Logf("%s  %s (%v)", moment.at.Format("2006-01-02 15:04"), moment.what, time.Since(began).Round(time.Millisecond))
	}
}

// pass lets time pass. In the days in which clocks run the server looks at them each half hour, as it does each minute; else time jumps.
func (s *story) pass(to time.Time) {
	s.t.Helper()
	for now := s.clock(); !now.Before(time.Date(2025, 11, 17, 16, 0, 0, 0, seoul)) && to.Sub(now) < 4*24*time.Hour; now = s.clock() {
		if now = now.Truncate(30 * time.Minute).Add(30 * time.Minute); !now.Before(to) {
			break
		}
		s.at(now)
		check(s.t, s.srv.API().Deadlines(s.t.Context()))
	}
	s.at(to)
	check(s.t, s.srv.API().Deadlines(s.t.Context()))
}

// ship sends accesses as a gateway does.
func (s *story) ship(gateway string, list []access) {
	s.t.Helper()
	var b bytes.Buffer
	for i := range list {
		list[i].line(&b)
	}
	s.send(gateway, b.Bytes())
	s.sent = append(s.sent, list...)
}

// traffic sends what happened from one moment to another, some days at a time, as it goes on: log-ins first, as the shop makes them before they are used.
func (s *story) traffic(from, to time.Time) {
	s.t.Helper()
	late := late()
	number := max(1, int((from.Sub(theft)+perNumber()-1)/perNumber())+1)
	for days := 3; from.Before(to); from = from.AddDate(0, 0, days) {
		end := from.AddDate(0, 0, days)
		if end.After(to) {
			end = to
		}
		s.at(end)
		var logins bytes.Buffer
		var list []access
		honest(from, end, func(issued string, a access) {
			logins.WriteString(issued + "\n")
			list = append(list, a)
		})
		for ; number <= tried && began(number).Before(end); number++ {
			if late[number] {
				s.kept = append(s.kept, forgedAccesses(number)...)
			} else {
				list = append(list, forgedAccesses(number)...)
			}
		}
		slices.SortStableFunc(list, func(a, b access) int { return a.at.Compare(b.at) })
		s.send("login", logins.Bytes())
		s.ship("gw-1", list)
	}
	check(s.t, s.srv.Live().CaughtUp(s.t.Context()))
}

func (s *story) beginToSend() {
	ms := func(t time.Time) int64 { return t.UnixMilli() }
	s.send("login", fmt.Appendf(nil, `{"type":"key","time":%[1]d,"key":"login","state":"active","use":"log-in"}
{"type":"key","time":%[1]d,"key":"backup","state":"active","use":"log-in when the other is down"}
{"type":"person","time":%[1]d,"person":"staff:dev","state":"active","keys":["backup"]}
{"type":"feed","time":%[1]d,"of":"issuance","key":"login","from":%[1]d,"lag":60,"lost":0.00001}
{"type":"feed","time":%[1]d,"of":"issuance","key":"backup","from":%[1]d,"lag":60,"lost":0.00001}
`, ms(opening)))
}

func (s *story) retain(days int, apply bool) retention.Removal {
	s.t.Helper()
	var out retention.Removal
	s.ask("kim", "POST", "/v1/retention", m{"days": days, "apply": apply}, &out)
	return out
}

func (s *story) findings() []api.Found {
	s.t.Helper()
	var out struct{ Findings []api.Found }
	s.ask("kim", "GET", "/v1/findings?limit=1000", nil, &out)
	return out.Findings
}

func (s *story) honestTraffic() {
	s.traffic(opening, theft)
	for _, f := range s.findings() {
		s.t.Errorf("before the theft: %s of %s on %s", f.ID, f.Detector, f.Unit)
	}
	if r := s.retain(180, false); len(r.Removed) == 0 || len(r.Held) != 0 {
		s.t.Errorf("nothing is old: %+v", r)
	}
}

// incident asks for the incident.
func (s *story) incident() *api.IncidentAnswer {
	s.t.Helper()
	in := new(api.IncidentAnswer)
	s.ask("kim", "GET", "/v1/incidents/1", nil, in)
	return in
}

func (s *story) firstDay() {
	s.traffic(theft, theft.AddDate(0, 0, firstDays))
	s.until("an incident", func() bool {
		status, _ := s.request("kim", "GET", "/v1/incidents/1", "")
		return status == 200
	})
	in := s.incident()
	if !slices.ContainsFunc(s.findings(), func(f api.Found) bool {
		return f.Detector == "unissued" && f.Unit == "key:backup" && len(f.Filter) == 1 && slices.Equal(f.Filter[0].Key, []string{"backup"}) && f.Filter[0].Issued != nil && !*f.Filter[0].Issued
	}) {
		s.t.Errorf("no finding accuses what the backup key signed and nobody was given")
	}
	if in.State != "suspected" || len(in.Holds) != 1 || in.Timeline[0].Who != "service:whosaw" || len(in.Marks) != 1 || in.Marks[0].At.Before(theft) || in.Marks[0].At.After(theft.AddDate(0, 0, firstDays)) {
		s.t.Errorf("the incident: %s, holds %v, marks %+v", in.State, in.Holds, in.Marks)
	}
}

func (s *story) purgeLeavesWhatIsHeld() {
	s.traffic(theft.AddDate(0, 0, firstDays), day(2025, 5, 20))
	r := s.retain(180, true)
	if len(r.Removed) != 0 || len(r.Held) == 0 {
		s.t.Errorf("removed %d segments, held %d", len(r.Removed), len(r.Held))
	}
	var a whosaw.ScopeAnswer
	from, to := opening, day(2024, 8, 1)
	s.ask("kim", "POST", "/v1/scope", m{"filter": m{"from": from.UnixMilli(), "to": to.UnixMilli()}}, &a)
	if want := count(s.sent, func(a *access) bool { return a.at.Before(to) }); a.Subjects != int64(len(want)) || a.Subjects == 0 {
		s.t.Errorf("of July 2024 %d customers are left, want %d", a.Subjects, len(want))
	}
}

func (s *story) theftGoesOn() {
	s.traffic(day(2025, 5, 20), theftEnd)
	check(s.t, s.srv.API().Attend(s.t.Context()))
	list, in := s.findings(), s.incident()
	seen := map[string]int{}
	for _, f := range list {
		seen[f.Detector]++
	}
	if len(in.Findings) != len(list) {
		s.t.Errorf("of %d findings %d are in the incident", len(list), len(in.Findings))
	}
	s.t.Logf("%d accesses were sent, %d are kept; findings by detector: %v", len(s.sent), len(s.kept), seen)
}
