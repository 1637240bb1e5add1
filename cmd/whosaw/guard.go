package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) guardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "The guard of a running server: how it is, what stands, deny, undo",
	}
	cmd.AddCommand(m.guardStatus(), m.guardDecisions(), m.guardDeny(), m.guardUndo(), m.guardMode())
	return cmd
}

// overServer runs a command against the server that runs on a directory: what the guard does, only a running one does.
func (m *Main) overServer(data *dirFlag, fn func(ctx context.Context, cmd *cobra.Command, r *remote, args []string) error) func(*cobra.Command, []string) error {
	return run(func(cmd *cobra.Command, args []string) error {
		r, err := m.running(cmd.Context(), data.dir)
		if err != nil {
			return err
		}
		defer r.close()
		return fn(cmd.Context(), cmd, r, args)
	})
}

func (m *Main) guardStatus() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Whether requests are judged, what each door can enforce, what was decided and why",
		Example: `  whosaw guard status --data ./data`,
		Args:    cobra.NoArgs,
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, _ []string) error {
			var s guard.Status
			if err := r.call(ctx, "GET", "/v1/guard", nil, &s); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, s)
			}
			return m.writeGuard(&s)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) writeGuard(s *guard.Status) error {
	w := m.Stdout
	state := "judges requests"
	if !s.Ready {
		state = "does not judge: each route does what its fail mode says"
	}
	fmt.Fprintf(w, "mode %s; %s\n", s.Mode, state)
	if s.Mode != s.Configured {
		fmt.Fprintf(w, "switched by hand: whosaw.yaml says %s, and the next start is so\n", s.Configured)
	}
	for _, t := range s.Trouble {
		fmt.Fprintf(w, "trouble: %s\n", report.Safe(t))
	}
	fmt.Fprintf(w, "%s hold; %s passed before their issuance was on record; %s remembered\n\n", figure.Of(int64(s.Decisions), "decision", "decisions"),
		figure.Of(int64(s.Unconfirmed), "credential", "credentials"), figure.Of(int64(s.Tokens), "token", "tokens"))
	t := report.NewTable("door", "kind", "enforces")
	for _, d := range s.Doors {
		t.Row(d.Name, string(d.Kind), strings.Join(d.Can, ", "))
	}
	if err := t.Write(w); err != nil {
		return err
	}
	if len(s.Counts) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t = report.NewTable("decided", "because", "requests")
	t.Right(2)
	for _, c := range s.Counts {
		action := c.Action.String()
		if c.Shadow && c.Action > guard.Allow {
			action = "would " + action
		}
		t.Row(action, string(c.Code), figure.Int(c.N))
	}
	return t.Write(w)
}

// standing is a standing decision as the API writes it.
type standing struct {
	ID      string        `json:"id"`
	Action  string        `json:"action"`
	Filter  whosaw.Filter `json:"filter"`
	Mask    []string      `json:"mask,omitempty"`
	Reason  string        `json:"reason"`
	Who     string        `json:"who"`
	Finding string        `json:"finding,omitempty"`
	Made    whosaw.Time   `json:"made"`
	Expires whosaw.Time   `json:"expires"`
	Undone  whosaw.Time   `json:"undone,omitzero"`
	Undoer  string        `json:"undoer,omitempty"`
	Why     string        `json:"why,omitempty"`
}

func (m *Main) guardDecisions() *cobra.Command {
	var data dirFlag
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "decisions",
		Short: "The standing decisions that hold, the latest first",
		Example: `  whosaw guard decisions --data ./data
  whosaw guard decisions --all --json --data ./data     also those that have ended`,
		Args: cobra.NoArgs,
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, _ []string) error {
			path := "/v1/guard/decisions"
			if all {
				path += "?all=true"
			}
			var answer struct {
				Decisions []standing `json:"decisions"`
			}
			if err := r.call(ctx, "GET", path, nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			if len(answer.Decisions) == 0 {
				fmt.Fprintln(m.Stderr, "whosaw: no decision holds")
				return nil
			}
			t := report.NewTable("id", "action", "filter", "until (UTC)", "who", "reason")
			for i := range answer.Decisions {
				d := &answer.Decisions[i]
				until := clock(&d.Expires)
				if d.Undone != 0 {
					until = "undone " + clock(&d.Undone)
				}
				text, err := d.Filter.MarshalJSON()
				if err != nil {
					return fmt.Errorf("write filter: %w", err)
				}
				t.Row(d.ID, d.Action, shorten(string(text), 60), until, d.Who, shorten(d.Reason, 60))
			}
			return t.Write(m.Stdout)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	cmd.Flags().BoolVar(&all, "all", false, "also those that have expired or were undone")
	return cmd
}

// shorten keeps a cell of a table readable.
func shorten(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}

func (m *Main) guardDeny() *cobra.Command {
	var data dirFlag
	var filter filterFlags
	var spec api.DecisionSpec
	var action string
	var life time.Duration
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "deny",
		Short: "Refuse, at all doors, what a filter covers; first whom it would have hit",
		Long: `Without --yes nothing is changed: it counts, exactly, whom the decision would have hit in the last days, apart for credentials that a
log-in issued and for those that none did. Where it hits issued ones, the narrower cut is printed: the same for credentials that were
never issued.

A decision expires, and can be undone: whosaw guard undo.`,
		Example: `  whosaw guard deny --key backup-2024 --reason "read by a leaver" --data ./data             whom would it hit?
  whosaw guard deny --key backup-2024 --issued no --reason "read by a leaver" --for 72h --yes --data ./data
  whosaw guard deny --ip 203.0.113.0/24 --action step_up --reason "enumerates orders" --yes --data ./data`,
		Args: cobra.NoArgs,
		RunE: m.overServer(&data, func(ctx context.Context, cmd *cobra.Command, r *remote, _ []string) error {
			if !filter.given(cmd) {
				return usagef("no filter: say what is to be refused, with --key, --credential, --principal, --client, --ip, …")
			}
			f, _, err := filter.filter(cmd, m.Stdin)
			if err != nil {
				return err
			}
			if err := spec.Action.UnmarshalText([]byte(action)); err != nil {
				return usagef("--action: %v", err)
			}
			spec.Filter, spec.For, spec.DryRun = f, life.String(), !yes
			if yes {
				var made standing
				if err := r.call(ctx, "POST", "/v1/guard/decisions", &spec, &made); err != nil {
					return err
				}
				if asJSON {
					return writeJSON(m.Stdout, made)
				}
				fmt.Fprintf(m.Stdout, "%s\n", made.ID)
				fmt.Fprintf(m.Stderr, "whosaw: it holds at all doors now, until %s UTC; end it with: whosaw guard undo %s --reason … --data %s\n", clock(&made.Expires), made.ID, quote(data.dir))
				return nil
			}
			var p preview
			if err := r.call(ctx, "POST", "/v1/guard/decisions", &spec, &p); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, p)
			}
			return m.writePreview(&p)
		}),
	}
	data.add(cmd.Flags())
	filter.add(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&action, "action", "deny", "deny, step_up, throttle or mask")
	flags.StringArrayVar(&spec.Mask, "mask", nil, "of the action mask: a field (repeatable)")
	flags.StringVar(&spec.Reason, "reason", "", "why, for those who come after you")
	flags.DurationVar(&life, "for", 24*time.Hour, "how long it holds")
	flags.IntVar(&spec.Days, "days", 7, "how many days the preview looks back")
	flags.BoolVar(&yes, "yes", false, "make the decision; without it only the preview")
	flags.BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

// preview is a preview as the API writes it.
type preview struct {
	From     whosaw.Time       `json:"from"`
	All      api.PreviewCount  `json:"all"`
	Issued   *api.PreviewCount `json:"issued,omitempty"`
	Unissued *api.PreviewCount `json:"unissued,omitempty"`
	Narrower whosaw.Filter     `json:"narrower,omitempty"`
	Gaps     []whosaw.Gap      `json:"gaps"`
}

func (m *Main) writePreview(p *preview) error {
	t := report.NewTable("since "+clock(&p.From)+" UTC", "accesses", "customers shown")
	t.Right(1, 2)
	row := func(name string, c *api.PreviewCount) {
		if c != nil {
			t.Row(name, figure.Int(c.Accesses), figure.Int(c.Subjects))
		}
	}
	row("it would have hit", &p.All)
	row("  issued by a log-in", p.Issued)
	row("  never issued", p.Unissued)
	if err := t.Write(m.Stdout); err != nil {
		return err
	}
	for _, g := range p.Gaps {
		fmt.Fprintf(m.Stdout, "gap: %s\n", report.Safe(g.Says))
	}
	if len(p.Narrower) > 0 {
		fmt.Fprintln(m.Stdout, "\nNarrower: add --issued no, and only credentials that no log-in issued are refused.")
	}
	fmt.Fprintln(m.Stderr, "whosaw: nothing was changed; add --yes to make the decision")
	return nil
}

func (m *Main) guardUndo() *cobra.Command {
	var data dirFlag
	var reason string
	cmd := &cobra.Command{
		Use:     "undo ID",
		Short:   "End a standing decision now",
		Example: `  whosaw guard undo 5hq2… --reason "the partner has a new client" --data ./data`,
		Args:    needOne("the decision's id"),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			var s standing
			if err := r.call(ctx, "POST", "/v1/guard/decisions/"+url.PathEscape(args[0])+"/undo", map[string]string{"reason": reason}, &s); err != nil {
				return err
			}
			fmt.Fprintf(m.Stderr, "whosaw: %s is undone\n", s.ID)
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}

func (m *Main) guardMode() *cobra.Command {
	var data dirFlag
	var reason string
	cmd := &cobra.Command{
		Use:   "mode shadow|enforce",
		Short: "Switch between recording what would be done and doing it, while the server runs",
		Long: `Switches the guard's mode at once, at all doors. Who did it and why is in the ledger before it holds. It holds until it is switched again or the
server stops: at a start guard.mode of whosaw.yaml holds, so change it there too if it is to stay.`,
		Example: `  whosaw guard mode enforce --reason "shadow showed no honest customer refused" --data ./data
  whosaw guard mode shadow --reason "the feed of log-ins is down" --data ./data       everything passes, and is recorded`,
		Args: needOne("shadow or enforce"),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			var s guard.Status
			if err := r.call(ctx, "POST", "/v1/guard/mode", api.ModeSpec{Mode: guard.Mode(args[0]), Reason: reason}, &s); err != nil {
				return err
			}
			fmt.Fprintf(m.Stderr, "whosaw: the guard's mode is %s\n", s.Mode)
			if s.Mode != s.Configured {
				fmt.Fprintf(m.Stderr, "whosaw: whosaw.yaml says %s, and the next start is so: change guard.mode there if this is to stay\n", s.Configured)
			}
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}
