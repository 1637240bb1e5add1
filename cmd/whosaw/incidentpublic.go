package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/incident"
)

// publicVerbs are the commands about the public pages that record one event each.
var publicVerbs = []incidentVerb{
	{use: "offer NUMBER TITLE", short: "Let people look up whether they are in the scope; TITLE is how the public knows the incident", kind: incident.Offered, arg: "TITLE", set: setTitle, version: true,
		example: `  whosaw incident offer 1 "Customer data, November 2026" --data ./data      the last scope version, also when there is a newer one
  whosaw incident offer 1 "Customer data, November 2026" --scope-version 2 --data ./data`},
	{use: "end-lookup NUMBER", example: `  whosaw incident end-lookup 1 --note "ten months without a question" --data ./data`,
		short: "People cannot look themselves up any more", kind: incident.Ended},
}

func (m *Main) incidentPost() *cobra.Command {
	var data dirFlag
	in := api.PostingAsk{}
	var langs string
	cmd := &cobra.Command{
		Use:   "post NUMBER LAW/DUTY",
		Short: "Put a notice to everybody onto the public pages",
		Long: `Posts what the duty asks to be said, in the languages that are named; who reads none of them sees the first. Each text is the document that whosaw incident report
shows, and must have been signed off as it is (whosaw incident sign). The notice stands for as many days as the law asks, else 30. Times in which it could not be
read are recorded and added; taking it down before its end needs a reason.`,
		Example: `  whosaw incident post 1 kr-pipa-34/posted --lang ko,en,ar,bn --title "Customer data, November 2026" --data ./data`,
		Args:    needDuty,
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			var ok bool
			if in.Law, in.Duty, ok = strings.Cut(args[1], "/"); !ok {
				return usagef("give LAW/DUTY, as whosaw clock names them")
			}
			in.Langs = strings.FieldsFunc(langs, func(r rune) bool { return r == ',' || r == ' ' })
			var made api.IncidentAnswer
			if err := r.call(ctx, "POST", "/v1/incidents/"+url.PathEscape(args[0])+"/post", in, &made); err != nil {
				return err
			}
			p := made.Postings[len(made.Postings)-1]
			fmt.Fprintf(m.Stderr, "whosaw: posted as event %d of incident %d, until %s UTC\n", p.Event, made.Number, stampOf(p.Until))
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&langs, "lang", "en", "languages, as in ko,en,ar,bn")
	cmd.Flags().StringVar(&in.Title, "title", "", "how the public knows the incident")
	cmd.Flags().IntVar(&in.Version, "scope-version", 0, "whose figures (default: the last)")
	cmd.Flags().IntVar(&in.Days, "days", 0, "how long it has to stand (default: as the law asks, else 30)")
	return cmd
}

func (m *Main) incidentRemove() *cobra.Command {
	var data dirFlag
	var in api.RemovalAsk
	cmd := &cobra.Command{
		Use:     "remove NUMBER EVENT",
		Short:   "Take a posted notice down; before its days are over that needs a reason, which is recorded",
		Example: `  whosaw incident remove 1 41 --note "a figure was wrong; event 44 replaces it" --data ./data`,
		Args: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 2 {
				if in.Event, err = strconv.ParseInt(args[1], 10, 64); err == nil {
					return nil
				}
			}
			return usagef("%s takes the number of the incident and the event that posted the notice: whosaw incident show", cmd.CommandPath())
		},
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			var made api.IncidentAnswer
			if err := r.call(ctx, "POST", "/v1/incidents/"+url.PathEscape(args[0])+"/remove", in, &made); err != nil {
				return err
			}
			for _, p := range made.Postings {
				if p.Event == in.Event && p.Early {
					fmt.Fprintf(m.Stderr, "whosaw: taken down after %s, before its %d days; that is on record\n", span(p.Stood(m.Now())), p.Days)
				}
			}
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&in.Note, "note", "", "why")
	return cmd
}

// writePublic says what of an incident is on the public pages.
func (m *Main) writePublic(b *strings.Builder, in *api.IncidentAnswer) {
	for i := range in.Postings {
		p := &in.Postings[i]
		var langs []string
		for _, t := range p.Texts {
			langs = append(langs, t.Lang)
		}
		state := fmt.Sprintf("until %s UTC", stampOf(p.Until))
		switch {
		case p.Removed != nil && p.Early:
			state = fmt.Sprintf("TAKEN DOWN EARLY %s UTC: %s", stampOf(*p.Removed), p.Why)
		case p.Removed != nil:
			state = fmt.Sprintf("taken down %s UTC, its days over", stampOf(*p.Removed))
		case !m.Now().Before(p.Until):
			state = "its days are over"
		}
		fmt.Fprintf(b, "Posted notice %d (%s), scope version %d: first %s UTC, has stood %s of %d days, %s; %s\n", p.Event, strings.Join(langs, ", "), p.Version, stampOf(p.First),
			span(p.Stood(m.Now())), p.Days, figure.Of(int64(len(p.Gaps)), "gap", "gaps"), state)
		for _, g := range p.Gaps {
			fmt.Fprintf(b, "  could not be read %s to %s UTC, %s\n", stampOf(g.From), stampOf(g.Until), span(g.Until.Sub(g.From)))
		}
	}
	if l := in.Lookup; l != nil {
		which := "the last scope version"
		if l.Version > 0 {
			which = fmt.Sprintf("scope version %d", l.Version)
		}
		fmt.Fprintf(b, "People can look themselves up in %s since %s UTC\n", which, stampOf(l.Since))
	}
}
