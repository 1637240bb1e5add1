package reference_test

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
	"pgregory.net/rapid"
)

// oracle answers by looking through every record, as the contract is worded. It shares nothing with the
// index.
type oracle struct{ records []whosaw.Record }

func (o *oracle) of(typ whosaw.Type, realm string) []whosaw.Record {
	var out []whosaw.Record
	for _, r := range o.records {
		if r.Type == typ && r.Realm == realm {
			out = append(out, r)
		}
	}
	return out
}

func whoIssued(r whosaw.Record) string {
	if r.Principal == "" && len(r.Subjects) > 0 {
		return "customer:" + r.Subjects[0]
	}
	return r.Principal
}

func agree(a, b string) bool { return a == "" || b == "" || a == b }

func (o *oracle) issuedAt(realm, credential, key, principal string) (t int64, ok bool) {
	for _, r := range o.of(whosaw.TypeIssuance, realm) {
		if credential != "" && r.Credential == credential && agree(r.Key, key) && agree(whoIssued(r), principal) {
			if !ok || r.Time < t {
				t, ok = r.Time, true
			}
		}
	}
	return t, ok
}

func (o *oracle) subjectOf(realm, credential string) (string, bool) {
	best, found, at := "", false, int64(0)
	for _, r := range o.of(whosaw.TypeIssuance, realm) {
		if credential == "" || r.Credential != credential {
			continue
		}
		s := ""
		if len(r.Subjects) > 0 {
			s = r.Subjects[0]
		} else if strings.HasPrefix(r.Principal, "customer:") {
			s = r.Principal[len("customer:"):]
		}
		if s != "" && (!found || r.Time >= at) {
			best, found, at = s, true, r.Time
		}
	}
	return best, found
}

func startOf(r whosaw.Record) int64 {
	if r.Ref.Since != 0 {
		return r.Ref.Since
	}
	return r.Time
}

func covers(r whosaw.Record, t int64) bool {
	from := r.Ref.From
	if from == 0 {
		from = r.Time
	}
	return from <= t && (r.Ref.Until == 0 || t < r.Ref.Until)
}

func (o *oracle) feed(realm, key, client, route string, t int64) reference.Feed {
	var f reference.Feed
	for _, r := range o.of(whosaw.TypeIssuance, realm) {
		if r.Key != "" && r.Key == key || r.Client != "" && r.Client == client || r.Key == "" && r.Client == "" {
			f.Known = true
		}
	}
	type found struct {
		named int
		from  int64
		seq   int
		r     whosaw.Record
	}
	var all []found
	for i, r := range o.of(whosaw.TypeFeed, realm) {
		fits := func(a, b string) bool { return a == "" || a == b }
		if r.Ref.Of != "issuance" || !covers(r, t) || !fits(r.Key, key) || !fits(r.Client, client) || !fits(r.Route, route) {
			continue
		}
		f.Known = true
		n := 0
		for _, s := range []string{r.Key, r.Client, r.Route} {
			if s != "" {
				n++
			}
		}
		from := r.Ref.From
		if from == 0 {
			from = r.Time
		}
		all = append(all, found{n, from, i, r})
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.named, b.named), cmp.Compare(a.from, b.from), cmp.Compare(a.seq, b.seq))
	})
	for _, a := range all {
		f.Lag = int64(a.r.Ref.Lag * 1000)
		if a.r.Ref.HasLost {
			f.Declared, f.Lost = true, a.r.Ref.Lost
		}
	}
	return f
}

// history gives the records with their since up to t, in order.
func history(records []whosaw.Record, t int64) []whosaw.Record {
	var out []whosaw.Record
	for _, r := range records {
		if startOf(r) <= t {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b whosaw.Record) int { return cmp.Compare(startOf(a), startOf(b)) })
	return out
}

func (o *oracle) subjectRecords(realm, subject string) []whosaw.Record {
	return slices.DeleteFunc(o.of(whosaw.TypeSubject, realm), func(r whosaw.Record) bool { return r.Subjects[0] != subject })
}

func (o *oracle) subject(realm, subject string, t int64) (reference.SubjectState, bool) {
	all := o.subjectRecords(realm, subject)
	if len(all) == 0 {
		return reference.SubjectState{}, false
	}
	var s reference.SubjectState
	h := history(all, t)
	if len(h) == 0 {
		return reference.SubjectState{Since: startOf(history(all, 1<<62)[0])}, true
	}
	for i, r := range h {
		if i == 0 || r.Ref.State != "" && r.Ref.State != s.State {
			s.State, s.Since, s.Into = r.Ref.State, startOf(r), ""
		}
		if r.Ref.Into != "" {
			s.Into = r.Ref.Into
		}
		s.LastLogin = max(s.LastLogin, r.Ref.LastLogin)
	}
	return s, true
}

func (o *oracle) subjects(realm string) (all, canaries int) {
	seen := map[string]bool{}
	for _, r := range o.of(whosaw.TypeSubject, realm) {
		if s := r.Subjects[0]; !seen[s] {
			seen[s] = true
			all++
			if st, _ := o.subject(realm, s, 1<<62); st.State == "canary" {
				canaries++
			}
		}
	}
	return all, canaries
}

func (o *oracle) contacts(realm, subject string, t int64) []string {
	var out []string
	for _, r := range history(o.subjectRecords(realm, subject), t) {
		if r.Ref.Contacts != nil {
			out = r.Ref.Contacts
		}
	}
	return out
}

func (o *oracle) explained(realm, principal, subject string, t int64, issued bool) bool {
	if principal == "" || subject == "" {
		return false
	}
	if issued && principal == "customer:"+subject {
		return true
	}
	for _, r := range o.of(whosaw.TypeReason, realm) {
		named := len(r.Subjects) > 0 || r.Principal != ""
		if named && covers(r, t) && agree2(r.Principal, principal) && (len(r.Subjects) == 0 || slices.Contains(r.Subjects, subject)) {
			return true
		}
	}
	other, ok := strings.CutPrefix(principal, "customer:")
	return ok && other != subject &&
		slices.Contains(o.contacts(realm, subject, t), other) && slices.Contains(o.contacts(realm, other, t), subject)
}

func agree2(a, b string) bool { return a == "" || a == b }

func (o *oracle) key(realm, key string, t int64) reference.KeyState {
	var s reference.KeyState
	records := slices.DeleteFunc(o.of(whosaw.TypeKey, realm), func(r whosaw.Record) bool { return r.Key != key })
	for i, r := range history(records, t) {
		if r.Ref.State != "" && r.Ref.State != s.State {
			s.State, s.Since = r.Ref.State, startOf(r)
		} else if i == 0 {
			s.State = r.Ref.State
		}
		if r.Ref.Until != 0 {
			s.Until = r.Ref.Until
		}
	}
	people := map[string][]whosaw.Record{}
	could := map[string]bool{}
	for _, r := range o.of(whosaw.TypePerson, realm) {
		people[r.Ref.Person] = append(people[r.Ref.Person], r)
		if startOf(r) <= t && slices.Contains(r.Ref.Keys, key) {
			could[r.Ref.Person] = true
		}
	}
	for _, r := range history(records, t) {
		for _, p := range r.Ref.Readers {
			could[p] = true
		}
	}
	for _, p := range []string{"kim", "lee", "park"} {
		state, at := "", int64(0)
		for _, r := range history(people[p], t) {
			if r.Ref.State != "" && r.Ref.State != state {
				state, at = r.Ref.State, startOf(r)
			}
		}
		if could[p] && state == "left" && (s.Left == "" || at < s.LeftAt) {
			s.Left, s.LeftAt = p, at
		}
	}
	return s
}

var (
	realms      = []string{"", "b"}
	credentials = []string{"", "c1", "c2", "c3", "12", "012"}
	keys        = []string{"", "k1", "k2"}
	clients     = []string{"", "app", "web"}
	routes      = []string{"", "GET /me"}
	subjects    = []string{"1", "2", "01", "x"}
	principals  = []string{"", "customer:1", "customer:2", "customer:01", "customer:x", "staff:kim", "customer:"}
	people      = []string{"kim", "lee", "park"}
)

func drawTime(t *rapid.T, name string) int64 {
	return whosaw.MinTime + int64(rapid.IntRange(0, 12).Draw(t, name))*1000
}

func maybeTime(t *rapid.T, name string) int64 {
	if rapid.Bool().Draw(t, "has "+name) {
		return drawTime(t, name)
	}
	return 0
}

func pick(t *rapid.T, from []string, name string) string {
	return rapid.SampledFrom(from).Draw(t, name)
}

func drawRecord(t *rapid.T) whosaw.Record {
	r := whosaw.Record{
		Type: rapid.SampledFrom([]whosaw.Type{
			whosaw.TypeAccess, whosaw.TypeIssuance, whosaw.TypeIssuance, whosaw.TypeSubject, whosaw.TypeSubject,
			whosaw.TypePerson, whosaw.TypeKey, whosaw.TypeReason, whosaw.TypeFeed, whosaw.TypeChange,
		}).Draw(t, "type"),
		Realm: pick(t, realms, "realm"), Time: drawTime(t, "time"),
	}
	if r.Type == whosaw.TypeAccess {
		r.Credential, r.Key = "c1", "k1"
		return r
	}
	ref := &whosaw.Reference{Since: maybeTime(t, "since")}
	r.Ref = ref
	some := func(from []string, name string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 3, rapid.ID[string]).Draw(t, name)
	}
	switch r.Type {
	case whosaw.TypeIssuance:
		r.Credential, r.Key = pick(t, credentials, "credential"), pick(t, keys, "key")
		r.Client, r.Principal = pick(t, clients, "client"), pick(t, principals, "principal")
		if rapid.Bool().Draw(t, "subject") {
			r.Subjects = []string{pick(t, subjects, "subject")}
		}
	case whosaw.TypeSubject:
		r.Subjects = []string{pick(t, subjects, "subject")}
		ref.State = pick(t, []string{"", "active", "withdrawn", "merged", "canary"}, "state")
		if ref.State == "merged" {
			ref.Into = pick(t, append(subjects, ""), "into")
		}
		ref.LastLogin = maybeTime(t, "last_login")
		if rapid.Bool().Draw(t, "contacts") {
			ref.Contacts = some(subjects, "contacts")
		}
	case whosaw.TypePerson:
		ref.Person, ref.State = pick(t, people, "person"), pick(t, []string{"", "active", "left"}, "state")
		ref.Keys = some(keys[1:], "keys")
	case whosaw.TypeKey:
		r.Key, ref.State = pick(t, keys[1:], "key"), pick(t, []string{"", "active", "retired", "revoked"}, "state")
		ref.Until, ref.Readers = maybeTime(t, "until"), some(people, "readers")
	case whosaw.TypeReason:
		r.Principal = pick(t, principals, "principal")
		if rapid.Bool().Draw(t, "subject") {
			r.Subjects = []string{pick(t, subjects, "subject")}
		}
		ref.From, ref.Until = maybeTime(t, "from"), maybeTime(t, "until")
	case whosaw.TypeFeed:
		ref.Of = pick(t, []string{"issuance", "issuance", "subject"}, "of")
		r.Key, r.Client, r.Route = pick(t, keys, "key"), pick(t, clients, "client"), pick(t, routes, "route")
		ref.From, ref.Until = maybeTime(t, "from"), maybeTime(t, "until")
		ref.Lag = float64(rapid.IntRange(0, 3).Draw(t, "lag"))
		if ref.HasLost = rapid.Bool().Draw(t, "has lost"); ref.HasLost {
			ref.Lost = rapid.SampledFrom([]float64{0, 0.25, 1}).Draw(t, "lost")
		}
	}
	return r
}

func check[T comparable](t *rapid.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %+v, want %+v", what, got, want)
	}
}

type answer[T any] struct {
	v  T
	ok bool
}

func TestAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, o := reference.New(), &oracle{}
		for i := range rapid.IntRange(0, 80).Draw(t, "records") {
			r := drawRecord(t)
			x.Apply(uint64(i+1), &r)
			o.records = append(o.records, r)
		}
		for range 12 {
			realm, at := pick(t, append(realms, "none"), "realm"), drawTime(t, "at")
			credential, k := pick(t, append(credentials, "unknown"), "credential"), pick(t, append(keys, "unknown"), "key")
			client, route := pick(t, append(clients, "unknown"), "client"), pick(t, routes, "route")
			principal := pick(t, append(principals, "staff:unknown", "customer:unknown"), "principal")
			subject := pick(t, append(subjects, "unknown", ""), "subject")
			issued := rapid.Bool().Draw(t, "issued")

			gotT, got := x.IssuedAt(realm, credential, k, principal)
			wantT, want := o.issuedAt(realm, credential, k, principal)
			check(t, "issued", x.Issued(realm, credential, k, principal), want)
			check(t, "issued at", got, want)
			if want {
				check(t, "issued at", gotT, wantT)
			}
			gotS, gotOK := x.SubjectOf(realm, credential)
			wantS, wantOK := o.subjectOf(realm, credential)
			check(t, "subject of", answer[string]{gotS, gotOK}, answer[string]{wantS, wantOK})
			check(t, "feed", x.IssuanceFeed(realm, k, client, route, at), o.feed(realm, k, client, route, at))
			gotState, gotOK := x.Subject(realm, subject, at)
			wantState, wantOK := o.subject(realm, subject, at)
			check(t, "subject", answer[reference.SubjectState]{gotState, gotOK}, answer[reference.SubjectState]{wantState, wantOK})
			gotAll, gotCanaries := x.Subjects(realm)
			wantAll, wantCanaries := o.subjects(realm)
			check(t, "subjects", [2]int{gotAll, gotCanaries}, [2]int{wantAll, wantCanaries})
			check(t, "explained", x.Explained(realm, principal, subject, at, issued), o.explained(realm, principal, subject, at, issued))
			check(t, "key", x.Key(realm, k, at), o.key(realm, k, at))
		}
	})
}

// TestLongChains draws many different issuances of one credential, past the length at which the index
// changes how it looks through them.
func TestLongChains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, o := reference.New(), &oracle{}
		name := func(kind string, n int) string { return fmt.Sprint(kind, rapid.IntRange(0, n).Draw(t, kind)) }
		for i := range rapid.IntRange(1, 120).Draw(t, "records") {
			r := whosaw.Record{Type: whosaw.TypeIssuance, Credential: "c", Time: drawTime(t, "time")}
			if rapid.IntRange(0, 9).Draw(t, "has key") > 0 {
				r.Key = name("k", 5)
			}
			if rapid.IntRange(0, 9).Draw(t, "has principal") > 0 {
				r.Principal = name("customer:", 9)
			}
			x.Apply(uint64(i+1), &r)
			o.records = append(o.records, r)
		}
		for range 20 {
			k, p := name("k", 7), name("customer:", 12)
			for _, q := range [][2]string{{k, p}, {k, ""}, {"", p}, {"", ""}} {
				gotT, got := x.IssuedAt("", "c", q[0], q[1])
				wantT, want := o.issuedAt("", "c", q[0], q[1])
				check(t, "issued", got, want)
				if want {
					check(t, "issued at", gotT, wantT)
				}
			}
		}
		got, _ := x.SubjectOf("", "c")
		want, _ := o.subjectOf("", "c")
		check(t, "subject of", got, want)
	})
}

// TestManyReasons has more stretches for one pair than lie in place, in any order.
// A bounded index answers as one of the issuances it still has to hold.
func TestBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(1, 12).Draw(t, "bound")
		x := reference.New()
		x.Bound(bound, nil)
		var late, early oracle
		size, forgotten, until := 0, false, int64(0)
		for i := range rapid.IntRange(1, 60).Draw(t, "issuances") {
			r := whosaw.Record{
				Type: whosaw.TypeIssuance, Time: rapid.Int64Range(1, 99).Draw(t, "time"), Credential: fmt.Sprint("c", rapid.IntRange(1, 9).Draw(t, "credential")),
				Key: pick(t, keys, "key"), Principal: pick(t, []string{"", "customer:1", "staff:1"}, "principal"),
			}
			if rapid.Bool().Draw(t, "named") {
				r.Subjects = []string{pick(t, []string{"1", "2"}, "subject")}
			}
			if size >= max(1, bound/2) {
				for _, r := range early.records {
					forgotten, until = true, max(until, r.Time)
				}
				early, late, size = late, oracle{}, 0
			}
			what := func(r whosaw.Record) string {
				s, _ := (&oracle{[]whosaw.Record{r}}).subjectOf("", r.Credential)
				return fmt.Sprint(r.Credential, "|", r.Key, "|", whoIssued(r), "|", s)
			}
			if !slices.ContainsFunc(late.records, func(o whosaw.Record) bool { return what(o) == what(r) }) {
				size++
			}
			late.records = append(late.records, r)
			x.Apply(uint64(i+1), &r)

			held := oracle{slices.Concat(early.records, late.records)}
			credential, k := fmt.Sprint("c", rapid.IntRange(1, 9).Draw(t, "asked")), pick(t, keys, "asked key")
			principal := pick(t, []string{"", "customer:1", "customer:2", "staff:1"}, "asked principal")
			gotT, got := x.IssuedAt("", credential, k, principal)
			wantT, want := held.issuedAt("", credential, k, principal)
			check(t, "issued", got, want)
			if want {
				check(t, "issued at", gotT, wantT)
			}
			gotS, got := x.SubjectOf("", credential)
			wantS, want := held.subjectOf("", credential)
			check(t, "has a subject", got, want)
			check(t, "subject", gotS, wantS)
			gotU, got := x.Forgotten("")
			check(t, "forgotten", got, forgotten)
			check(t, "until", gotU, until)
		}
	})
}

func TestManyReasons(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, o := reference.New(), &oracle{}
		for i := range rapid.IntRange(1, 60).Draw(t, "records") {
			from := whosaw.MinTime + int64(rapid.IntRange(0, 200).Draw(t, "from"))
			r := whosaw.Record{
				Type: whosaw.TypeReason, Principal: "staff:kim", Subjects: []string{"7"}, Time: from,
				Ref: &whosaw.Reference{From: from, Until: from + int64(rapid.IntRange(0, 6).Draw(t, "length"))},
			}
			x.Apply(uint64(i+1), &r)
			o.records = append(o.records, r)
		}
		for i := range int64(210) {
			at := whosaw.MinTime + i
			check(t, "explained", x.Explained("", "staff:kim", "7", at, false), o.explained("", "staff:kim", "7", at, false))
			near := false
			for off := int64(-5); off <= 5; off++ {
				near = near || o.explained("", "staff:kim", "7", at+off, false)
			}
			check(t, "explained nearly", x.ExplainedNear("", "staff:kim", "7", at, 5, false), near)
		}
	})
}

// TestNames covers the table over its growth, with integer ids beside texts that look alike.
func TestNames(t *testing.T) {
	x := reference.New()
	name := func(i int) string {
		switch i % 4 {
		case 0:
			return fmt.Sprint(i)
		case 1:
			return "0" + fmt.Sprint(i)
		case 2:
			return fmt.Sprint(i) + strings.Repeat("9", 18)
		}
		return strings.Repeat("x", i%3000) + fmt.Sprint(i)
	}
	const n = 20000
	for i := range n {
		x.Apply(uint64(i+1), &whosaw.Record{Type: whosaw.TypeIssuance, Credential: name(i), Subjects: []string{name(i + 1)}, Time: int64(i)})
	}
	for i := range n {
		if got, ok := x.SubjectOf("", name(i)); !ok || got != name(i+1) {
			t.Fatalf("credential %d: got %.40q, %v", i, got, ok)
		}
		if _, ok := x.SubjectOf("", name(i)+"?"); ok {
			t.Fatalf("credential %d with a letter more was found", i)
		}
	}
}

// TestMemory holds the figures of doc.go.
func TestMemory(t *testing.T) {
	const n = 300000
	measure := func(apply func(x *reference.Index, i int)) float64 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		x := reference.New()
		for i := range n {
			apply(x, i)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(x)
		return float64(after.HeapAlloc-before.HeapAlloc) / n
	}
	issuance := measure(func(x *reference.Index, i int) {
		x.Apply(uint64(i+1), &whosaw.Record{
			Type: whosaw.TypeIssuance, Credential: fmt.Sprintf("%016x", i*7919), Principal: fmt.Sprint("customer:", i%50000), Key: "k", Time: int64(i),
		})
	})
	subject := measure(func(x *reference.Index, i int) {
		x.Apply(uint64(i+1), &whosaw.Record{
			Type: whosaw.TypeSubject, Subjects: []string{fmt.Sprint(i)}, Time: int64(i), Ref: &whosaw.Reference{State: "active"},
		})
	})
	t.Logf("bytes: %.0f an issuance, %.0f a subject", issuance, subject)
	if issuance > 90 || subject > 80 {
		t.Errorf("bytes: %.0f an issuance (at most 90), %.0f a subject (at most 80)", issuance, subject)
	}
}

// TestCopies: records may lie in a reader's buffer, which is written over after Apply.
func TestCopies(t *testing.T) {
	var buffers [][]byte
	view := func(s string) string {
		b := []byte(s)
		buffers = append(buffers, b)
		return unsafe.String(unsafe.SliceData(b), len(b))
	}
	x := reference.New()
	for i, r := range []whosaw.Record{
		{Type: whosaw.TypeIssuance, Credential: view("cred-1"), Principal: view("customer:seven"), Key: view("key-1"), Client: view("app-1")},
		{Type: whosaw.TypeKey, Key: view("key-2"), Ref: &whosaw.Reference{State: view("revoked"), Readers: []string{view("kim")}}},
		{Type: whosaw.TypePerson, Ref: &whosaw.Reference{Person: view("kim"), State: view("left"), Keys: []string{view("key-3")}}},
		{Type: whosaw.TypeSubject, Subjects: []string{view("eight")}, Ref: &whosaw.Reference{State: view("merged"), Into: view("nine"), Contacts: []string{view("ten")}}},
		{Type: whosaw.TypeReason, Subjects: []string{view("eight")}, Principal: view("staff:lee"), Ref: &whosaw.Reference{}},
		{Type: whosaw.TypeFeed, Key: view("key-4"), Ref: &whosaw.Reference{Of: view("issuance"), HasLost: true}},
	} {
		r.Time, r.Realm = whosaw.MinTime, view("shop")
		x.Apply(uint64(i+1), &r)
	}
	for _, b := range buffers {
		clear(b)
	}
	at := whosaw.MinTime
	if !x.Issued("shop", "cred-1", "key-1", "customer:seven") || x.Issued("shop", "cred-1", "key-9", "") {
		t.Error("the issuance is lost")
	}
	if s, _ := x.SubjectOf("shop", "cred-1"); s != "seven" {
		t.Errorf("subject of the credential: %q", s)
	}
	if !x.IssuanceFeed("shop", "", "app-1", "", at).Inferred() || !x.IssuanceFeed("shop", "key-4", "", "", at).Complete() {
		t.Error("a feed is lost")
	}
	if k := x.Key("shop", "key-2", at); k.State != "revoked" || k.Left != "kim" {
		t.Errorf("key: %+v", k)
	}
	if k := x.Key("shop", "key-3", at); k.Left != "kim" {
		t.Errorf("key that a person names: %+v", k)
	}
	if s, ok := x.Subject("shop", "eight", at); !ok || s.State != "merged" || s.Into != "nine" {
		t.Errorf("subject: %+v", s)
	}
	if !x.Explained("shop", "staff:lee", "eight", at, false) {
		t.Error("the reason is lost")
	}
}

func BenchmarkIssued(b *testing.B) {
	x := reference.New()
	var credentials, principals []string
	for i := range 200000 {
		c, p := fmt.Sprintf("%016x", i*7919), fmt.Sprint("customer:", i%50000)
		credentials, principals = append(credentials, c), append(principals, p)
		x.Apply(uint64(i+1), &whosaw.Record{Type: whosaw.TypeIssuance, Credential: c, Principal: p, Key: "k", Time: int64(i)})
	}
	i := 0
	for b.Loop() {
		if i = (i + 77777) % len(credentials); !x.Issued("", credentials[i], "k", principals[i]) {
			b.Fatal("not issued")
		}
	}
}

func BenchmarkApply(b *testing.B) {
	x := reference.New()
	r := whosaw.Record{Type: whosaw.TypeIssuance, Key: "k"}
	for i := 0; b.Loop(); i++ {
		r.Time, r.Credential, r.Principal = int64(i), fmt.Sprintf("%016x", i*7919), "customer:7"
		x.Apply(uint64(i+1), &r)
	}
}
