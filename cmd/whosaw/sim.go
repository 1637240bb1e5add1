package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/post"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/sim"
)

// simFlags are the flags of sim.
type simFlags struct {
	scenario  string
	seed      uint64
	customers int
	days      int
	start     string
	share     string
	out       string
	server    string
	source    string
	tokenFile string
	zstd      bool
	list      bool
	quiet     bool
}

func (m *Main) simCommand() *cobra.Command {
	var f simFlags
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Make the log of a made-up shop, with or without a theft in it",
		Long: `Makes the log of Haneul Market, a shop that does not exist, with all that makes a real shop hard to watch: carriers with
thousands behind one address, a help desk, couriers, partners, jobs, crawlers, a flash sale, a campaign, late and doubled lines.
In it, if you like, somebody steals; what is stolen is known exactly.

The same scenario, seed, customers, days and start give the same bytes on any machine. The log begins ` + strconv.Itoa(sim.WarmUpDays()) + ` days before --start.
--out DIR gets records.jsonl (as it arrives), catalog.yaml, truth.json (every count, hour by hour) and truth.jsonl (each
access of the theft).`,
		Example: `  whosaw sim --list                                     the scenarios
  whosaw sim --scenario stolen-key --seed 1 --customers 10000 --days 7 --out shop
  whosaw investigate --catalog shop/catalog.yaml shop/records.jsonl
  whosaw sim --scenario slow-drip --out - | zstd > shop.jsonl.zst
  whosaw sim --scenario stolen-key --share 0.03% --server https://whosaw.example.com --token-file token`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error { return m.sim(cmd.Context(), &f) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.scenario, "scenario", "honest", "what happens; --list says what there is")
	flags.Uint64Var(&f.seed, "seed", 1, "another seed is another shop, other days, another theft")
	flags.IntVar(&f.customers, "customers", 10_000, "customers of the shop")
	flags.IntVar(&f.days, "days", 7, "days after the warm-up")
	flags.StringVar(&f.start, "start", "2026-03-02", "the first day after the warm-up")
	flags.StringVar(&f.share, "share", "", "part of the accesses that is the theft, like 0.03% (default: 0.5%)")
	flags.StringVar(&f.out, "out", "", "directory to make, or - for the records on standard output")
	flags.StringVar(&f.server, "server", "", "send the records to this server")
	flags.StringVar(&f.source, "source", "sim", "name of the source at the server")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the server's token (or WHOSAW_TOKEN)")
	flags.BoolVar(&f.zstd, "zstd", false, "compress what is sent to the server")
	flags.BoolVar(&f.list, "list", false, "list the scenarios")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	return cmd
}

func (m *Main) sim(ctx context.Context, f *simFlags) (err error) {
	if f.list {
		return m.listScenarios()
	}
	cfg, err := f.config()
	if err != nil {
		return err
	}
	if f.out == "" && f.server == "" {
		return usagef("where to? --out DIR, --out - or --server URL")
	}
	began := m.Now()
	dest, err := m.simTo(ctx, f)
	if err != nil {
		return err
	}
	bar := m.newProgress(f.quiet || f.out == "-" && isTerminal(m.Stdout))
	defer bar.clear()
	cfg.Attacks = dest.attacks
	cfg.Progress = func(day, of int, lines int64) error {
		spent := m.Now().Sub(began).Seconds()
		bar.note(fmt.Sprintf("day %d of %d, %s lines%s%s", day, of, figure.Int(lines), rate(lines, spent), left(int64(day), int64(of), spent)))
		return ctx.Err()
	}
	truth, err := sim.Run(cfg, &stoppable{ctx, dest.records})
	if err == nil {
		err = dest.finish(truth)
	}
	err = errors.Join(err, dest.close())
	bar.clear()
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(m.Stderr, "whosaw: stopped; what is written is not whole")
			return errInterrupted
		}
		return err
	}
	m.saySim(f, truth, dest, m.Now().Sub(began))
	return nil
}

func (f *simFlags) config() (sim.Config, error) {
	cfg := sim.Config{Scenario: f.scenario, Seed: f.seed, Customers: f.customers, Days: f.days}
	var err error
	if cfg.Start, err = whosaw.ParseDate(f.start); err != nil {
		return cfg, usagef("--start %s: write a day, like 2026-03-02", f.start)
	}
	if f.share != "" {
		if cfg.Share, err = perMillion(f.share); err != nil {
			return cfg, usagef("--share %s: %v", f.share, err)
		}
	}
	if err := cfg.Check(); err != nil {
		return cfg, &usageError{err}
	}
	return cfg, nil
}

// perMillion reads a percentage with at most four decimals.
func perMillion(s string) (int, error) {
	digits, ok := strings.CutSuffix(s, "%")
	whole, part, _ := strings.Cut(digits, ".")
	n, err := strconv.ParseUint(whole+(part + "0000")[:4], 10, 32)
	if !ok || err != nil || len(part) > 4 || whole == "" || n == 0 || n > 500_000 {
		return 0, errors.New("write a percentage up to 50%, like 0.03%, in steps of 0.0001%")
	}
	return int(n), nil
}

func (m *Main) listScenarios() error {
	w := bufio.NewWriter(m.Stdout)
	for _, s := range sim.Scenarios() {
		fmt.Fprintf(w, "%-20s %s\n", s.Name, s.Says)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("list the scenarios: %w", err)
	}
	return nil
}

func isTerminal(stream any) bool {
	_, ok := terminal(stream)
	return ok
}

// stoppable is a writer that fails when its context ends.
type stoppable struct {
	ctx context.Context
	w   io.Writer
}

func (s *stoppable) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}

// simDest is where the records and the truth go.
type simDest struct {
	records io.Writer
	attacks io.Writer // nil: not wanted
	dir     string
	files   []*os.File
	sender  *post.Sender
}

func (m *Main) simTo(ctx context.Context, f *simFlags) (_ *simDest, err error) {
	d := &simDest{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	var to []io.Writer
	switch f.out {
	case "":
	case "-":
		to = append(to, m.Stdout)
	default:
		d.dir = f.out
		if err := os.MkdirAll(d.dir, 0o755); err != nil {
			return d, fmt.Errorf("make the directory: %w", err)
		}
		records, err := d.create("records.jsonl")
		if err != nil {
			return d, err
		}
		to = append(to, records)
		if d.attacks, err = d.create("truth.jsonl"); err != nil {
			return d, err
		}
	}
	if f.server != "" {
		secret, err := token(f.tokenFile, "WHOSAW_TOKEN")
		if err != nil {
			return d, err
		}
		if d.sender, err = post.New(ctx, post.Config{URL: f.server, Source: f.source, Token: secret, Zstd: f.zstd}); err != nil {
			return d, &usageError{err}
		}
		to = append(to, d.sender)
	}
	d.records = io.MultiWriter(to...)
	return d, nil
}

// create makes a file that must not be there: an older shop is not silently overwritten.
func (d *simDest) create(name string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(d.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s has a %s already: name another directory, or remove it", d.dir, name)
	}
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	d.files = append(d.files, file)
	return file, nil
}

// finish sends what is left and writes the truth.
func (d *simDest) finish(truth *sim.Truth) error {
	if d.sender != nil {
		if err := d.sender.Close(); err != nil {
			return err
		}
	}
	if d.dir == "" {
		return nil
	}
	data, err := truth.JSON()
	if err != nil {
		return fmt.Errorf("write the truth: %w", err)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{"catalog.yaml", sim.Catalog()}, {"truth.json", data}} {
		if err := os.WriteFile(filepath.Join(d.dir, f.name), f.data, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return nil
}

func (d *simDest) close() error {
	var err error
	for _, f := range d.files {
		if e := f.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("write %s: %w", filepath.Base(f.Name()), e))
		}
	}
	d.files = nil
	return err
}

// saySim says on standard error what was made and how to go on.
func (m *Main) saySim(f *simFlags, t *sim.Truth, d *simDest, took time.Duration) {
	fmt.Fprintf(m.Stderr, "whosaw: %s, seed %d: %s in %s (%s from %s), %s in all%s\n", t.Scenario, t.Seed,
		figure.Of(t.Lines, "line", "lines"), took.Round(100*time.Millisecond), figure.Of(int64(t.WarmUp+t.Days), "day", "days"), t.From[:10],
		figure.Of(t.All.Accesses, "access", "accesses"), rate(t.All.Accesses, took.Seconds()))
	for _, a := range t.Attacks {
		fmt.Fprintf(m.Stderr, "whosaw: %s made %s and saw %s\n", a.Name, figure.Of(a.Accesses, "access", "accesses"), figure.Of(a.Subjects, "customer", "customers"))
	}
	if d.sender != nil {
		got, why := d.sender.Received()
		fmt.Fprintf(m.Stderr, "whosaw: the server took %s, had %d before and rejected %d", figure.Of(got.Accepted, "line", "lines"), got.Duplicates, got.Rejected)
		if why != "" {
			fmt.Fprintf(m.Stderr, ": %s", report.Safe(why))
		}
		fmt.Fprintln(m.Stderr)
	}
	if d.dir != "" {
		dir := report.Safe(d.dir)
		fmt.Fprintf(m.Stderr, "whosaw: next: whosaw investigate --catalog %s/catalog.yaml %s/records.jsonl\n", dir, dir)
	}
}
