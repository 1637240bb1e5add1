package scope

import (
	"context"

	"github.com/whosaw/whosaw"
)

// judgedAtOnce is how many accesses are read at first to see which of them are issued or explained. If these do not fill the page, twice as many are each time, up to
// judgedTimes as many. Tests set it lower.
var judgedAtOnce = 500

const judgedTimes = 32

// judgedLater gives the question's term if its members issued and explained are best looked at when accesses were read: where there are too many issuances
// to hold them all, those of a page's credentials are asked for at once. Else nil.
func (q *question) judgedLater(ctx context.Context) (*term, error) {
	if len(q.terms) != 1 || q.terms[0].issued == nil && q.terms[0].expl == nil {
		return nil, nil
	}
	w, err := q.at(ctx, q.terms[0].world)
	if err != nil || w.kept() || !w.many() {
		return nil, err
	}
	return q.terms[0], nil
}

// judgedPage is page of a question whose term's members issued and explained are looked at later.
func (q *question) judgedPage(ctx context.Context, t *term, id string, after place, limit int) (found []spot, records []whosaw.Record, more bool, err error) {
	w, err := q.at(ctx, t.world)
	if err != nil {
		return nil, nil, false, err
	}
	issued, explained := t.issued, t.expl
	t.issued, t.expl = nil, nil
	defer func() { t.issued, t.expl = issued, explained }()
	most := max(limit+1, judgedTimes*judgedAtOnce)
	for n := max(limit+1, judgedAtOnce); ; n = min(2*n, most) {
		some, err := q.newest(ctx, id, after, n)
		if err != nil {
			return nil, nil, false, err
		}
		list, err := q.records(ctx, some)
		if err != nil {
			return nil, nil, false, err
		}
		keep := make([]bool, len(list))
		err = q.judge(ctx, w, list, func(known told) {
			for i := range list {
				j := q.judged(&known, &list[i])
				keep[i] = (issued == nil || *issued == j.Issued) && (explained == nil || *explained == j.Explained)
			}
		})
		if err != nil {
			return nil, nil, false, err
		}
		for i := range list {
			if !keep[i] {
				continue
			}
			if len(found) == limit {
				return found, records, true, nil
			}
			found, records = append(found, some[i]), append(records, list[i])
		}
		if len(some) < n {
			return found, records, false, nil
		}
		last := some[n-1]
		after = place{after.asOf, last.time, last.seq}
	}
}
