package detect_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/snapshot"
)

// stateConfigs size engines so that all that is bounded is full in some test.
var stateConfigs = []detect.Config{
	{Networks: vpn},
	{Networks: vpn, Budgets: []detect.Budget{{Of: "principal:staff", Day: 40}, {Of: "client:partner", Month: 100}, {Of: "key:main", Day: 5000}, {Of: "principal:staff", Day: 30, Unexplained: true}}},
	{Networks: vpn, MaxUnits: 300, MaxIDs: 500, MaxPending: 64, MaxEvidence: 200, MaxIssued: 500, MaxPairs: 64},
}

// rare are members that the tests' logs do not fill, with the reason.
var rare = map[string]string{
	"bloom.old":           "a generation holds two million",
	"memory.old":          "a generation holds a million",
	"stat.why":            "an array",
	"class.came":          "an array",
	"Engine.ahead":        "between two records only if one is far ahead",
	"Engine.next":         "the same",
	"Archive.serial":      "see TestArchiveState",
	"run.level":           "see TestArchiveState",
	"run.name":            "see TestArchiveState",
	"keyWatch.began":      "since when it is watched, where that is later than the log's beginning",
	"table.folded":        "only where every unit in reach is suspicious",
	"issuances.more":      "see the tests of reference",
	"chain.earliest":      "see the tests of reference",
	"precedent.on":        "see TestPrecedentState",
	"spread.caps":         "it takes a month of an actor: see TestSpreaderGrowsSlowly",
	"spread.capped":       "it takes a cap that is learnt: see TestSpreaderGrowsSlowly",
	"tries.creds":         "see TestTriesState",
	"tries.answered":      "the same",
	"precedent.used":      "the same",
	"precedent.prints":    "the same",
	"precedent.realm":     "the same",
	"chain.index":         "see the tests of reference",
	"realm.histories":     "see the tests of reference",
	"realm.persons":       "see the tests of reference",
	"peerCap.most":        "it takes five actors with a week each: see TestSpreaderPeers",
	"peerCap.ok":          "the same",
	"partyDay.raised":     "it takes weeks of a page: see TestOtherParty",
	"Step.Trial":          "always, for the evidence of small tests",
	"feeds.clients":       "see the tests of reference",
	"feeds.bare":          "see the tests of reference",
	"declaration.hasLost": "see the tests of reference",
}

// rich is a mixed log with more of what is rare.
func rich(seed uint64) *world {
	w := mixed(seed)
	ref := func(t whosaw.Type, at int64, r whosaw.Record) {
		r.Type, r.Time = t, at
		if r.Ref == nil {
			r.Ref = &whosaw.Reference{}
		}
		w.add(r)
	}
	ref(whosaw.TypeChange, start+hour, whosaw.Record{Realm: "kr", Ref: &whosaw.Reference{Kind: "campaign", Until: start + 5*day}})
	ref(whosaw.TypeFeed, start, whosaw.Record{Key: "other", Client: "app", Route: "GET /x", Ref: &whosaw.Reference{Of: "reason", HasLost: true, Lost: 0.01, Lag: 3}})
	ref(whosaw.TypeFeed, start, whosaw.Record{Key: "other", Client: "app", Route: "GET /x", Ref: &whosaw.Reference{Of: "issuance", HasLost: true, Lost: 0.02}})
	ref(whosaw.TypeSubject, start, whosaw.Record{Subjects: []string{"500088"}, Ref: &whosaw.Reference{State: "active", LastLogin: start - day}})
	ref(whosaw.TypeSubject, start, whosaw.Record{Subjects: []string{"89"}, Ref: &whosaw.Reference{State: "merged", LastLogin: start, Into: "88", Contacts: []string{"90"}}})
	ref(whosaw.TypeKey, start, whosaw.Record{Realm: "kr", Key: "k", Ref: &whosaw.Reference{State: "active", Until: start + 9*day, Readers: []string{"p"}}})
	ref(whosaw.TypeAct, start, whosaw.Record{Ref: &whosaw.Reference{Kind: detect.KeyPolicyAct,
		Note: `{"longest_life_hours":1,"no_human_readers":true,"owner":true,"rotate_within_hours":1,"dispose_within_hours":1}`}})
	for i, kind := range []string{"created", "rotated", "disposed"} {
		ref(whosaw.TypeKey, start+int64(i)*hour, whosaw.Record{Key: "old", Ref: &whosaw.Reference{Kind: kind, State: "retired", Person: "p", Readers: []string{"p"}}})
	}
	ref(whosaw.TypeKey, start, whosaw.Record{Key: "now", Ref: &whosaw.Reference{Kind: "created", State: "active", Readers: []string{"p"}}})
	w.add(whosaw.Record{Type: whosaw.TypeKey, Time: start, Key: "killed", Ref: &whosaw.Reference{State: "revoked"}}).Source = "operator"
	left := get(start+4*day/3, 5000, true)
	left.Principal = "staff:p"
	w.add(left)
	for i := range 30 {
		ref(whosaw.TypeIssuance, start+int64(i)*hour, whosaw.Record{Credential: "bare" + strconv.Itoa(i), Client: "app"})
		ref(whosaw.TypeIssuance, start+int64(i)*hour, whosaw.Record{Credential: "twice", Key: "k" + strconv.Itoa(i), Subjects: []string{"500088"}})
	}
	for i := range 60 { // from far ahead, and of a thief with a fingerprint
		r := get(start+day+int64(i)*minute, 700_000+w.rng.IntN(200_000), i%3 == 0)
		r.IP, r.ASN, r.Agent, r.TLS = ip(800<<8+i%4), 64_000, chrome, "t13d1516h2_8daaf6152771_e5627efa2ab1"
		w.attack(r)
	}
	for i := range 400 { // slowly, so that its evidence is long
		r := get(start+day+int64(i)*minute, 700_000+w.rng.IntN(200_000), i%9 != 0)
		r.IP, r.ASN, r.Agent = ip(801<<8+i%4), 64_001, phone
		w.attack(r)
	}
	ref(whosaw.TypeFeed, start, whosaw.Record{Realm: "facts", Ref: &whosaw.Reference{Of: "issuance", HasLost: true, Lag: 60}})
	for i := range 40 { // pages without credential, and forged ones between them
		r := get(start+int64(i)*hour, 5000+i, true)
		if r.Realm, r.Key, r.IP = "facts", "shared", ip(9); i%8 == 7 {
			r.Credential = "forged" + strconv.Itoa(i)
		}
		w.add(r)
	}
	// A retired key of a feed that loses some, and a session of it without an issuance.
	ref(whosaw.TypeFeed, start, whosaw.Record{Realm: "tail", Ref: &whosaw.Reference{Of: "issuance", HasLost: true, Lost: 1e-5}})
	ref(whosaw.TypeKey, start, whosaw.Record{Realm: "tail", Key: "gone", Ref: &whosaw.Reference{State: "retired", Since: start}})
	lost := get(start+5*day/4, 5000, true)
	lost.Realm, lost.Key, lost.Credential, lost.IP = "tail", "gone", "lost", ip(9)
	w.add(lost)
	ref(whosaw.TypeFeed, start, whosaw.Record{Realm: "late", Ref: &whosaw.Reference{Of: "issuance", HasLost: true, Lag: 5 * 86_400}})
	late := get(start+minute, 5000, true)
	late.Realm, late.Credential = "late", "waits"
	w.add(late)
	ref(whosaw.TypeFeed, start, whosaw.Record{Realm: "late", Ref: &whosaw.Reference{Of: "reason", HasLost: true, Lag: 5 * 86_400}})
	late.Principal, late.Credential = "staff:x", ""
	w.add(late)
	for i := range 1200 {
		ref(whosaw.TypeIssuance, start+int64(i)*minute, whosaw.Record{Realm: "many", Credential: "c" + strconv.Itoa(i)})
	}
	w.ownPages(1, 1400)
	w.curious(start+day, 7, 8)
	for c := range 720 { // sixty a day log in, one of ten after long
		back := 9 * day
		if c%10 == 0 {
			back = 400 * day
		}
		id := []string{strconv.Itoa(c + 1)}
		ref(whosaw.TypeSubject, start, whosaw.Record{Realm: "come", Subjects: id, Ref: &whosaw.Reference{State: "active", LastLogin: start - back}})
		ref(whosaw.TypeIssuance, start+int64(c)*24*minute, whosaw.Record{Realm: "come", Credential: "come" + strconv.Itoa(c), Subjects: id})
	}
	ref(whosaw.TypeChange, start+11*day, whosaw.Record{Realm: "come", Ref: &whosaw.Reference{Kind: "campaign", From: start + 11*day, Until: start + 20*day}})
	for i := range 3600 { // a program with a past of its own, until a declared change
		r := get(start+int64(i)*day/300, 800_000+i, true)
		r.Realm, r.Principal = "own", "service:points"
		why := reasonRecord(r.Time, r)
		why.Realm = "own"
		if i/3 != 2970/3 {
			w.add(why)
		}
		w.add(r)
	}
	ref(whosaw.TypeChange, start+10*day, whosaw.Record{Realm: "own", Ref: &whosaw.Reference{Kind: "release", From: start + 10*day, Until: start + 20*day}})
	for i := range 30 { // a page that everybody asks in vain
		for n := range 25 {
			r := get(start+int64(i*25+n)*second, 910_000+i*25+n, i%2 == 0)
			r.Route, r.IP = "GET /taken/{id}", ip((3000+n)<<8)
			w.add(r)
		}
	}
	return overCeiling(w)
}

// Saving and loading at any record changes nothing that comes after, and nothing that is held; and everything that is held has
// been in it once.
func TestStateIsWhole(t *testing.T) {
	met := detect.Met{}
	findings := 0
	for seed := range uint64(6) {
		cfg := stateConfigs[seed%3]
		rng := rand.New(rand.NewPCG(seed, 5))
		records := judged(rng, cfg, rich(seed).sorted())
		late := len(records) / 4 // one comes after a later one: most of the log is not known to be sorted
		for records[late].Type != whosaw.TypeAccess || records[late+1].Type != whosaw.TypeAccess || records[late].Time == records[late+1].Time {
			late++
		}
		records[late], records[late+1] = records[late+1], records[late]
		records = wrongClocks(rng, records)
		whole := detect.New(cfg, nil)
		var broken *detect.Engine
		cut := rng.IntN(len(records))
		looks := map[int]bool{cut: true, len(records) - 1: true}
		for range 3 {
			looks[rng.IntN(len(records))] = true
		}
		for i := range records {
			if looks[i] {
				met.Look(whole)
				again := detect.New(cfg, nil)
				if err := detect.LoadState(again, detect.SaveState(t, whole)); err != nil {
					t.Fatalf("seed %d, cut at %d: %v", seed, i, err)
				}
				if d := detect.DiffStates(whole, again); d != "" {
					t.Fatalf("seed %d, cut at %d (-before +after):\n%s", seed, i, d)
				}
			}
			if i == cut {
				broken = detect.New(cfg, nil)
				saved := detect.SaveState(t, whole)
				if err := detect.LoadState(broken, saved); err != nil {
					t.Fatalf("seed %d, cut at %d: %v", seed, cut, err)
				}
				if again := detect.SaveState(t, broken); !bytes.Equal(saved, again) {
					t.Fatalf("seed %d, cut at %d: saved again it is other bytes", seed, cut)
				}
				whole.Grown()
			}
			r := records[i]
			want := whole.Observe(uint64(i+1), &r)
			findings += len(want)
			if broken == nil {
				continue
			}
			got := broken.Observe(uint64(i+1), &r)
			if d := gocmp.Diff(want, got); d != "" {
				t.Fatalf("seed %d, cut at %d, record %d: findings (-without +with):\n%s", seed, cut, i, d)
			}
			if d := gocmp.Diff(whole.Grown(), broken.Grown()); d != "" {
				t.Fatalf("seed %d, cut at %d, record %d: steps (-without +with):\n%s", seed, cut, i, d)
			}
		}
		if d := gocmp.Diff(whole.Status(), broken.Status()); d != "" {
			t.Errorf("seed %d: status (-without +with):\n%s", seed, d)
		}
		if !bytes.Equal(detect.SaveState(t, whole), detect.SaveState(t, broken)) {
			t.Errorf("seed %d, cut at %d: the state at the end is another: %s", seed, cut, detect.DiffStates(whole, broken))
		}
	}
	if findings < 20 {
		t.Errorf("only %d findings", findings)
	}
	missing := slices.DeleteFunc(met.Missing(), func(name string) bool { return rare[name] != "" })
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("never held anything, so nothing shows that State walks over them:\n%s", strings.Join(missing, "\n"))
	}
}

// What is cut off or changed is refused, or is another state; it never makes the engine panic.
func TestDamagedState(t *testing.T) {
	cfg := stateConfigs[2]
	e, _ := run(cfg, mixed(1).sorted())
	saved := detect.SaveState(t, e)
	rng := rand.New(rand.NewPCG(1, 1))
	refused := 0
	for range 300 {
		bad := slices.Clone(saved)
		if rng.IntN(4) == 0 {
			bad = bad[:rng.IntN(len(bad))]
		} else {
			bad[rng.IntN(len(bad))] ^= 1 << rng.IntN(8)
		}
		if err := detect.LoadState(detect.New(cfg, nil), bad); err != nil {
			refused++
			if !errors.Is(err, snapshot.ErrDamaged) {
				t.Errorf("refused with %v", err)
			}
		}
	}
	if refused < 50 {
		t.Errorf("only %d of 300 were refused", refused)
	}
}

// The bounds of the engine are small, and so is what the seed holds: what is looked for is a walk that goes astray, not a large state.
func FuzzState(f *testing.F) {
	cfg := detect.Config{MaxUnits: 20, MaxIDs: 20, MaxPending: 8, MaxEvidence: 50, MaxIssued: 20, MaxPairs: 20, MaxHistory: 50}
	small := func() *detect.Engine { return detect.New(cfg, nil).Shrink() }
	w := newWorld(1)
	w.add(feedRecord(start, 0, 0))
	w.shop(1, 5, 1000, true)
	w.desk(1, 1, 3, true)
	w.theft(start+hour, 1, 20, 2, second)
	e := small()
	for i, r := range w.sorted() {
		e.Observe(uint64(i+1), &r)
	}
	f.Add(detect.SaveState(f, e))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := small()
		if detect.LoadState(e, b) != nil {
			return
		}
		e.Status()
		e.Load()
		again := small()
		saved := detect.SaveState(t, e)
		if err := detect.LoadState(again, saved); err != nil {
			t.Fatalf("what was read is written, and then refused: %v", err)
		}
		if !bytes.Equal(saved, detect.SaveState(t, again)) {
			t.Fatal("written, read and written again it is other bytes")
		}
		r := get(start+5*day, 7, true)
		r.Principal, r.Key, r.Credential, r.IP = "customer:8", "main", "other", ip(7)
		e.Observe(1<<40, &r)
	})
}
