package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/scope"
)

func (m *Main) scopeCommand() *cobra.Command {
	var (
		data   dataFlags
		filter filterFlags
		asJSON bool
		list   string
	)
	cmd := &cobra.Command{
		Use:   "scope",
		Short: "Whose data was disclosed: exact counts, or the list",
		Long: `Counts exactly whose data the accesses that match a filter disclosed, or lists them. Values of one member are
alternatives, members must all hold. What the records cannot tell stands in the gaps.`,
		Example: `  whosaw scope --data ./case --key backup-2024 --issued no
  whosaw scope --data ./case --ip @addresses.txt --from 2026-04-14 --to 2026-11-09 --zone Asia/Seoul
  whosaw scope --data ./case --key backup-2024 --list csv > affected.csv
  whosaw scope --data ./case --filter filter.json --json`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if list != "" && list != "csv" && list != "jsonl" {
				return usagef("--list takes csv or jsonl")
			}
			if list != "" && asJSON {
				return usagef("--json gives the counts, --list the list: ask one of them")
			}
			f, zone, err := filter.filter(cmd, m.Stdin)
			if err != nil {
				return err
			}
			kind := "scope"
			if list != "" {
				kind = "list"
			}
			ctx := cmd.Context()
			q, err := m.open(ctx, data, scope.Config{Zone: zone}, kind, f)
			if err != nil {
				return err
			}
			defer q.close()
			if list != "" {
				if err := q.WriteList(ctx, m.Stdout, f, list); err != nil {
					return err
				}
			}
			answer, err := q.Count(ctx, f)
			if err != nil {
				return err
			}
			if list != "" {
				m.incomplete(&answer)
				return nil
			}
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			return report.WriteScope(m.Stdout, answer, m.textOptions(zone))
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	cmd.Flags().StringVar(&list, "list", "", "the disclosed subjects instead of the counts: csv or jsonl")
	filter.add(cmd.Flags())
	return cmd
}

// incomplete says beside a list what the list cannot hold: nobody may take it for everybody.
func (m *Main) incomplete(a *whosaw.ScopeAnswer) {
	if len(a.Gaps) == 0 {
		return
	}
	fmt.Fprintf(m.Stderr, "whosaw: the list holds at least these %s; there may be more:\n", figure.Of(a.Subjects, "customer", "customers"))
	for _, g := range a.Gaps {
		fmt.Fprintf(m.Stderr, "whosaw: - %s\n", report.Safe(g.Says))
	}
}

// writeJSON writes the one JSON document of an answer.
func writeJSON(w io.Writer, answer any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(answer); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
