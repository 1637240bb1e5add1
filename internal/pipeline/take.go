package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Types is a set of record types.
type Types uint16

// SetOf gives a set.
func SetOf(types ...whosaw.Type) Types {
	var s Types
	for _, t := range types {
		s |= 1 << t
	}
	return s
}

// Has reports whether t is in the set.
func (s Types) Has(t whosaw.Type) bool { return s>>t&1 == 1 }

// AllTypes are the types that a source may send.
var AllTypes = SetOf(whosaw.TypeAccess, whosaw.TypeIssuance, whosaw.TypeSubject, whosaw.TypePerson, whosaw.TypeKey,
	whosaw.TypeReason, whosaw.TypeChange, whosaw.TypeFeed)

// ParseTypes reads the names of types; none: all that a source may send.
func ParseTypes(names []string) (Types, error) {
	var s Types
	for _, name := range names {
		found := false
		for t := whosaw.TypeAccess; t < whosaw.TypeVerdict; t++ {
			if t.String() == name {
				s |= 1 << t
				found = true
			}
		}
		if !found {
			return 0, fmt.Errorf("record type %q: give some of %s", name, strings.Join(AllTypes.Names(), ", "))
		}
	}
	if len(names) == 0 {
		return AllTypes, nil
	}
	return s, nil
}

// Names lists the types of the set, in the order of their numbers.
func (s Types) Names() []string {
	var out []string
	for t := whosaw.TypeAccess; t <= whosaw.TypeAct; t++ {
		if s.Has(t) {
			out = append(out, t.String())
		}
	}
	return out
}

// Sender is who hands records in, and what they may say: who may send issuances or reasons can whitewash a theft.
type Sender struct {
	Name  string // "token:gw-1": written into the ledger behind the records of each batch; "": not written
	Types Types
}

// Outcome is what became of a batch. Lines = Accepted + Duplicates + len(Rejects).
type Outcome struct {
	Lines, Accepted, Duplicates int64
	Rejects                     []ingest.RejectedLine // in the order of their lines
}

// Take makes a batch durable, with the sender behind it, and returns when it is on disk. Lines that the sender may not send,
// and lines in conflict with what is there, are rejects too. The batch is the pipeline's from then on. When Take fails, none of it is
// acknowledged; sent again it is taken once.
func (l *Live) Take(ctx context.Context, b *ingest.Batch, from Sender) (Outcome, error) {
	out := Outcome{Lines: b.Lines, Rejects: b.Rejects}
	source := l.allowed(b, from, &out)
	records := b.Records
	if len(records) == 0 && len(out.Rejects) == 0 {
		return out, nil
	}
	sent := len(records)
	if from.Name != "" && sent > 0 {
		records = append(records, l.act(whosaw.Reference{Kind: "received", Of: source, Person: from.Name, Count: int64(sent)}))
	}
	if len(out.Rejects) > 0 {
		records = append(records, l.rejected("rejected", b, source, out.Rejects))
	}
	receipts, err := l.append(ctx, records)
	if err != nil {
		return Outcome{}, err
	}
	var newest int64
	known := len(out.Rejects)
	for i := range sent {
		r := &records[i]
		newest = max(newest, r.Time)
		if ingest.Derived(r) {
			continue
		}
		switch receipts[i].Ack {
		case ledger.Accepted:
			out.Accepted++
		case ledger.Repeat:
			out.Duplicates++
		case ledger.Conflict:
			out.Rejects = append(out.Rejects, ingest.RejectedLine{
				Reject: ingest.Reject{
					Source: r.Source, File: r.Source, Line: b.LineOf[i], Position: r.Position,
					Reason: "the same identity as an earlier record, with other content",
					Hint:   "the earlier one is kept; give each record an id of its own",
				},
				Raw: rawOf(r),
			})
		}
	}
	if n := len(out.Rejects) - known; n > 0 {
		if _, err := l.append(ctx, []whosaw.Record{l.rejected("conflicts", b, source, out.Rejects[known:])}); err != nil {
			return Outcome{}, err
		}
	}
	slices.SortStableFunc(out.Rejects, func(a, b ingest.RejectedLine) int { return cmp.Compare(a.Line, b.Line) })
	if l.sources.count(source, l.cfg.Now().UnixMilli(), newest, &out) {
		l.keepSources()
	}
	if l.cfg.Rejects != nil {
		if err := l.cfg.Rejects.Add(out.Rejects); err != nil {
			return Outcome{}, fmt.Errorf("keep rejected lines: %w", err)
		}
	}
	return out, nil
}

// allowed takes out of a batch what its sender may not send, and gives the batch's source.
func (l *Live) allowed(b *ingest.Batch, from Sender, out *Outcome) string {
	source := ""
	if len(b.Rejects) > 0 {
		source = b.Rejects[0].Source
	}
	kept := 0
	for i := range b.Records {
		r := &b.Records[i]
		derived := ingest.Derived(r)
		if !derived {
			source = r.Source
		}
		if !from.Types.Has(r.Type) {
			if !derived {
				out.Rejects = append(out.Rejects, ingest.RejectedLine{
					Reject: ingest.Reject{
						Source: r.Source, File: r.Source, Line: b.LineOf[i], Position: r.Position,
						Reason: "the sender may not send " + r.Type.String() + " records",
						Hint:   "give its token that right, or send them with another one",
					},
					Raw: rawOf(r),
				})
			}
			continue
		}
		if kept != i {
			b.Records[kept], b.LineOf[kept] = *r, b.LineOf[i]
		}
		kept++
	}
	b.Records, b.LineOf = b.Records[:kept], b.LineOf[:kept]
	return source
}

// rejected is the record that says how many lines of a batch were rejected. A batch that comes again says it again, with the
// same identity, so that they count once.
func (l *Live) rejected(what string, b *ingest.Batch, source string, rejects []ingest.RejectedLine) whosaw.Record {
	from, until := int64(0), int64(0)
	for i := range b.Records {
		t := b.Records[i].Time
		if from == 0 || t < from {
			from = t
		}
		until = max(until, t)
	}
	r := l.act(whosaw.Reference{Kind: "rejected", Of: source, Count: int64(len(rejects)), From: from, Until: until, Note: "batch"})
	r.ID = fmt.Sprintf("%s:%s:%d", what, source, rejects[0].Position)
	if from != 0 {
		r.Time = from
	} else {
		r.Time -= r.Time % day
	}
	return r
}

// Lost puts on record that a sender lost records of a source before they reached this server: a gap in every answer about that time. The same id counts
// once.
func (l *Live) Lost(ctx context.Context, source, id string, n, from, until int64) error {
	r := l.act(whosaw.Reference{Kind: "rejected", Of: source, Count: n, From: from, Until: until, Note: "lost by the sender"})
	r.ID, r.Time = fmt.Sprintf("lost:%s:%s", source, id), until
	_, err := l.append(ctx, []whosaw.Record{r})
	return err
}

const day = 24 * 60 * 60 * 1000

// act gives a record of what whosaw or its operators did, under an identity of its own.
func (l *Live) act(ref whosaw.Reference) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeAct, Time: l.cfg.Now().UnixMilli(), Source: "whosaw", Position: l.position.Add(1), Ref: &ref}
}

// Write puts a record of whosaw's own (an act, a verdict, a decision) into the ledger; its time, source and position are set.
func (l *Live) Write(ctx context.Context, r whosaw.Record) (sequence uint64, err error) {
	if r.Type < whosaw.TypeVerdict {
		panic("BUG: a record of the world is written as whosaw's own")
	}
	r.Time, r.Source, r.Position = l.cfg.Now().UnixMilli(), "operator", l.position.Add(1)
	receipts, err := l.append(ctx, []whosaw.Record{r})
	if err != nil {
		return 0, err
	}
	return receipts[0].Sequence, nil
}

// WriteAll puts records of whosaw's own into the ledger, all under one sync, and gives the sequence of the first. A time that is missing
// is now; source and position are set.
func (l *Live) WriteAll(ctx context.Context, records []whosaw.Record) (first uint64, err error) {
	now := l.cfg.Now().UnixMilli()
	for i := range records {
		r := &records[i]
		if r.Type < whosaw.TypeVerdict {
			panic("BUG: a record of the world is written as whosaw's own")
		}
		if r.Time == 0 {
			r.Time = now
		}
		r.Source, r.Position = "whosaw", l.position.Add(1)
	}
	receipts, err := l.append(ctx, records)
	if err != nil {
		return 0, err
	}
	return receipts[0].Sequence, nil
}

// State puts into the ledger what an operator says of the world, and behind it the act that says who said so, in one append.
func (l *Live) State(ctx context.Context, act whosaw.Record, records ...whosaw.Record) error {
	now := l.cfg.Now().UnixMilli()
	all := append(slices.Clone(records), act)
	for i := range all {
		r := &all[i]
		if (r.Type == whosaw.TypeAct) != (i == len(records)) {
			panic("BUG: an operator's statement is records of the world and one act")
		}
		if r.Time == 0 || r.Type == whosaw.TypeAct {
			r.Time = now
		}
		r.Source, r.Position = "operator", l.position.Add(1)
	}
	receipts, err := l.append(ctx, all)
	if err != nil {
		return err
	}
	for i := range receipts {
		if receipts[i].Ack != ledger.Accepted {
			return errors.New("a statement has the identity of an earlier record, and is not on record: check this machine's clock, then say it again")
		}
	}
	return nil
}

// TakeRecords makes records durable that the owner of the data directory hands in ready made, with their source and
// position: an import that reads logs for a running server. Verdicts, decisions and acts are refused.
func (l *Live) TakeRecords(ctx context.Context, records []whosaw.Record) ([]ledger.Receipt, error) {
	for i := range records {
		r := &records[i]
		if r.Type >= whosaw.TypeVerdict && (r.Type != whosaw.TypeAct || r.Ref == nil || r.Ref.Kind != "rejected") {
			return nil, fmt.Errorf("record %d of %d: verdict, decision and act are written by whosaw alone", i+1, len(records))
		}
	}
	return l.append(ctx, records)
}

func rawOf(r *whosaw.Record) []byte { return whosaw.AppendJSON(nil, r) }

// SourceStatus is what is known of a source since the start. Times are milliseconds since 1970.
type SourceStatus struct {
	Source     string
	Lines      int64
	Accepted   int64
	Duplicates int64
	Rejected   int64
	Received   int64 // when its last batch came; 0: none since the start
	Newest     int64 // greatest event time

	habit habit
	began int64 // the server
}

// sources counts what comes. The zero value is ready.
type sources struct {
	mu    sync.Mutex
	by    map[string]*SourceStatus
	began int64
	kept  int64 // when the habits were written last

	writing sync.Mutex // held while they are
}

func (s *sources) get(name string) *SourceStatus {
	if s.by == nil {
		s.by = map[string]*SourceStatus{}
	}
	st := s.by[name]
	if st == nil {
		st = &SourceStatus{Source: strings.Clone(name), began: s.began}
		s.by[st.Source] = st
	}
	return st
}

// count reports whether the habits are to be written.
func (s *sources) count(name string, now, newest int64, out *Outcome) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.get(name)
	st.Lines += out.Lines
	st.Accepted += out.Accepted
	st.Duplicates += out.Duplicates
	st.Rejected += int64(len(out.Rejects))
	st.Received = now
	st.Newest = max(st.Newest, newest)
	if out.Accepted == 0 {
		return false
	}
	first := st.habit.Moved == 0
	if st.habit.came(now, s.began); !first && now-s.kept < habitsEvery {
		return false
	}
	s.kept = now
	return true
}

// recover finds the newest event time of the sources in the last part of the ledger.
func (s *sources) recover(ctx context.Context, view *ledger.View) error {
	n := len(view.Parts())
	if n == 0 {
		return nil
	}
	c, err := view.Load(ctx, n-1, ledger.ColSource)
	if err != nil {
		return err
	}
	for i := range c.N {
		name := c.Source.At(i)
		st := s.get(name)
		st.Newest = max(st.Newest, c.Time[i])
	}
	return nil
}

// Sources lists the sources that sent something, by name.
func (l *Live) Sources() []SourceStatus {
	l.sources.mu.Lock()
	defer l.sources.mu.Unlock()
	out := make([]SourceStatus, 0, len(l.sources.by))
	for _, name := range slices.Sorted(maps.Keys(l.sources.by)) {
		out = append(out, *l.sources.by[name])
	}
	return out
}

// Lag is how far a source's newest event lies behind now.
func (s *SourceStatus) Lag(now time.Time) time.Duration {
	if s.Newest == 0 {
		return 0
	}
	return max(0, now.Sub(time.UnixMilli(s.Newest)))
}
