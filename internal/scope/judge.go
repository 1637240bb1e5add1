package scope

import (
	"context"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/reference"
)

// Judgement is what the reference records say of an access: whether a log-in issued its credential, and whether everybody whose data it asked for explains it.
type Judgement struct{ Issued, Explained bool }

// Judge says, in order, of accesses that [Engine.Subject] gave what the members issued and explained of a filter find them to be, by all records of the
// view. No access is read again.
func (e *Engine) Judge(ctx context.Context, list []whosaw.Record) ([]Judgement, error) {
	out := make([]Judgement, len(list))
	if len(list) == 0 {
		return out, nil
	}
	span := whosaw.Term{From: whosaw.Time(list[0].Time), To: whosaw.Time(list[0].Time + 1)} // in which a reason may explain one
	for i := range list {
		span.From, span.To = min(span.From, whosaw.Time(list[i].Time)), max(span.To, whosaw.Time(list[i].Time+1))
	}
	err := e.answer([]whosaw.Filter{{span}}, func(q *question) error {
		w, err := q.at(ctx, 0)
		if err != nil {
			return err
		}
		return q.judge(ctx, w, list, func(known told) {
			for i := range list {
				out[i] = q.judged(&known, &list[i])
			}
		})
	})
	return out, err
}

// told is what reference records say about some accesses.
type told struct {
	issuances *reference.Index // of their credentials at least
	reasons   *reference.Index
}

// judge calls fn with what the records of a world say about some accesses. It must not be kept.
func (q *question) judge(ctx context.Context, w *world, list []whosaw.Record, fn func(known told)) error {
	if !w.many() {
		all, err := q.whole(ctx, w)
		if err == nil {
			fn(told{all, all})
		}
		return err
	}
	why, err := q.reasons(ctx, w)
	if err != nil {
		return err
	}
	known := &few{}
	if q.known != nil {
		known = &q.known.few
	}
	return known.judge(ctx, w, credentialsOf(list), func(some *reference.Index) { fn(told{some, why}) })
}

// judged judges an access.
func (q *question) judged(k *told, r *whosaw.Record) Judgement {
	issued := r.Credential != "" && k.issuances.Issued(r.Realm, r.Credential, r.Key, r.Principal)
	return Judgement{issued, k.explained(r, q.subjectsOf(k.issuances, r), issued)}
}

// explained reports whether what an access asked for about some subjects is explained.
func (k *told) explained(r *whosaw.Record, subjects []string, issued bool) bool {
	principal := k.issuances.Claimant(r.Realm, r.Credential, r.Principal, issued)
	return principal != "" && len(subjects) > 0 && !slices.ContainsFunc(subjects, func(id string) bool {
		return !k.reasons.Explained(r.Realm, principal, id, r.Time, issued)
	})
}

// subjectsOf gives the subjects that an access names, else the one that the catalog joins it to.
func (q *question) subjectsOf(known *reference.Index, r *whosaw.Record) []string {
	if len(r.Subjects) > 0 || q.cat == nil {
		return r.Subjects
	}
	v := q.cat.At(r.Time)
	if v == nil {
		return nil
	}
	route := v.Route(r.Route)
	if route == nil || route.Join == catalog.JoinNone {
		return nil
	}
	subject, ok := "", false
	if route.Join.Issued(r.Principal) {
		if r.Credential != "" {
			subject, ok = known.SubjectOf(r.Realm, r.Credential)
		}
	} else {
		subject, ok = route.Join.Claimed(r.Principal)
	}
	if !ok || subject == "" {
		return nil
	}
	return []string{subject}
}
