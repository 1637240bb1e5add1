package demo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/draw"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// pastDays is how many days the ledger knows of when the demo begins, unless told otherwise: the season of the console and what the detectors know of
// customers are of them.
const pastDays = 15

// The time, before now, in which the main key could not be used and the backup key signed what log-ins issued. Sessions last twelve hours, so
// who logged in then would be logged out by its end.
const (
	backupFrom  = 150 * time.Minute
	backupUntil = 130 * time.Minute
)

// past makes the shop's days before now, in order of time.
type past struct {
	*habits
	mainKey, backupKey string
	life               time.Duration // of a session
	days               int
	now                time.Time
	issued, position   int64
	list               []whosaw.Record
}

// write makes all of it and hands it in, day by day.
func (p *past) write(ctx context.Context, live *pipeline.Live, say func(done, total int)) error {
	from := p.now.AddDate(0, 0, -p.days).Truncate(time.Minute)
	p.list = make([]whosaw.Record, 0, 1<<15)
	p.feeds(from)
	for day := range p.days {
		begin := from.AddDate(0, 0, day)
		until := begin.AddDate(0, 0, 1)
		if day == p.days-1 {
			until = p.now
		}
		for i, at := 0, begin; at.Before(until); i, at = i+1, at.Add(time.Minute) {
			d := draw.New(p.seed, drawVisit, i, day)
			for range times(&d, visitsPeak*p.busy(at)) {
				p.visited(&d, at.Add(time.Duration(d.Below(60_000))*time.Millisecond))
			}
			for a := range p.agents {
				for range times(&d, calls*p.busy(at)) {
					p.called(&d, a, at.Add(time.Duration(d.Below(60_000))*time.Millisecond))
				}
			}
		}
		if err := p.hand(ctx, live, until); err != nil {
			return err
		}
		say(day+1, p.days)
	}
	return nil
}

// credential is the id of a token that was issued then. Nobody has that token: only what it opened is known.
func (p *past) credential() string {
	p.issued++
	return fmt.Sprintf("past-%d", p.issued)
}

func (p *past) add(r whosaw.Record) { p.list = append(p.list, r) }

// feeds says that the shop told of all it issued in these days.
func (p *past) feeds(from time.Time) {
	for _, key := range []string{p.mainKey, p.backupKey} {
		p.add(whosaw.Record{Type: whosaw.TypeFeed, Time: from.UnixMilli(), Key: key, Ref: &whosaw.Reference{Of: "issuance", From: from.UnixMilli(), HasLost: true}})
	}
}

func (p *past) key(at time.Time) string {
	if ago := p.now.Sub(at); ago <= backupFrom && ago > backupUntil {
		return p.backupKey
	}
	return p.mainKey
}

// visited is a customer's visit.
func (p *past) visited(d *draw.Draw, at time.Time) {
	v := p.visit(d)
	id := p.regulars[v.customer]
	base := whosaw.Record{
		Time: at.UnixMilli(), Principal: "customer:" + id, Credential: p.credential(), Key: p.key(at), Client: "web", IP: v.ip,
	}
	if v.app {
		base.Client = "app"
	}
	issuance := base
	issuance.Type, issuance.Subjects, issuance.Ref = whosaw.TypeIssuance, []string{id}, &whosaw.Reference{Expires: at.Add(p.life).UnixMilli()}
	p.add(issuance)
	base.Agent, base.Status = v.agent, 200
	for i := range v.pages {
		at = at.Add(v.pauses[i])
		r, g := base, &v.pages[i]
		r.Time, r.Route, r.Fields, r.Masked, r.Subjects, r.Outcome = at.UnixMilli(), g.route, g.fields, g.masked, issuance.Subjects, whosaw.OutcomeDisclosed
		p.add(r)
	}
}

// called is a call that an agent takes: a ticket, and the customer's card.
func (p *past) called(d *draw.Draw, agent int, at time.Time) {
	customer := p.regulars[d.Below(len(p.regulars))]
	who := "staff:" + p.agents[agent]
	p.add(whosaw.Record{
		Type: whosaw.TypeReason, Time: at.UnixMilli(), Subjects: []string{customer}, Principal: who,
		Ref: &whosaw.Reference{Kind: "ticket", From: at.UnixMilli(), Until: at.Add(8 * time.Hour).UnixMilli()},
	})
	base := whosaw.Record{Time: at.UnixMilli(), Principal: who, Credential: p.credential(), Key: p.mainKey, Client: "desk", IP: deskAddress(agent)}
	issuance := base
	issuance.Type, issuance.Ref = whosaw.TypeIssuance, &whosaw.Reference{Expires: at.Add(p.life).UnixMilli()}
	p.add(issuance)
	base.Subjects, base.Agent, base.Outcome = []string{customer}, browsers[0], whosaw.OutcomeDisclosed
	base.Time, base.Route, base.Fields, base.Masked = at.Add(3*time.Second).UnixMilli(), deskPage.route, deskPage.fields, deskPage.masked
	p.add(base)
}

// handBatch is how many records are handed in at once.
const handBatch = 16_384

// hand gives what has happened until a time to the ledger. A visit may reach into the next day: the rest waits.
func (p *past) hand(ctx context.Context, live *pipeline.Live, until time.Time) error {
	slices.SortStableFunc(p.list, func(a, b whosaw.Record) int { return cmp.Compare(a.Time, b.Time) })
	n, _ := slices.BinarySearchFunc(p.list, until.UnixMilli(), func(r whosaw.Record, t int64) int { return cmp.Compare(r.Time, t) })
	ready := p.list[:n:n]
	rest := append(make([]whosaw.Record, 0, 1<<15), p.list[n:]...) // what is handed in is the pipeline's
	for len(ready) > 0 {
		k := min(len(ready), handBatch)
		b := &ingest.Batch{Lines: int64(k), Records: ready[:k:k], LineOf: make([]int64, k)}
		for i := range b.Records {
			p.position++
			b.Records[i].Source, b.Records[i].Position = shopSource, p.position
		}
		out, err := live.Take(ctx, b, pipeline.Sender{Name: "token:" + shopSource, Types: pipeline.AllTypes})
		if err != nil {
			return fmt.Errorf("write the shop's past: %w", err)
		}
		if len(out.Rejects) > 0 {
			return fmt.Errorf("write the shop's past: %s", out.Rejects[0].Reason)
		}
		ready = ready[k:]
	}
	p.list = rest
	return nil
}
