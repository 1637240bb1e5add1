package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file finds placeholders that only a whole log shows: a place where many different words stand
// (/blog/{slug}), none of which looks like an id by itself.

const (
	manySlugs = 8  // siblings of several words, from which on they are values and not routes
	manyWords = 30 // siblings of one word
)

// branch is a position in the tree of one method's shapes.
type branch struct {
	next  map[string]*branch
	end   *shapeCount // paths that end here
	slugs *holeCount  // of the branch "{slug}": what was folded into it
}

func (b *branch) insert(segs []string, c *shapeCount) {
	for _, s := range segs {
		n := b.next[s]
		if n == nil {
			n = &branch{}
			if b.next == nil {
				b.next = map[string]*branch{}
			}
			b.next[s] = n
		}
		b = n
	}
	if b.end == nil {
		b.end = &shapeCount{}
	}
	b.end.join(c)
}

// join adds the counts of another shape.
func (c *shapeCount) join(o *shapeCount) {
	c.hits += o.hits
	for i := range c.status {
		c.status[i] += o.status[i]
	}
	c.absent, c.customers = c.absent+o.absent, c.customers+o.customers
	c.sessions, c.named = c.sessions+o.sessions, c.named+o.named
	c.holes = joinHoles(c.holes, o.holes, func(a, b holeCount) bool { return a.segment == b.segment })
	c.params = joinHoles(c.params, o.params, func(a, b holeCount) bool { return a.name == b.name })
}

// joinHoles unites the values of equal places into a. Sets are copied before the first change: a suggestion
// may be asked for in the middle of a log.
func joinHoles(a, b []holeCount, same func(a, b holeCount) bool) []holeCount {
	for _, h := range b {
		i := slices.IndexFunc(a, func(o holeCount) bool { return same(o, h) })
		if i < 0 {
			h.own = false
			a = append(slices.Clip(a), h)
			continue
		}
		into := &a[i]
		if !into.own {
			into.seen, into.own = maps.Clone(into.seen), true
			if into.seen == nil {
				into.seen = map[uint64]struct{}{}
			}
		}
		maps.Copy(into.seen, h.seen)
		into.more = into.more || h.more
	}
	return a
}

// fold turns siblings that are values into one placeholder, from the root down. What was one template with
// several words in one place becomes one with the joined counts.
func (b *branch) fold(depth int) {
	var slugs, plain []string
	for s := range b.next {
		switch {
		case strings.HasPrefix(s, "{"):
		case isSlug(s):
			slugs = append(slugs, s)
		default:
			plain = append(plain, s)
		}
	}
	var values []string
	if len(slugs) >= manySlugs && depth > 0 || len(slugs) >= 4*manySlugs {
		values = slugs
	}
	if len(plain)+len(values) >= manyWords && depth > 0 && !b.dominated(plain) {
		values = append(slugs, plain...)
	}
	if len(values) > 0 {
		slices.Sort(values)
		into := &branch{slugs: &holeCount{segment: depth, label: "slug", seen: map[uint64]struct{}{}}}
		for i, s := range values {
			into.slugs.seen[uint64(i)] = struct{}{}
			into.graft(b.next[s])
			delete(b.next, s)
		}
		for s, n := range b.next {
			if strings.HasPrefix(s, "{id}") { // ids among the words, as in the names of pages
				into.graft(n)
				delete(b.next, s)
			}
		}
		b.next["{slug}"] = into
	}
	for _, n := range b.next {
		n.fold(depth + 1)
	}
}

// graft adds another branch's paths.
func (b *branch) graft(o *branch) {
	if o.end != nil {
		if b.end == nil {
			b.end = &shapeCount{}
		}
		b.end.join(o.end)
	}
	for s, n := range o.next {
		if b.next == nil {
			b.next = map[string]*branch{}
		}
		if b.next[s] == nil {
			b.next[s] = &branch{}
		}
		b.next[s].graft(n)
	}
}

// dominated reports whether a few of the words have most of the accesses, as routes do and values do not.
func (b *branch) dominated(words []string) bool {
	var hits []int64
	var all int64
	for _, s := range words {
		h := b.next[s].hits()
		hits = append(hits, h)
		all += h
	}
	slices.Sort(hits)
	var top int64
	for i := len(hits) - 1; i >= 0 && i >= len(hits)-len(hits)/10-1; i-- {
		top += hits[i]
	}
	return top*5 > all*4
}

func (b *branch) hits() int64 {
	var n int64
	if b.end != nil {
		n = b.end.hits
	}
	for _, c := range b.next {
		n += c.hits()
	}
	return n
}

// isSlug reports whether a segment is of several words, or a page of its own.
func isSlug(s string) bool {
	stem, ext := cutExtension(s)
	return !strings.HasPrefix(s, ".") && (ext != "" || strings.ContainsAny(strings.Trim(stem, "-_"), "-_") || len(stem) > 20)
}

// templates appends the templates below this branch.
func (b *branch) templates(method string, segs []string, slugs []holeCount, s *Suggestion) {
	if b.slugs != nil {
		slugs = append(slices.Clip(slugs), *b.slugs)
	}
	if c := b.end; c != nil {
		t := makeTemplate(method, segs, slugs, c)
		if c.status[0]+c.status[2]+c.status[3] == 0 && t.Subject == "" {
			s.Failed += c.hits
			s.FailedOn++
		} else {
			s.Templates = append(s.Templates, t)
		}
	}
	for seg, n := range b.next {
		n.templates(method, append(slices.Clip(segs), seg), slugs, s)
	}
}

// makeTemplate names the placeholders apart and guesses whose data the route shows.
func makeTemplate(method string, segs []string, slugs []holeCount, c *shapeCount) Template {
	t := Template{Hits: c.hits, Status: c.status, Absent: c.absent}
	holes := append(slices.Clone(c.holes), slugs...)
	used := map[string]int{}
	var path strings.Builder
	subject, rank := "", uint8(0)
	for i, seg := range segs {
		path.WriteByte('/')
		name, after, hole := strings.Cut(strings.TrimPrefix(seg, "{"), "}")
		if !strings.HasPrefix(seg, "{") || !hole {
			path.WriteString(seg)
			continue
		}
		label, rest := strings.CutSuffix(name, "...")
		used[label]++
		if name = label; used[label] > 1 {
			name = fmt.Sprint(label, used[label])
		}
		if path.WriteString("{" + name); rest {
			path.WriteString("...")
		}
		path.WriteString("}" + after)
		p := Place{Name: name, In: "path"}
		for _, h := range holes {
			if h.segment == i {
				p.Distinct, p.AtLeast = p.Distinct+int64(len(h.seen)), p.AtLeast || h.more
			}
		}
		t.Places = append(t.Places, p)
		if n := nouns[label]; n.rank > 0 && (rank == 0 || n.rank <= rank) {
			subject, rank = name, n.rank
		}
	}
	if path.Len() == 0 {
		path.WriteByte('/')
	}
	t.Route = method + " " + path.String()
	for _, h := range c.params {
		t.Places = append(t.Places, Place{Name: h.name, In: "query", Distinct: int64(len(h.seen)), AtLeast: h.more})
	}
	t.guess(c, subject)
	return t
}

// guess says where the subject stands, by the same rules that [Rules] applies, and by who asks.
func (t *Template) guess(c *shapeCount, inPath string) {
	method, path, _ := strings.Cut(t.Route, " ")
	self, person := marks(path)
	if method == "POST" && isLogin(path) {
		t.Login, t.Useable = true, c.sessions > 0 && c.customers+c.named > 0
		t.Why = "looks like the log-in: what it shows is not a page"
		return
	}
	best := -1
	for i, p := range t.Places {
		if p.In == "query" && (best < 0 || personParams[plainName(p.Name)].rank < personParams[plainName(t.Places[best].Name)].rank) {
			best = i
		}
	}
	switch {
	case c.named*2 > c.hits:
		t.Subject, t.Why = "none", "the records name their subjects themselves"
	case inPath != "":
		t.Subject, t.Why = "path."+inPath, "{"+inPath+"} follows a word for people"
	case best >= 0:
		t.Subject, t.Why = "query."+t.Places[best].Name, "the parameter is named like a customer's id"
	case self && !person:
		t.Subject, t.Why = selfJoin(c)
	case len(t.Places) > 0:
		t.Why = "no word for people before the ids"
	default:
		t.Why = "no id in the path"
	}
}

// selfJoin says how the subject of a page of the one who asks is found.
func selfJoin(c *shapeCount) (subject, why string) {
	switch {
	case c.customers > 0 && c.sessions == 0:
		return "principal", "a page of the one who asks, and the records say who that claims to be"
	case c.customers == 0 && c.sessions > 0:
		return "credential", "a page of the one who asks: whoever the credential was issued to"
	case c.customers > 0:
		return "either", "a page of the one who asks: the claim, or whoever the credential was issued to"
	}
	return "either", "a page of the one who asks; these records do not say who that is"
}

// isLogin reports whether a path looks like the one that gives out credentials.
func isLogin(path string) bool {
	last := ""
	for seg := range strings.SplitSeq(strings.ToLower(path), "/") {
		if strings.HasPrefix(seg, "{") {
			return false
		}
		if seg != "" {
			last = seg
		}
	}
	last, _ = cutExtension(last)
	switch strings.NewReplacer("-", "", "_", "").Replace(last) {
	case "login", "signin", "logon", "session", "sessions", "token", "tokens", "authenticate", "auth", "loginproc", "dologin":
		return true
	}
	return false
}
