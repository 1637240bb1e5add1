package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Tokens of programs that send or ask: create, list, revoke",
		Long: `Makes, lists and revokes the tokens by which programs send records to the server or ask it. A token's secret is shown once; only its
hash is kept. Who may send issuances or reasons can whitewash a theft, so a token sends accesses only unless it is given more.`,
	}
	cmd.AddCommand(m.tokenCreate(), m.tokenList(), m.tokenRevoke())
	return cmd
}

func (m *Main) tokenCreate() *cobra.Command {
	var data dirFlag
	var spec api.TokenSpec
	var role string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token; its secret goes to standard output, this once",
		Example: `  whosaw token create gw-1 --data ./data                            may send accesses of the source gw-1
  whosaw token create login --types issuance --data ./data
  whosaw token create shipper --source gw-1 --source gw-2 --types access,issuance --data ./data
  whosaw token create grafana --role read --days 90 --data ./data`,
		Args: needOne("the token's name"),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			spec.Name, spec.Role = args[0], auth.Role(role)
			r, err := m.reach(cmd.Context(), data.dir)
			if err != nil {
				return err
			}
			defer r.close()
			var made api.NewToken
			if err := r.call(cmd.Context(), "POST", "/v1/tokens", spec, &made); err != nil {
				return err
			}
			what := "may " + string(made.Role)
			if made.Role.Sends() {
				what = "may send " + strings.Join(made.Types, ", ") + " of " + strings.Join(made.Sources, ", ")
			}
			fmt.Fprintf(m.Stderr, "whosaw: token %s %s. This is its secret; it is not shown again:\n", made.Name, what)
			fmt.Fprintln(m.Stdout, made.Secret)
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&role, "role", string(auth.RoleIngest), "ingest (send records and ask the guard), send (records alone), door (ask the guard alone), read, admin or lookup (hands customers their look-up secrets)")
	cmd.Flags().StringArrayVar(&spec.Sources, "source", nil, "source that it may send (repeatable; * for any; default: the token's name)")
	cmd.Flags().StringSliceVar(&spec.Types, "types", nil, "record types that it may send, with commas between: "+strings.Join(pipeline.AllTypes.Names(), ", ")+" (default access)")
	cmd.Flags().IntVar(&spec.Days, "days", 0, "days until it expires (default: never)")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"ingest", "send", "door", "read", "admin", "lookup"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("types", cobra.FixedCompletions(pipeline.AllTypes.Names(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (m *Main) tokenList() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "The tokens there are, revoked ones too",
		Example: `  whosaw token list --data ./data`,
		Args:    cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			var answer struct {
				Tokens []auth.Token `json:"tokens"`
			}
			if err := r.call(ctx, "GET", "/v1/tokens", nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			if len(answer.Tokens) == 0 {
				fmt.Fprintf(m.Stderr, "whosaw: there is no token yet: make one with whosaw token create NAME --data %s\n", quote(data.dir))
				return nil
			}
			t := report.NewTable("name", "role", "sources", "types", "made", "by", "last used", "ends")
			for i := range answer.Tokens {
				k := &answer.Tokens[i]
				ends := day(k.Expires, "never")
				if k.Revoked != 0 {
					ends = "revoked " + day(k.Revoked, "")
				}
				t.Row(k.Name, string(k.Role), strings.Join(k.Sources, " "), strings.Join(k.Types, " "), day(k.Made, ""), k.Maker, day(k.Used, "never"), ends)
			}
			return t.Write(m.Stdout)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) tokenRevoke() *cobra.Command {
	var data dirFlag
	cmd := &cobra.Command{
		Use:     "revoke NAME",
		Short:   "End a token at once",
		Example: `  whosaw token revoke gw-1 --data ./data`,
		Args:    needOne("the token's name or id"),
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			var t auth.Token
			if err := r.call(ctx, "DELETE", "/v1/tokens/"+url.PathEscape(args[0]), nil, &t); err != nil {
				return err
			}
			fmt.Fprintf(m.Stderr, "whosaw: token %s is revoked: its next request is refused\n", report.Safe(t.Name))
			return nil
		}),
	}
	data.add(cmd.Flags())
	return cmd
}

func (m *Main) adminCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "The way in for an administrator: a one-time link",
	}
	var data dirFlag
	link := &cobra.Command{
		Use:     "link",
		Short:   "Print a link that signs in whoever opens it first, within an hour",
		Example: `  whosaw admin link --data ./data`,
		Args:    cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			var l api.Link
			if err := r.call(ctx, "POST", "/v1/local/link", nil, &l); err != nil {
				return err
			}
			if r.quiet != nil {
				fmt.Fprintln(m.Stderr, "whosaw: no server runs now; behind the address that whosaw serve prints, the link is:")
			}
			fmt.Fprintln(m.Stdout, l.URL+l.Path)
			return nil
		}),
	}
	data.add(link.Flags())
	cmd.AddCommand(link)
	return cmd
}
