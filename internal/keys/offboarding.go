package keys

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Offboarding is what somebody who left could use, and what became of it.
type Offboarding struct {
	ID      string      `json:"id"` // names nobody
	Realm   string      `json:"realm,omitempty"`
	Person  string      `json:"person"`
	Left    whosaw.Time `json:"left"`
	Due     whosaw.Time `json:"due"`
	State   string      `json:"state"` // open, closed
	Overdue bool        `json:"overdue"`
	Items   []Item      `json:"items"`
	Open    int         `json:"open"` // items that are not done
	Closed  *Closing    `json:"closed,omitempty"`
}

// Item is one thing that a leaver could use.
type Item struct {
	Item   string      `json:"item"` // key:KID, principal:staff:kim, credential:ID
	Why    string      `json:"why"`  // how it came to them
	Done   bool        `json:"done"`
	How    string      `json:"how,omitempty"` // retired, rotated, revoked, disposed, expired; of what is not done, what to do
	Since  whosaw.Time `json:"since,omitzero"`
	By     string      `json:"by,omitempty"`
	Tried  *Tried      `json:"tried,omitempty"` // at the last closing, or try
	Denial string      `json:"decision,omitempty"`
}

// Tried is whether what was a leaver's is still accepted, and how that is known.
type Tried struct {
	Refused bool   `json:"refused"`
	How     string `json:"how"` // guard: the guard's decision on a request made for this; ledger: real requests; none: nobody was asked
	Says    string `json:"says"`
}

// Worked is what was done about an item.
type Worked struct {
	Act
	Decision string `json:"decision,omitempty"` // of the guard, that refuses it; "": it was ended elsewhere
}

// Closing is how an offboarding ended.
type Closing struct {
	Act
	Left  whosaw.Time `json:"left"` // which leaving it belongs to
	Tried string      `json:"tried"`
}

// Offboardings lists them, the open ones first, without looking for sessions in the accesses.
func (k *Keeper) Offboardings(ctx context.Context) ([]Offboarding, error) {
	if err := k.current(ctx); err != nil {
		return nil, err
	}
	list := k.register.offboardings(k.now(), k.cfg.Within)
	slices.SortStableFunc(list, func(a, b Offboarding) int {
		return cmp.Or(cmp.Compare(b.State, a.State), cmp.Compare(a.Left, b.Left), cmp.Compare(a.Person, b.Person))
	})
	return list, nil
}

// Offboarding gives that of one person, sessions that only accesses show among its items.
func (k *Keeper) Offboarding(ctx context.Context, realm, name string) (Offboarding, error) {
	list, err := k.Offboardings(ctx)
	if err != nil {
		return Offboarding{}, err
	}
	for i := range list {
		if o := &list[i]; o.Realm == realm && (o.Person == name || o.ID == name) {
			err := k.metSessions(ctx, o)
			return *o, err
		}
	}
	return Offboarding{}, &Fault{Missing: true, Says: "nobody of that name has left, by the records", Cure: "whosaw people leave NAME says that somebody has; whosaw offboarding list shows those that are known"}
}

func (r *Register) offboardings(now int64, within time.Duration) []Offboarding {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Offboarding
	for at := range r.people {
		left := r.ref.Left(at.realm, at.name, now)
		if left == 0 {
			continue
		}
		o := Offboarding{ID: offboardingID(at, left), Realm: at.realm, Person: at.name, Left: whosaw.Time(left), Due: whosaw.Time(left + within.Milliseconds()), State: "open"}
		o.Items = r.items(at, left, now)
		o.count()
		if c, ok := r.closed[at]; ok && int64(c.Left) == left {
			o.State, o.Closed = "closed", &c
		}
		o.Overdue = o.State == "open" && int64(o.Due) <= now
		out = append(out, o)
	}
	return out
}

func (o *Offboarding) count() {
	o.Open = 0
	for i := range o.Items {
		if !o.Items[i].Done {
			o.Open++
		}
	}
}

func offboardingID(at id, left int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "offboarding\x00%s\x00%s\x00%d", at.realm, at.name, left))
	return hex.EncodeToString(sum[:8])
}

// items lists what records know of. mu must be held.
func (r *Register) items(at id, left, now int64) []Item {
	out := []Item{}
	for _, name := range r.readable(at) {
		key := id{at.realm, name}
		out = append(out, r.keyItem(key, r.keys[key].readers[at.name], left, now))
	}
	for _, principal := range r.principals(at) {
		i := Item{Item: "principal:" + principal, Why: "an account of theirs", How: "close it where it lives, and refuse it here: whosaw offboarding revoke"}
		r.worked(at, &i, left)
		out = append(out, i)
		for _, s := range r.sessions[id{at.realm, principal}] {
			if s.expires != 0 && s.expires <= left {
				continue
			}
			out = append(out, r.sessionItem(at, s.credential, "issued to "+principal, s.expires, left, now))
		}
	}
	return out
}

func (r *Register) sessionItem(at id, credential, why string, expires, left, now int64) Item {
	i := Item{Item: "credential:" + credential, Why: why, How: "end it where it lives, and refuse it here: whosaw offboarding revoke"}
	r.worked(at, &i, left)
	if !i.Done && expires != 0 && expires <= now {
		i.Done, i.How, i.Since = true, "expired", whosaw.Time(expires)
	}
	return i
}

// worked takes what was done since the person left.
func (r *Register) worked(at id, i *Item, left int64) {
	if w, ok := r.work[at][i.Item]; ok && int64(w.At) >= left {
		i.Done, i.How, i.Since, i.By, i.Denial = true, "revoked", w.At, w.Who, w.Decision
	}
}

func (r *Register) keyItem(key id, x *Reader, left, now int64) Item {
	i := Item{Item: "key:" + key.name, Why: "somebody typed that they could read it", How: "rotate it to a key with another id: whosaw keys rotate"}
	switch {
	case x.Exported > 0:
		i.Why = "they exported it, by an audit log"
	case x.Read != 0:
		i.Why = "they read it, by an audit log"
	}
	s, life := r.ref.Key(key.realm, key.name, now), r.ref.Life(key.realm, key.name)
	switch {
	case s.State == "revoked" || s.State == "retired":
		i.Done, i.How, i.Since = true, s.State, whosaw.Time(s.Since)
	case life.Disposed != 0:
		i.Done, i.How, i.Since = true, "disposed", whosaw.Time(life.Disposed)
	}
	for n := len(r.keys[key].events) - 1; i.Done && n >= 0; n-- {
		if e := &r.keys[key].events[n]; e.State == s.State && e.State != "" {
			i.By = e.Who
			break
		}
	}
	return i
}

// metSessions adds the credentials that accesses show and no issuance does.
func (k *Keeper) metSessions(ctx context.Context, o *Offboarding) error {
	view, err := k.cfg.View()
	if err != nil {
		return err
	}
	known, theirs := map[string]bool{}, []string{}
	for i := range o.Items {
		known[o.Items[i].Item] = true
		if principal, ok := strings.CutPrefix(o.Items[i].Item, "principal:"); ok {
			theirs = append(theirs, principal)
		}
	}
	found := map[string]string{}
	const before = 30 * 24 * 3_600_000
	err = k.mets.each(ctx, view, o.Realm, theirs, int64(o.Left)-before, func(m met) {
		if !known["credential:"+m.credential] && len(found) < maxSessions {
			found[m.credential] = m.principal
		}
	})
	if err = errors.Join(err, view.Close()); err != nil {
		return fmt.Errorf("look for sessions: %w", err)
	}
	k.register.mu.Lock()
	defer k.register.mu.Unlock()
	for _, credential := range slices.Sorted(maps.Keys(found)) {
		o.Items = append(o.Items, k.register.sessionItem(id{o.Realm, o.Person}, credential, "met under "+found[credential]+"; no issuance is on record", 0, int64(o.Left), k.now()))
	}
	o.count()
	return nil
}

// Revoke ends principals and credentials of somebody who has left: the guard refuses them, where one runs; else it is on record that
// it was done elsewhere. Keys are rotated or killed. items: those to end; none: all that are not done.
func (k *Keeper) Revoke(ctx context.Context, who, realm, name string, items []string, reason string) (Offboarding, error) {
	if err := needReason(reason); err != nil {
		return Offboarding{}, err
	}
	o, err := k.Offboarding(ctx, realm, name)
	if err != nil {
		return o, err
	}
	for _, want := range items {
		if strings.HasPrefix(want, "key:") {
			return o, conflict("whosaw keys rotate or whosaw keys kill", "%s is a key: it is replaced, not refused to one person", want)
		}
		if !slices.ContainsFunc(o.Items, func(i Item) bool { return i.Item == want }) {
			return o, &Fault{Missing: true, Says: "the offboarding has no item " + want, Cure: "whosaw offboarding show " + name + " lists them"}
		}
	}
	for i := range o.Items {
		x := &o.Items[i]
		if x.Done || strings.HasPrefix(x.Item, "key:") || len(items) > 0 && !slices.Contains(items, x.Item) {
			continue
		}
		a := act(ActRevoked, who, realm, "", reason, "")
		a.Ref.Person, a.Ref.Of = o.Person, x.Item
		if k.cfg.Guard != nil {
			if a.Ref.Note, err = k.cfg.Guard.Deny(ctx, filterOf(realm, x.Item), k.cfg.Now().AddDate(1, 0, 0), reason, who); err != nil {
				return o, fmt.Errorf("refuse %s: %w", x.Item, err)
			}
		}
		if err := k.write(ctx, a); err != nil {
			return o, err
		}
	}
	return k.Offboarding(ctx, realm, name)
}

// filterOf picks what an item stands for.
func filterOf(realm, item string) whosaw.Filter {
	var t whosaw.Term
	kind, value, _ := strings.Cut(item, ":")
	switch kind {
	case "key":
		t.Key = literal(value)
	case "principal":
		t.Principal = literal(value)
	case "credential":
		t.Credential = literal(value)
	}
	if realm != "" {
		t.Realm = literal(realm)
	}
	return whosaw.Filter{t}
}

// Close tries each item of an offboarding and closes it if all are done and refused. Else it says what is missing, with what came of
// the tries.
func (k *Keeper) Close(ctx context.Context, who, realm, name, reason string) (Offboarding, error) {
	if err := needReason(reason); err != nil {
		return Offboarding{}, err
	}
	o, err := k.Offboarding(ctx, realm, name)
	if err != nil {
		return o, err
	}
	if o.State == "closed" {
		return o, conflict("", "the offboarding is closed already")
	}
	how, missing, accepted := map[string]int{}, "", ""
	for i := range o.Items {
		x := &o.Items[i]
		if !x.Done {
			missing = cmp.Or(missing, x.Item+" is not done: "+x.How)
			continue
		}
		t, err := k.try(ctx, &o, x)
		if err != nil {
			return o, err
		}
		x.Tried = &t
		how[t.How]++
		if !t.Refused {
			accepted = cmp.Or(accepted, x.Item+" is not refused: "+t.Says)
		}
	}
	if missing = cmp.Or(missing, accepted); missing != "" {
		return o, conflict("work each item, then close it again; whosaw offboarding show "+name+" lists them", "it stays open: %s", missing)
	}
	a := act(ActClosed, who, realm, "", reason, fmt.Sprintf("%d tried at the guard, %d refused in the ledger, %d expired", how["guard"], how["ledger"], how["expired"]))
	a.Ref.Person, a.Ref.Since, a.Ref.Count = o.Person, int64(o.Left), int64(len(o.Items))
	if err := k.write(ctx, a); err != nil {
		return o, err
	}
	closed, err := k.Offboarding(ctx, realm, name)
	for i := range closed.Items {
		for j := range o.Items {
			if o.Items[j].Item == closed.Items[i].Item {
				closed.Items[i].Tried = o.Items[j].Tried
			}
		}
	}
	return closed, err
}

// try finds out whether an item that is done is refused: the guard is asked; where there is none, real requests tell.
func (k *Keeper) try(ctx context.Context, o *Offboarding, x *Item) (Tried, error) {
	if x.How == "expired" {
		return Tried{true, "expired", "its own end has passed, which every verifier checks"}, nil
	}
	kind, value, _ := strings.Cut(x.Item, ":")
	p := Probe{Realm: o.Realm}
	switch kind {
	case "key":
		p.Key, p.Credential, p.Principal = value, "whosaw-probe-"+strings.ToLower(rand.Text()), "customer:whosaw-probe"
	case "principal":
		p.Principal = value
	case "credential":
		p.Credential = value
	}
	if k.cfg.Guard != nil {
		a, err := k.cfg.Guard.Try(ctx, p)
		if err != nil {
			return Tried{}, fmt.Errorf("try %s at the guard: %w", x.Item, err)
		}
		says := "the guard refuses it: " + a.Because
		if !a.Refused {
			says = "the guard lets it through: " + a.Because
		}
		return Tried{a.Refused, "guard", says}, nil
	}
	return k.seen(ctx, o.Realm, kind, value, int64(x.Since))
}

// seen looks for real requests since something was ended: refused ones show that the door knows, accepted ones that it does not.
func (k *Keeper) seen(ctx context.Context, realm, kind, value string, since int64) (Tried, error) {
	view, err := k.cfg.View()
	if err != nil {
		return Tried{}, err
	}
	refused, accepted := int64(0), int64(0)
	columns := ledger.ColRealm | ledger.ColStatus | ledger.ColOutcome | ledger.ColKey | ledger.ColPrincipal | ledger.ColCredential
	err = accesses(ctx, view, since, columns, func(c *ledger.Chunk, i int) {
		column := map[string]*ledger.Strings{"key": &c.Key, "principal": &c.Principal, "credential": &c.Credential}[kind]
		if at(column, i) != value || at(&c.Realm, i) != realm {
			return
		}
		status, outcome := 0, whosaw.OutcomeUnstated
		if i < len(c.Status) {
			status = int(c.Status[i])
		}
		if i < len(c.Outcome) {
			outcome = whosaw.Outcome(c.Outcome[i])
		}
		switch {
		case outcome == whosaw.OutcomeRefused, outcome == whosaw.OutcomeUnstated && (status == 401 || status == 403):
			refused++
		case status/100 != 4 && status/100 != 5:
			accepted++
		}
	})
	if err = errors.Join(err, view.Close()); err != nil {
		return Tried{}, fmt.Errorf("look for refusals: %w", err)
	}
	switch {
	case accepted > 0:
		return Tried{false, "ledger", fmt.Sprintf("%d requests with it were accepted since it was ended", accepted)}, nil
	case refused > 0:
		return Tried{true, "ledger", fmt.Sprintf("%d requests with it were refused since it was ended, and none was accepted", refused)}, nil
	}
	return Tried{false, "none", "no guard runs here to be tried, and no request with it was seen since it was ended: try it once, and its refusal in the log will show"}, nil
}

// Overdue gives a finding for each offboarding that is overdue, another one each day that it stays so.
func (k *Keeper) Overdue(ctx context.Context) ([]whosaw.Finding, error) {
	list, err := k.Offboardings(ctx)
	if err != nil {
		return nil, err
	}
	now := k.now()
	var out []whosaw.Finding
	for i := range list {
		o := &list[i]
		if !o.Overdue {
			continue
		}
		days := (now - int64(o.Due)) / (24 * 3_600_000)
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", o.ID, days))
		at := whosaw.Time(int64(o.Due) + days*24*3_600_000)
		out = append(out, whosaw.Finding{
			ID: hex.EncodeToString(sum[:8]), Time: at, Seen: at, Detector: "offboarding", Unit: "offboarding:" + o.ID, Filter: whosaw.Filter{}, Statistic: 1, Threshold: 1,
			Says: fmt.Sprintf("An offboarding is overdue since %s: %d of %d items that a person who has left could use are not done. whosaw offboarding show %s lists them.",
				time.UnixMilli(int64(o.Due)).UTC().Format("2006-01-02 15:04"), o.Open, len(o.Items), o.ID),
			Technique: "T1078",
		})
	}
	return out, nil
}
