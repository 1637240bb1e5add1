package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) peopleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "people",
		Short: "Who is in the house, and who has left",
	}
	cmd.AddCommand(m.peopleList(), m.peopleImport(), m.peopleLeave())
	return cmd
}

type peopleAnswer struct {
	People []keys.Person `json:"people"`
}

func (m *Main) peopleList() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "The people that records name, and the keys that each could read",
		Example: `  whosaw people list --data ./data`,
		Args:    cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			var out peopleAnswer
			if err := r.call(ctx, "GET", "/v1/people", nil, &out); err != nil {
				return err
			}
			return m.givePeople(&out, asJSON)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) givePeople(out *peopleAnswer, asJSON bool) error {
	if asJSON {
		return writeJSON(m.Stdout, out)
	}
	if len(out.People) == 0 {
		fmt.Fprintln(m.Stderr, "whosaw: no record names anybody: whosaw people import FILE.csv")
		return nil
	}
	t := report.NewTable("person", "state", "since (UTC)", "principals", "keys they could read")
	for i := range out.People {
		p := &out.People[i]
		t.Row(realmed(p.Realm, p.Person), p.State, clock(&p.Since), strings.Join(p.Principals, ", "), orNone(strings.Join(p.Keys, ", ")))
	}
	return t.Write(m.Stdout)
}

func (m *Main) peopleImport() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import FILE.csv",
		Short: "Say who is there and who has left, from a list of the personnel system",
		Long: `Reads CSV with a first line that names the columns: person and state (active or left), and any of since (a day, or RFC 3339), principals and
keys (several with semicolons between) and realm. Other columns are left out. Whoever has left gets an offboarding.`,
		Example: `  whosaw people import people.csv --data ./data

  person,state,since,principals
  kim,left,2026-01-01,staff:ksy;service:kim-laptop
  lee,active,2024-05-02,`,
		Args: needOne("a CSV file, or - for standard input"),
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			in := m.Stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("read people: %w", err)
				}
				defer f.Close()
				in = f
			}
			list, err := keys.ParsePeople(in)
			if err != nil {
				return err
			}
			var out peopleAnswer
			if err := r.call(ctx, "POST", "/v1/people", api.PeopleSpec{People: list}, &out); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, out)
			}
			left := 0
			for i := range list {
				if list[i].State == "left" {
					left++
				}
			}
			fmt.Fprintf(m.Stderr, "whosaw: %s on record, of whom %d have left: whosaw offboarding list shows what they could use\n",
				figure.Of(int64(len(list)), "person is", "people are"), left)
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) peopleLeave() *cobra.Command {
	var f keyFlags
	var since string
	var p keys.PersonSpec
	cmd := &cobra.Command{
		Use:   "leave NAME",
		Short: "Say that somebody has left: opens their offboarding and lists what they could use",
		Example: `  whosaw people leave kim --data ./data
  whosaw people leave kim --since 2026-01-01 --principal staff:ksy --key backup-2024 --data ./data`,
		Args:              needOne("the id under which the house knows them"),
		ValidArgsFunction: m.completePeople(&f.data),
		RunE: m.over(&f.data, func(ctx context.Context, r *remote, args []string) (err error) {
			p.Person, p.Realm, p.State = args[0], f.realm, "left"
			if p.Since, err = dayFlag("since", since); err != nil {
				return err
			}
			if err := r.call(ctx, "POST", "/v1/people", api.PeopleSpec{People: []keys.PersonSpec{p}}, nil); err != nil {
				return err
			}
			name, err := offboardingID(ctx, r, f.realm, args[0])
			if err != nil {
				return err
			}
			var o keys.Offboarding
			if err := r.call(ctx, "GET", pathOf("/v1/offboardings/", name, "", f.realm, nil), nil, &o); err != nil {
				return err
			}
			return m.giveOffboarding(&o, f.asJSON)
		}),
	}
	f.add(cmd.Flags())
	cmd.Flags().StringVar(&since, "since", "", "day or time at which they left (default: now)")
	cmd.Flags().StringArrayVar(&p.Principals, "principal", nil, "a principal of theirs, beside staff:NAME (repeatable)")
	cmd.Flags().StringArrayVar(&p.Keys, "key", nil, "a key that they could read (repeatable)")
	return cmd
}

func (m *Main) completePeople(data *dirFlag) func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return m.complete(data, func(ctx context.Context, r *remote) (out []string, err error) {
		var list peopleAnswer
		err = r.call(ctx, "GET", "/v1/people", nil, &list)
		for i := range list.People {
			out = append(out, list.People[i].Person)
		}
		return out, err
	})
}

func (m *Main) offboardingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "offboarding",
		Short: "Who has left, what they could use, and whether each of it is refused",
		Long: `An offboarding opens when somebody is said to have left. It lists every key they could read, every account and session, and closes only when each
is rotated or revoked and its refusal was seen: by the guard's decision on a request made for that purpose or, where no guard runs, in the
log, on real requests.`,
	}
	cmd.AddCommand(m.offboardingList(), m.offboardingShow(), m.offboardingRevoke(), m.offboardingClose())
	return cmd
}

func (m *Main) offboardingList() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "The offboardings, the open ones first",
		Example: `  whosaw offboarding list --data ./data`,
		Args:    cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			var out struct {
				Offboardings []keys.Offboarding `json:"offboardings"`
			}
			if err := r.call(ctx, "GET", "/v1/offboardings", nil, &out); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, out)
			}
			if len(out.Offboardings) == 0 {
				fmt.Fprintln(m.Stderr, "whosaw: nobody has left, by the records: whosaw people leave NAME")
				return nil
			}
			t := report.NewTable("person", "left (UTC)", "state", "to do", "items", "due (UTC)", "id")
			t.Right(3, 4)
			for i := range out.Offboardings {
				o := &out.Offboardings[i]
				state := o.State
				if o.Overdue {
					state = "overdue"
				}
				t.Row(realmed(o.Realm, o.Person), clock(&o.Left), state, figure.Int(int64(o.Open)), figure.Int(int64(len(o.Items))), clock(&o.Due), o.ID)
			}
			return t.Write(m.Stdout)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) giveOffboarding(o *keys.Offboarding, asJSON bool) error {
	if asJSON {
		return writeJSON(m.Stdout, o)
	}
	state := o.State
	if o.Overdue {
		state = "overdue since " + clock(&o.Due) + " UTC"
	}
	fmt.Fprintf(m.Stdout, "%s left on %s UTC; offboarding %s is %s: %d of %d items to do\n\n", report.Safe(realmed(o.Realm, o.Person)), clock(&o.Left), o.ID, state, o.Open, len(o.Items))
	t := report.NewTable("item", "why", "done", "tried")
	for i := range o.Items {
		x := &o.Items[i]
		done, tried := "no: "+x.How, "-"
		if x.Done {
			done = x.How + " " + clockOr(x.Since)
			if x.By != "" {
				done += " by " + x.By
			}
		}
		if x.Tried != nil {
			tried = x.Tried.Says
		}
		t.Row(x.Item, x.Why, done, tried)
	}
	if err := t.Write(m.Stdout); err != nil {
		return err
	}
	if c := o.Closed; c != nil {
		fmt.Fprintf(m.Stdout, "\nclosed by %s, %s UTC: %s (%s)\n", report.Safe(c.Who), clock(&c.At), report.Safe(c.Reason), report.Safe(c.Tried))
	}
	return nil
}

// offboardingID finds the id of somebody's offboarding: people have no place in a URL.
func offboardingID(ctx context.Context, r *remote, realm, name string) (string, error) {
	var list struct {
		Offboardings []keys.Offboarding `json:"offboardings"`
	}
	if err := r.call(ctx, "GET", "/v1/offboardings", nil, &list); err != nil {
		return "", err
	}
	for i := range list.Offboardings {
		if o := &list.Offboardings[i]; o.Realm == realm && (o.Person == name || o.ID == name) {
			return o.ID, nil
		}
	}
	return "", errors.New("nobody of that name has left, by the records: whosaw people leave NAME says that somebody has")
}

// offboardingWork makes a command about one offboarding.
func (m *Main) offboardingWork(verb, method, short, long, example string, items bool) *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use: verb + " NAME", Short: short, Long: long, Example: example,
		ValidArgsFunction: m.completePeople(&f.data),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 1 && !items {
				return usagef("%s takes the person's name", cmd.CommandPath())
			}
			return nil
		},
		RunE: m.over(&f.data, func(ctx context.Context, r *remote, args []string) error {
			more, in := "", any(nil)
			if method == "POST" {
				more, in = "/"+verb, api.WorkSpec{Reason: f.reason, Items: args[1:]}
			}
			name, err := offboardingID(ctx, r, f.realm, args[0])
			if err != nil {
				return err
			}
			var o keys.Offboarding
			if err := r.call(ctx, method, pathOf("/v1/offboardings/", name, more, f.realm, nil), in, &o); err != nil {
				return err
			}
			return m.giveOffboarding(&o, f.asJSON)
		}),
	}
	if items {
		cmd.Use += " [ITEM…]"
	}
	f.add(cmd.Flags())
	if method == "POST" {
		f.addReason(cmd.Flags())
	}
	return cmd
}

func (m *Main) offboardingShow() *cobra.Command {
	return m.offboardingWork("show", "GET", "One offboarding: every key, account and session, and what became of each", "",
		`  whosaw offboarding show kim --data ./data`, false)
}

func (m *Main) offboardingRevoke() *cobra.Command {
	return m.offboardingWork("revoke", "POST", "End accounts and sessions of a leaver",
		`Has the guard refuse accounts and sessions of somebody who has left, for a year; where no guard runs, records that they were ended elsewhere. Without
an item all that are not done are ended. Keys are replaced with whosaw keys rotate, or killed.`,
		`  whosaw offboarding revoke kim --reason 'last day' --data ./data
  whosaw offboarding revoke kim credential:7f3a --reason 'her laptop' --data ./data`, true)
}

func (m *Main) offboardingClose() *cobra.Command {
	return m.offboardingWork("close", "POST", "Try each item, and close the offboarding if each is done and refused", "",
		`  whosaw offboarding close kim --reason 'all tried' --data ./data`, false)
}
