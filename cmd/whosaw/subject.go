package main

import (
	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/scope"
)

func (m *Main) subjectCommand() *cobra.Command {
	var (
		data   dataFlags
		filter filterFlags
		asJSON bool
		limit  int
		next   string
	)
	cmd := &cobra.Command{
		Use:   "subject ID",
		Short: "Who opened this customer's data, newest first",
		Long: `Lists the accesses that name this customer, newest first. A principal is a claim: "customer:7" means that the
credential said so, not that customer 7 was there.`,
		Example: `  whosaw subject 10482213 --data ./case
  whosaw subject 10482213 --data ./case --issued no --json
  whosaw subject --data ./case -- -5                  an id that begins with a hyphen`,
		Args: needOne("the customer's id"),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > 10_000 {
				return usagef("--limit takes 1 to 10000")
			}
			f, zone, err := filter.filter(cmd, m.Stdin)
			if err != nil {
				return err
			}
			for i := range f {
				if len(f[i].Subject) > 0 {
					return usagef("the customer is the argument: leave --subject out")
				}
			}
			id := args[0]
			act := make(whosaw.Filter, len(f))
			for i, term := range f {
				act[i] = term
				act[i].Subject = []string{id}
			}
			ctx := cmd.Context()
			q, err := m.open(ctx, data, scope.Config{Zone: zone}, "subject", act)
			if err != nil {
				return err
			}
			defer q.close()
			answer, err := q.Subject(ctx, nil, id, f, limit, next)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			return report.WriteSubject(m.Stdout, answer, m.textOptions(zone))
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	cmd.Flags().IntVar(&limit, "limit", 100, "accesses a page")
	cmd.Flags().StringVar(&next, "next", "", "the cursor that the page before ended with")
	filter.add(cmd.Flags())
	return cmd
}
