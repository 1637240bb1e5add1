package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/regime"
)

const (
	networkAct = "kr-network-act-48-3" // 24 hours
	pipa       = "kr-pipa-34"          // 72 hours
)

// record adds an event to the incident.
func (s *story) record(kind incident.Kind, body incident.Body) {
	s.t.Helper()
	s.ask("kim", "POST", "/v1/incidents/1/events", struct {
		Kind incident.Kind `json:"kind"`
		incident.Body
	}{kind, body}, nil)
}

// mark says that a moment came: now, as somebody says.
func (s *story) mark(moment regime.Moment, by, why string) {
	s.t.Helper()
	now := s.clock()
	s.record(incident.Marked, incident.Body{Moment: moment, When: &now, Person: by, Note: why})
}

func (s *story) state(content, lang, text string) {
	s.t.Helper()
	s.record(incident.Stated, incident.Body{Statement: &incident.Statement{Content: content, Lang: lang, Text: text}})
}

// tell says that a duty was fulfilled, now.
func (s *story) tell(law, duty string) {
	s.t.Helper()
	now := s.clock()
	s.record(incident.Told, incident.Body{Law: law, Duty: duty, When: &now})
}

// theClock gives a clock of the incident, the first of its duty or the nth for what was found later.
func (s *story) theClock(law, duty string, later int) *regime.Clock {
	s.t.Helper()
	first := later == 0
	for _, c := range s.incident().Clocks {
		if c.Law != law || c.Duty != duty {
			continue
		}
		if c.Later != nil {
			later--
		}
		if (c.Later == nil) == first && (first || later == 0) {
			return &c
		}
	}
	s.t.Fatalf("there is no clock of %s/%s", law, duty)
	return nil
}

func (s *story) customersComplain() {
	s.record(incident.Noted, incident.Body{Note: "customers complain of a message that knows their address"})
	if c := s.theClock(networkAct, "authority", 0); c.State != regime.Waiting {
		s.t.Errorf("a suspicion alone starts the clock of 2025: %+v", c)
	}
}

func (s *story) companyKnows() {
	s.mark(regime.Aware, "the ministry", "the security team had read the complaints")
	for _, fact := range []string{"intrusion", "outside_access", "contact_missing"} {
		s.record(incident.Answered, incident.Body{Fact: fact, Answer: regime.Yes, Note: "forged tokens; some customers gave no address"})
	}
	s.dues(map[string]time.Duration{networkAct + "/authority": 24 * time.Hour, pipa + "/authority": 72 * time.Hour, pipa + "/people": 72 * time.Hour, pipa + "/posted": 72 * time.Hour})
}

// dues checks when each duty is due, and that no other has a due time.
func (s *story) dues(after map[string]time.Duration) {
	s.t.Helper()
	aware := time.Date(2025, 11, 17, 16, 0, 0, 0, seoul)
	got := map[string]time.Duration{}
	for _, c := range s.incident().Clocks {
		if !c.Due.IsZero() && c.Later == nil {
			got[c.Law+"/"+c.Duty] = c.Due.Sub(aware)
		}
	}
	if !maps.Equal(got, after) {
		s.t.Errorf("due after %v, want %v", got, after)
	}
}

func (s *story) companySaysLater() {
	s.mark(regime.Aware, "the company", "the board was told")
	s.dues(map[string]time.Duration{networkAct + "/authority": 24 * time.Hour, pipa + "/authority": 72 * time.Hour, pipa + "/people": 72 * time.Hour, pipa + "/posted": 72 * time.Hour})
	in := s.incident()
	if len(in.Marks) != 3 || in.Marks[1].By != "the ministry" || in.Marks[2].By != "the company" || in.Marks[1].Withdrawn+in.Marks[2].Withdrawn != "" {
		s.t.Errorf("the marks: %+v", in.Marks)
	}
	c := s.theClock(networkAct, "authority", 0)
	if due := time.Date(2025, 11, 19, 22, 52, 0, 0, seoul); c.State != regime.Overdue || len(c.Others) != 1 || c.Others[0].By != "the company" || !c.Others[0].Due.Equal(due) {
		s.t.Errorf("the report is not overdue by the first mark, and due at %v by the other: %+v", due, c)
	}
}

// scopeIs makes the next scope version, and holds it against what the accesses come to: figures, customer by customer with the fields, and the difference.
func (s *story) scopeIs(filter whosaw.Filter, reason string, want truth) *incident.Version {
	s.t.Helper()
	body := m{"reason": reason}
	if filter != nil {
		body["filter"] = filter
	}
	v := new(incident.Version)
	s.ask("kim", "POST", "/v1/incidents/1/versions", body, v)
	others, disclosures, clear, masked := want.sums()
	a := &v.Answer
	if a.Subjects != int64(len(want)) || a.Others != others || a.Disclosures != disclosures || !maps.Equal(a.Fields, clear) || !maps.Equal(a.Masked, masked) {
		s.t.Errorf("scope version %d: %d subjects, %d others, %d disclosures, %v, masked %v\nwant %d, %d, %d, %v, masked %v",
			v.Number, a.Subjects, a.Others, a.Disclosures, a.Fields, a.Masked, len(want), others, disclosures, clear, masked)
	}
	status, list := s.request("kim", "POST", fmt.Sprintf("/v1/incidents/1/versions/%d/list", v.Number), `{}`)
	rows := 0
	for line := range strings.Lines(list) {
		var row whosaw.ListRow
		check(s.t, json.Unmarshal([]byte(line), &row))
		n, _ := strconv.Atoi(row.Subject)
		if is := want[n]; is == nil || row.Accesses != is.accesses || !slices.Equal(row.Fields, is.fields()) {
			s.t.Fatalf("scope version %d lists %+v, want %+v", v.Number, row, is)
		}
		rows++
	}
	if status != 200 || rows != len(want) {
		s.t.Errorf("scope version %d lists %d customers (%d), want %d", v.Number, rows, status, len(want))
	}
	if len(s.version) > 0 {
		added, removed, widened, same := want.difference(s.version[len(s.version)-1])
		if d := v.Difference; d == nil || d.Added != added || d.Removed != removed || d.Widened != widened || d.Same != same {
			s.t.Errorf("scope version %d differs by %+v, want %d added, %d removed, %d widened, %d the same", v.Number, v.Difference, added, removed, widened, same)
		}
	}
	s.version = append(s.version, want)
	s.t.Logf("scope version %d: %d customers, %d entries of others, in clear %v, masked %v, difference %+v", v.Number, a.Subjects, a.Others, a.Fields, a.Masked, v.Difference)
	return v
}

// scopeByComplaint looks where somebody complained: at the address that was seen on the account, in the hours around it.
func (s *story) scopeByComplaint() {
	var seen []int // customers that the address opened before the complaint, the last ones
	for n := tried - addresses*400 + 3; n <= tried-addresses*100; n += addresses {
		if exists(n) && mix(n, 5)%667 != 0 {
			seen = append(seen, n)
		}
	}
	seen = seen[len(seen)-5:]
	from, to := began(seen[0]), began(seen[len(seen)-1]).Add(time.Minute)
	ip := thiefAddress(seen[0])
	want := count(s.sent, func(a *access) bool { return a.ip == ip && !a.at.Before(from) && a.at.Before(to) })
	if len(want) < 4 || len(want) > 6 {
		s.t.Errorf("a handful is %d", len(want))
	}
	v := s.scopeIs(whosaw.Filter{{IP: []string{ip}, From: whosaw.Time(from.UnixMilli()), To: whosaw.Time(to.UnixMilli())}}, "the address that customers saw, in the night of the complaint", want)
	if v.Difference != nil {
		s.t.Errorf("the first version differs from another: %+v", v.Difference)
	}
}

// document asks for a duty's document on a scope version, 0 for the last.
func (s *story) document(law, duty, lang string, version int) *incident.Document {
	s.t.Helper()
	path := fmt.Sprintf("/v1/incidents/1/document?law=%s&duty=%s&lang=%s", law, duty, lang)
	if version > 0 {
		path += fmt.Sprintf("&version=%d", version)
	}
	d := new(incident.Document)
	s.ask("kim", "GET", path, nil, d)
	return d
}

func signature(d *incident.Document) m {
	return m{"law": d.Law, "duty": d.Duty, "lang": d.Lang, "version": d.Scope, "hash": d.Hash}
}

func (s *story) sign(d *incident.Document) {
	s.t.Helper()
	if len(d.Faults) > 0 {
		s.t.Fatalf("%s/%s in %s: %+v", d.Law, d.Duty, d.Lang, d.Faults)
	}
	s.ask("lee", "POST", "/v1/incidents/1/sign", signature(d), nil)
}

func (s *story) firstReport() {
	for lang, texts := range said {
		for content, text := range texts {
			s.state(content, lang, text)
		}
	}
	s.state("what_leaked", "ko", "고객 {subjects}명의 이름, 이메일, 전화번호, 주소가 유출되었습니다.")
	for _, law := range []string{networkAct, pipa} {
		s.sign(s.document(law, "authority", "ko", 0))
		s.tell(law, "authority")
	}
	c := s.theClock(networkAct, "authority", 0)
	if c.State != regime.Late || c.Done.Sub(c.Due) != 29*time.Hour+35*time.Minute || c.Done.After(c.Others[0].Due) {
		s.t.Errorf("the report is %s by %v; by the company's mark due at %v", c.State, c.Done.Sub(c.Due), c.Others[0].Due)
	}
	if c := s.theClock(pipa, "authority", 0); c.State != regime.Met {
		s.t.Errorf("within 72 hours the report is %s", c.State)
	}
}

func (s *story) preservationOrder() {
	now := s.clock()
	due := now.Add(30 * 24 * time.Hour)
	s.record(incident.Requested, incident.Body{Title: "keep all records of accesses", Person: "the ministry", When: &now, Due: &due})
	s.nothingIsPurged()
}

// passed is what the webhook was told of a clock, and when by the house's.
var passed = regexp.MustCompile(`(A clock runs|Half of the time is over|Less than two hours left|OVERDUE since)[^()]*(?:\([^()]*\)[^()]*)*?\((kr-[a-z0-9/-]+)\)(, for what was found later)?`)

// told lists what was told of clocks.
func (s *story) told() []string {
	s.t.Helper()
	s.until("every channel to have told", func() bool {
		st, err := s.srv.Alarms().Status(s.t.Context())
		check(s.t, err)
		for _, c := range st.Channels {
			if c.Pending > 0 {
				return false
			}
		}
		return true
	})
	var out []string
	ids := map[string]bool{}
	for _, msg := range s.hook.deadlines() {
		if ids[msg.id] || !strings.HasSuffix(msg.says, regime.Counsel) {
			s.t.Errorf("told twice, or without counsel: %s", msg.says)
		}
		ids[msg.id] = true
		for _, one := range passed.FindAllStringSubmatch(msg.says, -1) {
			out = append(out, fmt.Sprintf("%s %s %s%s", msg.at.In(seoul).Format("01-02 15:04"), one[2], strings.ToLower(one[1]), one[3]))
		}
	}
	slices.Sort(out)
	return out
}

func (s *story) clocksWereTold() {
	var want []string
	add := func(stage string, at string, duties ...string) {
		for _, d := range duties {
			want = append(want, at+" "+d+" "+stage)
		}
	}
	report, asReport, people, posted := networkAct+"/authority", pipa+"/authority", pipa+"/people", pipa+"/posted"
	add("a clock runs", "11-17 16:00", report, asReport, people, posted)
	add("half of the time is over", "11-18 04:00", report)
	add("less than two hours left", "11-18 14:00", report)
	add("overdue since", "11-18 16:30", report)
	add("half of the time is over", "11-19 04:00", asReport, people, posted)
	add("less than two hours left", "11-20 14:00", people, posted)
	add("overdue since", "11-20 16:30", people, posted)
	slices.Sort(want)
	if got := s.told(); !slices.Equal(got, want) {
		s.t.Errorf("the webhook was told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var byHook []string
	for _, msg := range s.hook.deadlines() {
		byHook = append(byHook, msg.id)
	}
	if byMail := s.relay.deadlines(); !slices.Equal(byHook, byMail) {
		s.t.Errorf("deadlines by webhook %v, by mail %v", byHook, byMail)
	}
}

func (s *story) scopeByCause() {
	v := s.scopeIs(nil, "by cause: what the findings accuse, tokens of the backup key that nobody was given", count(s.sent, func(a *access) bool { return a.forged }))
	if !slices.Contains(v.Difference.Causes, "filter") {
		s.t.Errorf("the cause of the difference: %v", v.Difference.Causes)
	}
	s.mark(regime.Found, "", "33,7 million at full size")
	if c := s.theClock(networkAct, "authority", 1); c.State != regime.Running || c.Due.Sub(s.clock()) != 24*time.Hour {
		s.t.Errorf("what was found later is to be told within 24 hours: %+v", c)
	}
}

// faulty checks that a text keeps a report from being signed, and why.
func (s *story) faulty(content, text, why string) {
	s.t.Helper()
	s.state(content, "en", text)
	d := s.document(pipa, "authority", "en", 0)
	if !slices.ContainsFunc(d.Faults, func(f incident.Fault) bool { return f.Content == content && strings.Contains(f.Says, why) }) {
		s.t.Errorf("%q passes: %+v", text, d.Faults)
	}
	s.refused("lee", "POST", "/v1/incidents/1/sign", signature(d), "fault")
	s.state(content, "en", said["en"][content])
}

func (s *story) secondReport() {
	s.state("what_leaked", "ko", said["ko"]["what_leaked"])
	s.faulty("what_leaked", "There was an exposure of names, e-mail addresses, phone numbers, addresses, orders and door codes.", "not exposure")
	s.faulty("what_leaked", "Names, e-mail addresses, phone numbers, addresses and orders leaked.", "leaves it out: name the door code")
	s.faulty("measures", "The key was replaced, and no action is needed.", "there is something to do")
	s.faulty("people", "4,536 accounts are concerned.", "is no figure of scope version 2")
	old := s.document(pipa, "authority", "en", 1)
	d := s.document(pipa, "authority", "en", 0)
	if d.Scope != 2 || d.Hash == old.Hash || d.Figures[0].Value != int64(len(s.version[1])) || old.Figures[0].Value != int64(len(s.version[0])) {
		s.t.Errorf("the figures are not the version's: %+v, %+v", d.Figures[0], old.Figures[0])
	}
	stale := signature(d)
	stale["hash"] = old.Hash
	s.refused("lee", "POST", "/v1/incidents/1/sign", stale, "not the one that was read")
	s.sign(d)
	s.sign(s.document(networkAct, "authority", "ko", 0))
	for _, law := range []string{networkAct, pipa} {
		s.tell(law, "authority")
		if c := s.theClock(law, "authority", 1); c.State != regime.Met {
			s.t.Errorf("%s: what was found later is %s", law, c.State)
		}
	}
}

func (s *story) nothingIsPurged() {
	s.t.Helper()
	if r := s.retain(180, true); len(r.Removed) != 0 || len(r.Held) == 0 {
		s.t.Errorf("the purge removed %d segments, and left %d for the hold", len(r.Removed), len(r.Held))
	}
}
