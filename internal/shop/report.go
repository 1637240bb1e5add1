package shop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw"
)

// ErrNotTaken is an error of [Config.Send] that trying again cannot mend.
var ErrNotTaken = errors.New("the records were not taken")

// Post gives a [Config.Send] that sends records to a whosaw server, with a token of role ingest for the source that may send issuance, subject, reason,
// key, person and feed records.
func Post(server, token, source string) func(context.Context, []whosaw.Record) error {
	to, path := newPoster(server, token, 30*time.Second), "/v1/records?source="+url.QueryEscape(source)
	return func(ctx context.Context, records []whosaw.Record) error {
		var body []byte
		for i := range records {
			body = append(whosaw.AppendJSON(body, &records[i]), '\n')
		}
		var got struct {
			Rejected int64 `json:"rejected"`
		}
		res, err := to.post(ctx, path, "application/x-ndjson", body, &got)
		switch {
		case errors.Is(err, errAddress):
			return fmt.Errorf("%w: %w", ErrNotTaken, err)
		case err != nil:
			return fmt.Errorf("send records: %w", err)
		case slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, res.StatusCode):
			return fmt.Errorf("%w: the server answered %s; may the token send these types?", ErrNotTaken, res.Status)
		case res.StatusCode != http.StatusOK:
			return fmt.Errorf("send records: the server answered %s", res.Status)
		case got.Rejected > 0:
			return fmt.Errorf("%w: the server could not read %d of %d", ErrNotTaken, got.Rejected, len(records))
		}
		return nil
	}
}

// Bounds of what waits to be sent.
const (
	backlog    = 10_000
	batchMost  = 1000
	retryLeast = 50 * time.Millisecond
	retryMost  = 5 * time.Second
)

// reporter sends records in the background, in order, until they are taken. What it cannot keep it counts.
type reporter struct {
	send  func(context.Context, []whosaw.Record) error
	wait  time.Duration
	log   *slog.Logger
	queue chan report
	ended chan struct{}
	stop  context.CancelFunc // what is left is given up

	mu     sync.RWMutex
	closed bool

	lost atomic.Int64
}

type report struct {
	record whosaw.Record
	taken  chan struct{} // closed when it is on record, or never will be
}

func newReporter(send func(context.Context, []whosaw.Record) error, wait time.Duration, log *slog.Logger) *reporter {
	ctx, stop := context.WithCancel(context.Background())
	r := &reporter{send: send, wait: wait, log: log, queue: make(chan report, backlog), ended: make(chan struct{}), stop: stop}
	go r.run(ctx)
	return r
}

// tell has a record sent, and waits a moment for it to be on record.
func (r *reporter) tell(ctx context.Context, record whosaw.Record) {
	if r == nil {
		return
	}
	p := report{record, make(chan struct{})}
	if !r.enqueue(p) {
		r.lost.Add(1)
		r.log.Error("a record for whosaw was lost: too many wait, or the shop is closing", "type", record.Type.String())
		return
	}
	t := time.NewTimer(r.wait)
	defer t.Stop()
	select {
	case <-p.taken:
	case <-t.C:
	case <-ctx.Done():
	}
}

func (r *reporter) enqueue(p report) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return false
	}
	select {
	case r.queue <- p:
		return true
	default:
		return false
	}
}

func (r *reporter) run(ctx context.Context) {
	defer close(r.ended)
	for p := range r.queue {
		batch := []report{p}
	more:
		for len(batch) < batchMost {
			select {
			case p, ok := <-r.queue:
				if !ok {
					break more
				}
				batch = append(batch, p)
			default:
				break more
			}
		}
		r.deliver(ctx, batch)
	}
}

func (r *reporter) deliver(ctx context.Context, batch []report) {
	records := make([]whosaw.Record, len(batch))
	for i := range batch {
		records[i] = batch[i].record
	}
	defer func() {
		for _, p := range batch {
			close(p.taken)
		}
	}()
	for wait := retryLeast; ; wait = min(2*wait, retryMost) {
		err := r.send(ctx, records)
		if err == nil {
			return
		}
		if errors.Is(err, ErrNotTaken) || ctx.Err() != nil {
			r.lost.Add(int64(len(records)))
			r.log.Error("records for whosaw were lost", "records", len(records), "error", err)
			return
		}
		r.log.Warn("records for whosaw wait", "records", len(records), "error", err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// close sends what is left, until ctx ends.
func (r *reporter) close(ctx context.Context) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.queue)
	}
	r.mu.Unlock()
	defer r.stop()
	select {
	case <-r.ended:
	case <-ctx.Done():
		r.stop()
		<-r.ended
	}
	if n := r.lost.Load(); n > 0 {
		return fmt.Errorf("close the shop: %d records for whosaw were not sent", n)
	}
	return nil
}

// subjectID is how a customer is called in records.
func subjectID(number int64) string { return strconv.FormatInt(number, 10) }

func issuance(c *claims, key, principal, ip string, now time.Time) whosaw.Record {
	r := whosaw.Record{
		Type: whosaw.TypeIssuance, ID: "issued-" + c.ID, Time: now.UnixMilli(), Credential: whosaw.HashCredential(c.ID), Key: key, Client: c.Client, Principal: principal,
		IP: parseIP(ip), Ref: &whosaw.Reference{Expires: c.Expires * 1000},
	}
	if c.Issuer == Issuer {
		r.Subjects = []string{c.Subject}
	}
	return r
}

// subjectRecord says how a customer is. at is when that came to be so: the same again has the same time, and is a repeat.
func subjectRecord(number int64, state string, since, lastLogin, at int64) whosaw.Record {
	return whosaw.Record{
		Type: whosaw.TypeSubject, ID: fmt.Sprintf("customer-%d-%s", number, state), Time: at, Subjects: []string{subjectID(number)},
		Ref: &whosaw.Reference{State: state, Since: since, LastLogin: lastLogin},
	}
}

func (t *ticket) reason() whosaw.Record {
	return whosaw.Record{
		Type: whosaw.TypeReason, ID: fmt.Sprintf("ticket-%d", t.Number), Time: t.Opened, Subjects: []string{subjectID(t.Customer)}, Principal: "staff:" + t.Agent,
		Ref: &whosaw.Reference{Kind: "ticket", From: t.Opened, Until: t.Closes},
	}
}

// Announce tells whosaw what the shop knows of its world: which feeds it sends and that they are complete, its keys and who could read them, its people,
// its customers, its open tickets. It may be told again: what is the same is a repeat. It returns when all of it is on record.
func (s *Shop) Announce(ctx context.Context) error {
	if s.cfg.Send == nil {
		return nil
	}
	records := s.house()
	agents, err := s.db.agents(ctx)
	if err != nil {
		return err
	}
	for _, id := range agents {
		records = append(records, whosaw.Record{
			Type: whosaw.TypePerson, ID: "person-" + id, Time: s.world.Made, Ref: &whosaw.Reference{Person: id, State: "active", Principals: []string{"staff:" + id}},
		})
	}
	tickets, err := s.db.tickets(ctx, "closes > ?", s.cfg.Now().UnixMilli())
	if err != nil {
		return err
	}
	for i := range tickets {
		records = append(records, tickets[i].reason())
	}
	rows, err := s.db.read.QueryContext(ctx, "SELECT number, state, since, last_login FROM customer ORDER BY number")
	if err != nil {
		return fmt.Errorf("read the shop's customers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var number, since, last int64
		var state string
		if err := rows.Scan(&number, &state, &since, &last); err != nil {
			return fmt.Errorf("read the shop's customers: %w", err)
		}
		records = append(records, subjectRecord(number, state, since, last, max(s.world.Made, since, last)))
		if len(records) >= batchMost {
			if err := s.cfg.Send(ctx, records); err != nil {
				return fmt.Errorf("announce the shop: %w", err)
			}
			records = records[:0]
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the shop's customers: %w", err)
	}
	if err := s.cfg.Send(ctx, records); err != nil {
		return fmt.Errorf("announce the shop: %w", err)
	}
	return nil
}

// Leaver is the person who could read the backup key, and left.
const Leaver = "engineer-04"

// house is what is true of the shop itself.
func (s *Shop) house() []whosaw.Record {
	at := s.world.Made
	day := int64(24 * time.Hour / time.Millisecond)
	var out []whosaw.Record
	complete := func(of, key string) {
		out = append(out, whosaw.Record{
			Type: whosaw.TypeFeed, ID: "feed-" + of + "-" + key, Time: at, Key: key, Ref: &whosaw.Reference{Of: of, From: at, HasLost: true},
		})
	}
	complete("issuance", MainKey)
	complete("issuance", BackupKey)
	complete("subject", "")
	complete("reason", "")
	for _, k := range []struct {
		id      string
		age     int64
		use     string
		readers []string
	}{{MainKey, 200, "customers' and agents' tokens", []string{"service:login"}}, {BackupKey, 690, "tokens while the main key cannot be used", []string{"service:login", Leaver}}} {
		out = append(out, whosaw.Record{
			Type: whosaw.TypeKey, ID: "key-" + k.id, Time: at, Key: k.id, Ref: &whosaw.Reference{State: "active", Since: at - k.age*day, Use: k.use, Readers: k.readers},
		})
	}
	return append(out, whosaw.Record{
		Type: whosaw.TypePerson, ID: "person-" + Leaver, Time: at, Ref: &whosaw.Reference{Person: Leaver, State: "left", Since: at - 120*day, Keys: []string{BackupKey}},
	})
}
