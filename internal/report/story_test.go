package report_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/report"
)

// The stories: investigations as a report may have to tell them.

func ms(s string) whosaw.Time {
	t, err := time.Parse("2006-01-02T15:04:05", s)
	if err != nil {
		panic(err)
	}
	return whosaw.Time(t.UnixMilli())
}

func ptr[T any](v T) *T { return &v }

var made = time.Date(2026, 3, 10, 1, 30, 5, 0, time.UTC)

var stories = map[string]func() report.Data{
	"nothing": func() report.Data { return report.Data{Made: made, Sources: []string{"empty.log"}} },
	"one":     one,
	"calm":    calm,
	"quiet":   quiet,
	"harvest": harvest,
	"gaps":    gaps,
	"hostile": hostile,
	"many":    many,
	"tried":   tried,
}

// one: a single record.
func one() report.Data {
	t := ms("2026-03-02T10:11:12")
	return report.Data{
		Made: made, Sources: []string{"one.jsonl"}, Catalog: "shop",
		Read: whosaw.ReadAnswer{Lines: 1, Accepted: 1, From: &t, To: &t, Seconds: 0.02},
		All: &report.Scope{
			Answer: whosaw.ScopeAnswer{
				Filter: whosaw.Filter{{}}, Accesses: 1, Disclosures: 1, Subjects: 1,
				Fields: map[string]int64{"email": 1, "name": 1}, Masked: map[string]int64{}, NotReached: []string{"payment"},
				First: &t, Last: &t, Catalog: "shop",
			},
			Timeline: report.Timeline{Step: time.Hour, Buckets: []report.Bucket{{At: int64(ms("2026-03-02T10:00:00")), N: 1}}},
			Tops:     []report.Top{{By: "ip", Rows: []whosaw.TopRow{{Day: "2026-03-02", By: "ip", Value: "192.0.2.7", Subjects: 1, Accesses: 1}}}},
		},
		Doctor: whosaw.DoctorAnswer{
			Accesses:  1,
			Shares:    map[string]whosaw.Share{"subject": {Count: 1, Of: 1, Share: 1}},
			Detectors: []whosaw.DetectorState{{Detector: "traversal", Judges: "yes", Trials: 1}},
		},
	}
}

// calm: a web server's log without a subject, as most are.
func calm() report.Data {
	from, to := ms("2015-05-17T10:05:00"), ms("2015-05-20T21:05:59")
	return report.Data{
		Made: made, Version: "0.1.0", Sources: []string{"elastic_apache_logs.log"}, Suggested: true,
		Read:    whosaw.ReadAnswer{Lines: 10000, Accepted: 9999, Rejected: 1, From: &from, To: &to, Seconds: 0.41},
		Rejects: []report.Reject{{Source: "elastic_apache_logs.log", Line: 8899, Reason: "the agent has no closing quote: the line is cut off; the hint is to look at how the log is rotated"}},
		All: &report.Scope{
			Answer: whosaw.ScopeAnswer{
				Filter: whosaw.Filter{{}}, Accesses: 9999, Disclosures: 912, Subjects: 214, Others: 0,
				Fields: map[string]int64{"unclassified": 214}, Masked: map[string]int64{}, First: &from, Last: &to, Catalog: "suggested",
				Gaps: []whosaw.Gap{
					{Kind: whosaw.GapNoSubject, From: &from, To: &to, Count: 310, Says: "310 answers show something and name nobody."},
					{Kind: whosaw.GapRejected, From: &from, To: &to, Count: 1, Source: "elastic_apache_logs.log", Says: "1 line of elastic_apache_logs.log could not be read."},
				},
			},
			Tops: []report.Top{{By: "ip", Rows: []whosaw.TopRow{
				{Day: "2015-05-19", By: "ip", Value: "66.249.73.135", Subjects: 41, Accesses: 187},
				{Day: "2015-05-18", By: "ip", Value: "46.105.14.53", Subjects: 12, Accesses: 104},
			}}},
		},
		Doctor: whosaw.DoctorAnswer{
			Accesses: 9999,
			Shares: map[string]whosaw.Share{
				"subject": {Count: 912, Of: 9999, Says: "taken from id-like segments of paths"}, "credential": {Of: 9999}, "key": {Of: 9999},
				"origin": {Count: 9999, Of: 9999}, "agent": {Count: 9994, Of: 9999}, "fields": {Of: 9999},
			},
			Detectors: []whosaw.DetectorState{
				{Detector: "unissued", Judges: "no", Says: "No access carries a credential. Add the token id (jti) to the log, and the issuances."},
				{Detector: "nonexistent", Judges: "partly", Trials: 1125, Says: "213 answers were 404; for the rest it is not known whether the customer exists."},
				{Detector: "traversal", Judges: "partly", Trials: 912, Says: "Every time stamp has minute :05, so timing cannot be judged; order can."},
				{Detector: "canary", Judges: "no", Says: "No subject record plants a customer."},
				{Detector: "key_state", Judges: "no", Says: "No access names a key."},
			},
			Add: []whosaw.MemberAdvice{
				{Member: "subject", Why: "without it nobody can be named.", Opens: []string{"nonexistent", "traversal", "canary"}, Setup: "whosaw setup nginx"},
				{Member: "credential", Why: "says which log-in an access came from.", Opens: []string{"unissued"}, Setup: "whosaw setup nginx"},
			},
			Says: []string{"Half of the lines are older than the one before them: the order of arrival says little."},
		},
		Next: []report.Command{{Says: "See what to add to the log", Line: "whosaw setup nginx"}, {Says: "Write a catalog from what was found", Line: "whosaw catalog suggest elastic_apache_logs.log > catalog.yaml"}},
	}
}

// quiet: everything could be judged, and there is nothing.
func quiet() report.Data {
	d := one()
	d.Read.Lines, d.Read.Accepted = 3_204_118, 3_204_117
	d.Read.Duplicates = 1
	d.All.Answer.Accesses, d.All.Answer.Subjects, d.All.Answer.Disclosures = 3_100_456, 412_077, 1_204_118
	d.All.Answer.Fields = map[string]int64{"name": 412_077, "email": 380_114, "phone": 90_210}
	d.Doctor.Detectors = nil
	for _, n := range []string{"unissued", "nonexistent", "traversal", "canary", "key_state"} {
		d.Doctor.Detectors = append(d.Doctor.Detectors, whosaw.DetectorState{Detector: n, Judges: "yes", Trials: 1_204_118, Says: "It could judge every access that shows data."})
	}
	return d
}

// harvest: the example's theft.
func harvest() report.Data {
	from, to := ms("2026-03-02T00:00:00"), ms("2026-03-09T00:02:19")
	first, last := ms("2026-03-03T14:22:47"), ms("2026-03-06T22:21:45")
	accused := whosaw.Filter{{Key: []string{"backup-2024"}, Issued: ptr(false)}}
	s := report.Scope{
		Answer: whosaw.ScopeAnswer{
			Filter: accused, Accesses: 8317, Disclosures: 5637, Subjects: 1879, Others: 1956,
			Fields:     map[string]int64{"address": 1879, "door_code": 49, "email": 1879, "name": 1879, "phone": 1879},
			Masked:     map[string]int64{"door_code": 1830},
			NotReached: []string{"credential", "order_history", "payment"},
			First:      &first, Last: &last, Catalog: "haneul-market", Findings: []string{"f1", "f2", "f3", "f4"},
		},
		Absent:   2661,
		Timeline: report.Timeline{Step: time.Hour},
	}
	add := func(start string, counts ...int64) {
		for i, n := range counts {
			s.Timeline.Buckets = append(s.Timeline.Buckets, report.Bucket{At: int64(ms(start)) + int64(i)*3600_000, N: n})
		}
	}
	add("2026-03-03T14:00:00", 2)
	add("2026-03-04T15:00:00", 28, 88, 91, 84, 86, 90, 60)
	add("2026-03-05T14:00:00", 110, 129, 131, 127, 122, 130, 22)
	add("2026-03-06T16:00:00", 61, 99, 94, 103, 97, 98, 27)
	for day, list := range map[string][]int64{"2026-03-05": {189, 181, 176, 171, 166, 160}} {
		top := report.Top{By: "ip"}
		for i, n := range list {
			top.Rows = append(top.Rows, whosaw.TopRow{Day: day, By: "ip", Value: fmt.Sprintf("198.51.100.%d", 64+i), Subjects: n, Accesses: n * 3})
		}
		s.Tops = append(s.Tops, top)
	}
	s.Tops = append(s.Tops,
		report.Top{By: "key", Rows: []whosaw.TopRow{{Day: "2026-03-05", By: "key", Value: "backup-2024", Subjects: 771, Accesses: 3391}, {Day: "2026-03-06", By: "key", Value: "backup-2024", Subjects: 579, Accesses: 2598}}},
		report.Top{By: "route", Rows: []whosaw.TopRow{{Day: "2026-03-05", By: "route", Value: "GET /me/addresses", Subjects: 771, Accesses: 1544}, {Day: "2026-03-05", By: "route", Value: "GET /me", Subjects: 771, Accesses: 1790}, {Day: "2026-03-05", By: "route", Value: "GET /me/addresses/{id}/edit", Subjects: 18, Accesses: 18}}})
	return report.Data{
		Made: made, Version: "0.1.0", Sources: []string{"examples/shop/access.jsonl.gz"}, Catalog: "haneul-market", Ledger: "./case",
		Read: whosaw.ReadAnswer{Lines: 46769, Accepted: 46748, Duplicates: 21, From: &from, To: &to, Seconds: 0.63},
		Findings: []whosaw.Finding{
			{ID: "f1", Time: ms("2026-03-03T14:23:35"), Seen: ms("2026-03-03T14:23:35"), Detector: "key_state", Unit: "key:backup-2024", Filter: accused, Accesses: 4, Subjects: 1, Statistic: 1, Threshold: 1,
				Says: `A person who could read key "backup-2024" left on 2026-03-02, the key is still accepted, and someone uses it to sign credentials that were never issued: 4 so far. That it was this person is not established.`, Technique: "T1606.001"},
			{ID: "f2", Time: ms("2026-03-04T15:41:09"), Seen: ms("2026-03-04T15:41:09"), Detector: "unissued", Unit: "key:backup-2024", Filter: accused, Accesses: 11, Subjects: 3, Statistic: 25.77, Threshold: 24.8,
				Says: "Someone uses credentials that were never issued, as far as the issuance records tell: 11 accesses so far, which showed the data of 3 customers (signed with key backup-2024). Whom the credentials claim to be is not established.", Technique: "T1606.001"},
			{ID: "f3", Time: ms("2026-03-04T15:42:02"), Seen: ms("2026-03-04T15:42:02"), Detector: "nonexistent", Unit: "key:backup-2024", Filter: whosaw.Filter{{Key: []string{"backup-2024"}}}, Accesses: 19, Subjects: 7, Statistic: 32.39, Threshold: 24.8,
				Says: "Someone behind key backup-2024 tries customer ids: 7 of 12 did not exist, where honest traffic to these routes stays under 1 %; the tries showed the data of 7 customers.", Technique: "API1:2023"},
			{ID: "f4", Time: ms("2026-03-04T19:11:00"), Seen: ms("2026-03-04T19:11:00"), Detector: "canary", Unit: "key:backup-2024", Filter: accused, Accesses: 900, Subjects: 310, Statistic: 1, Threshold: 1,
				Says: "A planted customer, whom nobody has a reason to open, was opened with a credential that was never issued (key backup-2024). Whom the credential claims to be is not established.", Technique: "T1530"},
		},
		Scopes: []report.Scope{s},
		Doctor: whosaw.DoctorAnswer{
			Accesses: 40922,
			Shares: map[string]whosaw.Share{
				"subject": {Count: 16201, Of: 40922, Says: "stated by the records"}, "credential": {Count: 36200, Of: 40922}, "key": {Count: 36200, Of: 40922},
				"origin": {Count: 40922, Of: 40922}, "agent": {Count: 40922, Of: 40922}, "fields": {Count: 40922, Of: 40922},
			},
			Detectors: []whosaw.DetectorState{
				{Detector: "unissued", Judges: "yes", Trials: 36200, Says: "Each key has issuance records. That they are complete is inferred: no feed record declares it."},
				{Detector: "nonexistent", Judges: "yes", Trials: 16201}, {Detector: "traversal", Judges: "yes", Trials: 16201},
				{Detector: "canary", Judges: "yes", Trials: 16201, Says: "6 of 2,308 subjects are planted."},
				{Detector: "key_state", Judges: "partly", Trials: 36200, Says: "Until when each key is valid is not on record."},
			},
		},
		Next: []report.Command{
			{Says: "The list of customers", Line: "whosaw scope --data ./case --key backup-2024 --issued no --list csv > affected.csv"},
			{Says: "Who opened one customer's data", Line: "whosaw subject 10482213 --data ./case"},
			{Says: "Count again with other conditions", Line: "whosaw scope --data ./case --key backup-2024 --from 2026-03-03 --to 2026-03-07 --zone Asia/Seoul"},
		},
	}
}

// gaps: half a year by days, with records missing, in the shop's zone.
func gaps() report.Data {
	d := harvest()
	d.Zone = time.FixedZone("KST", 9*3600)
	from, to := ms("2026-04-13T15:00:00"), ms("2026-11-08T15:00:00")
	d.Read.From, d.Read.To = &from, &to
	d.Read.Lines, d.Read.Accepted, d.Read.Seconds, d.Read.Rejected = 664_200_000_123, 664_200_000_100, 86_400*1.5, 2
	s := &d.Scopes[0]
	s.Answer.First, s.Answer.Last = &from, &to
	s.Answer.Subjects, s.Answer.Disclosures, s.Answer.Others = 33_673_817, 182_123_456, 14_330_000
	s.Answer.Fields = map[string]int64{"name": 33_673_817, "email": 33_673_817, "phone": 30_111_222, "address": 30_111_222, "door_code": 2_609, "order_history": 102_682}
	s.Answer.Masked = map[string]int64{"door_code": 30_108_613}
	gapFrom, gapTo := ms("2026-05-22T15:00:00"), ms("2026-06-02T15:00:00")
	s.Answer.Gaps = []whosaw.Gap{
		{Kind: whosaw.GapSilent, From: &gapFrom, To: &gapTo, Source: "gateway-2", Says: "no records of gateway-2 for 11 days: people seen only then cannot be named"},
		{Kind: whosaw.GapNoFeed, Count: 12, From: &from, To: &to, Says: "Nobody reports the issuances of key kiosk-a: whether its 12 accesses were issued is not known."},
	}
	s.Timeline = report.Timeline{Step: 24 * time.Hour}
	for i := range 209 {
		t := int64(from) + int64(i)*86_400_000
		n := int64(120_000 + (i*7919)%90_000)
		if t >= int64(gapFrom) && t < int64(gapTo) {
			n = 0
		}
		s.Timeline.Buckets = append(s.Timeline.Buckets, report.Bucket{At: t, N: n})
	}
	d.Findings[0].Seen = ms("2026-04-14T02:10:44")
	for i := range d.Findings[1:] {
		d.Findings[i+1].Seen = ms("2026-04-14T03:12:44") + whosaw.Time(i*86_400_000)
	}
	return d
}

const nasty = "<script>alert(1)</script><img src=x onerror=alert(2)> \u202egnp.exe\u2066 \x1b[31;1mred\x1b]8;;http://evil.example\x07link \x00\u200b\ufeff \xff\xfe a\u0300\u0301\u0302\u0303\u0304\u0305\u0306 \u3164 \"'`{{.}} javascript:alert(3)//"

// hostile: whatever can be in a log is in every place that takes text from one, and very long.
func hostile() report.Data {
	d := harvest()
	long := strings.Repeat("A very long value ", 30) + strings.Repeat("x", 10_000)
	d.Sources = []string{nasty, long}
	d.Catalog, d.RejectFile, d.Version, d.Partial = nasty, nasty, nasty, nasty
	d.Read.Rejected = 2
	d.Rejects = []report.Reject{{Source: nasty, Line: 3, Reason: nasty}, {Source: long, Reason: long}}
	for i := range d.Findings {
		f := &d.Findings[i]
		f.Unit, f.Says, f.Technique, f.Detector = "agent:"+nasty, nasty+long, nasty, nasty
		f.Filter = whosaw.Filter{{Agent: []string{nasty, long, "b", "c"}, Principal: []string{"!" + nasty}, Route: []string{nasty}}, {Key: []string{long}}}
	}
	s := &d.Scopes[0]
	s.Answer.Filter = whosaw.Filter{{Agent: []string{nasty}, Key: []string{long}}}
	s.Answer.Fields = map[string]int64{nasty: 4, long: 5}
	s.Answer.Masked = map[string]int64{nasty + "m": 4}
	s.Answer.NotReached = []string{nasty, long}
	s.Answer.Catalog = nasty
	s.Answer.Gaps = []whosaw.Gap{{Kind: whosaw.GapKind(nasty), Source: nasty, Count: 4}, {Says: nasty}, {Says: long}}
	s.Tops = []report.Top{{By: "agent", Rows: []whosaw.TopRow{
		{Day: nasty, By: "agent", Value: nasty, Subjects: 9_223_372_036_854_775_807, Accesses: 9_223_372_036_854_775_807},
		{Day: "2026-03-04", By: "agent", Value: long, Subjects: 3, Accesses: 4},
	}}, {By: nasty, Rows: []whosaw.TopRow{{Value: "홍길동 한글 값", Subjects: 1}}}}
	d.Doctor.Shares[nasty] = whosaw.Share{Count: 1, Of: 2, Says: nasty}
	d.Doctor.Detectors = append(d.Doctor.Detectors, whosaw.DetectorState{Detector: nasty, Judges: nasty, Says: nasty})
	d.Doctor.Silent = []whosaw.Gap{{Says: nasty}}
	d.Doctor.Says = []string{nasty}
	d.Doctor.Add = []whosaw.MemberAdvice{{Member: nasty, Why: nasty, Opens: []string{nasty}, Setup: nasty}}
	d.Next = []report.Command{{Says: nasty, Line: nasty}, {Says: "long", Line: long}}
	return d
}

// many: more of everything than a page should hold.
func many() report.Data {
	d := harvest()
	base := d.Findings[1]
	var hours []report.Bucket
	for h := range int64(50_000) {
		hours = append(hours, report.Bucket{At: int64(ms("2020-01-01T00:00:00")) + h*3600_000, N: h % 7})
	}
	for i := range 400 {
		f := base
		f.ID, f.Unit = fmt.Sprint("m", i), fmt.Sprintf("ip:198.51.100.%d", i%250)
		f.Seen += whosaw.Time(i * 60_000)
		f.Filter = whosaw.Filter{}
		for k := range 60 {
			f.Filter = append(f.Filter, whosaw.Term{IP: []string{fmt.Sprintf("198.51.100.%d", k)}, Route: []string{"GET /me"}})
		}
		d.Findings = append(d.Findings, f)
	}
	for i := range 30 {
		s := d.Scopes[0]
		s.Answer.Findings = []string{fmt.Sprint("m", i)}
		s.Answer.Filter = whosaw.Filter{{Subject: []string{"1", "2", "3", "4", "5", "6"}}, {Principal: []string{"staff:desk-1"}}}
		s.Answer.Gaps = make([]whosaw.Gap, 500)
		for g := range s.Answer.Gaps {
			s.Answer.Gaps[g] = whosaw.Gap{Kind: whosaw.GapRejected, Source: fmt.Sprint("log-", g), Count: 3}
		}
		s.Timeline.Buckets = hours
		s.Tops = nil
		for k := range 20 {
			top := report.Top{By: fmt.Sprint("by", k)}
			for r := range 500 {
				top.Rows = append(top.Rows, whosaw.TopRow{Day: "2026-03-05", Value: fmt.Sprint("v", r), Subjects: int64(500 - r), Accesses: 500})
			}
			s.Tops = append(s.Tops, top)
		}
		d.Scopes = append(d.Scopes, s)
	}
	return d
}

// tried: an attack that got nothing.
func tried() report.Data {
	d := harvest()
	s := &d.Scopes[0]
	s.Answer = whosaw.ScopeAnswer{Filter: s.Answer.Filter, Accesses: 2661, Findings: []string{"f3"}, NotReached: []string{"address", "name"}}
	s.Timeline, s.Tops, s.Absent = report.Timeline{}, nil, 2661
	d.Findings = d.Findings[2:3]
	d.Findings[0].Subjects = 0
	return d
}
