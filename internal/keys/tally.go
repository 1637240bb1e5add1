package keys

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
)

const (
	maxTallies = 16
	// maxUses is how many pairs of a credential and a principal all tallies together keep, of some 250 bytes each. A key with more is counted
	// anew each time.
	maxUses = 3 << 19
	// maxTimes is how many times of accesses one tally keeps, of segments that began before its days.
	maxTimes = 1 << 22
	// maxIssued is how many hashes of issued credentials are kept. The issuances of segments beyond are read whenever some are asked for.
	maxIssued = 1 << 23
)

// tallies keeps what whole segments told of the keys that were previewed last, so that who looks again reads only what came since: segments do not
// change. What is read of parts that are no whole segments is read again each time, and adds nothing twice: of a use the last time counts, of an
// issuance who, until when and the first time.
type tallies struct {
	turn    chan struct{} // holds one while somebody counts
	removed int           // segments that retention removed: with others nothing that is kept holds
	kept    []*tally      // the one used last is last
	feeds   *reference.Index
	seq     uint64 // feeds knows of records up to it
	issuers map[issuer]bool
	issued  map[ledger.SegmentID][]uint64 // hashes of the credentials that issuances of a segment name, sorted
	hashes  int
	seed    maphash.Seed
}

type issuer struct{ realm, key, client string }

func newTallies() *tallies {
	return &tallies{turn: make(chan struct{}, 1), seed: maphash.MakeSeed()}
}

// tallyOf is what a tally is of.
type tallyOf struct {
	realm, name string
	days        int
}

// tally is what was used under a key since a time.
type tally struct {
	tallyOf
	from     int64
	parts    map[ledger.SegmentID]*shares // whole segments
	times    int                          // that are kept in them
	asked    map[ledger.SegmentID]bool    // whose issuances of the sessions are in
	sessions map[string]*used             // by credential
	uses     int
	fresh    []string         // credentials met since issuances were asked for
	stale    []*used          // of which who is honest must be found out
	ref      *reference.Index // issuances of the sessions
}

// shares are the accesses with a credential from a time on, and those of them under the key. Of a segment that began before that time, of which fewer
// count the later it is asked, it has their times, sorted, in milliseconds since.
type shares struct {
	all, under        int64
	since             int64
	allAt, underAt    []uint32
	straddles, broken bool // broken: a time is too far off
}

// from gives those from a time on.
func (n *shares) from(t int64) (all, under int64) {
	if !n.straddles {
		return n.all, n.under
	}
	behind := func(list []uint32) int64 {
		at, _ := slices.BinarySearchFunc(list, t-n.since, func(x uint32, t int64) int { return cmp.Compare(int64(x), t) })
		return int64(len(list) - at)
	}
	return behind(n.allAt), behind(n.underAt)
}

func (n *shares) add(when int64, under bool) {
	n.all++
	if under {
		n.under++
	}
	if !n.straddles || n.broken {
		return
	}
	if when-n.since > math.MaxUint32 {
		n.broken, n.allAt, n.underAt = true, nil, nil
		return
	}
	n.allAt = append(n.allAt, uint32(when-n.since))
	if under {
		n.underAt = append(n.underAt, uint32(when-n.since))
	}
}

func (n *shares) held() int { return len(n.allAt) + len(n.underAt) }

// used is a credential that was used.
type used struct {
	credential string
	by         []use
	ends       int64 // the latest of its issuances; 0: none says
	stale      bool
}

type use struct {
	principal string
	last      int64 // event time
	honest    bool  // it was issued so
}

// preview counts over the newest view.
func (s *tallies) preview(ctx context.Context, view func() (*ledger.View, error), of tallyOf, from, now int64, p *Preview) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	v, err := view() // behind the turn: it is not older than the one before
	if err != nil {
		return err
	}
	t := s.take(of, from, v.Removed())
	all, under, err := t.read(ctx, v)
	if err == nil {
		err = s.ask(ctx, v, t)
	}
	if closed := v.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err // t is forgotten: it may have half of something
	}
	if p.Accesses = under; all > 0 {
		p.Share = float64(under) / float64(all)
	}
	p.Feed = s.feeds.IssuanceFeed(of.realm, of.name, "", "", now).Known
	p.count(t, now)
	s.keep(t)
	return nil
}

// take gives the tally that is kept, or a new one.
func (s *tallies) take(of tallyOf, from int64, removed int) *tally {
	if s.feeds == nil || s.removed != removed {
		s.kept, s.removed, s.feeds, s.seq, s.issuers, s.issued, s.hashes = nil, removed, reference.New(), 0, map[issuer]bool{}, map[ledger.SegmentID][]uint64{}, 0
	}
	at := slices.IndexFunc(s.kept, func(t *tally) bool { return t.tallyOf == of })
	if at >= 0 {
		t := s.kept[at]
		s.kept = slices.Delete(s.kept, at, at+1)
		if t.from <= from {
			t.from = from
			return t
		}
	}
	return &tally{
		tallyOf: of, from: from, parts: map[ledger.SegmentID]*shares{}, asked: map[ledger.SegmentID]bool{}, sessions: map[string]*used{}, ref: reference.New(),
	}
}

// keep keeps a tally, in place of those that were used longest ago.
func (s *tallies) keep(t *tally) {
	if t.ref.Held() > 2*t.uses+1<<16 {
		return // most of it is of sessions that are long over
	}
	s.kept = append(s.kept, t)
	all := 0
	for i := len(s.kept) - 1; i >= 0; i-- {
		if all += s.kept[i].uses; all > maxUses || len(s.kept)-i > maxTallies {
			s.kept = slices.Delete(s.kept, 0, i+1)
			return
		}
	}
}

// read takes the accesses of parts that are not known yet.
func (t *tally) read(ctx context.Context, view *ledger.View) (all, under int64, err error) {
	for i, p := range view.Parts() {
		n := t.parts[p.Segment]
		if p.Accesses == 0 || p.MaxTime < t.from {
			if n != nil {
				t.times -= n.held()
				delete(t.parts, p.Segment)
			}
			continue
		}
		if n == nil || p.MinTime < t.from && !n.straddles {
			if n, err = t.part(ctx, view, i, p.Whole() && p.MinTime < t.from); err != nil {
				return 0, 0, fmt.Errorf("preview the kill: %w", err)
			}
			if p.Whole() && !n.broken && t.times+n.held() <= maxTimes {
				t.parts[p.Segment] = n
				t.times += n.held()
			}
			all, under = all+n.all, under+n.under
			continue
		}
		a, u := n.from(t.from)
		all, under = all+a, under+u
	}
	return all, under, nil
}

func (t *tally) part(ctx context.Context, view *ledger.View, part int, straddles bool) (*shares, error) {
	n := &shares{since: t.from, straddles: straddles}
	c, err := view.Load(ctx, part, ledger.ColRealm|ledger.ColKey|ledger.ColCredential|ledger.ColPrincipal)
	if err != nil {
		return n, err
	}
	for i := range c.N {
		if c.Time[i] < t.from {
			continue
		}
		credential := at(&c.Credential, i)
		if credential == "" {
			continue
		}
		under := at(&c.Key, i) == t.name && at(&c.Realm, i) == t.realm
		n.add(c.Time[i], under)
		if under {
			t.use(credential, at(&c.Principal, i), c.Time[i])
		}
	}
	slices.Sort(n.allAt)
	slices.Sort(n.underAt)
	return n, nil
}

func (t *tally) use(credential, principal string, when int64) {
	x := t.sessions[credential]
	if x == nil {
		x = &used{credential: strings.Clone(credential)}
		t.sessions[x.credential] = x
		t.fresh = append(t.fresh, x.credential)
	}
	for i := range x.by {
		if u := &x.by[i]; u.principal == principal {
			u.last = max(u.last, when)
			return
		}
	}
	x.by = append(x.by, use{principal: strings.Clone(principal), last: when})
	t.uses++
	t.spoil(x)
}

func (t *tally) spoil(x *used) {
	if !x.stale {
		x.stale, t.stale = true, append(t.stale, x)
	}
}

// ask takes the issuances of a tally's sessions, and what is known of feeds.
func (s *tallies) ask(ctx context.Context, view *ledger.View, t *tally) error {
	fresh := make([]uint64, 0, len(t.fresh))
	for _, credential := range t.fresh {
		fresh = append(fresh, maphash.String(s.seed, credential))
	}
	slices.Sort(fresh)
	var all []uint64
	for i, p := range view.Parts() {
		if p.References == 0 {
			continue
		}
		if issued, known := s.issued[p.Segment]; known && p.Whole() {
			wanted := fresh
			if !t.asked[p.Segment] {
				if all == nil {
					all = s.hashesOf(t)
				}
				wanted = all
			}
			if !meet(issued, wanted) {
				t.asked[p.Segment] = true
				continue
			}
		}
		if err := s.issuances(ctx, view, i, &p, t); err != nil {
			return fmt.Errorf("preview the kill: %w", err)
		}
	}
	for _, x := range t.stale {
		for i := range x.by {
			x.by[i].honest = t.ref.Issued(t.realm, x.credential, t.name, x.by[i].principal)
		}
		x.stale = false
	}
	t.fresh, t.stale = nil, nil
	return nil
}

func (s *tallies) hashesOf(t *tally) []uint64 {
	out := make([]uint64, 0, len(t.sessions))
	for credential := range t.sessions {
		out = append(out, maphash.String(s.seed, credential))
	}
	slices.Sort(out)
	return out
}

// meet reports whether two sorted lists have a number in common.
func meet(a, b []uint64) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	for _, x := range b {
		if 16*len(b) < len(a) { // few: search for each
			at, ok := slices.BinarySearch(a, x)
			if ok {
				return true
			}
			a = a[at:]
			continue
		}
		for len(a) > 0 && a[0] < x {
			a = a[1:]
		}
		if len(a) > 0 && a[0] == x {
			return true
		}
	}
	return false
}

// issuances reads those of a part.
func (s *tallies) issuances(ctx context.Context, view *ledger.View, part int, p *ledger.Part, t *tally) error {
	_, known := s.issued[p.Segment]
	listed := p.Whole() && !known
	var list []uint64
	err := view.PartReferences(ctx, part, func(seq uint64, r *whosaw.Record) error {
		if seq > s.seq {
			s.feed(seq, r)
		}
		if r.Type != whosaw.TypeIssuance {
			return nil
		}
		if listed && r.Credential != "" {
			list = append(list, maphash.String(s.seed, r.Credential))
		}
		if x := t.sessions[r.Credential]; x != nil && r.Realm == t.realm {
			t.ref.Apply(seq, r)
			if r.Ref != nil {
				x.ends = max(x.ends, r.Ref.Expires)
			}
			t.spoil(x)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if p.Whole() {
		t.asked[p.Segment] = true
	}
	if listed && s.hashes+len(list) <= maxIssued {
		slices.Sort(list)
		s.issued[p.Segment] = slices.Clip(list)
		s.hashes += len(list)
	}
	return nil
}

// feed takes what a record says about which keys have their issuances reported.
func (s *tallies) feed(seq uint64, r *whosaw.Record) {
	s.seq = seq // in order: of parts that are not read again all were read
	switch r.Type {
	case whosaw.TypeFeed:
		s.feeds.Apply(seq, r)
	case whosaw.TypeIssuance:
		if x := (issuer{r.Realm, r.Key, r.Client}); !s.issuers[x] {
			x = issuer{strings.Clone(r.Realm), strings.Clone(r.Key), strings.Clone(r.Client)}
			s.issuers[x] = true
			s.feeds.Apply(seq, &whosaw.Record{Type: whosaw.TypeIssuance, Realm: x.realm, Key: x.key, Client: x.client, Ref: &whosaw.Reference{}})
		}
	}
}
