package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "The register of signing keys: who could read them, what the policy asks, rotate, retire, kill",
		Long: `Keeps the register of signing keys from issue to disposal. Who read a key comes from the audit logs of Vault, OpenBao and AWS, where
keys in whosaw.yaml says where each lies (docs/keys.md); who could read it is what somebody typed. The two are told apart.

A kill shows first whom it logs out, and offers the narrower cut: to refuse only the credentials that were never issued.`,
	}
	cmd.AddCommand(m.keysList(), m.keysShow(), m.keysAdd(), m.keysImport(), m.keysPolicy(), m.keysRotate(),
		m.keysChange("retire", "Take a key out of use: it signs nothing any more, and what it signed lives on to its end", "whosaw keys retire old-2024 --reason 'the app moved to new-2026'"),
		m.keysChange("dispose", "Record that the material of a retired or killed key is destroyed", "whosaw keys dispose old-2024 --reason 'deleted in Vault, backups shredded'"),
		m.keysKill(),
		m.keysChange("revive", "Take a kill or a retirement back", "whosaw keys revive login-2026 --reason 'the wrong key was killed'"))
	return cmd
}

// keyFlags are what the commands about one key have in common.
type keyFlags struct {
	data         dirFlag
	realm        string
	reason, keep string
	asJSON       bool
}

func (f *keyFlags) add(flags *pflag.FlagSet) {
	f.data.add(flags)
	flags.StringVar(&f.realm, "realm", "", "the key's realm (default: the one without a name)")
	flags.BoolVar(&f.asJSON, "json", false, "the answer as one JSON document")
}

func (f *keyFlags) addReason(flags *pflag.FlagSet) {
	flags.StringVar(&f.reason, "reason", "", "why; it is on record")
}

// path is the API's path of something about a key, with its query.
func (f *keyFlags) path(key, more string, query url.Values) string {
	return pathOf("/v1/keys/", key, more, f.realm, query)
}

func pathOf(prefix, name, more, realm string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	if realm != "" {
		query.Set("realm", realm)
	}
	path := prefix + url.PathEscape(name) + more
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// completeKeys offers the ids of the keys that the register knows.
func (m *Main) completeKeys(data *dirFlag) func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return m.complete(data, func(ctx context.Context, r *remote) (out []string, err error) {
		var list api.KeyList
		err = r.call(ctx, "GET", "/v1/keys", nil, &list)
		for i := range list.Keys {
			out = append(out, list.Keys[i].Key)
		}
		return out, err
	})
}

// completeTime is how long somebody who pressed a key waits.
const completeTime = 3 * time.Second

// complete offers names that the server of the directory knows, or what answers in its place, for the first argument.
func (m *Main) complete(data *dirFlag, list func(context.Context, *remote) ([]string, error)) func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 || data.dir == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
		defer cancel()
		r, err := m.reach(ctx, data.dir)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, err := list(ctx, r)
		if r.close() != nil || err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []cobra.Completion
		for _, name := range names {
			if strings.HasPrefix(name, begin) {
				out = append(out, name)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func (m *Main) keysList() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "The keys, how each stands, and who could read it",
		Example: `  whosaw keys list --data ./data
  whosaw keys list --json --data ./data`,
		Args: cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			var list api.KeyList
			if err := r.call(ctx, "GET", "/v1/keys", nil, &list); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, list)
			}
			if len(list.Keys) == 0 {
				fmt.Fprintf(m.Stderr, "whosaw: no record names a key: register one with whosaw keys add KID --data %s, or let audit logs tell (docs/keys.md)\n", quote(data.dir))
				return nil
			}
			t := report.NewTable("key", "state", "since (UTC)", "owner", "could read it", "read it", "in breach")
			for i := range list.Keys {
				k := &list.Keys[i]
				typed, happened := readers(k)
				t.Row(realmed(k.Realm, k.Key), k.State, clock(&k.Since), orNone(k.Owner), typed, happened, breaches(k))
			}
			return t.Write(m.Stdout)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func realmed(realm, name string) string {
	if realm == "" {
		return name
	}
	return name + " (" + realm + ")"
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// readers names who somebody typed could read a key, and who read it.
func readers(k *keys.Key) (typed, happened string) {
	var a, b []string
	for i := range k.Readers {
		x := &k.Readers[i]
		name := x.Who
		if x.Left != 0 {
			name += " (left)"
		}
		if x.Typed != 0 {
			a = append(a, name)
		}
		if x.Read != 0 {
			b = append(b, name)
		}
	}
	return orNone(strings.Join(a, ", ")), orNone(strings.Join(b, ", "))
}

func breaches(k *keys.Key) string {
	kinds := map[string]bool{}
	for _, b := range k.Breaches {
		kinds[strings.ReplaceAll(string(b.Kind), "_", " ")] = true
	}
	return orNone(strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
}

func (m *Main) keysShow() *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use:               "show KID",
		Short:             "One key with its history from issue to disposal",
		Example:           `  whosaw keys show backup-2024 --data ./data`,
		Args:              needOne("the key's id (kid)"),
		ValidArgsFunction: m.completeKeys(&f.data),
		RunE: m.over(&f.data, func(ctx context.Context, r *remote, args []string) error {
			var k keys.Key
			if err := r.call(ctx, "GET", f.path(args[0], "", nil), nil, &k); err != nil {
				return err
			}
			return m.giveKey(&k, f.asJSON)
		}),
	}
	f.add(cmd.Flags())
	return cmd
}

// giveKey prints a key.
func (m *Main) giveKey(k *keys.Key, asJSON bool) error {
	if asJSON {
		return writeJSON(m.Stdout, k)
	}
	w := m.Stdout
	line := func(name, value string) {
		if value != "" && value != "-" {
			fmt.Fprintf(w, "%-10s %s\n", name, report.Safe(value))
		}
	}
	line("key", realmed(k.Realm, k.Key))
	state := k.State
	if k.Since != 0 {
		state += " since " + clock(&k.Since) + " UTC"
	}
	if k.Into != "" {
		state += ", replaced by " + k.Into
	}
	line("state", state)
	line("signs", k.Use)
	line("owner", k.Owner)
	line("created", clockOr(k.Created))
	line("expires", clockOr(k.Until))
	line("disposed", clockOr(k.Disposed))
	if k.Public {
		line("key set", map[bool]string{true: "served to gateways", false: "no longer served"}[k.Served])
	}
	for _, b := range k.Breaches {
		at := whosaw.Time(b.At)
		line("in breach", strings.ReplaceAll(string(b.Kind), "_", " ")+of(b.Person)+" since "+clock(&at)+" UTC")
	}
	for _, b := range k.Due {
		at := whosaw.Time(b.At)
		line("due", strings.ReplaceAll(string(b.Kind), "_", " ")+of(b.Person)+" from "+clock(&at)+" UTC on")
	}
	if len(k.Readers) > 0 {
		fmt.Fprintln(w)
		t := report.NewTable("reader", "typed that they could", "read it first", "last", "times", "exported", "left the house")
		t.Right(4, 5)
		for i := range k.Readers {
			x := &k.Readers[i]
			t.Row(x.Who, clockOr(x.Typed), clockOr(x.Read), clockOr(x.Last), figure.Int(x.Times), figure.Int(x.Exported), clockOr(x.Left))
		}
		if err := t.Write(w); err != nil {
			return err
		}
	}
	if len(k.History) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := report.NewTable("when (UTC)", "what", "by", "said by", "note")
	for i := range k.History {
		e := &k.History[i]
		t.Row(clock(&e.At), what(e), orNone(e.Who), said(e.Source), e.Note)
	}
	return t.Write(w)
}

func of(person string) string {
	if person == "" {
		return ""
	}
	return " (" + person + ")"
}

func clockOr(t whosaw.Time) string {
	if t == 0 {
		return "-"
	}
	return clock(&t)
}

// what says in words what one record says of a key.
func what(e *keys.Event) string {
	var out []string
	if e.Kind != "" {
		out = append(out, e.Kind)
	}
	if e.State != "" {
		out = append(out, e.State)
	}
	if e.Owner != "" {
		out = append(out, "owner "+e.Owner)
	}
	if len(e.Readers) > 0 {
		out = append(out, "readers "+strings.Join(e.Readers, " "))
	}
	if e.Into != "" {
		out = append(out, "replaced by "+e.Into)
	}
	return strings.Join(out, ", ")
}

func said(source string) string {
	if source == "operator" {
		return "typed here"
	}
	return source
}

func (m *Main) keysAdd() *cobra.Command {
	var f keyFlags
	var s keys.Spec
	var created, expires, public string
	cmd := &cobra.Command{
		Use:   "add KID",
		Short: "Register a key, or say more of one that is known",
		Example: `  whosaw keys add login-2026 --owner lee --use 'log-in tokens' --public login-2026.pem --data ./data
  whosaw keys add backup-2024 --reader kim --created 2024-03-01 --expires 2027-03-01 --data ./data`,
		Args: needOne("the key's id (kid)"),
		RunE: m.over(&f.data, func(ctx context.Context, r *remote, args []string) (err error) {
			s.Key, s.Realm = args[0], f.realm
			if s.Created, err = dayFlag("created", created); err != nil {
				return err
			}
			if s.Expires, err = dayFlag("expires", expires); err != nil {
				return err
			}
			if s.Public, err = m.readText(public); err != nil {
				return err
			}
			var k keys.Key
			if err := r.call(ctx, "POST", "/v1/keys", s, &k); err != nil {
				return err
			}
			return m.giveKey(&k, f.asJSON)
		}),
	}
	f.add(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&s.Use, "use", "", "what it signs")
	flags.StringVar(&s.Owner, "owner", "", "who answers for it")
	flags.StringArrayVar(&s.Readers, "reader", nil, "who could read it: a person, or service:NAME (repeatable)")
	flags.StringVar(&created, "created", "", "day or time of its creation (default: now, if no record says)")
	flags.StringVar(&expires, "expires", "", "day or time at which it ends")
	flags.StringVar(&public, "public", "", "file with its public key, PEM or JWK (- is standard input): it is served to gateways in the key set")
	flags.StringVar(&s.Note, "note", "", "anything else")
	return cmd
}

// flagTime reads a day or a time.
func dayFlag(name, s string) (whosaw.Time, error) {
	if s == "" {
		return 0, nil
	}
	if ms, err := whosaw.ParseDate(s); err == nil {
		return whosaw.Time(ms), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, usagef("--%s %s: give a day as 2006-01-02, or RFC 3339", name, s)
	}
	return whosaw.Time(t.UnixMilli()), nil
}

// maxPublic bounds a file with public keys.
const maxPublic = 1 << 20

func (m *Main) readText(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	in := m.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read public key: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxPublic))
	if err != nil {
		return "", fmt.Errorf("read public key: %w", err)
	}
	return string(data), nil
}

func (m *Main) keysImport() *cobra.Command {
	var f keyFlags
	var s api.KeySetSpec
	cmd := &cobra.Command{
		Use:   "import FILE|URL",
		Short: "Register the keys of a key set (JWKS)",
		Example: `  whosaw keys import https://login.shop.example/.well-known/jwks.json --owner lee --data ./data
  whosaw keys import jwks.json --data ./data`,
		Args: needOne("a file or URL with a key set"),
		RunE: m.over(&f.data, func(ctx context.Context, r *remote, args []string) (err error) {
			s.Realm = f.realm
			if strings.HasPrefix(args[0], "http://") || strings.HasPrefix(args[0], "https://") {
				s.Set, err = fetchText(ctx, args[0])
			} else {
				s.Set, err = m.readText(args[0])
			}
			if err != nil {
				return err
			}
			var out struct {
				Keys []keys.Key `json:"keys"`
			}
			if err := r.call(ctx, "POST", "/v1/keys/import", s, &out); err != nil {
				return err
			}
			if f.asJSON {
				return writeJSON(m.Stdout, out)
			}
			for i := range out.Keys {
				fmt.Fprintf(m.Stdout, "%s\n", report.Safe(out.Keys[i].Key))
			}
			fmt.Fprintf(m.Stderr, "whosaw: %s registered and served to gateways\n", figure.Of(int64(len(out.Keys)), "key is", "keys are"))
			return nil
		}),
	}
	f.add(cmd.Flags())
	cmd.Flags().StringVar(&s.Use, "use", "", "what they sign")
	cmd.Flags().StringVar(&s.Owner, "owner", "", "who answers for them")
	return cmd
}

// fetchText gets a key set. It is fetched here, by whoever asks: a server that fetched what it is told could be sent anywhere.
func fetchText(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", address, nil)
	if err != nil {
		return "", usagef("the URL cannot be read")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("fetch the key set: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("fetch the key set: the server answered %s", res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxPublic))
	if err != nil {
		return "", fmt.Errorf("fetch the key set: %w", err)
	}
	return string(data), nil
}

func (m *Main) keysRotate() *cobra.Command {
	var f keyFlags
	var c keys.Change
	var public string
	cmd := &cobra.Command{
		Use:   "rotate KID --to NEW",
		Short: "Retire a key and register the one that replaces it",
		Long: `Retires a key and registers the one that replaces it, with its owner and use. The old public key is served until the last credential that
it signed has expired. The new key needs an id of its own: else nobody can tell what the old one signs.

This keeps the register. Making the new key and having the mint sign with it is done where the key lives.`,
		Example:           `  whosaw keys rotate backup-2024 --to backup-2026 --public backup-2026.pem --reason 'kim leaves' --data ./data`,
		Args:              needOne("the key's id (kid)"),
		ValidArgsFunction: m.completeKeys(&f.data),
		RunE: m.over(&f.data, func(ctx context.Context, r *remote, args []string) (err error) {
			if c.Keep, err = dayFlag("keep", f.keep); err != nil {
				return err
			}
			if c.Public, err = m.readText(public); err != nil {
				return err
			}
			c.Reason = f.reason
			var k keys.Key
			if err := r.call(ctx, "POST", f.path(args[0], "/rotate", nil), c, &k); err != nil {
				return err
			}
			return m.giveKey(&k, f.asJSON)
		}),
	}
	f.add(cmd.Flags())
	f.addReason(cmd.Flags())
	cmd.Flags().StringVar(&c.Into, "to", "", "id of the key that replaces it")
	cmd.Flags().StringVar(&public, "public", "", "file with the new public key, PEM or JWK")
	cmd.Flags().StringVar(&f.keep, "keep", "", "until when the old public key is served (default: until its last credential has expired)")
	return cmd
}

// keysChange makes a command that does one thing to a key, for a reason.
func (m *Main) keysChange(verb, short, example string) *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use:               verb + " KID",
		Short:             short,
		Example:           "  " + example + " --data ./data",
		Args:              needOne("the key's id (kid)"),
		ValidArgsFunction: m.completeKeys(&f.data),
		RunE: m.over(&f.data, func(ctx context.Context, r *remote, args []string) (err error) {
			c := keys.Change{Reason: f.reason}
			if c.Keep, err = dayFlag("keep", f.keep); err != nil {
				return err
			}
			var k keys.Key
			if err := r.call(ctx, "POST", f.path(args[0], "/"+verb, nil), c, &k); err != nil {
				return err
			}
			return m.giveKey(&k, f.asJSON)
		}),
	}
	f.add(cmd.Flags())
	f.addReason(cmd.Flags())
	if verb == "retire" {
		cmd.Flags().StringVar(&f.keep, "keep", "", "until when its public key is served (default: until its last credential has expired)")
	}
	return cmd
}
