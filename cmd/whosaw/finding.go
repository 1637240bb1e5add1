package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) findingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "finding",
		Short: "Findings of the server: list them, look at one, take it, judge it",
	}
	cmd.AddCommand(m.findingList(), m.findingShow(), m.findingTake(), m.findingAssign(), m.findingJudge())
	return cmd
}

func (m *Main) findingList() *cobra.Command {
	var data dirFlag
	var state, detector, owner string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "The findings, the newest first",
		Example: `  whosaw finding list --data ./data
  whosaw finding list --state open --json --data ./data`,
		Args: cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			if r.quiet != nil {
				fmt.Fprintln(m.Stderr, "whosaw: no server runs: these are the findings that it had recorded")
			}
			q := url.Values{"limit": {fmt.Sprint(limit)}, "wait": {"true"}}
			for name, v := range map[string]string{"state": state, "detector": detector, "owner": owner} {
				if v != "" {
					q.Set(name, v)
				}
			}
			var answer struct {
				Findings []api.Found `json:"findings"`
				Next     string      `json:"next"`
			}
			if err := r.call(ctx, "GET", "/v1/findings?"+q.Encode(), nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			if len(answer.Findings) == 0 {
				says := "no finding; whosaw status says which detectors could judge"
				if r.quiet != nil && state+detector+owner == "" {
					says = "it had none, or none ran. What whosaw investigate --data found is recorded, and told, by the first whosaw serve --data " + quote(r.dir) + "; until then whosaw explain ID says what raised it"
				}
				fmt.Fprintln(m.Stderr, "whosaw: "+report.Safe(says))
				return nil
			}
			t := report.NewTable("id", "time (UTC)", "age", "detector", "unit", "customers", "accesses", "state", "owner")
			t.Right(2, 5, 6)
			now := m.Now()
			for i := range answer.Findings {
				f := &answer.Findings[i]
				accesses, subjects := reached(f)
				t.Row(f.ID, clock(&f.Time), ageText(now.Sub(time.UnixMilli(int64(f.RaisedAt)))), f.Detector, f.Unit, figure.Int(subjects), figure.Int(accesses), stateText(f), f.Owner)
			}
			return t.Write(m.Stdout)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&state, "state", "", "open, assigned, harvest, explained or false")
	cmd.Flags().StringVar(&detector, "detector", "", "only of this detector")
	cmd.Flags().StringVar(&owner, "owner", "", "only what this person has")
	words(cmd, "state", "open", "assigned", "harvest", "explained", "false")
	words(cmd, "detector", detect.Detectors()...)
	cmd.Flags().IntVar(&limit, "limit", 100, "how many, at most 1000")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

// reached is what a finding counts by now.
func reached(f *api.Found) (accesses, subjects int64) {
	if f.Grown != nil {
		return f.Grown.Accesses, f.Grown.Subjects
	}
	return f.Accesses, f.Subjects
}

// ageText is how long ago something was, in the largest unit that says it.
func ageText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}

// words offers values of a flag to the shell.
func words(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("BUG: " + err.Error())
	}
}

// offer completes the id of a finding, and what stands behind it.
func (m *Main) offer(dir *string, behind ...string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return behind, cobra.ShellCompDirectiveNoFileComp
		}
		r, err := m.running(cmd.Context(), *dir) // no lock is taken to complete a word
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer r.close()
		var answer struct {
			Findings []api.Found `json:"findings"`
		}
		if err := r.call(cmd.Context(), "GET", "/v1/findings?limit=50", nil, &answer); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		for i := range answer.Findings {
			f := &answer.Findings[i]
			out = append(out, f.ID+"\t"+report.Safe(string(f.State)+", "+f.Detector+" on "+f.Unit))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func stateText(f *api.Found) string {
	if f.SuppressedBy != 0 && f.State == alarm.Open {
		return fmt.Sprintf("suppressed (%d)", f.SuppressedBy)
	}
	return string(f.State)
}

func (m *Main) findingShow() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "One finding: what it says, who was told, how it was judged",
		Example: `  whosaw finding show 7b1f… --data ./data`,
		Args:    needOne("the finding's id"),
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			var f api.Found
			if err := r.call(ctx, "GET", "/v1/findings/"+url.PathEscape(args[0]), nil, &f); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, f)
			}
			return m.writeFinding(&f, data.dir)
		}),
	}
	cmd.ValidArgsFunction = m.offer(&data.dir)
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) writeFinding(f *api.Found, dir string) error {
	w := m.Stdout
	fmt.Fprintf(w, "%s\n\n", report.Safe(f.Says))
	line := func(name, value string) { fmt.Fprintf(w, "%-10s %s\n", name, report.Safe(value)) }
	line("id", f.ID)
	line("detector", fmt.Sprintf("%s, statistic %.1f of %.1f; %s", f.Detector, f.Statistic, f.Threshold, f.Technique))
	line("unit", f.Unit)
	line("time", clock(&f.Time)+" UTC; seen "+clock(&f.Seen)+", raised by record "+figure.Int(int64(f.Sequence)))
	line("evidence", figure.Of(f.Subjects, "customer", "customers")+" in "+figure.Of(f.Accesses, "access", "accesses")+" up to then")
	if g := f.Grown; g != nil {
		line("by now", figure.Of(g.Subjects, "customer", "customers")+" in "+figure.Of(g.Accesses, "access", "accesses")+", the last at "+clock(&g.Last)+" UTC")
	}
	for i := range f.Growth {
		if s := &f.Growth[i]; len(s.Finding.Filter) > 0 {
			line("spread", clock(&s.Finding.Time)+" UTC to "+s.Finding.Unit+", known by its "+s.Kind+"; record "+figure.Int(int64(s.Sequence)))
		}
	}
	line("state", stateText(f))
	if f.Owner != "" {
		line("owner", f.Owner+", since "+clock(f.Assigned)+" UTC")
	}
	for i := range f.Verdicts {
		v := &f.Verdicts[i]
		line("judged", fmt.Sprintf("%s by %s, %s UTC: %s", v.Kind, v.Who, clock(&v.At), v.Reason))
	}
	for i := range f.Deliveries {
		d := &f.Deliveries[i]
		text := d.Channel + ": "
		if d.Kind != "finding" {
			text = d.Channel + " (" + d.Kind + "): "
		}
		if d.Sent != nil {
			text += "told " + clock(d.Sent) + " UTC"
		} else {
			text += "not told yet"
		}
		if d.Error != "" {
			text += "; " + d.Error
		}
		line("told", text)
	}
	filter := f.Filter
	if f.Grown != nil && len(f.Grown.Filter) > 0 {
		filter = f.Grown.Filter
	}
	if flags, ok := filterArgs(filter); ok {
		fmt.Fprintf(w, "\nWhose data:  whosaw scope --data %s%s\n", quote(dir), flags)
	}
	return nil
}

func (m *Main) findingTake() *cobra.Command {
	return m.assigning(&cobra.Command{
		Use:     "take ID",
		Short:   "Say that you work on a finding; nobody is reminded of it any more",
		Example: `  whosaw finding take 7b1f --data ./data`,
		Args:    needOne("the finding's id"),
	}, func(args []string) (owner *string) { return nil })
}

func (m *Main) findingAssign() *cobra.Command {
	return m.assigning(&cobra.Command{
		Use:   "assign ID WHO",
		Short: "Say who works on a finding; without a name it is given back",
		Example: `  whosaw finding assign 7b1f kim --reason "on call this week" --data ./data
  whosaw finding assign 7b1f "" --data ./data                       nobody has it any more`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("%s takes the finding's id and who works on it (\"\" gives it back)", cmd.CommandPath())
			}
			return nil
		},
	}, func(args []string) *string { return &args[1] })
}

// assigning completes a command that gives a finding to somebody.
func (m *Main) assigning(cmd *cobra.Command, owner func(args []string) *string) *cobra.Command {
	var data dirFlag
	var reason string
	cmd.RunE = m.over(&data, func(ctx context.Context, r *remote, args []string) error {
		in := struct {
			Owner  *string `json:"owner,omitempty"`
			Reason string  `json:"reason,omitempty"`
		}{owner(args), reason}
		var f api.Found
		if err := r.call(ctx, "POST", "/v1/findings/"+url.PathEscape(args[0])+"/assign", in, &f); err != nil {
			return err
		}
		who := "nobody has it"
		if f.Owner != "" {
			who = report.Safe(f.Owner) + " has it"
		}
		fmt.Fprintf(m.Stderr, "whosaw: finding %s: %s\n", report.Safe(f.ID), who)
		return nil
	})
	cmd.ValidArgsFunction = m.offer(&data.dir)
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&reason, "reason", "", "why, if it needs saying")
	return cmd
}

func (m *Main) findingJudge() *cobra.Command {
	var data dirFlag
	var reason string
	cmd := &cobra.Command{
		Use:   "judge ID harvest|explained|false",
		Short: "Say what a finding was; it is written into the ledger",
		Example: `  whosaw finding judge 7b1f… harvest --reason "nobody of ours; key rotated 03:20" --data ./data
  whosaw finding judge 7b1f… explained --reason "migration of 12 May, ticket OPS-311" --data ./data`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("%s takes the finding's id and a verdict: harvest, explained or false", cmd.CommandPath())
			}
			return nil
		},
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			var f api.Found
			in := api.Judgement{Verdict: args[1], Reason: reason}
			if err := r.call(ctx, "POST", "/v1/findings/"+url.PathEscape(args[0])+"/verdict", in, &f); err != nil {
				return err
			}
			fmt.Fprintf(m.Stderr, "whosaw: finding %s is judged: %s\n", report.Safe(f.ID), f.State)
			return nil
		}),
	}
	cmd.ValidArgsFunction = m.offer(&data.dir, "harvest", "explained", "false")
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&reason, "reason", "", "why: who reads it later was not there")
	return cmd
}

func (m *Main) suppressCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "suppress",
		Short: "Keep findings from being told for a time: add, list, lift",
		Long:  `A suppressed finding is recorded, marked and counted; only nobody is told of it. A suppression needs a reason and an end.`,
	}
	cmd.AddCommand(m.suppressAdd(), m.suppressList(), m.suppressLift())
	return cmd
}

func (m *Main) suppressAdd() *cobra.Command {
	var data dirFlag
	var in api.SuppressionSpec
	var until, zone string
	cmd := &cobra.Command{
		Use:     "add",
		Short:   "Keep findings of a detector or on a unit from being told",
		Example: `  whosaw suppress add --unit key:test-key --until 2026-12-01 --reason "load test, OPS-412" --data ./data`,
		Args:    cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			loc, err := loadZone(zone)
			if err != nil {
				return err
			}
			if in.Until, err = flagTime("until", until, loc); err != nil {
				return err
			}
			r, err := m.reach(cmd.Context(), data.dir)
			if err != nil {
				return err
			}
			defer r.close()
			var made struct {
				ID int64 `json:"id"`
			}
			if err := r.call(cmd.Context(), "POST", "/v1/suppressions", in, &made); err != nil {
				return err
			}
			fmt.Fprintf(m.Stderr, "whosaw: suppression %d holds until %s UTC\n", made.ID, clock(&in.Until))
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&in.Detector, "detector", "", "findings of this detector")
	cmd.Flags().StringVar(&in.Unit, "unit", "", "findings on this unit, as in key:login-2024-b")
	words(cmd, "detector", detect.Detectors()...)
	cmd.Flags().StringVar(&until, "until", "", "when it ends: 2026-12-01 or 2026-12-01T15:04:05Z")
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why")
	addZone(cmd.Flags(), &zone)
	return cmd
}

func (m *Main) suppressList() *cobra.Command {
	var data dirFlag
	var all, asJSON bool
	cmd := &cobra.Command{
		Use: "list",
		Example: `  whosaw suppress list --data ./data
  whosaw suppress list --all --data ./data`,
		Short: "The suppressions that hold now",
		Args:  cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			var answer struct {
				Suppressions []alarm.Suppression `json:"suppressions"`
			}
			if err := r.call(ctx, "GET", fmt.Sprintf("/v1/suppressions?all=%t", all), nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			t := report.NewTable("number", "detector", "unit", "until (UTC)", "by", "kept untold", "reason")
			t.Right(5)
			for i := range answer.Suppressions {
				s := &answer.Suppressions[i]
				end := clock(&s.Until)
				if s.Lifted != nil {
					end = "lifted " + clock(s.Lifted)
				}
				t.Row(fmt.Sprint(s.ID), orAny(s.Detector), orAny(s.Unit), end, s.Who, figure.Int(s.Findings), s.Reason)
			}
			return t.Write(m.Stdout)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&all, "all", false, "also those that are over")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return s
}

func (m *Main) suppressLift() *cobra.Command {
	var data dirFlag
	cmd := &cobra.Command{
		Use:     "lift NUMBER",
		Example: `  whosaw suppress lift 1 --data ./data`,
		Short:   "End a suppression now",
		Args:    needOne("the suppression's number"),
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			if err := r.call(ctx, "DELETE", "/v1/suppressions/"+url.PathEscape(args[0]), nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(m.Stderr, "whosaw: suppression %s is lifted: findings are told again from now on\n", args[0])
			return nil
		}),
	}
	data.add(cmd.Flags())
	return cmd
}

func (m *Main) alarmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alarm",
		Short: "The channels that are told of findings: try one out",
	}
	var data dirFlag
	test := &cobra.Command{
		Use:     "test [CHANNEL…]",
		Short:   "Send a test alarm to a channel, or to each",
		Example: `  whosaw alarm test --data ./data`,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			r, err := m.running(ctx, data.dir)
			if err != nil {
				return err
			}
			defer r.close()
			if len(args) == 0 {
				var answer struct {
					Channels []alarm.ChannelStatus `json:"channels"`
				}
				if err := r.call(ctx, "GET", "/v1/channels", nil, &answer); err != nil {
					return err
				}
				for i := range answer.Channels {
					args = append(args, answer.Channels[i].Name)
				}
				if len(args) == 0 {
					return fmt.Errorf("no channel is configured: name one under alarm.channels in whosaw.yaml (whosaw config example)")
				}
			}
			var failed []string
			for _, name := range args {
				var t api.Tested
				if err := r.call(ctx, "POST", "/v1/channels/"+url.PathEscape(name)+"/test", nil, &t); err != nil {
					return err
				}
				if t.Sent {
					fmt.Fprintf(m.Stdout, "%s: taken after %.2f s\n", report.Safe(name), t.Seconds)
				} else {
					failed = append(failed, name)
					fmt.Fprintf(m.Stdout, "%s: %s\n", report.Safe(name), report.Safe(t.Says))
				}
			}
			if len(failed) > 0 {
				return fmt.Errorf("not told: %s", strings.Join(failed, ", "))
			}
			return nil
		}),
	}
	data.add(test.Flags())
	cmd.AddCommand(test)
	return cmd
}
