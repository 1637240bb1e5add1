package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// Config is what a keeper stands on.
type Config struct {
	DB   *sqlite.DB
	View func() (*ledger.View, error)
	// Write appends records of the world and, behind them, the act that says who stated them, all or nothing, and returns when they are on disk.
	// It sets their source and position, and the time of those that have none.
	Write func(ctx context.Context, act whosaw.Record, records ...whosaw.Record) error
	Guard Guard // nil: none runs here
	Now   func() time.Time
	// Within is how long an offboarding may take before it is overdue; 0: a day.
	Within time.Duration
}

// Guard is the guard as keys and offboardings need it. Its methods are safe for concurrent use.
type Guard interface {
	// Try gives the decision that a request with these claims would get at a door now, the signature taken for good. Nothing is counted
	// against anybody, and nothing is recorded.
	Try(ctx context.Context, p Probe) (Answer, error)
	// Deny refuses what the filter picks until then, at all doors, and gives the decision's id. It is durable when it returns.
	Deny(ctx context.Context, f whosaw.Filter, until time.Time, reason, who string) (id string, err error)
}

// Probe is a request that is made to see whether it is refused. What is empty is not claimed.
type Probe struct{ Realm, Key, Credential, Principal string }

// Answer is what the guard makes of a probe.
type Answer struct {
	Refused bool
	Because string // the code of its first reason
}

// Fault is an error of what somebody asked for. Conflict: it is well put, and does not fit what is there. Missing: there is no such thing.
type Fault struct {
	Conflict, Missing bool
	Says, Cure        string
}

func (f *Fault) Error() string {
	if f.Cure == "" {
		return f.Says
	}
	return f.Says + ": " + f.Cure
}

func bad(cure, format string, args ...any) *Fault {
	return &Fault{Says: fmt.Sprintf(format, args...), Cure: cure}
}

func conflict(cure, format string, args ...any) *Fault {
	return &Fault{Conflict: true, Says: fmt.Sprintf(format, args...), Cure: cure}
}

// Keeper is the register, and what can be done to it. Its methods are safe for concurrent use.
type Keeper struct {
	cfg      Config
	store    store
	register *Register
	tallies  *tallies
	mets     mets
}

// New gives a keeper.
func New(cfg Config) *Keeper {
	if cfg.Within <= 0 {
		cfg.Within = 24 * time.Hour
	}
	return &Keeper{cfg: cfg, store: store{cfg.DB}, register: NewRegister(), tallies: newTallies()}
}

// Guarded reports whether a guard answers here.
func (k *Keeper) Guarded() bool { return k.cfg.Guard != nil }

func (k *Keeper) now() int64 { return k.cfg.Now().UnixMilli() }

// current brings the register up to what is acknowledged, and takes keys that a log says were revoked out of the set.
func (k *Keeper) current(ctx context.Context) error {
	view, err := k.cfg.View()
	if err != nil {
		return fmt.Errorf("read the register of keys: %w", err)
	}
	err = k.register.Follow(ctx, view)
	if err = errors.Join(err, view.Close()); err != nil {
		return fmt.Errorf("read the register of keys: %w", err)
	}
	list, err := k.store.all(ctx)
	if err != nil {
		return err
	}
	now := k.now()
	for i := range list {
		x := &list[i]
		if x.ended != 0 {
			continue
		}
		if on, ok := k.register.Key(x.realm, x.key, now); ok && on.State == "revoked" {
			if err := k.store.end(ctx, x.realm, x.key, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// Keys lists the keys, without their history.
func (k *Keeper) Keys(ctx context.Context) ([]Key, error) {
	if err := k.current(ctx); err != nil {
		return nil, err
	}
	list := k.register.Keys(k.now())
	public, err := k.store.all(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		k.served(&list[i], public)
	}
	return list, nil
}

func (k *Keeper) served(x *Key, public []stored) {
	for i := range public {
		if p := &public[i]; p.realm == x.Realm && p.key == x.Key {
			x.Public, x.Served = true, p.served(k.now())
		}
	}
}

// Key gives one key with its history.
func (k *Keeper) Key(ctx context.Context, realm, name string) (Key, error) {
	if err := k.current(ctx); err != nil {
		return Key{}, err
	}
	x, ok := k.register.Key(realm, name, k.now())
	if !ok {
		return Key{}, &Fault{Missing: true, Says: "no record names that key", Cure: "whosaw keys list shows those that are known; whosaw keys add registers one"}
	}
	public, err := k.store.all(ctx)
	if err != nil {
		return Key{}, err
	}
	k.served(&x, public)
	return x, nil
}

// KeySet gives the key set for gateways. It reads nothing but state.db: it can be served at once after a start.
func (k *Keeper) KeySet(ctx context.Context, realm string) (KeySet, error) {
	return k.store.keySet(ctx, realm, k.now())
}

// Policy gives the policy in force, and who set it.
func (k *Keeper) Policy(ctx context.Context) (reference.KeyPolicy, Act, error) {
	if err := k.current(ctx); err != nil {
		return reference.KeyPolicy{}, Act{}, err
	}
	p, by := k.register.Policy()
	return p, by, nil
}

// SetPolicy sets the policy.
func (k *Keeper) SetPolicy(ctx context.Context, who string, p reference.KeyPolicy, reason string) error {
	if err := p.Check(); err != nil {
		return bad("", "%v", err)
	}
	if err := needReason(reason); err != nil {
		return err
	}
	return k.write(ctx, act(ActPolicy, who, "", "", reason, p.String()))
}

// Spec is a key to be registered, or what is to be said anew of one.
type Spec struct {
	Key     string      `json:"key"`
	Realm   string      `json:"realm,omitempty"`
	Use     string      `json:"use,omitempty"`     // what it signs
	Owner   string      `json:"owner,omitempty"`   // who answers for it
	Readers []string    `json:"readers,omitempty"` // who could read it: people, or service:NAME
	Created whosaw.Time `json:"created,omitzero"`  // missing: now, if no record says
	Expires whosaw.Time `json:"expires,omitzero"`
	Public  string      `json:"public,omitempty"` // PEM or JWK
	Note    string      `json:"note,omitempty"`
}

// maxText bounds ids, uses and notes, in bytes.
const maxText = 1000

func (s *Spec) check() error {
	switch {
	case s.Key == "" || len(s.Key) > maxText:
		return bad("give the key's id (kid), at most 1000 bytes", "key: there is none, or it is too long")
	case len(s.Use)+len(s.Owner)+len(s.Note) > maxText:
		return bad("keep them short", "use, owner and note are too long together")
	case len(s.Readers) > maxText:
		return bad("give at most 1000", "readers: too many")
	}
	return nil
}

// Add registers a key, or says more of one that is known. A key that is not in use is not made so.
func (k *Keeper) Add(ctx context.Context, who string, s Spec) (Key, error) {
	if err := s.check(); err != nil {
		return Key{}, err
	}
	var public PublicKey
	if s.Public != "" {
		var err error
		if public, err = ParsePublicKey(s.Public, s.Key); err != nil {
			return Key{}, bad("", "%v", err)
		}
	}
	if err := k.add(ctx, who, s, public); err != nil {
		return Key{}, err
	}
	return k.Key(ctx, s.Realm, s.Key)
}

func (k *Keeper) add(ctx context.Context, who string, s Spec, public PublicKey) error {
	if err := k.current(ctx); err != nil {
		return err
	}
	was, known := k.register.Key(s.Realm, s.Key, k.now())
	if known && was.State == "revoked" {
		return conflict("give a new key a new id; whosaw keys revive takes a kill back", "the key %q was killed", s.Key)
	}
	r := k.record(who, s.Realm, s.Key)
	ref := r.Ref
	ref.Use, ref.Person, ref.Readers, ref.Until, ref.Note = s.Use, s.Owner, s.Readers, int64(s.Expires), s.Note
	if !known || was.State == "unknown" || was.State == "active" {
		ref.State = "active"
		if s.Created != 0 {
			ref.Since = int64(s.Created)
		}
	} else {
		ref.State, ref.Since = was.State, int64(was.Since)
	}
	if was.State == "active" && s.Created == 0 {
		ref.Since = int64(was.Since)
	}
	a := act(ActAdded, who, s.Realm, s.Key, "", "")
	if public.ID != "" {
		a.Ref.Note = "with its public key"
	}
	if err := k.write(ctx, a, r); err != nil {
		return err
	}
	if public.ID == "" {
		return nil
	}
	return k.store.put(ctx, s.Realm, public, who, k.now())
}

// Import registers the keys of a key set.
func (k *Keeper) Import(ctx context.Context, who, set string, like Spec) ([]Key, error) {
	list, err := ParseKeySet(set)
	if err != nil {
		return nil, bad("", "%v", err)
	}
	if slices.ContainsFunc(list, func(p PublicKey) bool { return p.ID == "" }) {
		return nil, bad("register it with whosaw keys add KID --public FILE", "a key of the set has no id (kid)")
	}
	var out []Key
	for _, p := range list {
		s := like
		s.Key, s.Public = p.ID, ""
		if err := k.add(ctx, who, s, p); err != nil {
			return out, err
		}
		x, err := k.Key(ctx, s.Realm, s.Key)
		if err != nil {
			return out, err
		}
		out = append(out, x)
	}
	return out, nil
}

// Change is something done to a key.
type Change struct {
	Reason string      `json:"reason"`
	Into   string      `json:"into,omitempty"`   // of a rotation: the key that replaces it
	Public string      `json:"public,omitempty"` // and its public key
	Keep   whosaw.Time `json:"keep,omitzero"`    // of a rotation or retirement: until when its public key is served; missing: until its last credential expires
}

// Rotate retires a key and puts another in its place, which takes over its use, owner and realm.
func (k *Keeper) Rotate(ctx context.Context, who, realm, name string, c Change) (Key, error) {
	if c.Into == "" || c.Into == name {
		return Key{}, bad("give the id of the key that replaces it: only a key with an id of its own can be told from the old one", "into: there is none")
	}
	was, err := k.change(ctx, realm, name, c, "active", "unknown")
	if err != nil {
		return Key{}, err
	}
	if _, err := k.Add(ctx, who, Spec{Key: c.Into, Realm: realm, Use: was.Use, Owner: was.Owner, Public: c.Public}); err != nil {
		return Key{}, err
	}
	return k.retire(ctx, who, was, ActRotated, "rotated", c)
}

// Retire takes a key out of use: it signs nothing any more, and what it signed lives on to its end.
func (k *Keeper) Retire(ctx context.Context, who, realm, name string, c Change) (Key, error) {
	was, err := k.change(ctx, realm, name, c, "active", "unknown")
	if err != nil {
		return Key{}, err
	}
	return k.retire(ctx, who, was, ActRetired, "", c)
}

// keepAtLeast is how long the public key of a retired key is served where nobody knows when its credentials expire.
const keepAtLeast = 24 * time.Hour

func (k *Keeper) retire(ctx context.Context, who string, was Key, kind, did string, c Change) (Key, error) {
	keep := int64(c.Keep)
	if keep == 0 {
		last, err := k.lastExpiry(ctx, was.Realm, was.Key)
		if err != nil {
			return Key{}, err
		}
		keep = cmp.Or(last, k.now()+keepAtLeast.Milliseconds())
	}
	r := k.record(who, was.Realm, was.Key)
	r.Ref.State, r.Ref.Since, r.Ref.Kind, r.Ref.Into = "retired", k.now(), did, c.Into
	if err := k.write(ctx, act(kind, who, was.Realm, was.Key, c.Reason, ""), r); err != nil {
		return Key{}, err
	}
	if err := k.store.retire(ctx, was.Realm, was.Key, keep); err != nil {
		return Key{}, err
	}
	return k.Key(ctx, was.Realm, was.Key)
}

// lastExpiry is when the last credential issued under a key expires, 0 if no record says.
func (k *Keeper) lastExpiry(ctx context.Context, realm, name string) (int64, error) {
	view, err := k.cfg.View()
	if err != nil {
		return 0, err
	}
	last := int64(0)
	err = view.References(ctx, func(_ uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeIssuance && r.Key == name && r.Realm == realm && r.Ref != nil {
			last = max(last, r.Ref.Expires)
		}
		return nil
	})
	return last, errors.Join(err, view.Close())
}

// Dispose records that the material of a key is destroyed. A key in use is retired first.
func (k *Keeper) Dispose(ctx context.Context, who, realm, name string, c Change) (Key, error) {
	was, err := k.change(ctx, realm, name, c, "retired", "revoked")
	if err != nil {
		return Key{}, err
	}
	if was.Disposed != 0 {
		return Key{}, conflict("", "the key %q is disposed of already", name)
	}
	r := k.record(who, realm, name)
	r.Ref.Kind = "disposed"
	if err := k.write(ctx, act(ActDisposed, who, realm, name, c.Reason, ""), r); err != nil {
		return Key{}, err
	}
	return k.Key(ctx, realm, name)
}

// Kill revokes a key: out of the key set first, then on record. Preview says whom that logs out.
func (k *Keeper) Kill(ctx context.Context, who, realm, name string, c Change) (Key, error) {
	was, err := k.change(ctx, realm, name, c, "active", "retired", "unknown")
	if err != nil {
		return Key{}, err
	}
	if err := k.store.end(ctx, realm, name, k.now()); err != nil {
		return Key{}, err
	}
	r := k.record(who, realm, name)
	r.Ref.State, r.Ref.Since = "revoked", k.now()
	if err := k.write(ctx, act(ActKilled, who, realm, name, c.Reason, "was "+was.State), r); err != nil {
		return Key{}, err
	}
	return k.Key(ctx, realm, name)
}

// Revive takes a kill or a retirement back: the key is in use again, and in the key set.
func (k *Keeper) Revive(ctx context.Context, who, realm, name string, c Change) (Key, error) {
	was, err := k.change(ctx, realm, name, c, "retired", "revoked")
	if err != nil {
		return Key{}, err
	}
	if was.Disposed != 0 {
		return Key{}, conflict("make a new key", "the material of key %q is destroyed: it cannot come back", name)
	}
	r := k.record(who, realm, name)
	r.Ref.State, r.Ref.Since = "active", k.now()
	if err := k.write(ctx, act(ActRevived, who, realm, name, c.Reason, "was "+was.State), r); err != nil {
		return Key{}, err
	}
	if err := k.store.revive(ctx, realm, name); err != nil {
		return Key{}, err
	}
	return k.Key(ctx, realm, name)
}

// DenyForged is the narrower cut: credentials that say they were signed with the key and were never issued are refused until a time,
// and nobody who logged in is logged out.
func (k *Keeper) DenyForged(ctx context.Context, who, realm, name string, until whosaw.Time, reason string) (string, error) {
	if _, err := k.change(ctx, realm, name, Change{Reason: reason}); err != nil {
		return "", err
	}
	if k.cfg.Guard == nil {
		return "", conflict("configure doors under guard in whosaw.yaml, or kill the key", "no guard runs here, so nobody would refuse anything")
	}
	no := false
	t := whosaw.Term{Key: literal(name), Issued: &no}
	if realm != "" {
		t.Realm = literal(realm)
	}
	if until == 0 {
		until = whosaw.Time(k.cfg.Now().Add(30 * 24 * time.Hour).UnixMilli())
	}
	decision, err := k.cfg.Guard.Deny(ctx, whosaw.Filter{t}, time.UnixMilli(int64(until)), reason, who)
	if err != nil {
		return "", fmt.Errorf("refuse forged credentials: %w", err)
	}
	return decision, nil
}

// literal gives a filter's list of one value as it stands.
func literal(s string) []string {
	if strings.HasPrefix(s, "!") {
		return []string{"!" + s}
	}
	return []string{s}
}

// change gives the key, if it may be changed: it must be in one of the states, if any are given.
func (k *Keeper) change(ctx context.Context, realm, name string, c Change, states ...string) (Key, error) {
	if err := needReason(c.Reason); err != nil {
		return Key{}, err
	}
	x, err := k.Key(ctx, realm, name)
	if f := (*Fault)(nil); errors.As(err, &f) && f.Missing {
		// Nobody registered it, but it signs: in an emergency that must be enough.
		p, e := k.Preview(ctx, realm, name, 3650)
		if e != nil || p.Accesses == 0 && !p.Feed {
			return Key{}, errors.Join(e, err)
		}
		x, err = Key{Realm: realm, Key: name, State: "unknown"}, nil
	}
	if err != nil {
		return Key{}, err
	}
	if len(states) > 0 && !slices.Contains(states, x.State) {
		return Key{}, conflict("whosaw keys show "+name+" shows its history", "the key %q is %s", name, x.State)
	}
	return x, nil
}

func needReason(reason string) error {
	if strings.TrimSpace(reason) == "" || len(reason) > maxText {
		return bad("say why, in at most 1000 bytes: who reads it later was not there", "reason: there is none, or it is too long")
	}
	return nil
}

// record is the beginning of a key record that somebody states.
func (k *Keeper) record(who, realm, name string) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeKey, Time: k.now(), Realm: realm, Key: name, Principal: who, Ref: &whosaw.Reference{}}
}

// act says who did something to a key.
func act(kind, who, realm, key, reason, note string) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeAct, Realm: realm, Key: key, Principal: who, Reason: reason, Ref: &whosaw.Reference{Kind: kind, Of: key, Note: note}}
}

func (k *Keeper) write(ctx context.Context, a whosaw.Record, records ...whosaw.Record) error {
	for i := range records {
		if err := records[i].Validate(k.now()); err != nil {
			return bad("", "%v", err)
		}
	}
	if err := k.cfg.Write(ctx, a, records...); err != nil {
		return fmt.Errorf("record what was done: %w", err)
	}
	return k.current(ctx)
}
