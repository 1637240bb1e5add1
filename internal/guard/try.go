package guard

import (
	"context"
	"fmt"
)

// Try gives the decision that a request with these claims would get, the signature taken for good: whoever asks made it up, to see whether
// what was revoked is refused. It waits for nothing, counts nothing against anybody and leaves no record. Of routes whose policies
// differ it gives the mildest decision, for that is the way in.
func (g *Guard) Try(_ context.Context, id Identity) (Decision, error) {
	if _, err := g.state.Sound(); err != nil {
		return Decision{}, fmt.Errorf("try a request: %w", err)
	}
	now := g.now()
	ms := now.UnixMilli()
	id.Verified = true
	var mildest Decision
	for i := range g.policies {
		p := &g.policies[i]
		d := Decision{Would: Allow, Identity: id, Route: p.pattern.method + " " + p.pattern.path}
		f := g.state.look(&d.Identity, "", ms)
		d.Identity.Issued = f.issued
		if f.owner != "" {
			d.Identity.Principal = f.owner
		}
		if f.personLeft {
			d.weigh(Deny, Reason{Code: CodePersonLeft, Says: says[CodePersonLeft]})
		}
		g.judgeKey(&d.Identity, &f, &p.Policy, &d, ms)
		if !f.issued && f.feed.Known && f.key.Left != "" { // else a few pass before their issuance is on record
			d.weigh(p.Unissued, Reason{Code: CodeUnissued, Says: says[CodeUnissued]})
		}
		g.judgeStanding(&candidate{id: &d.Identity, route: d.Route, now: ms}, &p.Policy, &d)
		if d.Action = d.Would; g.shadow(&p.Policy) {
			d.Action, d.Shadow = Allow, true
		}
		if i == 0 || d.Action < mildest.Action {
			mildest = d
		}
	}
	if len(mildest.Reasons) == 0 {
		mildest.Reasons = []Reason{{Code: CodeOK}}
	}
	return mildest, nil
}
