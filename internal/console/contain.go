package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// Container stops what a finding accuses. A preview comes before each act.
type Container interface {
	// Preview gives what could be done, from the narrowest to the widest, and whom it would have hit in the last 24 hours.
	Preview(ctx context.Context, q *pipeline.Question, f *whosaw.Finding) ([]Cut, error)
	// Apply does one of them in somebody's name: cut is [Cut.Chosen] of what a preview showed, and that is done, not what a new look would find.
	Apply(ctx context.Context, q *pipeline.Question, f *whosaw.Finding, cut, who string) error
	// Undo ends what stands.
	Undo(ctx context.Context, f *whosaw.Finding, who string) error
	// Stands says since when a decision of the finding stands, and until when; zero: none does. In shadow it stops nothing.
	Stands(ctx context.Context, f *whosaw.Finding) (since, until time.Time, err error)
	// Decided lists what was decided about the finding, what has ended too, the earliest first.
	Decided(ctx context.Context, f *whosaw.Finding) ([]Decision, error)
	// Shadow reports whether it only records what it would do.
	Shadow() bool
}

// Decision is what somebody, or the guard itself, decided about a finding.
type Decision struct {
	Who    string
	Action string // deny and the like, as in a guard's policy
	Filter whosaw.Filter
	Made   time.Time
	Ended  time.Time // zero: it stands
	Undoer string    // who ended it; "": it ended by itself
}

// Cut is one thing that can be done.
type Cut struct {
	Is               string   // a hash of what exactly would be done; empty: its ID says all
	ID               string   // deny, networks, key, …: a message contain.cut.ID words it with Name
	Name             string   // of the key, the number of networks
	Forged, ForgedOf int64    // accesses of the finding that it would have stopped
	Honest, HonestOf int64    // others that it would have hit
	TwoPeople        bool     // it waits for a second person
	Doors            []string // where it holds
	Ends             time.Duration
}

// Chosen says which cut was chosen, and as what it was shown.
func (c Cut) Chosen() string {
	if c.Is == "" {
		return c.ID
	}
	return c.ID + ":" + c.Is
}

// Guarded contains by standing decisions of the guard.
func Guarded(g *guard.Guard, now func() time.Time) Container {
	return &guarding{guard: g, now: now, shown: map[string]whosaw.Filter{}}
}

type guarding struct {
	guard *guard.Guard
	now   func() time.Time

	mu    sync.Mutex
	shown map[string]whosaw.Filter // what previews showed, by finding and [Cut.Chosen]
	order []string                 // of shown, the oldest first
}

const (
	cutLife     = 24 * time.Hour
	cutNetworks = 16
	mostShown   = 1024 // previews that are remembered; a forgotten one is looked for anew
)

// Shadow is so while every request passes.
func (g *guarding) Shadow() bool { return g.guard.Mode() == guard.ModeShadow }

// cut is a decision that could be made of a finding.
type cut struct {
	id, name string
	filter   whosaw.Filter
}

// cuts lists them, the narrowest first. A decision that some door could not hold is left out.
func (g *guarding) cuts(ctx context.Context, q *pipeline.Question, f *whosaw.Finding) ([]cut, error) {
	var out []cut
	id := "deny"
	own := slices.Clone(f.Filter)
	for i := range own {
		own[i].From, own[i].To, own[i].AsOf, own[i].Outcome = 0, 0, 0, nil
		if t := &own[i]; t.Issued != nil && !*t.Issued {
			id = "unissued"
		}
	}
	out = append(out, cut{id: id, filter: own})
	networks, err := q.Top(ctx, "network", within(f.Filter, g.now()), 500)
	if err != nil {
		return nil, err
	}
	var ips []string
	for _, n := range sumDays(networks) {
		if n.Value != "" && len(ips) < cutNetworks {
			ips = append(ips, n.Value)
		}
	}
	if len(ips) > 0 {
		out = append(out, cut{"networks", "", whosaw.Filter{{IP: ips}}})
	}
	for _, kind := range []string{"key", "client", "principal"} {
		var names []string
		for i := range f.Filter {
			for _, v := range *f.Filter[i].Values(kind) {
				if !strings.HasPrefix(v, "!") && !slices.Contains(names, v) {
					names = append(names, v)
				}
			}
		}
		if len(names) == 1 {
			t := whosaw.Term{}
			*t.Values(kind) = names
			out = append(out, cut{kind, names[0], whosaw.Filter{t}})
		}
	}
	return slices.DeleteFunc(out, func(c cut) bool {
		s := guard.Standing{Action: guard.Deny, Filter: c.filter, Reason: "-"}
		return g.guard.Book().Check(&s, cutLife) != nil
	}), nil
}

// within narrows a filter to the last 24 hours.
func within(f whosaw.Filter, now time.Time) whosaw.Filter {
	from := whosaw.Time(now.Add(-24 * time.Hour).UnixMilli())
	out := slices.Clone(f)
	for i := range out {
		out[i].From = max(out[i].From, from)
		if out[i].To != 0 && out[i].To <= out[i].From {
			out[i].To = out[i].From + 1
		}
	}
	return out
}

// Preview counts exactly.
func (g *guarding) Preview(ctx context.Context, q *pipeline.Question, f *whosaw.Finding) ([]Cut, error) {
	list, err := g.cuts(ctx, q, f)
	if err != nil {
		return nil, err
	}
	count := func(f whosaw.Filter) (int64, error) {
		a, err := q.Count(ctx, within(f, g.now()))
		return a.Accesses, err
	}
	forged, err := count(f.Filter)
	if err != nil {
		return nil, err
	}
	all, err := count(whosaw.Filter{{}})
	if err != nil {
		return nil, err
	}
	var doors []string
	for _, d := range g.guard.Config().Doors {
		doors = append(doors, d.Name)
	}
	var out []Cut
	for _, c := range list {
		hit, err := count(c.filter)
		if err != nil {
			return nil, err
		}
		both, err := count(meet(f.Filter, c.filter))
		if err != nil {
			return nil, err
		}
		name := c.name
		if c.id == "networks" {
			name = ""
		}
		out = append(out, Cut{ID: c.id, Is: g.show(f, c), Name: name, Forged: both, ForgedOf: forged, Honest: max(0, hit-both), HonestOf: max(0, all-forged), Doors: doors, Ends: cutLife})
	}
	return out, nil
}

// meet gives a filter of what a finding's filter and a cut match both. Cuts have one term that names one member, or are the
// finding's own.
func meet(f, by whosaw.Filter) whosaw.Filter {
	if len(by) != 1 {
		return f
	}
	out := slices.Clone(f)
	for i := range out {
		for _, m := range whosaw.FilterMembers() {
			if a, b := out[i].Values(m), by[0].Values(m); a != nil && len(*a) == 0 {
				*a = *b
			}
		}
	}
	return out
}

// show remembers what is shown, and gives its hash.
func (g *guarding) show(f *whosaw.Finding, c cut) string {
	text, err := json.Marshal(c.filter)
	if err != nil {
		panic("BUG: encode a filter: " + err.Error())
	}
	sum := sha256.Sum256(text)
	is := hex.EncodeToString(sum[:8])
	g.mu.Lock()
	defer g.mu.Unlock()
	key := f.ID + " " + c.id + ":" + is
	if _, known := g.shown[key]; !known {
		g.order = append(g.order, key)
		if len(g.order) > mostShown {
			delete(g.shown, g.order[0])
			g.order = g.order[1:]
		}
	}
	g.shown[key] = c.filter
	return is
}

// previewed gives what a preview showed. After a restart the cuts are worked out anew, and count only if they are the same.
func (g *guarding) previewed(ctx context.Context, q *pipeline.Question, f *whosaw.Finding, chosen string) (whosaw.Filter, error) {
	for _, fresh := range []bool{false, true} {
		if fresh {
			list, err := g.cuts(ctx, q, f)
			if err != nil {
				return nil, err
			}
			for _, c := range list {
				g.show(f, c)
			}
		}
		g.mu.Lock()
		filter, ok := g.shown[f.ID+" "+chosen]
		g.mu.Unlock()
		if ok {
			return filter, nil
		}
	}
	return nil, errNoCut
}

// Apply makes the decision that was previewed.
func (g *guarding) Apply(ctx context.Context, q *pipeline.Question, f *whosaw.Finding, chosen, who string) error {
	filter, err := g.previewed(ctx, q, f, chosen)
	if err != nil {
		return err
	}
	id, _, _ := strings.Cut(chosen, ":")
	_, err = g.guard.Book().Add(ctx, guard.Standing{
		Action: guard.Deny, Filter: filter, Reason: "contained from the page of the finding: " + id, Who: who, Finding: f.ID,
	}, cutLife)
	return err
}

var errNoCut = errors.New("what can be done about this finding has changed since it was shown")

// Undo ends every decision that was made of the finding.
func (g *guarding) Undo(ctx context.Context, f *whosaw.Finding, who string) error {
	for _, s := range g.guard.Book().Holding() {
		if s.Finding != f.ID {
			continue
		}
		if _, err := g.guard.Book().Undo(ctx, s.ID, who, "undone on the page of the finding"); err != nil && !errors.Is(err, guard.ErrNoDecision) {
			return err
		}
	}
	return nil
}

// Stands gives the first decision of the finding that holds.
func (g *guarding) Stands(_ context.Context, f *whosaw.Finding) (since, until time.Time, err error) {
	for _, s := range g.guard.Book().Holding() {
		if s.Finding == f.ID {
			since, until = time.UnixMilli(s.Made), time.UnixMilli(s.Expires)
		}
	}
	return since, until, nil
}

// maxDecided is of how many decisions a finding's page tells.
const maxDecided = 50

// Decided lists the decisions of the finding.
func (g *guarding) Decided(ctx context.Context, f *whosaw.Finding) ([]Decision, error) {
	list, err := g.guard.Book().OfFinding(ctx, f.ID, maxDecided)
	out := make([]Decision, len(list))
	for i, s := range list {
		out[i] = Decision{Who: s.Who, Action: s.Action.String(), Filter: s.Filter, Made: time.UnixMilli(s.Made)}
		switch {
		case s.Undone != 0:
			out[i].Ended, out[i].Undoer = time.UnixMilli(s.Undone), s.Undoer
		case s.Expires <= g.now().UnixMilli():
			out[i].Ended = time.UnixMilli(s.Expires)
		}
	}
	return out, err
}
