package guard_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw/internal/guard"
)

// lossy declares a feed that loses a little and is late: the one for which the allowance is.
func (w *world) lossy(key string) {
	w.t.Helper()
	w.say(fmt.Sprintf(`{"type":"feed","of":"issuance","key":%q,"from":"2020-01-01T00:00:00Z","lag":60,"lost":0.00001}`, key))
}

// TestAllowanceIsNoBypass: whatever a thief with the key does, no more credentials pass within a day than the allowance says.
func TestAllowanceIsNoBypass(t *testing.T) {
	w := newWorld(t)
	w.addKey("backup")
	w.open()
	w.lossy("main")
	w.lossy("backup")
	passed := map[string]bool{}
	try := func(token guard.Secret, who string, q func(*guard.Request)) {
		r := ask(token)
		if q != nil {
			q(r)
		}
		if d := w.g.Decide(t.Context(), r); d.Action == guard.Allow {
			passed[who] = true
		}
	}
	n := 0
	forge := func(kid string, change func(map[string]any)) (guard.Secret, string) {
		n++
		c := w.claims(fmt.Sprint("forged-", n), fmt.Sprint(n))
		if change != nil {
			change(c)
		}
		return w.token(kid, c), fmt.Sprint(kid, c["jti"], c["sub"])
	}
	most := w.cfg.Unconfirmed.Pass
	for range 3 * most { // one after another
		token, who := forge("main", nil)
		try(token, who, nil)
	}
	if len(passed) != most {
		t.Fatalf("%d unissued credentials passed, want the allowance of %d to be used", len(passed), most)
	}
	for i := range 300 {
		// Short lives, so that their places might be free again; other addresses, agents, routes, realms, clients, request ids.
		token, who := forge("main", func(c map[string]any) {
			c["exp"] = w.now().Unix() + 2
			c["client_id"] = fmt.Sprint("app-", i)
		})
		try(token, who, func(q *guard.Request) {
			q.Realm, q.Agent, q.ID, q.Path, q.IP = fmt.Sprint("r", i), fmt.Sprint("a/", i), fmt.Sprint(i), fmt.Sprint("/x/", i), q.IP.Next()
		})
		w.advance(3 * time.Second)
	}
	// The id of one that passed, in the name of others.
	for i := range 100 {
		token, who := forge("main", func(c map[string]any) { c["jti"], c["sub"] = "forged-1", fmt.Sprint("other-", i) })
		try(token, who, nil)
	}
	// Without an id: each token is known by its hash.
	for range 100 {
		token, who := forge("main", func(c map[string]any) { delete(c, "jti") })
		try(token, who+"no id", nil)
	}
	// A restart gives no new allowance.
	for range 3 {
		w.open()
		token, who := forge("main", nil)
		try(token, who, nil)
	}
	if len(passed) != most {
		t.Errorf("%d unissued credentials passed the key main within an hour, at most %d may", len(passed), most)
	}
	// Another key has an allowance of its own: as many keys as the issuer has, no more.
	for range 3 * most {
		token, who := forge("backup", nil)
		try(token, who, nil)
	}
	if len(passed) != 2*most {
		t.Errorf("%d passed with two keys, want %d", len(passed), 2*most)
	}
}

// What passed while the allowance held passes no more when it is known that nothing may: a forger's sessions end with the word that a reader of the key left.
func TestAllowanceEnds(t *testing.T) {
	for name, end := range map[string]string{
		"a reader of the key has left":  `{"type":"person","time":%d,"person":"kim","state":"left","keys":["main"]}`,
		"the feed is complete from now": `{"type":"feed","time":%[1]d,"of":"issuance","key":"main","from":%[1]d,"lag":0,"lost":0}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lossy("main")
			token := w.token("main", w.claims("forged", "7"))
			w.want(ask(token), guard.Allow, guard.CodeUnconfirmed)
			w.say(fmt.Sprintf(end, w.now().UnixMilli()))
			w.advance(time.Second)
			w.want(ask(token), guard.Deny, guard.CodeUnissued)
			w.open()
			w.want(ask(token), guard.Deny, guard.CodeUnissued)
		})
	}
}

// Honest credentials whose issuance is late pass, and give their places back when it has come.
func TestAllowanceIsGivenBack(t *testing.T) {
	w := newWorld(t)
	w.lossy("main")
	for i := range 10 * w.cfg.Unconfirmed.Pass {
		id := fmt.Sprint("late-", i)
		w.want(ask(w.token("main", w.claims(id, "7"))), guard.Allow, guard.CodeUnconfirmed)
		w.issue(id, "7")
	}
}

// A request waits until its issuance comes, and no longer than it may.
func TestWaiting(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) { c.Unconfirmed.Wait = 300 * time.Millisecond })
	w.complete()
	token := w.token("main", w.claims("late", "7"))
	got := make(chan guard.Decision)
	go func() { got <- w.g.Decide(t.Context(), ask(token)) }()
	eventually(t, func() bool { return w.g.Status().Waiting == 1 })
	w.issue("late", "7")
	if d := <-got; d.Action != guard.Allow || d.Because() != guard.CodeOK {
		t.Errorf("issued while it waited: %v", d.Reasons)
	}
	began := time.Now()
	w.want(ask(w.token("main", w.claims("never", "8"))), guard.Deny, guard.CodeUnissued)
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("waited %v", took)
	}
	if n := w.g.Status().Waiting; n != 0 {
		t.Errorf("%d wait still", n)
	}
}

// In shadow mode nobody is made to wait, and what would have been is known all the same.
func TestShadowDoesNotWait(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) { c.Mode, c.Unconfirmed.Wait = guard.ModeShadow, 300*time.Millisecond })
	w.complete()
	stop := run(t, w.g)
	late := w.token("main", w.claims("late", "7"))
	if d := w.g.Decide(t.Context(), ask(late)); d.Action != guard.Allow || !d.Shadow {
		t.Errorf("got %+v", d)
	}
	eventually(t, func() bool { return w.g.Status().Waiting == 1 })
	w.issue("late", "7")
	w.g.Decide(t.Context(), ask(w.token("main", w.claims("never", "8"))))
	stop()
	count := map[guard.Code]int64{}
	for _, c := range w.g.Counts() {
		count[c.Code] += c.N
	}
	if count[guard.CodeOK] != 1 || count[guard.CodeUnissued] != 1 || len(count) != 2 {
		t.Errorf("counted %v, want one that was issued late and one that never was", count)
	}
}

// Forged tokens, each another one, leave memory as it was, and displace no checked token of the honest.
func TestForgedTokensDoNotGrow(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) { c.Tokens.Cache, c.Tokens.Sessions.Enabled = 1024, true })
	w.complete()
	honest := w.issue("honest", "7")
	w.want(ask(honest), guard.Allow, guard.CodeOK)
	w.want(ask(honest), guard.Allow, guard.CodeOK) // came again
	flood := func(n int) {
		for i := range n {
			sum := sha256.Sum256(fmt.Append(nil, n, i))
			q := ask(w.token("main", w.claims(fmt.Sprintf("%x", sum[:8]), fmt.Sprint(i))))
			q.Path = "/x/" + fmt.Sprintf("%x", sum)
			w.g.Decide(t.Context(), q)
			q.Credential = guard.Secret(fmt.Sprintf("%x", sum)) // a session that nobody has
			w.g.Decide(t.Context(), q)
		}
	}
	flood(3000)
	before := heap()
	flood(6000)
	if grown := heap() - before; grown > 2<<20 {
		t.Errorf("12,000 forged requests grew the heap by %d bytes", grown)
	}
	s := w.g.Status()
	if s.Tokens > 1100 || s.Unconfirmed > w.cfg.Unconfirmed.Pass {
		t.Errorf("%d tokens and %d places are held", s.Tokens, s.Unconfirmed)
	}
	was := s.Hits
	w.want(ask(honest), guard.Allow, guard.CodeOK)
	if w.g.Status().Hits != was+1 {
		t.Error("the honest token was displaced by forged ones")
	}
}

func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestBudgetProperty: over any order of answers, no actor is shown more new customers than its budget, a customer it was shown is not new,
// and what a reason explains counts for nothing.
func TestBudgetProperty(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Doors = []guard.DoorConfig{{Name: "mid", Kind: guard.KindMiddleware}}
		c.Tokens.Issuers[0].Principal = "staff:"
		c.Budgets = []guard.Budget{{Of: "principal:staff", Day: 5, Month: 8, Action: guard.Deny, Count: guard.CountAnswer}}
	})
	w.say(`{"type":"reason","subject":"explained","kind":"ticket","from":"2020-01-01T00:00:00Z"}`)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		token := w.token("main", w.claims(fmt.Sprint("jti-", n), fmt.Sprint("kim-", n)))
		shown := map[string]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "answers") {
			subjects := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "explained"}), 1, 4, rapid.ID).Draw(t, "subjects")
			fresh := 0
			for _, s := range subjects {
				if s != "explained" && !shown[s] {
					fresh++
				}
			}
			d := w.g.Observe(t.Context(), &guard.Answer{
				Request: guard.Request{Door: "mid", Route: "GET /staff/customers/{id}", Credential: token}, Subjects: subjects, Fields: []string{"name"}, Status: 200,
			})
			if ok := len(shown)+fresh <= 5; ok != (d.Action == guard.Allow) {
				t.Fatalf("%d were shown, %d would be new, and the answer is %s", len(shown), fresh, d.Action)
			}
			if d.Action == guard.Allow {
				for _, s := range subjects {
					if s != "explained" {
						shown[s] = true
					}
				}
			}
		}
	})
}

// A reason that the system of tickets dates two minutes ahead, because the door's clock is slow, explains; one of ten minutes ahead does not.
func TestBudgetForgivesClocks(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Doors = []guard.DoorConfig{{Name: "mid", Kind: guard.KindMiddleware}}
		c.Tokens.Issuers[0].Principal = "staff:"
		c.Budgets = []guard.Budget{{Of: "principal:staff", Day: 2, Action: guard.Deny, Count: guard.CountAnswer}}
	})
	token := w.token("main", w.claims("jti", "kim"))
	show := func(subject string, ahead time.Duration) guard.Action {
		w.say(fmt.Sprintf(`{"type":"reason","subject":%q,"principal":"staff:kim","kind":"ticket","from":%d}`, subject, w.now().Add(ahead).UnixMilli()))
		return w.g.Observe(t.Context(), &guard.Answer{
			Request: guard.Request{Door: "mid", Route: "GET /staff/customers/{id}", Credential: token}, Subjects: []string{subject}, Fields: []string{"name"}, Status: 200,
		}).Action
	}
	for i := range 5 {
		if a := show(fmt.Sprint("near", i), 2*time.Minute); a != guard.Allow {
			t.Fatalf("customer %d, whose ticket begins in two minutes: %s", i, a)
		}
	}
	for i, want := range []guard.Action{guard.Allow, guard.Allow, guard.Deny} {
		if a := show(fmt.Sprint("far", i), 10*time.Minute); a != want {
			t.Errorf("customer %d, whose ticket begins in ten minutes: %s", i, a)
		}
	}
}

// A ticket that is written after the page was opened gives back what was counted.
func TestBudgetIsGivenBack(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Doors = []guard.DoorConfig{{Name: "mid", Kind: guard.KindMiddleware}}
		c.Tokens.Issuers[0].Principal = "staff:"
		c.Budgets = []guard.Budget{{Of: "principal:staff", Month: 2, Action: guard.Deny, Count: guard.CountAnswer}}
	})
	token := w.token("main", w.claims("jti", "kim"))
	show := func(subject string) guard.Action {
		return w.g.Observe(t.Context(), &guard.Answer{
			Request: guard.Request{Door: "mid", Route: "GET /staff/customers/{id}", Credential: token}, Subjects: []string{subject}, Fields: []string{"name"}, Status: 200,
		}).Action
	}
	for i := range 20 {
		id := fmt.Sprint(i)
		if a := show(id); a != guard.Allow {
			t.Fatalf("customer %d, whose ticket comes later: %s", i, a)
		}
		w.say(fmt.Sprintf(`{"type":"reason","subject":%q,"principal":"staff:kim","kind":"ticket","from":%d}`, id, w.now().Add(-time.Minute).UnixMilli()))
		w.advance(2 * time.Second)
	}
	show("a")
	show("b")
	w.advance(2 * time.Second)
	if a := show("c"); a != guard.Deny {
		t.Errorf("a third without a ticket: %s", a)
	}
	// The access records that tell the same count once.
	w.say(fmt.Sprintf(`{"time":%d,"subject":"a","route":"GET /staff/customers/{id}","status":200,"principal":"staff:kim"}`, w.now().UnixMilli()))
	w.open() // and after a restart they are what is known
	w.say(fmt.Sprintf(`{"time":%d,"subject":"b","route":"GET /staff/customers/{id}","status":200,"principal":"staff:kim"}`, w.now().UnixMilli()))
	if a := show("c"); a != guard.Deny {
		t.Errorf("after a restart a third without a ticket: %s", a)
	}
}

// A handler may leave it to the catalog which fields its answer shows: what it shows counts all the same, before it leaves.
func TestBudgetWhereTheCatalogSaysTheFields(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Doors = []guard.DoorConfig{{Name: "mid", Kind: guard.KindMiddleware}}
		c.Tokens.Issuers[0].Principal = "staff:"
		c.Budgets = []guard.Budget{{Of: "principal:staff", Day: 2, Action: guard.Deny, Count: guard.CountAnswer}}
	})
	token := w.token("main", w.claims("jti", "kim"))
	for _, c := range []struct {
		subject, more string
		want          guard.Action
	}{
		{"1", `,"fields":[]`, guard.Allow}, // shows nothing
		{"3\",\"3\",\"3", ``, guard.Allow}, // one customer
		{"2", `,"status":404`, guard.Allow},
		{"3", ``, guard.Allow},
		{"4", `,"status":200`, guard.Allow},
		{"5", ``, guard.Deny},
		{"3", ``, guard.Allow},
	} {
		var a guard.Answer
		if err := json.Unmarshal([]byte(`{"door":"mid","route":"GET /staff/customers/{id}","subjects":["`+c.subject+`"]`+c.more+`}`), &a); err != nil {
			t.Fatal(err)
		}
		a.Credential = token
		if d := w.g.Observe(t.Context(), &a); d.Action != c.want {
			t.Errorf("customer %s%s: %s because of %v, want %s", c.subject, c.more, d.Action, d.Reasons, c.want)
		}
	}
}

// What is shown counts on some day, whatever clocks say: one that ran ahead and is put back, and that of a gateway which is ahead at midnight.
func TestBudgetAndClocks(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Doors = []guard.DoorConfig{{Name: "mid", Kind: guard.KindMiddleware}}
		c.Tokens.Issuers[0].Principal = "staff:"
		c.Budgets = []guard.Budget{{Of: "principal:staff", Day: 2, Month: 50, Action: guard.Deny, Count: guard.CountAnswer}}
	})
	n := 0
	show := func(who string) guard.Action {
		n++
		return w.g.Observe(t.Context(), &guard.Answer{
			Request: guard.Request{Door: "mid", Route: "GET /staff/customers/{id}", Credential: w.token("main", w.claims("jti-"+who, who))}, Subjects: []string{fmt.Sprint(n)},
			Fields: []string{"name"}, Status: 200,
		}).Action
	}
	w.advance(time.Until(time.Now().UTC().Truncate(24 * time.Hour).Add(24*time.Hour + 12*time.Hour))) // noon
	for _, c := range []struct {
		who   string
		ahead time.Duration
	}{{"kim", 24 * time.Hour}, {"lee", 5 * 24 * time.Hour}, {"pak", 40 * 24 * time.Hour}} {
		w.advance(c.ahead)
		if a := show(c.who); a != guard.Allow {
			t.Errorf("%v ahead: %s", c.ahead, a)
		}
		w.advance(-c.ahead)
		if a := show(c.who); a != guard.Allow {
			t.Errorf("put back by %v, the second: %s", c.ahead, a)
		}
		if a := show(c.who); a != guard.Deny {
			t.Errorf("put back by %v, the third: %s", c.ahead, a)
		}
	}
	w.advance(11*time.Hour + 58*time.Minute)
	for i := range 2 {
		w.say(fmt.Sprintf(`{"time":%d,"subject":"ahead-%d","route":"GET /staff/customers/{id}","status":200,"principal":"staff:joo"}`, w.now().Add(5*time.Minute).UnixMilli(), i))
	}
	if a := show("joo"); a != guard.Deny {
		t.Errorf("two were shown two minutes before midnight, by a clock that was ahead: the third: %s", a)
	}
	w.advance(time.Hour)
	if a := show("joo"); a != guard.Allow {
		t.Errorf("the next day: %s", a)
	}
}

// What one budget refuses is not spent from another: nobody was shown it.
func TestTwoBudgets(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Doors = []guard.DoorConfig{{Name: "mid", Kind: guard.KindMiddleware}}
		c.Tokens.Issuers[0].Principal = "staff:"
		c.Budgets = []guard.Budget{
			{Of: "principal:staff", Day: 3, Action: guard.Deny, Count: guard.CountAnswer}, {Of: "client:desk", Day: 1, Action: guard.Deny, Count: guard.CountAnswer},
		}
	})
	n := 0
	show := func(client string) guard.Action {
		n++
		c := w.claims("jti-"+client, "kim")
		c["client_id"] = client
		return w.g.Observe(t.Context(), &guard.Answer{
			Request: guard.Request{Door: "mid", Route: "GET /staff/customers/{id}", Credential: w.token("main", c)}, Subjects: []string{fmt.Sprint(n)}, Fields: []string{"name"}, Status: 200,
		}).Action
	}
	for i, c := range []struct {
		client string
		want   guard.Action
	}{{"desk", guard.Allow}, {"desk", guard.Deny}, {"desk", guard.Deny}, {"phone", guard.Allow}, {"phone", guard.Allow}, {"phone", guard.Deny}} {
		if a := show(c.client); a != c.want {
			t.Errorf("%d. answer, by %s: %s, want %s", i+1, c.client, a, c.want)
		}
	}
}
