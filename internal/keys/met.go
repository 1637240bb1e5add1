package keys

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/whosaw/whosaw/internal/ledger"
)

const (
	maxMets = 64
	// maxMet is how many credentials are kept for one offboarding. What segments beyond have of it is read each time.
	maxMet = 4 * maxSessions
)

// mets keeps, for the offboardings that were looked at last, what credentials whole segments show under the leaver's principals: segments do not change.
// It is safe for concurrent use.
type mets struct {
	mu   sync.Mutex
	kept []*metOf // the one used last is last
}

type metOf struct {
	realm      string
	from       int64
	principals string // joined
	parts      map[ledger.SegmentID][]met
	size       int
}

// met is a credential that was used by a principal.
type met struct{ credential, principal string }

// of gives what is kept for some principals, in order, of a realm since a time. mu must be held.
func (s *mets) of(realm string, principals []string, from int64) *metOf {
	joined := strings.Join(principals, "\x00")
	at := slices.IndexFunc(s.kept, func(x *metOf) bool { return x.realm == realm && x.from == from && x.principals == joined })
	x := &metOf{realm: realm, from: from, principals: joined, parts: map[ledger.SegmentID][]met{}}
	if at >= 0 {
		x = s.kept[at]
		s.kept = slices.Delete(s.kept, at, at+1)
	} else if len(s.kept) == maxMets {
		s.kept = slices.Delete(s.kept, 0, 1)
	}
	s.kept = append(s.kept, x)
	return x
}

// each calls fn with each credential that a part shows under one of the principals, parts in order, in a part the first met first, with the principal that it
// was met under last.
func (s *mets) each(ctx context.Context, view *ledger.View, realm string, principals []string, from int64, fn func(m met)) error {
	for i, p := range view.Parts() {
		if p.Accesses == 0 || p.MaxTime < from {
			continue
		}
		s.mu.Lock()
		list, known := s.of(realm, principals, from).parts[p.Segment]
		s.mu.Unlock()
		if !known || !p.Whole() {
			var err error
			if list, err = metIn(ctx, view, i, realm, principals, from); err != nil {
				return err
			}
			if p.Whole() {
				s.keep(realm, principals, from, p.Segment, list)
			}
		}
		for _, m := range list {
			fn(m)
		}
	}
	return nil
}

func (s *mets) keep(realm string, principals []string, from int64, segment ledger.SegmentID, list []met) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.of(realm, principals, from)
	if _, known := x.parts[segment]; !known && x.size+len(list) <= maxMet {
		x.parts[segment], x.size = list, x.size+len(list)
	}
}

// metIn reads a part.
func metIn(ctx context.Context, view *ledger.View, part int, realm string, principals []string, from int64) ([]met, error) {
	c, err := view.Load(ctx, part, ledger.ColRealm|ledger.ColPrincipal|ledger.ColCredential)
	if err != nil {
		return nil, err
	}
	theirs := make([]bool, len(c.Principal.Dict)) // by code
	some := false
	for code, name := range c.Principal.Dict {
		theirs[code] = name != "" && slices.Contains(principals, name)
		some = some || theirs[code]
	}
	var list []met
	place := map[string]int{}
	for i := range min(c.N, len(c.Principal.Codes)) {
		if !some || !theirs[c.Principal.Codes[i]] || c.Time[i] < from {
			continue
		}
		credential := at(&c.Credential, i)
		if credential == "" || at(&c.Realm, i) != realm {
			continue
		}
		n, seen := place[credential]
		if !seen {
			n = len(list)
			m := met{credential: strings.Clone(credential)}
			place[m.credential], list = n, append(list, m)
		}
		list[n].principal = principals[slices.Index(principals, at(&c.Principal, i))]
	}
	return list, nil
}
