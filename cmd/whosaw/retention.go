package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/retention"
	"github.com/whosaw/whosaw/internal/server"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

func (m *Main) retentionCommand() *cobra.Command {
	var (
		dir, older    string
		conf          string
		apply, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Remove records that are older than they may be kept; without --apply only say which",
		Long: `Removes whole segments of the ledger all of whose records are older than an age, by event time. What went leaves its range, its
counts and its place in the tree: scopes that look there say that it was removed, sequences stay, and whosaw verify still proves the
rest. What a legal hold keeps stays (whosaw hold). So go the lists of people of incidents that were closed longer ago than that, unless a hold is in
force, people can look themselves up in one, or a notice is posted; and who was told by notices to people that ended longer ago than that and than notice.keep_days (ten years, if
whosaw.yaml says nothing).

Without --apply nothing is removed. There is no way back but a backup.`,
		Example: `  whosaw retention --data ./case --older-than 400d
  whosaw retention --data ./case --older-than 400d --apply`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			age, err := parseAge(older)
			if err != nil {
				return err
			}
			var answer api.RemovalAnswer
			err = m.keep(cmd.Context(), dir, func(ctx context.Context, r *remote) error {
				return r.call(ctx, "POST", "/v1/retention", api.RemovalSpec{Days: int(age / (24 * time.Hour)), Apply: apply}, &answer)
			}, func(ctx context.Context, k *retention.Keeper) (err error) {
				before := m.Now().Add(-age)
				if answer.Removal, err = k.Retain(ctx, before.UnixMilli(), apply); err != nil {
					return err
				}
				book, done, err := m.bookOf(ctx, k.Ledger)
				if err != nil {
					return err
				}
				if book != nil {
					answer.Lists, err = book.Retain(ctx, k.Who, before, api.HoldsInForce(k.Ledger), apply)
				}
				if book != nil && err == nil {
					answer.Rosters, err = m.retainRosters(ctx, k, book, conf, before, apply)
				}
				return errors.Join(err, done())
			})
			if err != nil {
				return err
			}
			m.doubtClock(int64(answer.Newest))
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			return writeRemoval(m.Stdout, &answer)
		}),
	}
	addDir(cmd, &dir)
	cmd.Flags().StringVar(&older, "older-than", "", "age by event time: days or weeks, as in 400d or 60w")
	cmd.Flags().StringVar(&conf, "config", os.Getenv("WHOSAW_CONFIG"), "whosaw.yaml, for notice.keep_days where no server runs (or WHOSAW_CONFIG)")
	cmd.Flags().BoolVar(&apply, "apply", false, "remove; without it nothing is")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

// retainRosters is retention of who was told by notices, in a directory that no server has.
func (m *Main) retainRosters(ctx context.Context, k *retention.Keeper, book *incident.Book, conf string, before time.Time, apply bool) (out []notice.RosterRemoval, err error) {
	cfg, err := config.Load(conf)
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, filepath.Join(k.Ledger.Dir(), server.StateName))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	notices, err := notice.NewBook(notice.BookConfig{
		DB: db, Dir: filepath.Join(k.Ledger.Dir(), server.NoticeDir), Incidents: book, Config: notice.Config{KeepDays: cfg.Notice.KeepDays}, Now: m.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, notices.Close()) }()
	return notices.Retain(ctx, k.Who, before, api.HoldsInForce(k.Ledger), apply)
}

func addDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "data", os.Getenv("WHOSAW_DATA"), "data directory (or WHOSAW_DATA)")
}

// parseAge reads a number of days or weeks.
func parseAge(s string) (time.Duration, error) {
	days := map[string]int{"d": 1, "w": 7}
	if s != "" {
		n, err := strconv.Atoi(s[:len(s)-1])
		if unit := days[s[len(s)-1:]]; err == nil && unit > 0 && n > 0 && n <= 36_500/unit {
			return time.Duration(n*unit) * 24 * time.Hour, nil
		}
	}
	return 0, usagef("--older-than takes days or weeks, as in 400d or 60w")
}

// keep acts through the server of a data directory or, where none runs, on the directory itself.
func (m *Main) keep(ctx context.Context, dir string, asked func(context.Context, *remote) error, alone func(context.Context, *retention.Keeper) error) error {
	if dir == "" {
		return usagef("no data directory: give --data DIR")
	}
	if err := needLedger(dir, "name the directory that was given to --data before"); err != nil {
		return err
	}
	r, err := dial(ctx, dir)
	if err != nil {
		return err
	}
	if r != nil {
		return errors.Join(asked(ctx, r), r.close())
	}
	led, err := ledger.Open(ledger.Config{Dir: dir})
	if err != nil {
		return err
	}
	blocks := index.Attach(led, false)
	err = alone(ctx, &retention.Keeper{Ledger: led, Index: blocks, Who: "staff:" + operator(), Now: m.Now})
	return errors.Join(err, led.Close(), blocks.Close())
}

// doubtClock says that the newest record is long ago: a clock that runs ahead makes everything look old.
func (m *Main) doubtClock(newest int64) {
	if days := m.Now().Sub(time.UnixMilli(newest)).Hours() / 24; newest > 0 && days > 30 {
		fmt.Fprintf(m.Stderr, "whosaw: the newest record is of %s, %d days before this machine's clock: is the clock right?\n",
			time.UnixMilli(newest).UTC().Format(time.DateOnly), int(days))
	}
}

func writeRemoval(w io.Writer, r *api.RemovalAnswer) error {
	var b strings.Builder
	verb := "Would be removed"
	if r.Applied {
		verb = "Removed"
	}
	day := func(t whosaw.Time) string { return time.UnixMilli(int64(t)).UTC().Format(time.DateOnly) }
	fmt.Fprintf(&b, "%s, all before %s: %s.\n", verb, day(r.Before), figure.Of(int64(len(r.Removed)), "segment", "segments"))
	for _, s := range r.Removed {
		fmt.Fprintf(&b, "  records %d to %d: %s of %s to %s, %s\n", s.First, s.Last, figure.Of(int64(s.Accesses), "access", "accesses"),
			day(s.From), day(s.To), figure.Of(s.Bytes, "byte", "bytes"))
	}
	for _, s := range r.Held {
		fmt.Fprintf(&b, "Kept by %s: records %d to %d, %s to %s.\n", holdNames(s.Holds), s.First, s.Last, day(s.From), day(s.To))
	}
	if r.Mixed > 0 {
		fmt.Fprintf(&b, "%s newer records too and stay whole.\n", figure.Of(int64(r.Mixed), "segment has", "segments have"))
	}
	gone := 0
	for _, l := range r.Lists {
		if l.Kept == "" {
			gone++
			fmt.Fprintf(&b, "  list of scope version %d of incident %d: %s\n", l.Version, l.Incident, figure.Of(l.Bytes, "byte", "bytes"))
		} else {
			fmt.Fprintf(&b, "Kept: the list of scope version %d of incident %d: %s.\n", l.Version, l.Incident, l.Kept)
		}
	}
	for _, l := range r.Rosters {
		if l.Kept == "" {
			gone++
			fmt.Fprintf(&b, "  who was told by notice %d of incident %d: %s, %s\n", l.Notice, l.Incident, figure.Of(l.People, "person", "people"), figure.Of(l.Bytes, "byte", "bytes"))
		} else {
			fmt.Fprintf(&b, "Kept: who was told by notice %d of incident %d: %s.\n", l.Notice, l.Incident, l.Kept)
		}
	}
	if !r.Applied && len(r.Removed)+gone > 0 {
		b.WriteString("Nothing was removed: this was a dry run. The same with --apply removes; only a backup brings it back.\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

func holdNames(ids []uint64) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = "hold " + strconv.FormatUint(id, 10)
	}
	return strings.Join(names, ", ")
}

func (m *Main) holdCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Legal holds: keep records of a time, whatever their age",
		Long: `A legal hold keeps every record whose event time lies in its range, whatever wants to remove it, until it is released. Who set
and released it, and why, stays on record.`,
		Example: `  whosaw hold add --data ./case --from 2026-04-14 --to 2026-11-09 --reason "investigation 2026-17"
  whosaw hold list --data ./case
  whosaw hold release 1 --data ./case --reason "closed by order of 2027-02-01"`,
	}
	cmd.AddCommand(m.holdAddCommand(), m.holdListCommand(), m.holdReleaseCommand())
	return cmd
}

func (m *Main) holdAddCommand() *cobra.Command {
	var dir, from, to, zone, reason string
	cmd := &cobra.Command{
		Use: "add",
		Example: `  whosaw hold add --data ./case --from 2026-04-14 --to 2026-11-09 --reason "investigation 2026-17"
  whosaw hold add --data ./case --reason "order of 19 November: keep everything"`,
		Short: "Set a hold; without --from and --to it keeps everything",
		Args:  cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if reason == "" {
				return usagef("a hold needs a reason: give --reason")
			}
			in, err := loadZone(zone)
			if err != nil {
				return err
			}
			var times [2]whosaw.Time
			for i, s := range []string{from, to} {
				if s == "" {
					continue
				}
				if times[i], err = flagTime([]string{"from", "to"}[i], s, in); err != nil {
					return err
				}
			}
			var h retention.Hold
			err = m.keep(cmd.Context(), dir, func(ctx context.Context, r *remote) error {
				return r.call(ctx, "POST", "/v1/holds", api.HoldSpec{From: times[0], To: times[1], Reason: reason}, &h)
			}, func(ctx context.Context, k *retention.Keeper) error {
				set, err := k.Hold(ctx, int64(times[0]), int64(times[1]), reason)
				h = retention.HoldOf(&set)
				return err
			})
			if err != nil {
				return err
			}
			return writeHolds(m.Stdout, []retention.Hold{h})
		}),
	}
	addDir(cmd, &dir)
	addZone(cmd.Flags(), &zone)
	cmd.Flags().StringVar(&from, "from", "", "event times from this on: 2026-04-14 or 2026-04-14T09:00:00Z (default: the beginning)")
	cmd.Flags().StringVar(&to, "to", "", "and before this (default: no end)")
	cmd.Flags().StringVar(&reason, "reason", "", "why: the case or order, no personal data")
	return cmd
}

func (m *Main) holdListCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Example: `  whosaw hold list --data ./case`,
		Short:   "All holds, released ones too",
		Args:    cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			holds := []retention.Hold{}
			err := m.keep(cmd.Context(), dir, func(ctx context.Context, r *remote) error {
				answer := struct {
					Holds *[]retention.Hold `json:"holds"`
				}{&holds}
				return r.call(ctx, "GET", "/v1/holds", nil, &answer)
			}, func(_ context.Context, k *retention.Keeper) error {
				for _, h := range k.Ledger.Holds() {
					holds = append(holds, retention.HoldOf(&h))
				}
				return nil
			})
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, holds)
			}
			if len(holds) == 0 {
				fmt.Fprintln(m.Stderr, "whosaw: there are no holds")
			}
			return writeHolds(m.Stdout, holds)
		}),
	}
	addDir(cmd, &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) holdReleaseCommand() *cobra.Command {
	var dir, reason string
	cmd := &cobra.Command{
		Use:     "release NUMBER",
		Example: `  whosaw hold release 1 --data ./case --reason "the authority agreed, 2026-17"`,
		Short:   "Release a hold",
		Args:    needOne("the number of the hold"),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usagef("a hold has a number: whosaw hold list shows it")
			}
			if reason == "" {
				return usagef("releasing a hold needs a reason: give --reason")
			}
			var h retention.Hold
			err = m.keep(cmd.Context(), dir, func(ctx context.Context, r *remote) error {
				in := struct {
					Reason string `json:"reason"`
				}{reason}
				return r.call(ctx, "POST", fmt.Sprintf("/v1/holds/%d/release", id), in, &h)
			}, func(ctx context.Context, k *retention.Keeper) error {
				released, err := k.Release(ctx, id, reason)
				h = retention.HoldOf(&released)
				return err
			})
			if err != nil {
				return err
			}
			return writeHolds(m.Stdout, []retention.Hold{h})
		}),
	}
	addDir(cmd, &dir)
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}

func writeHolds(w io.Writer, holds []retention.Hold) error {
	var b strings.Builder
	at := func(t *whosaw.Time, open string) string {
		if t == nil {
			return open
		}
		return time.UnixMilli(int64(*t)).UTC().Format(time.RFC3339)
	}
	for i := range holds {
		h := &holds[i]
		fmt.Fprintf(&b, "hold %d: from %s to %s, set %s by %s: %s\n", h.ID, at(h.From, "the beginning"), at(h.To, "no end"), at(&h.When, "-"),
			report.Safe(h.By), report.Safe(h.Reason))
		if h.Released != nil {
			fmt.Fprintf(&b, "  released %s by %s: %s\n", at(h.Released, "-"), report.Safe(h.ReleasedBy), report.Safe(h.ReleasedWhy))
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
