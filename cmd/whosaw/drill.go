package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/drill"
	"github.com/whosaw/whosaw/internal/sim"
)

// drillFlags are the flags of drill.
type drillFlags struct {
	scenario        string
	all, json       bool
	seed            uint64
	seeds           int
	customers, days int
	share           string
	without         []string
	budgets         []string

	onto    bool
	server  serverFlags
	catalog string
	in      inputFlags
}

const (
	// The seeds from 6 on are for figures; 1 to 5 are for tuning.
	firstSeed    = 6
	defaultSeeds = 5
)

func (m *Main) drillCommand() *cobra.Command {
	var f drillFlags
	cmd := &cobra.Command{
		Use:   "drill [--onto LOG…]",
		Short: "A fire drill: how many customers would be lost before you noticed?",
		Long: `Lets an attacker whose every access is known loose on a made-up shop, runs its records through the same ledger and
detectors as live traffic, and says how many customers were lost before somebody could have noticed, what the findings'
filters miss and catch, and what the detectors made of honest traffic.

With --onto the attack is woven, at the share it had in the case, into your own records: what would you have noticed,
what are you blind to, and what would each missing member of the log have bought? Nothing is sent anywhere.

With --server customers are planted at a running server, in a realm of their own, and opened: does the alarm come, and when?

Only the last leaves anything behind: the planted customers, at that server. docs/drill.md explains how to read the answers.

Scenarios (` + strings.Join(drill.Weaves(), ", ") + ` with --onto too):
` + scenarioList(),
		Example: `  whosaw drill                                         the theft of a signing key
  whosaw drill --onto /var/log/nginx/access.log*       the same, woven into your own records
  whosaw drill --server https://whosaw.example --token-file send.token --read-token-file read.token
  whosaw drill --scenario stolen-key --seeds 10 --customers 100000
  whosaw drill --all > table.md                        every scenario at full size: takes long`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.onto:
				return needLogs(cmd, args)
			case len(args) > 0:
				return usagef("%s takes logs only with --onto: whosaw drill --onto %s", cmd.CommandPath(), strings.Join(args, " "))
			}
			return nil
		},
		RunE: run(func(cmd *cobra.Command, args []string) error {
			switch {
			case f.onto:
				return m.drillOnto(cmd.Context(), args, &f)
			case f.server.url != "":
				return m.drillServer(cmd.Context(), &f)
			}
			if !cmd.Flags().Changed("customers") && f.all {
				f.customers = 100_000
			}
			return m.drill(cmd.Context(), &f)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.scenario, "scenario", "stolen-key", "what happens in the shop")
	flags.BoolVar(&f.all, "all", false, "every scenario, as the tables of docs/BENCHMARKS.md")
	flags.Uint64Var(&f.seed, "seed", firstSeed, "the first seed; 1 to 5 are the ones that detectors are tuned with")
	flags.IntVar(&f.seeds, "seeds", defaultSeeds, "how many runs, each with the next seed")
	flags.IntVar(&f.customers, "customers", 10_000, "customers of the shop (with --all: 100000)")
	flags.IntVar(&f.days, "days", 30, "days after the warm-up")
	flags.StringVar(&f.share, "share", "", "part of the accesses that is the attack, like 0.5% (the default; with --onto it is that of the case, 0.03%)")
	flags.StringSliceVar(&f.without, "without", nil, "kinds of records that the shop does not have: "+strings.Join(drill.Lackable(), ", "))
	flags.StringArrayVar(&f.budgets, "budget", nil, "cap of new customers a day, like client:app=200 or principal:service=50,unexplained (repeat it for more; none: no caps; default: a hundred unexplained for each of staff, couriers, partners, programs)")
	flags.BoolVar(&f.json, "json", false, "the answer as one JSON document")
	flags.BoolVar(&f.onto, "onto", false, "weave the attack into the records of LOG…")
	flags.StringVar(&f.catalog, "catalog", "", "with --onto: which route shows which fields (default: a suggested one)")
	f.server.add(flags)
	f.in.add(flags)
	cmd.MarkFlagsMutuallyExclusive("all", "scenario", "server")
	cmd.MarkFlagsMutuallyExclusive("all", "onto", "server")
	for _, shop := range []string{"seeds", "customers", "days", "without", "budget"} {
		cmd.MarkFlagsMutuallyExclusive(shop, "onto", "server")
	}
	return cmd
}

// scenarioList is a line for each scenario, for the help.
func scenarioList() string {
	var b strings.Builder
	for _, s := range sim.Scenarios() {
		fmt.Fprintf(&b, "  %-20s %s\n", s.Name, s.Says)
	}
	return b.String()
}

// drill runs the scenarios that the flags name.
func (m *Main) drill(ctx context.Context, f *drillFlags) error {
	known := make([]string, 0, len(sim.Scenarios()))
	for _, s := range sim.Scenarios() {
		known = append(known, s.Name)
	}
	if !f.all && !slices.Contains(known, f.scenario) {
		return usagef("--scenario %s: there are %s", f.scenario, strings.Join(known, ", "))
	}
	cfgs, err := f.configs(known)
	if err != nil {
		return err
	}
	if f.seeds < 1 || f.seeds > 1000 {
		return usagef("--seeds %d: give a number from 1 to 1000", f.seeds)
	}
	bar := m.newProgress(f.in.quiet)
	defer bar.clear()
	var all []drill.Summary
	for i, cfg := range cfgs {
		s, err := m.drillScenario(ctx, f, cfg, bar, fmt.Sprintf("%d of %d", i+1, len(cfgs)))
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	bar.clear()
	if err := m.writeDrill(f, all); err != nil {
		return err
	}
	var runs []*drill.Outcome
	for i := range all {
		runs = append(runs, all[i].Runs...)
	}
	if idle := drill.Untouched(runs); len(idle) > 0 {
		return fmt.Errorf("no test looked at the accesses of %s: this drill shows nothing about them", strings.Join(idle, ", "))
	}
	return nil
}

func (m *Main) writeDrill(f *drillFlags, all []drill.Summary) error {
	switch {
	case f.json && f.all:
		return writeJSON(m.Stdout, all)
	case f.json:
		return writeJSON(m.Stdout, all[0])
	case f.all:
		return drill.WriteTable(m.Stdout, all)
	}
	return all[0].WriteText(m.Stdout, m.textOptions(nil))
}

// configs gives what is run: one scenario, or all, the case also at its true share.
func (f *drillFlags) configs(known []string) ([]drill.Config, error) {
	one := drill.Config{Scenario: f.scenario, Customers: f.customers, Days: f.days, TempDir: os.Getenv("TMPDIR")}
	if f.share != "" {
		var err error
		if one.Share, err = perMillion(f.share); err != nil {
			return nil, usagef("--share %s: %v", f.share, err)
		}
	}
	for _, kind := range f.without {
		if !slices.Contains(drill.Lackable(), kind) {
			return nil, usagef("--without %s: there are %s", kind, strings.Join(drill.Lackable(), ", "))
		}
	}
	one.Without = f.without
	if len(f.budgets) == 0 {
		one.Detect.Budgets = drill.Budgets()
	}
	if slices.Equal(f.budgets, []string{"none"}) {
		f.budgets = nil
	}
	for _, text := range f.budgets {
		b, err := parseBudget(text)
		if err != nil {
			return nil, usagef("--budget %s: %v", text, err)
		}
		one.Detect.Budgets = append(one.Detect.Budgets, b)
	}
	shop := sim.Config{Seed: one.Seed, Customers: one.Customers, Days: one.Days, Start: sim.Example().Start, Share: one.Share}
	if err := shop.Check(); err != nil {
		return nil, &usageError{err}
	}
	if !f.all {
		return []drill.Config{one}, nil
	}
	var out []drill.Config
	for _, name := range known {
		one.Scenario = name
		out = append(out, one)
		if name == "stolen-key" && f.share == "" {
			trueShare := one
			trueShare.Share = int(drill.CaseShare * 1_000_000)
			out = append(out, trueShare)
		}
	}
	return out, nil
}

// parseBudget reads WHOM=N, so many new customers a day, and ,unexplained if only those without a reason count.
func parseBudget(text string) (detect.Budget, error) {
	text, bare := strings.CutSuffix(text, ",unexplained")
	of, n, _ := strings.Cut(text, "=")
	day, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		return detect.Budget{}, errors.New("give it as principal:CLASS=N, client:NAME=N or key:NAME=N, with ,unexplained behind it for a cap of what no reason explains; or none")
	}
	b := detect.Budget{Of: of, Day: day, Unexplained: bare}
	return b, b.Check()
}

// drillScenario runs one scenario with every seed.
func (m *Main) drillScenario(ctx context.Context, f *drillFlags, cfg drill.Config, bar *progress, of string) (drill.Summary, error) {
	var runs []*drill.Outcome
	began := m.Now()
	for i := range f.seeds {
		cfg.Seed = f.seed + uint64(i)
		cfg.Progress = bar.steps(fmt.Sprintf("drill %s (%s)", cfg.Scenario, of), i, f.seeds, began)
		o, err := drill.Run(ctx, cfg)
		if err != nil {
			return drill.Summary{}, m.drillStopped(ctx, bar, err)
		}
		runs = append(runs, o)
	}
	return drill.Summarize(cfg, runs), nil
}

// steps gives what draws the progress of the n-th of several equal steps; nil where nobody would see it.
func (p *progress) steps(what string, n, of int, began time.Time) func(float64) {
	if p == nil {
		return nil
	}
	var last time.Time
	return func(done float64) {
		now := p.now()
		if now.Sub(last) < 100*time.Millisecond {
			return
		}
		last = now
		p.note(what + left(int64(1e6*(float64(n)+done)), int64(1e6*float64(of)), now.Sub(began).Seconds()))
	}
}
