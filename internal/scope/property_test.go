package scope_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

var (
	filterCount = flag.Int("scope.filters", defaultFilters, "random filters that TestProperty asks")
	filterSeed  = flag.Uint64("scope.seed", 0, "seed of the first random ledger of TestProperty")
)

// filtersPerLedger is how many filters each random ledger is asked.
const filtersPerLedger = 50

// TestProperty compares every answer with that of a brute-force counter, for random filters over random ledgers:
// several sealed segments and the open log, closed and opened in between, with late, doubled and conflicting
// records. A failure prints the smallest ledger and filter found that still differ.
func TestProperty(t *testing.T) {
	scope.TopFirst(2) // else the first groups are all there are
	defer scope.TopFirst(64)
	defer scope.TopSmall(1<<28, 1<<23)
	defer scope.TopFew(1<<17, 16)
	defer scope.ManyReferences(scope.ManyReferences(0))
	seed := *filterSeed
	if seed == 0 {
		seed = 1
	}
	done := 0
	for ; done < *filterCount; seed++ {
		scope.TopSmall([]int64{1, 1000, 1 << 28}[seed%3], []int{1 << 23, 3}[seed%2])
		scope.ManyReferences([]int64{20, 1 << 22, 0}[seed/2%3])
		scope.TopFew([]int{1 << 17, 5}[seed%2], []int{16, 1, 2}[seed%3])
		s := newScenario(seed)
		b := s.build(t)
		g := newGen(seed, 2)
		n := min(filtersPerLedger, *filterCount-done)
		for i := range n {
			filter, ask := g.filter(b.oracle.records), g.ask()
			if diff := b.compare(filter, ask); diff != "" {
				b.close()
				s.report(t, filter, ask, diff)
				t.Fatalf("ledger %d, filter %d differ; repeat with -scope.seed=%d -scope.filters=%d", seed, i, seed, filtersPerLedger)
			}
		}
		if diff := b.compareOverlap(g); diff != "" {
			t.Fatalf("ledger %d: overlap differs from the counter's (-counter +scope):\n%s", seed, diff)
		}
		b.close()
		done += n
	}
	t.Logf("%d filters", done)
}

// zones are asked for days. Cairo skips midnights.
var zones = func() []*time.Location {
	list := []*time.Location{time.UTC, time.FixedZone("odd", 5*3600+30*60+7)}
	for _, name := range []string{"Asia/Seoul", "America/New_York", "Africa/Cairo"} {
		if zone, err := time.LoadLocation(name); err == nil {
			list = append(list, zone)
		}
	}
	return list
}()

func (g gen) ask() oAsk {
	a := oAsk{by: g.of(scope.Dimensions()), zone: zones[g.IntN(len(zones))], subject: g.of(subjectPool)}
	if g.in(30) {
		realm := g.of(realmPool)
		a.realm = &realm
	}
	if g.in(50) {
		a.bucket = []int64{hour, 7 * hour, 20 * 60_000}[g.IntN(3)]
	}
	return a
}

// built is a scenario's ledger with a view of it, and the counter that saw the same lines.
type built struct {
	oracle *oracle
	ledger *ledger.Ledger
	view   *ledger.View
	cat    *catalog.Catalog
	dir    string
	pages  gen
	index  *index.Store

	engines map[engineOf]*scope.Engine
}

// engineOf is what an engine is told: where days begin, and whether it asks blocks.
type engineOf struct {
	zone    *time.Location
	indexed bool
}

// build sends everything to a ledger and to the counter, and compares the receipts.
func (s *scenario) build(t testing.TB) *built {
	t.Helper()
	b, err := s.try()
	if err != nil {
		t.Fatalf("ledger %d: %v", s.seed, err)
	}
	return b
}

func (s *scenario) try() (*built, error) {
	dir, err := os.MkdirTemp("", "whosaw-scope-")
	if err != nil {
		return nil, err
	}
	b := &built{oracle: &oracle{catalog: s.catalog}, dir: dir, pages: newGen(s.seed, 3), engines: map[engineOf]*scope.Engine{}}
	if b.cat, err = s.load(dir); err != nil {
		return nil, err
	}
	cfg := ledger.Config{Dir: dir, SegmentRecords: s.segment, Throwaway: true}
	if b.ledger, err = ledger.Open(cfg); err != nil {
		return nil, err
	}
	g := newGen(s.seed, 4)
	var batch []whosaw.Record
	var want []string
	send := func() error {
		receipts, err := b.ledger.Append(context.Background(), batch)
		if err != nil {
			return err
		}
		for i, r := range receipts {
			got := fmt.Sprintf("%s %d", []string{"accepted", "repeat", "conflict"}[r.Ack], r.Sequence)
			if r.Ack == ledger.Conflict {
				got = "conflict"
			}
			if got != want[i] {
				return fmt.Errorf("receipt is %s, want %s, for %s line at %d", got, want[i], batch[i].Type, batch[i].Position)
			}
		}
		batch, want = nil, nil
		return nil
	}
	for i, x := range s.sends {
		if i == s.reopen {
			if err := send(); err != nil {
				return nil, err
			}
			if err := b.ledger.Close(); err != nil {
				return nil, err
			}
			if b.ledger, err = ledger.Open(cfg); err != nil {
				return nil, err
			}
		}
		var d whosaw.Decoder
		var r whosaw.Record
		if err := d.Decode([]byte(x.line), now, &r); err != nil {
			return nil, fmt.Errorf("%w: %s", err, x.line)
		}
		r.Source, r.Position = x.source, x.position
		batch = append(batch, r.Clone())
		ack, seq := b.oracle.add(x.source, x.position, x.line)
		if ack == "conflict" {
			want = append(want, ack)
		} else {
			want = append(want, fmt.Sprintf("%s %d", ack, seq))
		}
		if g.in(10) {
			if err := send(); err != nil {
				return nil, err
			}
		}
	}
	if err := send(); err != nil {
		return nil, err
	}
	if s.seed%3 == 0 { // nothing is left but whole segments
		if err := b.ledger.Seal(context.Background()); err != nil {
			return nil, err
		}
	}
	if b.view, err = b.ledger.View(0); err != nil {
		return nil, err
	}
	b.index = index.Open(index.Config{Dir: dir, Throwaway: true})
	return b, b.index.Build(context.Background(), b.view)
}

// load gives the product the catalog the way users do.
func (s *scenario) load(dir string) (*catalog.Catalog, error) {
	switch {
	case s.catalog == nil:
		return nil, nil
	case s.catalog.rules:
		return catalog.Rules(), nil
	}
	file := filepath.Join(dir, "catalog.yaml")
	if err := os.WriteFile(file, []byte(s.catalog.yaml()), 0o600); err != nil {
		return nil, err
	}
	return catalog.Load(file)
}

func (b *built) close() {
	_ = b.view.Close()
	_ = b.index.Close()
	_ = b.ledger.Close()
	_ = os.RemoveAll(b.dir)
}

// compare gives the difference between the counter's answers and the product's, "" if there is none. The product
// answers twice: from segments alone, and from blocks where it can.
func (b *built) compare(filter string, ask oAsk) string {
	want := b.oracle.answer(parseFilter(filter), ask)
	want.Matched = nil
	for _, indexed := range []bool{false, true} {
		got, err := b.ask(filter, ask, indexed)
		if err != nil {
			return err.Error()
		}
		if !reflect.DeepEqual(want, *got) {
			return fmt.Sprintf("(blocks asked: %t)\n%s", indexed, cmp.Diff(want, *got))
		}
	}
	return ""
}

// ask asks the product everything about a filter.
func (b *built) ask(filter string, ask oAsk, indexed bool) (*oAnswer, error) {
	ctx := context.Background()
	f, err := whosaw.ParseFilter([]byte(filter))
	if err != nil {
		return nil, err
	}
	of := engineOf{ask.zone, indexed}
	e := b.engines[of]
	if e == nil {
		cfg := scope.Config{Zone: ask.zone, Workers: 1 + b.pages.IntN(3)}
		if indexed {
			cfg.Index = b.index
		}
		e = scope.New(b.view, b.cat, cfg)
		b.engines[of] = e
	}
	c, err := e.Count(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	a := &oAnswer{
		Accesses: c.Accesses, Disclosures: c.Disclosures, Subjects: c.Subjects, Others: c.Others, Fields: c.Fields, Masked: c.Masked,
		NotReached: c.NotReached, First: ms(c.First), Last: ms(c.Last), Catalog: c.Catalog,
	}
	for _, gap := range c.Gaps {
		a.Gaps = append(a.Gaps, b.gap(gap))
	}
	sortGaps(a.Gaps)
	var one, all strings.Builder
	asCSV := scope.NewListWriter(&one, true)
	err = e.List(ctx, f, func(r whosaw.ListRow) error {
		if err := asCSV.Row(r); err != nil {
			return err
		}
		a.List = append(a.List, oRow{r.Realm, r.Subject, int64(r.First), int64(r.Last), r.Accesses, slices.Clone(r.Fields)})
		return nil
	})
	if err := errors.Join(err, asCSV.Flush(), e.WriteCSV(ctx, f, &all)); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	if diff := cmp.Diff(one.String(), all.String()); diff != "" {
		return nil, fmt.Errorf("the list as CSV differs (-row by row +at once):\n%s", diff)
	}
	rows, err := e.Top(ctx, ask.by, f, 0)
	if err != nil {
		return nil, fmt.Errorf("top: %w", err)
	}
	for _, r := range rows {
		a.Top = append(a.Top, oTop{r.Day, r.Value, r.Subjects, r.Accesses})
	}
	limit := 1 + len(filter)%5
	few, err := e.Top(ctx, ask.by, f, limit)
	if err != nil {
		return nil, fmt.Errorf("top: %w", err)
	}
	if diff := cmp.Diff(rows[:min(limit, len(rows))], few); diff != "" {
		return nil, fmt.Errorf("top %d by %s is not the beginning of all (-all +top):\n%s", limit, ask.by, diff)
	}
	if a.Of, a.Judged, err = b.subject(e, f, ask); err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	bucket := time.Duration(ask.bucket) * time.Millisecond
	if bucket == 0 {
		bucket = 24 * time.Hour
	}
	lines, err := e.Timeline(ctx, []whosaw.Filter{{}, f}, bucket)
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	for _, x := range lines[1] {
		if x.Accesses != 0 {
			a.Line = append(a.Line, oBucket{int64(x.Time), x.Accesses, x.Disclosures, x.Subjects, x.New})
		} else if x.Disclosures+x.Subjects+x.New != 0 {
			return nil, fmt.Errorf("timeline: a bucket without accesses has %+v", x)
		}
	}
	return a, nil
}

// subject reads every page and says which accesses they hold. Pages are asked of blocks and of segments in turn: a cursor of one is
// good for the other.
func (b *built) subject(e *scope.Engine, f whosaw.Filter, ask oAsk) (of []int, judged [][2]bool, err error) {
	for cursor := ""; ; {
		limit := 1 + b.pages.IntN(12)
		if other := b.engines[engineOf{ask.zone, b.pages.in(50)}]; other != nil {
			e = other
		}
		page, err := e.Subject(context.Background(), ask.realm, ask.subject, f, limit, cursor)
		if err != nil {
			return nil, nil, err
		}
		if len(page.Accesses) > limit || page.Subject != ask.subject {
			return nil, nil, fmt.Errorf("a page of %d has %d accesses", limit, len(page.Accesses))
		}
		for i := range page.Accesses {
			of = append(of, b.sequence(&page.Accesses[i]))
		}
		list, err := e.Judge(context.Background(), page.Accesses)
		if err != nil {
			return nil, nil, err
		}
		for _, j := range list {
			judged = append(judged, [2]bool{j.Issued, j.Explained})
		}
		if cursor = page.Next; cursor == "" {
			return of, judged, nil
		}
		if len(page.Accesses) != limit {
			return nil, nil, fmt.Errorf("a page of %d with a next one has %d accesses", limit, len(page.Accesses))
		}
	}
}

// sequence finds a record among the counter's, -1 if none is like it.
func (b *built) sequence(r *whosaw.Record) int {
	for _, o := range b.oracle.records {
		if o.typ == "access" && o.source == r.Source && o.time == r.Time && o.id == r.ID && o.realm == r.Realm &&
			slices.Equal(o.subjects, r.Subjects) && o.others == r.Others && o.route == r.Route && slices.Equal(o.fields, r.Fields) &&
			(o.fields == nil) == (r.Fields == nil) && slices.Equal(o.masked, r.Masked) && o.status == int64(r.Status) &&
			o.outcome == r.Outcome.String() && o.principal == r.Principal && o.credential == r.Credential && o.key == r.Key &&
			o.agent == r.Agent && o.reason == r.Reason && o.bytes == r.Bytes && o.request == r.Request && r.Ref == nil {
			return o.seq
		}
	}
	return -1
}

// gap brings a gap into the counter's form; the key or client is read out of what it says.
func (b *built) gap(g whosaw.Gap) oGap {
	o := oGap{Kind: string(g.Kind), Source: g.Source, From: ms(g.From), To: ms(g.To), Count: g.Count}
	if g.Says == "" || g.Kind != whosaw.GapNoFeed {
		return o
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(g.Says, "no feed of issuances for "), ":")
	unit, realm, _ := strings.Cut(text, " in realm ")
	if unit == "credentials without key and client" {
		unit = "client "
	}
	o.Unit = realm + "\x00" + unit
	return o
}

func ms(t *whosaw.Time) int64 {
	if t == nil {
		return 0
	}
	return int64(*t)
}

// compareOverlap compares how many accesses several filters have in common.
func (b *built) compareOverlap(g gen) string {
	var filters []whosaw.Filter
	var sets []map[int]bool
	for range 5 {
		text := g.filter(b.oracle.records)
		f, err := whosaw.ParseFilter([]byte(text))
		if err != nil {
			return err.Error()
		}
		filters = append(filters, f)
		sets = append(sets, b.oracle.answer(parseFilter(text), g.ask()).Matched)
	}
	sizes, inter, err := scope.New(b.view, b.cat, scope.Config{}).Overlap(context.Background(), filters)
	if err != nil {
		return err.Error()
	}
	var want, got []int64
	for i := range sets {
		want, got = append(want, int64(len(sets[i]))), append(got, sizes[i])
		for j := range sets {
			n := int64(0)
			for seq := range sets[i] {
				if sets[j][seq] {
					n++
				}
			}
			want, got = append(want, n), append(got, inter[i][j])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return diff
	}
	return b.compareAgainst(filters, sets, sizes, inter)
}

// compareAgainst asks the same of Against, of more filters than it takes at once.
func (b *built) compareAgainst(filters []whosaw.Filter, sets []map[int]bool, sizes []int64, inter [][]int64) string {
	var many []whosaw.Filter
	for range 8 {
		many = append(many, filters...)
	}
	got, both, err := scope.New(b.view, b.cat, scope.Config{}).Against(context.Background(), filters[:2], many)
	if err != nil {
		return err.Error()
	}
	var want [][]int64
	for i := range many {
		k := i % len(filters)
		if got[i] != sizes[k] {
			return fmt.Sprintf("against: filter %d matches %d, not %d", i, got[i], sizes[k])
		}
		want = append(want, inter[k][:2])
	}
	if diff := cmp.Diff(want, both); diff != "" {
		return diff
	}
	return b.compareSequences(filters[0], sets[0])
}

// compareSequences asks which accesses they are.
func (b *built) compareSequences(filter whosaw.Filter, set map[int]bool) string {
	got, err := scope.New(b.view, b.cat, scope.Config{}).Sequences(context.Background(), filter)
	if err != nil {
		return err.Error()
	}
	var want []uint64
	for seq := range set {
		want = append(want, uint64(seq))
	}
	slices.Sort(want)
	return cmp.Diff(want, got)
}

// report looks for a smaller ledger and filter that still differ, and prints them.
func (s *scenario) report(t *testing.T, filter string, ask oAsk, diff string) {
	small := *s
	differs := func(s *scenario, filter string) string {
		b, err := s.try()
		if err != nil {
			return "" // another fault; this one is looked for
		}
		defer b.close()
		return b.compare(filter, ask)
	}
	for _, f := range smaller(filter) {
		if d := differs(&small, f); d != "" {
			filter, diff = f, d
			break
		}
	}
	budget := 400
	for size := (len(small.sends) + 1) / 2; size >= 1; {
		removed := false
		for at := 0; at < len(small.sends) && budget > 0; budget-- {
			less := small
			less.sends = slices.Delete(slices.Clone(small.sends), at, min(at+size, len(small.sends)))
			if d := differs(&less, filter); d != "" {
				small, diff, removed = less, d, true
			} else {
				at += size
			}
		}
		if budget <= 0 || size == 1 && !removed {
			break
		}
		size = max(1, size/2)
	}
	zone, yaml := ask.zone.String(), "none"
	if s.catalog != nil {
		yaml = "rules"
		if !s.catalog.rules {
			yaml = s.catalog.yaml()
		}
	}
	var lines []string
	for _, x := range small.sends {
		lines = append(lines, x.String())
	}
	t.Errorf("filter %s\nby %s in %s, subject %q\nsegments of %d, reopened before line %d\n%s\ncatalog: %s\ndiffer (-counter +scope):\n%s",
		filter, ask.by, zone, ask.subject, small.segment, small.reopen+1, strings.Join(lines, "\n"), yaml, diff)
}

// smaller gives filters that are parts of a filter, the smallest first.
func smaller(filter string) []string {
	var terms []map[string]json.RawMessage
	if strings.HasPrefix(filter, "{") {
		filter = "[" + filter + "]"
	}
	if err := json.Unmarshal([]byte(filter), &terms); err != nil {
		return nil
	}
	out := []string{"{}"}
	add := func(v any) {
		if b, err := json.Marshal(v); err == nil {
			out = append(out, string(b))
		}
	}
	for _, t := range terms {
		for name, value := range t {
			add(map[string]json.RawMessage{name: value})
		}
	}
	for _, t := range terms {
		add(t)
	}
	for _, t := range terms {
		without := maps.Clone(t)
		delete(without, "as_of")
		add(without)
	}
	for i := range terms {
		for j := range i {
			add([]any{terms[j], terms[i]})
		}
	}
	return out
}

// flaws are the rules that the counter can turn around. TestFlaws checks that the comparison notices each.
var flaws = []string{
	"repeats are counted", "HEAD shows what GET shows", "the newest version applies", "either is the principal", "no join by principal",
	"stated empty fields are missing", "stated masked does not win", "stated fields do not match a route", "a stated outcome does not win",
	"no outcomes by catalog", "410 is not absent", "429 is not refused", "no status is none", "realms share issuances",
	"the first issuance owns", "issued does not look at keys", "issued does not look at principals", "one explained subject is enough",
	"reasons never end", "a household needs one side", "feeds are by key only", "feed records say nothing", "a missing member fails !x",
	"values match in any case", "mapped addresses are IPv6", "from is exclusive", "to is inclusive", "field matches what is masked",
	"all subjects are kept", "others go to the last subject", "a union counts twice", "first and last are of accesses",
	"a nameless disclosure is none", "others are added up", "days are UTC", "the same time is oldest first", "as_of is not looked at",
	"as_of is exclusive", "realms share subjects", "007 is 7", "masked counts what is shown in clear too", "the list is bytewise",
	"silence by the median",
}

// TestFlaws turns each rule of the counter around, one at a time: the comparison must then differ for some
// filter, or it could not have found that fault in the product.
func TestFlaws(t *testing.T) {
	type asked struct {
		filter []oTerm
		text   string
		ask    oAsk
		got    *oAnswer
	}
	type world struct {
		*built
		s    *scenario
		asks []asked
	}
	var worlds []*world
	more := func() *world {
		seed := uint64(len(worlds)) + 1_000
		s := newScenario(seed)
		w := &world{built: s.build(t), s: s}
		g := newGen(seed, 2)
		for range 40 {
			text, ask := g.filter(w.oracle.records), g.ask()
			got, err := w.ask(text, ask, true)
			if err != nil {
				t.Fatal(err)
			}
			w.asks = append(w.asks, asked{parseFilter(text), text, ask, got})
		}
		w.close()
		worlds = append(worlds, w)
		return w
	}
	for _, flaw := range flaws {
		t.Run(flaw, func(t *testing.T) {
			tried := 0
			for i := range 60 {
				if i == len(worlds) {
					more()
				}
				w := worlds[i]
				o := oracle{catalog: w.s.catalog, flaw: flaw}
				for _, x := range w.s.sends {
					o.add(x.source, x.position, x.line)
				}
				for _, q := range w.asks {
					tried++
					a := o.answer(q.filter, q.ask)
					a.Matched = nil
					if !reflect.DeepEqual(a, *q.got) {
						t.Logf("noticed by filter %d: %s", tried, q.text)
						return
					}
				}
			}
			t.Errorf("none of %d filters notices it", tried)
		})
	}
}
