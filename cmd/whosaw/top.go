package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/scope"
)

func (m *Main) topCommand() *cobra.Command {
	var (
		data   dataFlags
		filter filterFlags
		asJSON bool
		limit  int
		by     string
	)
	cmd := &cobra.Command{
		Use:   "top --by " + strings.Join(scope.Dimensions(), "|"),
		Short: "Who saw most: the values with most distinct customers in a day",
		Example: `  whosaw top --data ./case --by ip
  whosaw top --data ./case --by principal --limit 50 --zone Asia/Seoul
  whosaw top --data ./case --by asn --key backup-2024 --json`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 1_000_000 {
				return usagef("--limit takes 1 to 1000000")
			}
			if !slices.Contains(scope.Dimensions(), by) {
				return usagef("--by %s: there are %s", by, strings.Join(scope.Dimensions(), ", "))
			}
			f, zone, err := filter.filter(cmd, m.Stdin)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			q, err := m.open(ctx, data, scope.Config{Zone: zone}, "top", f)
			if err != nil {
				return err
			}
			defer q.close()
			rows, err := q.Top(ctx, by, f, limit)
			if err != nil {
				return err
			}
			gaps, err := q.Purged(f)
			if err != nil {
				return err
			}
			if asJSON {
				for _, g := range gaps {
					fmt.Fprintln(m.Stderr, "whosaw:", g.Says)
				}
				return writeJSON(m.Stdout, rows)
			}
			return report.WriteTop(m.Stdout, by, rows, gaps, m.textOptions(zone))
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&by, "by", "ip", "what to group by")
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(scope.Dimensions(), cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().IntVar(&limit, "limit", 20, "rows")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	filter.add(cmd.Flags())
	return cmd
}
