package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/guard"
)

// Status is how the server is.
type Status struct {
	Version string      `json:"version"`
	Began   whosaw.Time `json:"began"`
	Now     whosaw.Time `json:"now"`
	Ready   bool        `json:"ready"`
	Says    []string    `json:"says"` // what a person should know, in sentences

	Ledger    LedgerStatus     `json:"ledger"`
	Disk      *Disk            `json:"disk"`
	Sources   []Source         `json:"sources"` // that sent something since the start, or are in the newest part of the ledger
	Inputs    []Input          `json:"inputs"`  // what the server follows by itself
	Detectors []DetectorStatus `json:"detectors"`
	Alarms    alarm.Status     `json:"alarms"`
	Questions Questions        `json:"questions"`
	Guard     *guard.Status    `json:"guard,omitempty"` // missing: it is off
}

// LedgerStatus is what is on disk, and how far the detectors have seen it.
type LedgerStatus struct {
	Last     uint64       `json:"last"`   // sequence
	Judged   uint64       `json:"judged"` // sequence up to which the detectors have seen it
	Behind   bool         `json:"behind"` // the detectors have yet to see what was there at the start
	Accesses int64        `json:"accesses"`
	Records  int64        `json:"reference_records"`
	From     *whosaw.Time `json:"from"` // event time
	To       *whosaw.Time `json:"to"`
	Bytes    int64        `json:"bytes"`
	Parts    int          `json:"parts"`
	Received int64        `json:"received"` // accesses since the start
}

// Disk is the file system of the data directory. Bytes.
type Disk struct {
	Free   int64    `json:"free"`
	Size   int64    `json:"size"`
	PerDay int64    `json:"per_day"` // by which the ledger grows; 0: not known yet
	Days   *float64 `json:"days"`    // until the disk is full at that pace
}

// Source is one source of records.
type Source struct {
	Source     string       `json:"source"`
	Lines      int64        `json:"lines"` // since the start, as the next three
	Accepted   int64        `json:"accepted"`
	Duplicates int64        `json:"duplicates"`
	Rejected   int64        `json:"rejected"`
	Received   *whosaw.Time `json:"received"` // when its last batch came
	Newest     *whosaw.Time `json:"newest"`   // greatest event time
	Lag        float64      `json:"lag"`      // seconds between that and now
	Silent     *whosaw.Time `json:"silent"`   // when something new came last, of one that is silent for longer than usual; null: it is not
}

// Input is something that the server follows by itself.
type Input struct {
	Kind   string       `json:"kind"` // file, nats
	Name   string       `json:"name"`
	Source string       `json:"source"`
	State  string       `json:"state"`  // in a word or two
	Behind int64        `json:"behind"` // of a file: bytes; of a stream: messages
	Last   *whosaw.Time `json:"last"`   // when something was last taken
	Error  string       `json:"error,omitempty"`
	Since  *whosaw.Time `json:"since,omitempty"` // since when it fails
}

// DetectorStatus is what a detector can say of its own work since its first record.
type DetectorStatus struct {
	Detector  string  `json:"detector"`
	Judges    string  `json:"judges"` // yes, partly, no
	Judged    int64   `json:"judged"` // accesses
	Trials    int64   `json:"trials"`
	Findings  int64   `json:"findings"`
	Highest   float64 `json:"highest"` // of its statistic
	Threshold float64 `json:"threshold"`
	Says      string  `json:"says"` // why it does not judge more
}

// Questions is how busy the server is with them.
type Questions struct {
	Running int `json:"running"`
	Most    int `json:"most"`
}

func stamp(ms int64) *whosaw.Time {
	if ms == 0 {
		return nil
	}
	t := whosaw.Time(ms)
	return &t
}

func (a *API) getStatus(w http.ResponseWriter, r *http.Request) error {
	s, err := a.Status(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, s)
	return nil
}

// Status gathers how the server is.
func (a *API) Status(ctx context.Context) (Status, error) {
	now := a.cfg.Now()
	s := Status{
		Version: a.cfg.Version, Began: whosaw.Time(a.began.UnixMilli()), Now: whosaw.Time(now.UnixMilli()), Says: []string{},
		Sources: []Source{}, Inputs: []Input{}, Detectors: []DetectorStatus{},
		Questions: Questions{Running: len(a.turns), Most: cap(a.turns)},
	}
	if err := a.ledgerStatus(&s); err != nil {
		return s, err
	}
	var err error
	if s.Alarms, err = a.cfg.Alarms.Status(ctx); err != nil {
		return s, err
	}
	for _, src := range a.cfg.Live.Sources() {
		var silent *whosaw.Time
		if since := src.SilentSince(now); !since.IsZero() {
			silent = stamp(since.UnixMilli())
		}
		s.Sources = append(s.Sources, Source{
			Silent: silent,
			Source: src.Source, Lines: src.Lines, Accepted: src.Accepted, Duplicates: src.Duplicates, Rejected: src.Rejected,
			Received: stamp(src.Received), Newest: stamp(src.Newest), Lag: src.Lag(now).Seconds(),
		})
	}
	if a.cfg.Inputs != nil {
		s.Inputs = append(s.Inputs, a.cfg.Inputs()...)
	}
	status, _ := a.cfg.Live.Detectors()
	for i := range status {
		s.Detectors = append(s.Detectors, detectorStatus(&status[i]))
	}
	if a.cfg.Disk != nil {
		disk, err := a.cfg.Disk()
		if err != nil {
			return s, err
		}
		s.Disk = &disk
	}
	a.judgeStatus(&s)
	a.guardStatus(&s)
	return s, nil
}

func (a *API) ledgerStatus(s *Status) error {
	view, err := a.cfg.Live.Ledger().View(0)
	if err != nil {
		return err
	}
	l := &s.Ledger
	parts := view.Parts()
	l.Last, l.Judged, l.Behind, l.Bytes, l.Parts = view.Last(), a.cfg.Live.Judged(), a.cfg.Live.CatchingUp(), view.Bytes(), len(parts)
	_, l.Received = a.cfg.Live.Counts()
	for i := range parts {
		p := &parts[i]
		l.Accesses += int64(p.Accesses)
		l.Records += int64(p.References)
		if l.From == nil || int64(*l.From) > p.MinTime {
			l.From = stamp(p.MinTime)
		}
		if l.To == nil || int64(*l.To) < p.MaxTime {
			l.To = stamp(p.MaxTime)
		}
	}
	return view.Close()
}

// Why a detector judges nothing, beside the reasons of detect.Whys.
const (
	NothingToJudge = "nothing to judge has come so far"
	RuleOff        = "its rule is off: " // and why
)

func detectorStatus(d *detect.Status) DetectorStatus {
	s := DetectorStatus{
		Detector: d.Detector, Judged: d.Judged, Trials: d.Trials, Findings: d.Findings, Highest: d.Highest, Threshold: d.Threshold,
	}
	if d.Off != "" {
		s.Judges, s.Says = "no", RuleOff+d.Off
		return s
	}
	asked := d.Judged
	var worst detect.NotJudged
	for _, n := range d.NotJudged {
		asked += n.Count
		if n.Count > worst.Count {
			worst = n
		}
	}
	switch {
	case d.Judged == 0:
		s.Judges = "no"
	case 10*d.Judged >= 9*asked:
		s.Judges = "yes"
	default:
		s.Judges = "partly"
	}
	if s.Judges != "yes" {
		s.Says = worst.Why
		if s.Says == "" {
			s.Says = NothingToJudge
		}
	}
	return s
}

// judgeStatus says whether the server is ready, and what a person should look at.
func (a *API) judgeStatus(s *Status) {
	s.Ready = true
	say := func(format string, args ...any) { s.Says = append(s.Says, fmt.Sprintf(format, args...)) }
	if err := a.cfg.Live.Ledger().Failed(); err != nil {
		s.Ready = false
		say("The ledger takes no more records since a write failed: %v. Mend the disk and restart the server; nothing that was acknowledged is lost.", err)
	}
	if err := a.cfg.Live.Full(); err != nil {
		s.Ready = false
		say("The disk is full, but for what is kept in reserve (ingest.disk_reserve): records are refused with status 507, and senders keep them and send them again. Free some space; records are taken again by themselves, and nothing is lost.")
	}
	if err := a.cfg.Live.Unkept(); err != nil {
		say("Findings cannot be kept, so the detectors wait at record %d: %v. They go on by themselves, and nothing is lost.", s.Ledger.Judged, err)
	}
	if s.Ledger.Behind {
		say("The detectors are reading the ledger from its beginning: %d of %d records. New records are taken; findings come when they are through.", s.Ledger.Judged, s.Ledger.Last)
	} else if n := s.Ledger.Last - s.Ledger.Judged; n > 1_000_000 {
		say("The detectors are %d records behind.", n)
	}
	if s.Disk != nil && s.Disk.Days != nil && *s.Disk.Days < 14 {
		say("The disk is full in %.1f days at the present pace.", *s.Disk.Days)
	}
	for i := range s.Alarms.Channels {
		c := &s.Alarms.Channels[i]
		if c.Pending > c.Held && c.Error != "" {
			say("Channel %s could not be told: %s.", c.Name, c.Error)
		}
	}
	if len(s.Alarms.Channels) == 0 {
		say("Nobody is told of findings: no channel is configured (alarm.channels in whosaw.yaml).")
	}
	a.saySilent(s, say)
	for i := range s.Inputs {
		if in := &s.Inputs[i]; in.Error != "" {
			say("Input %s: %s.", in.Name, in.Error)
		}
	}
	blind := slices.DeleteFunc(slices.Clone(s.Detectors), func(d DetectorStatus) bool { return d.Judges != "no" })
	slices.SortFunc(blind, func(a, b DetectorStatus) int { return cmp.Compare(a.Detector, b.Detector) })
	if s.Ledger.Accesses > 0 {
		for _, d := range blind {
			say("Detector %s judges nothing: %s.", d.Detector, d.Says)
		}
	}
}

// silentNamed is how many silent sources are named.
const silentNamed = 5

// saySilent says which sources send nothing any more: what happens there is not seen.
func (a *API) saySilent(s *Status, say func(format string, args ...any)) {
	n := 0
	for i := range s.Sources {
		src := &s.Sources[i]
		if src.Silent == nil {
			continue
		}
		if n++; n <= silentNamed {
			say("Source %s has sent nothing new since %s, longer than is usual for it: what happens there is not seen.", src.Source, time.UnixMilli(int64(*src.Silent)).UTC().Format("2006-01-02 15:04:05 UTC"))
		}
	}
	if n > silentNamed {
		say("So have %d other sources.", n-silentNamed)
	}
}

// Ready says whether records are taken, and if not, why and what to do.
func (a *API) Ready() error {
	if a.cfg.Live.Ledger().Failed() != nil {
		return unavailable("the ledger takes no records since a write failed", "mend the disk and restart the server; its log and whosaw status say more")
	}
	if a.cfg.Live.Full() != nil {
		return unavailable("the disk is full", "free some space, and records are taken again by themselves")
	}
	return nil
}

// Figures are what changes from second to second.
type Figures struct {
	Time      whosaw.Time `json:"time"`
	Accesses  int64       `json:"accesses"` // since the start
	Records   int64       `json:"records"`  // since the start
	PerSecond float64     `json:"per_second"`
	Last      uint64      `json:"last"`
	Judged    uint64      `json:"judged"`
	Behind    bool        `json:"behind"`
	Findings  int64       `json:"findings"`
	Open      int64       `json:"open"`
	Pending   int64       `json:"pending"` // deliveries
	Rejected  int64       `json:"rejected"`
	Lag       float64     `json:"lag"` // of the source that is furthest behind, seconds
	Watchers  int         `json:"watchers"`
}

func (a *API) figures(ctx context.Context, before *Figures, now time.Time) (Figures, error) {
	f := Figures{Time: whosaw.Time(now.UnixMilli()), Last: a.cfg.Live.Last(), Judged: a.cfg.Live.Judged(), Behind: a.cfg.Live.CatchingUp()}
	f.Records, f.Accesses = a.cfg.Live.Counts()
	if dt := float64(f.Time-before.Time) / 1000; before.Time != 0 && dt > 0 {
		f.PerSecond = float64(f.Accesses-before.Accesses) / dt
	}
	for _, s := range a.cfg.Live.Sources() {
		f.Rejected += s.Rejected
		if s.Received != 0 {
			f.Lag = max(f.Lag, s.Lag(now).Seconds())
		}
	}
	alarms, err := a.cfg.Alarms.Status(ctx)
	f.Findings, f.Open = alarms.Findings, alarms.Open
	for i := range alarms.Channels {
		f.Pending += alarms.Channels[i].Pending
	}
	return f, err
}

// guardStatus adds how the guard is, and says what a person should know of it.
func (a *API) guardStatus(s *Status) {
	if a.cfg.Guard == nil {
		return
	}
	g := a.cfg.Guard.Status()
	s.Guard = &g
	for _, t := range g.Trouble {
		s.Says = append(s.Says, "guard: "+t)
	}
	if g.Lost > 0 {
		s.Says = append(s.Says, fmt.Sprintf("guard: %d decisions are in no record: the ledger could not be written for too long", g.Lost))
	}
}
