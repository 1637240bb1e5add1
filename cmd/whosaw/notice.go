package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) noticeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notice",
		Short: "Tell each person whose data leaked: their own fields, what to do, a code that proves it",
		Long: `A notice is made from one scope version of an incident, read, approved by somebody who did not make it, and sent in waves by the server (whosaw.yaml,
notice). Everybody has an outcome; what a crash leaves in doubt is counted, and a person says whether it is sent again.`,
		Example: `  whosaw notice make 1 --data ./data                         who gets it: the people of incident 1's last scope version
  whosaw notice preview 1 --lang ko --data ./data            the words, and their hash
  whosaw notice sample 1 --to test@shop.example --data ./data
  whosaw notice approve 1 --hash 5f2c… --server https://whosaw.shop.example --token-file mine     by a second person
  whosaw notice send 1 --size 1000 --rate 20 --data ./data   the first wave
  whosaw notice watch 1 --data ./data`,
	}
	cmd.AddCommand(m.noticeMake(), m.noticeList(), m.noticeShow(), m.noticeWatch(), m.noticePreview(), m.noticeDry(), m.noticeApprove(), m.noticeSend(), m.noticePerson(), m.noticeExport(), m.noticeBounced())
	for _, v := range noticeVerbs {
		cmd.AddCommand(m.noticeVerb(v))
	}
	return cmd
}

const noticeNumber = "the number of the notice"

func noticePath(number, rest string) string { return "/v1/notices/" + url.PathEscape(number) + rest }

func (m *Main) noticeMake() *cobra.Command {
	var data dirFlag
	var in api.NoticeSpec
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "make INCIDENT",
		Short: "Fix who gets a notice, from a scope version; nothing is sent",
		Example: `  whosaw notice make 1 --data ./data
  whosaw notice make 1 --books --data ./data      people in the address books that were shown, too
  whosaw notice make 1 --since 1 --data ./data    who came, or whose fields changed, after version 1`,
		Args: needOne("the number of the incident"),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			var n notice.Notice
			if err := r.call(ctx, "POST", "/v1/incidents/"+url.PathEscape(args[0])+"/notices", in, &n); err != nil {
				return err
			}
			return m.writeNotice(&n, asJSON)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().IntVar(&in.Version, "scope-version", 0, "which one (default: the last)")
	cmd.Flags().IntVar(&in.Since, "since", 0, "leave out whoever was in this earlier scope version with the same fields, and with --books whoever a notice of it told of the same")
	cmd.Flags().BoolVar(&in.Books, "books", false, "tell people in the address books that were shown too: the shop says who they are")
	cmd.Flags().BoolVar(&in.Masked, "masked", false, "tell people too of whom masked values only were shown (default: they are counted, and not notified)")
	cmd.Flags().StringArrayVar(&in.Routes, "route", nil, "with --books: a route that shows address books (repeatable; default: by the catalog)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) noticeList() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Example: `  whosaw notice list --data ./data`,
		Short:   "The notices, the newest first",
		Args:    cobra.NoArgs,
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, _ []string) error {
			var answer struct {
				Notices []*notice.Notice `json:"notices"`
			}
			if err := r.call(ctx, "GET", "/v1/notices", nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			if len(answer.Notices) == 0 {
				fmt.Fprintln(m.Stderr, "whosaw: no notice; make one with whosaw notice make")
				return nil
			}
			t := report.NewTable("notice", "incident", "scope version", "people", "sent", "state")
			t.Right(0, 1, 2, 3, 4)
			for _, n := range answer.Notices {
				t.Row(fmt.Sprint(n.Number), fmt.Sprint(n.Incident), fmt.Sprint(n.Version), figure.Int(n.People), figure.Int(n.Outcomes["sent"]), string(n.State))
			}
			return t.Write(m.Stdout)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) noticeShow() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show NUMBER",
		Example: `  whosaw notice show 1 --data ./data`,
		Short:   "One notice: how far it is, and how many people have which outcome",
		Args:    needOne(noticeNumber),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			n, err := readNotice(ctx, r, args[0])
			if err != nil {
				return err
			}
			return m.writeNotice(n, asJSON)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func readNotice(ctx context.Context, r *remote, number string) (*notice.Notice, error) {
	n := new(notice.Notice)
	return n, r.call(ctx, "GET", noticePath(number, ""), nil, n)
}

// noticeOutcomes are the outcomes in the order in which people read them.
var noticeOutcomes = []struct{ name, says string }{
	{"waiting", "wait"}, {"in_flight", "are on the way"}, {"deferred", "are tried again: the relay said later"}, {"sent", "were sent: the relay took them"},
	{"in_doubt", "are in doubt: they may have gone out (whosaw notice again, or leave)"}, {"left_in_doubt", "are in doubt, and are left so"},
	{"no_contact", "have no address that the shop knows"}, {"bad_contact", "have an address that is none"}, {"refused", "were refused by the relay"},
	{"gave_up", "were given up: the relay said later too often"}, {"bounced", "came back"},
}

func (m *Main) writeNotice(n *notice.Notice, asJSON bool) error {
	if asJSON {
		return writeJSON(m.Stdout, n)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Notice %d, of incident %d, scope version %d: %s\n", n.Number, n.Incident, n.Version, n.State)
	if n.Why != "" {
		fmt.Fprintf(&b, "  %s\n", report.Safe(n.Why))
	}
	approved := "nobody approved it"
	if n.Approved != "" {
		approved = "approved by " + n.Approved
	}
	fmt.Fprintf(&b, "  made by %s, %s; the words: %s\n", report.Safe(n.MadeBy), report.Safe(approved), n.Hash)
	fmt.Fprintf(&b, "  %s, %s of them from address books\n", figure.Of(n.People, "person", "people"), figure.Int(n.Books))
	if n.MaskedOnly > 0 && !n.MaskedTold {
		fmt.Fprintf(&b, "  %s shown masked values only: not notified, because nothing of theirs was shown in clear (whosaw notice make --masked tells them too)\n", figure.Of(n.MaskedOnly, "person was", "people were"))
	} else if n.MaskedOnly > 0 {
		fmt.Fprintf(&b, "  %s of them were shown masked values only, and are told that\n", figure.Int(n.MaskedOnly))
	}
	for _, o := range noticeOutcomes {
		if k := n.Outcomes[o.name]; k > 0 {
			fmt.Fprintf(&b, "  %12s %s\n", figure.Int(k), o.says)
		}
	}
	if n.Trouble != "" {
		fmt.Fprintf(&b, "  held up: %s\n", report.Safe(n.Trouble))
	}
	for _, f := range n.Faults {
		fmt.Fprintf(&b, "  FAULT %s: %s\n", report.Safe(f.Content), report.Safe(f.Says))
	}
	_, err := io.WriteString(m.Stdout, b.String())
	return err
}

func (m *Main) noticeWatch() *cobra.Command {
	var data dirFlag
	cmd := &cobra.Command{
		Use:     "watch NUMBER",
		Example: `  whosaw notice watch 1 --data ./data`,
		Short:   "Watch a notice being sent, until the wave is over",
		Args:    needOne(noticeNumber),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			return m.watchNotice(ctx, r, args[0])
		}),
	}
	data.add(cmd.Flags())
	return cmd
}

// watchNotice draws a bar on a terminal until nothing is being sent, then writes where the notice stands.
func (m *Main) watchNotice(ctx context.Context, r *remote, number string) error {
	p := m.newProgress(false)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := readNotice(ctx, r, number)
		if err != nil {
			return err
		}
		if n.State != notice.Sending {
			p.clear()
			return m.writeNotice(n, false)
		}
		p.note(noticeBar(n))
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.clear()
			return ctx.Err()
		}
	}
}

// noticeBar is one line: how many of the people that the waves may reach have an outcome, how fast it goes, and what is not well.
func noticeBar(n *notice.Notice) string {
	const width = 24
	open := n.Outcomes["waiting"] + n.Outcomes["in_flight"] + n.Outcomes["deferred"]
	done, goal := n.People-open, max(n.Quota, 1)
	full := int(min(width, width*done/goal))
	text := fmt.Sprintf("[%s%s] %s of %s, %s/s", strings.Repeat("#", full), strings.Repeat(".", width-full), figure.Int(done), figure.Int(n.Quota), figure.Int(int64(n.PerSecond)))
	if n.PerSecond > 0 && done < goal {
		text += fmt.Sprintf(", about %s left", time.Duration(float64(goal-done)/n.PerSecond*float64(time.Second)).Round(time.Second))
	}
	for _, o := range []string{"in_doubt", "deferred", "refused", "no_contact", "bad_contact"} {
		if k := n.Outcomes[o]; k > 0 {
			text += fmt.Sprintf(", %s %s", figure.Int(k), strings.ReplaceAll(o, "_", " "))
		}
	}
	if n.Trouble != "" {
		text += "; " + report.Safe(n.Trouble)
	}
	return text
}

func (m *Main) noticePreview() *cobra.Command {
	var data dirFlag
	var in api.PreviewSpec
	var html bool
	cmd := &cobra.Command{
		Use:   "preview NUMBER",
		Short: "The words of a notice, as somebody with some fields would get them",
		Example: `  whosaw notice preview 1 --lang ko --field name --field door_code --data ./data
  whosaw notice preview 1 --html --data ./data > notice.html`,
		Args: needOne(noticeNumber),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			var msg notice.Message
			if err := r.call(ctx, "POST", noticePath(args[0], "/preview"), in, &msg); err != nil {
				return err
			}
			n, err := readNotice(ctx, r, args[0])
			if err != nil {
				return err
			}
			text := msg.Subject + "\n\n" + msg.Text
			if html {
				text = msg.HTML
			}
			if _, err := io.WriteString(m.Stdout, text); err != nil {
				return fmt.Errorf("write the notice: %w", err)
			}
			fmt.Fprintf(m.Stderr, "whosaw: all languages and fields of these words have the hash %s\n", n.Hash)
			for _, f := range n.Faults {
				fmt.Fprintf(m.Stderr, "whosaw: fault: %s: %s\n", report.Safe(f.Content), report.Safe(f.Says))
			}
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&in.Lang, "lang", "", "en, ko, ar, bn … (default: the first of notice.languages)")
	cmd.Flags().StringArrayVar(&in.Fields, "field", nil, "a field that was shown (repeatable; default: all that were shown of anybody)")
	cmd.Flags().BoolVar(&in.Other, "other", false, "as somebody in an address book gets it")
	cmd.Flags().BoolVar(&in.Masked, "masked", false, "as somebody gets it of whom masked values only were shown")
	cmd.Flags().BoolVar(&html, "html", false, "the page instead of the text")
	return cmd
}

func (m *Main) noticeDry() *cobra.Command {
	var data dirFlag
	var people int
	cmd := &cobra.Command{
		Use:     "dry NUMBER",
		Example: `  whosaw notice dry 1 --people 10000 --data ./data`,
		Short:   "Ask the shop for some people, make their mails, send nothing",
		Args:    needOne(noticeNumber),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			var d notice.DryRun
			if err := r.call(ctx, "POST", noticePath(args[0], "/dry"), map[string]int{"people": people}, &d); err != nil {
				return err
			}
			if d.Says != "" {
				fmt.Fprintf(m.Stderr, "whosaw: %s\n", report.Safe(d.Says))
			}
			return writeJSON(m.Stdout, d)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().IntVar(&people, "people", 1000, "at most so many, spread over all")
	return cmd
}

func (m *Main) noticeApprove() *cobra.Command {
	var data dirFlag
	var hash, server, tokenFile string
	cmd := &cobra.Command{
		Use: "approve NUMBER",
		Example: `  whosaw notice approve 1 --hash 5f2c… --data ./data
  whosaw notice approve 1 --hash 5f2c… --server https://whosaw.shop.example --token-file mine`,
		Short: "Approve a notice in the words that were read; who made it cannot",
		Long: `The second person comes with an account of the machine, or with a token of their own over --server: whoever made the notice is refused. The hash is that of
the words that were read (whosaw notice preview); if anything was changed since, it is another.`,
		Args: needOne(noticeNumber),
		RunE: run(func(cmd *cobra.Command, args []string) (err error) {
			in := map[string]string{"hash": hash}
			var n notice.Notice
			if server != "" {
				secret, err := token(tokenFile, "WHOSAW_TOKEN")
				if err != nil {
					return err
				}
				if secret == "" {
					return usagef("--server needs a token: give it in WHOSAW_TOKEN or --token-file, never on the command line, where others can read it")
				}
				if err := callServer(cmd.Context(), server, secret, noticePath(args[0], "/approve"), in, &n); err != nil {
					return err
				}
				return m.writeNotice(&n, false)
			}
			r, err := m.running(cmd.Context(), data.dir)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.close()) }()
			if err := r.call(cmd.Context(), "POST", noticePath(args[0], "/approve"), in, &n); err != nil {
				return err
			}
			return m.writeNotice(&n, false)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&hash, "hash", "", "of the words that were read")
	cmd.Flags().StringVar(&server, "server", "", "the server's address, to approve with a token instead of as the owner of --data")
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "with --server: file with the token (or WHOSAW_TOKEN)")
	return cmd
}

// callServer sends a JSON document to a server over its address, with a token, and reads one.
func callServer(ctx context.Context, base, secret, path string, in, into any) error {
	data, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(base, "/")+path, bytes.NewReader(data))
	if err != nil {
		return usagef("--server: give an address as https://whosaw.shop.example")
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	// A token must not follow to wherever an answer points.
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		var answer struct {
			Error *api.Error `json:"error"`
		}
		if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer); err != nil || answer.Error == nil {
			return fmt.Errorf("ask the server: it answered %s", res.Status)
		}
		return answer.Error
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

func (m *Main) noticeSend() *cobra.Command {
	var data dirFlag
	var in api.WaveSpec
	var watch bool
	cmd := &cobra.Command{
		Use:   "send NUMBER",
		Short: "Begin a wave, or add one to the wave that runs",
		Example: `  whosaw notice send 1 --size 1000 --rate 20 --data ./data    a thousand people, twenty a second
  whosaw notice send 1 --watch --data ./data                  everybody who is left, as fast as it goes`,
		Args: needOne(noticeNumber),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			var n notice.Notice
			if err := r.call(ctx, "POST", noticePath(args[0], "/send"), in, &n); err != nil {
				return err
			}
			if watch {
				return m.watchNotice(ctx, r, args[0])
			}
			return m.writeNotice(&n, false)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().Int64Var(&in.Size, "size", 0, "how many people more (default: all who are left)")
	cmd.Flags().Float64Var(&in.Rate, "rate", 0, "how many a second (default: as fast as it goes)")
	cmd.Flags().BoolVar(&watch, "watch", false, "watch until the wave is over; the server sends on if you leave")
	return cmd
}

// noticeVerbs are the commands that do one thing with a notice.
var noticeVerbs = []noticeVerb{
	{do: "pause", example: `  whosaw notice pause 1 --note "the help desk asks for an hour" --data ./data`,
		short: "Take up nobody more, until resume; what is on the way ends", note: true},
	{do: "resume", example: `  whosaw notice resume 1 --data ./data`,
		short: "Go on with a wave that was paused"},
	{do: "stop", example: `  whosaw notice stop 1 --note "a figure was wrong: notice 2 replaces it" --data ./data`,
		short: "End a notice for good", note: true},
	{do: "again", short: "Try people with an outcome again, with the same Message-ID", note: true, outcome: true,
		example: `  whosaw notice again 1 --outcome in_doubt --note "the relay's log does not have them" --data ./data`},
	{do: "leave", example: `  whosaw notice leave 1 --note "the relay took them" --data ./data`,
		short: "Leave those in doubt as they are: they are not sent again", note: true},
	{do: "sample", example: `  whosaw notice sample 1 --to test@shop.example --lang ko --data ./data`,
		short: "Send the notice to a test address, marked as a sample", to: true},
}

type noticeVerb struct {
	do, short, example string
	note, outcome, to  bool
}

func (m *Main) noticeVerb(v noticeVerb) *cobra.Command {
	var data dirFlag
	in := api.NoticeAct{Do: v.do}
	cmd := &cobra.Command{
		Use: v.do + " NUMBER", Short: v.short, Example: v.example,
		Args: needOne(noticeNumber),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			var n notice.Notice
			if err := r.call(ctx, "POST", noticePath(args[0], "/acts"), in, &n); err != nil {
				return err
			}
			return m.writeNotice(&n, false)
		}),
	}
	flags := cmd.Flags()
	data.add(flags)
	if v.note {
		flags.StringVar(&in.Note, "note", "", "why: who reads it later was not there")
	}
	if v.outcome {
		flags.StringVar(&in.Outcome, "outcome", "in_doubt", "whose: in_doubt, no_contact, bad_contact, refused, gave_up, bounced, left_in_doubt")
	}
	if v.to {
		flags.StringVar(&in.To, "to", "", "the test address; it is recorded nowhere")
		flags.StringVar(&in.Lang, "lang", "", "in which language")
	}
	return cmd
}

func (m *Main) noticePerson() *cobra.Command {
	var data dirFlag
	var in notice.Person
	cmd := &cobra.Command{
		Use:     "person NUMBER ID",
		Example: `  whosaw notice person 1 4711 --data ./data`,
		Short:   "What became of one person's notice",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("%s takes the number of the notice and the person's id", cmd.CommandPath())
			}
			return nil
		},
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			in.ID = args[1]
			var p json.RawMessage
			if err := r.call(ctx, "POST", noticePath(args[0], "/person"), in, &p); err != nil {
				return err
			}
			return writeJSON(m.Stdout, p)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&in.Realm, "realm", "", "the realm of the id")
	cmd.Flags().BoolVar(&in.Other, "other", false, "the id is of an entry in address books, not of a customer")
	return cmd
}

func (m *Main) noticeExport() *cobra.Command {
	var data dirFlag
	var in api.ExportSpec
	cmd := &cobra.Command{
		Use:   "export NUMBER",
		Short: "The notices of people whom mail does not reach, as CSV for post or text messages",
		Long: `Writes ids, texts and codes, no contact data: whoever sends them looks the addresses up by the id. Each person written is noted as handed over.
Cells are safe in a spreadsheet: what looks like a formula has an apostrophe before it.`,
		Example: `  whosaw notice export 1 --data ./data > post.csv
  whosaw notice export 1 --outcome no_contact --lang ko --data ./data > post.csv`,
		Args: needOne(noticeNumber),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			body, err := json.Marshal(in)
			if err != nil {
				return fmt.Errorf("ask the server: %w", err)
			}
			res, err := r.do(ctx, "POST", noticePath(args[0], "/export"), bytes.NewReader(body))
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if _, err := io.Copy(m.Stdout, res.Body); err != nil {
				return fmt.Errorf("the export broke off, so it is not whole: %w", err)
			}
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringArrayVar(&in.Outcomes, "outcome", nil, "whose (repeatable; default: no_contact, bad_contact, refused, gave_up, bounced)")
	cmd.Flags().StringVar(&in.Lang, "lang", "", "for whom no language is known")
	return cmd
}

// maxBounces bounds what is read of bounces at once.
const maxBounces = 48 << 20

func (m *Main) noticeBounced() *cobra.Command {
	var data dirFlag
	cmd := &cobra.Command{
		Use:     "bounced NUMBER < MAILS",
		Short:   "Note the mails that came back for good: bounces, or a list of Message-IDs, on standard input",
		Example: `  cat /var/mail/notice-bounces | whosaw notice bounced 1 --data ./data`,
		Args:    needOne(noticeNumber),
		RunE: m.overServer(&data, func(ctx context.Context, _ *cobra.Command, r *remote, args []string) error {
			text, err := io.ReadAll(io.LimitReader(m.Stdin, maxBounces+1))
			if err != nil {
				return fmt.Errorf("read standard input: %w", err)
			}
			if len(text) > maxBounces {
				return usagef("more than 48 MiB at once: send them in parts, or a list of Message-IDs, one a line")
			}
			// Only the ids go to the server: bounces are full of addresses.
			ids, other := notice.Bounces(string(text))
			var n notice.Notice
			if err := r.call(ctx, "POST", noticePath(args[0], "/acts"), api.NoticeAct{Do: "bounced", MessageIDs: ids}, &n); err != nil {
				return err
			}
			if other > 0 {
				fmt.Fprintf(m.Stderr, "whosaw: left out: %d mails that are no report of a failed delivery (delays, automatic answers, replies)\n", other)
			}
			return m.writeNotice(&n, false)
		}),
	}
	data.add(cmd.Flags())
	return cmd
}
