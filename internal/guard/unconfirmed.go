package guard

import (
	"context"
	"sync"
	"time"
)

// unconfirmed counts the credentials of a key that passed before their issuance was on record. A place is free again when the
// issuance has come, or a day later; never because the token has expired: its life is what its maker wrote into it.
//
// Memory: a bucket for each key that a configured issuer has, one for each client that an introspection server names (bounded by
// maxBuckets), one for sessions; Unconfirmed.Pass entries in each.
type unconfirmed struct {
	mu      sync.Mutex
	buckets map[bucketKey]map[passed]passing
}

type bucketKey struct{ realm, of string }

// passed is a credential as it was presented: one jti under another name is another one.
type passed struct{ credential, key, principal string }

type passing struct {
	at   time.Time
	id   Identity
	kept bool // it is on record
}

const (
	unconfirmedFor = 24 * time.Hour
	maxBuckets     = 10_000
)

// bucketOf gives what a credential is counted under: what its holder cannot make anew.
func bucketOf(id *Identity) bucketKey {
	switch {
	case id.Scheme == SchemeJWT:
		return bucketKey{id.Realm, "key:" + id.Key}
	case id.Scheme == SchemeOpaque:
		return bucketKey{id.Realm, "client:" + id.Client}
	}
	return bucketKey{id.Realm, string(id.Scheme)}
}

func passedOf(id *Identity) passed { return passed{id.Credential, id.Key, id.Principal} }

// known reports whether the credential has a place already.
func (u *unconfirmed) known(id *Identity, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, ok := u.buckets[bucketOf(id)][passedOf(id)]
	return ok && now.Sub(p.at) < unconfirmedFor
}

// take gives the credential a place, if there is one; fresh says that it is to be put on record. Where none may pass, those that have a place do not
// either. issued tells of credentials in the way whether their issuance has come.
func (u *unconfirmed) take(id *Identity, most int, now time.Time, issued func(*Identity) bool) (ok, fresh bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if most <= 0 {
		return false, false
	}
	key, p := bucketOf(id), passedOf(id)
	b := u.buckets[key]
	if was, ok := b[p]; ok && now.Sub(was.at) < unconfirmedFor {
		return true, !was.kept
	}
	if len(b) >= most {
		for k, v := range b {
			if now.Sub(v.at) >= unconfirmedFor || issued(&v.id) {
				delete(b, k)
			}
		}
	}
	if len(b) >= most {
		return false, false
	}
	if b == nil {
		if len(u.buckets) >= maxBuckets {
			return false, false
		}
		if u.buckets == nil {
			u.buckets = map[bucketKey]map[passed]passing{}
		}
		b = map[passed]passing{}
		u.buckets[key] = b
	}
	b[p] = passing{at: now, id: *id}
	return true, true
}

// keep notes that the credential's place is on record.
func (u *unconfirmed) keep(id *Identity) {
	u.mu.Lock()
	defer u.mu.Unlock()
	b, p := u.buckets[bucketOf(id)], passedOf(id)
	if was, ok := b[p]; ok {
		was.kept = true
		b[p] = was
	}
}

// restore gives a credential the place that it had before a restart.
func (u *unconfirmed) restore(id Identity, at, now time.Time) {
	if now.Sub(at) >= unconfirmedFor {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	key := bucketOf(&id)
	if u.buckets == nil {
		u.buckets = map[bucketKey]map[passed]passing{}
	}
	b := u.buckets[key]
	if b == nil {
		if len(u.buckets) >= maxBuckets {
			return
		}
		b = map[passed]passing{}
		u.buckets[key] = b
	}
	if len(b) < maxPass {
		b[passedOf(&id)] = passing{at, id, true}
	}
}

// count gives how many places are taken.
func (u *unconfirmed) count() (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, b := range u.buckets {
		n += len(b)
	}
	return n
}

// await waits until the issuance of the credential comes, for at most d. It does not wait if as many wait already as may.
func (g *Guard) await(ctx context.Context, id *Identity, d time.Duration) bool {
	if d <= 0 {
		return false
	}
	c, ok := g.state.waiting.join(id.Realm, id.Credential, g.cfg.Unconfirmed.Waiting)
	if !ok {
		g.count.crowded.Add(1)
		return false
	}
	defer g.state.waiting.leave(id.Realm, id.Credential, c)
	if g.state.issued(id) { // it came before the channel was there
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
		return g.state.issued(id)
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}
