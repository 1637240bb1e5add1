package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) incidentState() *cobra.Command {
	var data dirFlag
	s := incident.Statement{}
	cmd := &cobra.Command{
		Use:   "state NUMBER CONTENT TEXT",
		Short: "Say a sentence of a report: what leaked, when and how, what people can do …",
		Long: `CONTENT is one of the contents that laws ask for: what_leaked, when_and_how, people, measures, advice, remedy, contact, rights, consequences, cause, dates,
police, credit_help, sample, impact, prevention. The last one said in a language stands. Write numbers as {subjects}, {others}, {disclosures}, {field:phone},
{masked:door_code}: they come from the scope version. TEXT may be @FILE.`,
		Example: `  whosaw incident state 1 what_leaked "Names of {subjects} customers, and the door codes of {field:door_code} of them, were leaked." --data ./data
  whosaw incident state 1 when_and_how @how.ko.txt --lang ko --verified "finding 7b1f…, scope version 2" --data ./data`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 3 {
				return usagef("%s takes the number of the incident, the content and the text", cmd.CommandPath())
			}
			return nil
		},
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			s.Content, s.Text = args[1], args[2]
			if file, ok := strings.CutPrefix(s.Text, "@"); ok {
				text, err := os.ReadFile(file)
				if err != nil {
					return fmt.Errorf("read the text: %w", err)
				}
				s.Text = strings.TrimSpace(string(text))
			}
			s.Verified = s.Source != ""
			var in api.IncidentAnswer
			spec := api.EventSpec{Kind: incident.Stated, Body: incident.Body{Statement: &s}}
			if err := r.call(ctx, "POST", "/v1/incidents/"+url.PathEscape(args[0])+"/events", spec, &in); err != nil {
				return err
			}
			fmt.Fprintf(m.Stderr, "whosaw: incident %d, event %d: stated\n", in.Number, len(in.Timeline))
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&s.Lang, "lang", "en", "en, ko, ar or bn")
	cmd.Flags().StringVar(&s.Source, "verified", "", "by what it was verified (default: it was not)")
	return cmd
}

// readDocument asks for the document that a command names.
func readDocument(ctx context.Context, r *remote, args []string, lang string, version int) (*incident.Document, error) {
	law, duty, ok := strings.Cut(args[1], "/")
	if !ok {
		return nil, usagef("give LAW/DUTY, as whosaw clock names them")
	}
	q := url.Values{"law": {law}, "duty": {duty}, "lang": {lang}}
	if version > 0 {
		q.Set("version", strconv.Itoa(version))
	}
	var doc incident.Document
	err := r.call(ctx, "GET", "/v1/incidents/"+url.PathEscape(args[0])+"/document?"+q.Encode(), nil, &doc)
	return &doc, err
}

func needDuty(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usagef("%s takes the number of the incident and LAW/DUTY: whosaw clock names them", cmd.CommandPath())
	}
	return nil
}

func (m *Main) incidentReport() *cobra.Command {
	var data dirFlag
	var lang, html string
	var version int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "report NUMBER LAW/DUTY",
		Short: "What a duty asks to be said, as far as it was, with every number from one scope version",
		Example: `  whosaw incident report 1 kr-pipa-34/authority --lang ko --html report.html --data ./data
  whosaw incident report 1 eu-gdpr-33-34/authority --json --data ./data`,
		Args: needDuty,
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			doc, err := readDocument(ctx, r, args, lang, version)
			if err != nil {
				return err
			}
			if html != "" {
				f, err := os.OpenFile(html, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
				if err != nil {
					return fmt.Errorf("write the page: %w", err)
				}
				if err := errors.Join(doc.WritePage(f), f.Close()); err != nil {
					return err
				}
				fmt.Fprintf(m.Stderr, "whosaw: %s is written; %s\n", html, faultCount(doc))
				return nil
			}
			if asJSON {
				return writeJSON(m.Stdout, doc)
			}
			return m.writeDocument(doc)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&lang, "lang", "en", "en, ko, ar or bn")
	cmd.Flags().StringVar(&html, "html", "", "write a page that prints well to this file")
	cmd.Flags().IntVar(&version, "scope-version", 0, "which one the numbers come from (default: the last)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func faultCount(doc *incident.Document) string {
	if len(doc.Faults) == 0 {
		return "it may be signed"
	}
	return figure.Of(int64(len(doc.Faults)), "thing keeps", "things keep") + " it from being signed"
}

func (m *Main) writeDocument(doc *incident.Document) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nto %s; scope version %d\n", report.Safe(doc.Name), report.Safe(doc.Whom), doc.Scope)
	for _, p := range doc.Parts {
		text := p.Text
		if text == "" {
			text = "–"
		}
		mark := "not verified"
		if p.Verified {
			mark = "verified: " + p.Source
		}
		fmt.Fprintf(&b, "\n%s  (%s)\n  %s\n", report.Safe(p.Heading), report.Safe(mark), report.Safe(text))
	}
	b.WriteString("\n")
	for _, f := range doc.Figures {
		fmt.Fprintf(&b, "%1s %15s  %s\n", f.Sign, figure.Int(f.Value), report.Safe(f.Says))
	}
	for _, g := range doc.Gaps {
		fmt.Fprintf(&b, "gap: %s\n", report.Safe(g))
	}
	fmt.Fprintf(&b, "\n%s.\n", faultCount(doc))
	for _, f := range doc.Faults {
		fmt.Fprintf(&b, "  %s: %s\n", f.Content, report.Safe(f.Says))
	}
	fmt.Fprintf(&b, "SHA-256 %s\n%s\n", doc.Hash, doc.Counsel)
	if _, err := io.WriteString(m.Stdout, b.String()); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

func (m *Main) incidentSign() *cobra.Command {
	var data dirFlag
	in := api.Signature{}
	cmd := &cobra.Command{
		Use:     "sign NUMBER LAW/DUTY",
		Short:   "Sign a report off: the one with this hash, and no other",
		Example: `  whosaw incident sign 1 kr-pipa-34/authority --lang ko --hash 3f9a… --data ./data`,
		Args:    needDuty,
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			var ok bool
			if in.Law, in.Duty, ok = strings.Cut(args[1], "/"); !ok {
				return usagef("give LAW/DUTY, as whosaw clock names them")
			}
			var out api.IncidentAnswer
			if err := r.call(ctx, "POST", "/v1/incidents/"+url.PathEscape(args[0])+"/sign", in, &out); err != nil {
				return err
			}
			last := out.Signed[len(out.Signed)-1]
			fmt.Fprintf(m.Stderr, "whosaw: %s is signed by %s\n", last.Document, report.Safe(last.Who))
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&in.Lang, "lang", "en", "en, ko, ar or bn")
	cmd.Flags().StringVar(&in.Hash, "hash", "", "SHA-256 of the report that you read, as it prints it")
	cmd.Flags().IntVar(&in.Version, "scope-version", 0, "which one its numbers come from (default: the last)")
	return cmd
}
