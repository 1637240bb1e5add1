package guard

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/whosaw/whosaw"
)

// recorder writes decision records: a bounded number of single ones a second, and sums of what is beyond.
type recorder struct {
	cfg   *Record
	write func(ctx context.Context, records []whosaw.Record) (uint64, error)
	log   *slog.Logger
	now   func() time.Time
	lost  atomic.Int64 // decisions that are in no record, single or summed

	mu      sync.Mutex
	singles []whosaw.Record
	refused int // singles of this second
	allowed int
	sums    map[sumKey]int64
	held    map[sumKey]int64 // sums that could not be written yet
}

type sumKey struct {
	door, route, realm, key string
	action                  Action
	code                    Code
	shadow                  bool
}

const (
	maxSums    = 10_000
	maxSingles = 10_000 // that wait where the ledger cannot be written
)

func newRecorder(cfg *Record, write func(context.Context, []whosaw.Record) (uint64, error), log *slog.Logger, now func() time.Time) *recorder {
	return &recorder{cfg: cfg, write: write, log: log, now: now, sums: map[sumKey]int64{}}
}

// note has a decision recorded, alone or in a sum.
func (w *recorder) note(q *Request, subjects []string, door string, d *Decision, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	single := false
	if d.Would > Allow {
		single = w.refused < w.cfg.Refused
		w.refused++
	} else {
		single = w.allowed < w.cfg.Allowed
		w.allowed++
	}
	if single && len(w.singles) < maxSingles {
		r := decisionRecord(q, subjects, door, d, now)
		// What a stranger wrote must not keep the others of its second from being written.
		if r.Validate(now.UnixMilli()) == nil {
			w.singles = append(w.singles, r)
			return
		}
	}
	k := sumKey{door: door, route: cut(d.Route), action: d.Would, code: d.Because(), shadow: d.Shadow}
	if d.Identity.Verified { // else it is anything that somebody made up
		k.realm, k.key = d.Identity.Realm, d.Identity.Key
	}
	if _, ok := w.sums[k]; !ok && len(w.sums) >= maxSums {
		k = sumKey{door: door, route: "(other)", action: d.Would, code: k.code, shadow: d.Shadow}
	}
	w.sums[k]++
}

func decisionRecord(q *Request, subjects []string, door string, d *Decision, now time.Time) whosaw.Record {
	id := &d.Identity
	ref := &whosaw.Reference{Kind: d.Would.String(), Use: useRequest, Note: "door " + door, State: mode(d.Shadow)}
	for i, r := range d.Reasons {
		if i == 0 {
			ref.Of = string(r.Code)
		}
		if r.Decision != "" {
			ref.Keys = append(ref.Keys, r.Decision)
		}
	}
	return whosaw.Record{
		Type: whosaw.TypeDecision, Time: now.UnixMilli(), Realm: cut(id.Realm), Route: cut(d.Route), Subjects: bounded(subjects), Principal: id.Principal,
		Credential: id.Credential, Key: id.Key, Client: id.Client, IP: q.IP.Unmap().WithZone(""), Country: country(q.Country), ASN: q.ASN, Agent: cut(q.Agent), TLS: cut(q.TLS),
		Request: cut(q.ID), Ref: ref,
	}
}

// country takes what a record may hold.
func country(s string) string {
	if len(s) != 2 {
		return ""
	}
	return s
}

func mode(shadow bool) string {
	if shadow {
		return string(ModeShadow)
	}
	return string(ModeEnforce)
}

// bounded takes ids as a record may hold them.
func bounded(subjects []string) []string {
	var out []string
	for _, s := range subjects {
		if s != "" && len(s) <= whosaw.MaxSubject && len(out) < 100 && utf8.ValidString(s) {
			out = append(out, s)
		}
	}
	return out
}

// cut keeps what a stranger wrote short, and text.
func cut(s string) string {
	const most = 512
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// passRecord says that a credential passes before its issuance is on record.
func passRecord(id *Identity, route string, now time.Time) whosaw.Record {
	key := id.Key
	if key == sessionKey {
		key = ""
	}
	return whosaw.Record{
		Type: whosaw.TypeDecision, Time: now.UnixMilli(), Realm: id.Realm, Route: cut(route), Principal: id.Principal, Credential: id.Credential, Key: key, Client: id.Client,
		Ref: &whosaw.Reference{Kind: Allow.String(), Of: string(CodeUnconfirmed), Use: string(id.Scheme)},
	}
}

// flush writes what was noted. What cannot be written is kept, within bounds, and an error says why.
func (w *recorder) flush(ctx context.Context) error {
	w.mu.Lock()
	singles, sums := w.singles, w.sums
	w.singles, w.sums = nil, map[sumKey]int64{}
	w.refused, w.allowed = 0, 0
	for k, n := range w.held {
		if _, ok := sums[k]; !ok && len(sums) >= maxSums {
			w.lost.Add(n)
			continue
		}
		sums[k] += n
	}
	w.held = nil
	w.mu.Unlock()
	if len(singles)+len(sums) == 0 {
		return nil
	}
	records := singles
	now := w.now().UnixMilli()
	for k, n := range sums {
		records = append(records, whosaw.Record{
			Type: whosaw.TypeDecision, Time: now, Realm: k.realm, Route: k.route, Key: k.key,
			Ref: &whosaw.Reference{Kind: k.action.String(), Of: string(k.code), Use: useSum, State: mode(k.shadow), Note: "door " + k.door, Count: n},
		})
	}
	_, err := w.write(ctx, records)
	if err == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = sums
	if room := maxSingles - len(w.singles); len(singles) > room {
		w.lost.Add(int64(len(singles) - max(0, room)))
		singles = singles[:max(0, room)]
	}
	w.singles = append(singles, w.singles...)
	return fmt.Errorf("write decisions: %w", err)
}
