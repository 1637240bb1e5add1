package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) keysKill() *cobra.Command {
	var f keyFlags
	var days int
	var yes, forged bool
	cmd := &cobra.Command{
		Use:   "kill KID",
		Short: "Revoke a key at once; shows first whom that logs out",
		Long: `Shows whom the kill of a key logs out, and with --yes kills it: the guard refuses it at once, and gateways that take the key set from
here let go of it within 60 seconds.

Without --yes nothing is done. The narrower cut, --forged-only, refuses only credentials that say they were signed with the key and were never
issued: nobody who logged in is logged out. It needs a guard, and issuances on record. A kill can be taken back: whosaw keys revive.`,
		Example: `  whosaw keys kill backup-2024 --data ./data                                          whom would it log out?
  whosaw keys kill backup-2024 --yes --reason 'forged credentials' --data ./data
  whosaw keys kill login-2026 --forged-only --yes --reason 'forged credentials' --data ./data`,
		Args:              needOne("the key's id (kid)"),
		ValidArgsFunction: m.completeKeys(&f.data),
		RunE: m.over(&f.data, func(ctx context.Context, r *remote, args []string) error {
			var p keys.Preview
			if err := r.call(ctx, "GET", f.path(args[0], "/kill", url.Values{"days": {fmt.Sprint(days)}}), nil, &p); err != nil {
				return err
			}
			if !yes && f.asJSON {
				return writeJSON(m.Stdout, p)
			}
			m.showKill(&p)
			if !yes {
				fmt.Fprintf(m.Stderr, "whosaw: nothing was done; kill it with --yes --reason WHY, or refuse only what was never issued with --forged-only\n")
				return nil
			}
			if forged {
				var d map[string]string
				if err := r.call(ctx, "POST", f.path(args[0], "/deny-forged", nil), api.DenyForged{Reason: f.reason}, &d); err != nil {
					return err
				}
				if f.asJSON {
					return writeJSON(m.Stdout, d)
				}
				fmt.Fprintf(m.Stderr, "whosaw: credentials of %s that were never issued are refused for thirty days, by decision %s\n", report.Safe(args[0]), report.Safe(d["decision"]))
				return nil
			}
			var k api.Killed
			if err := r.call(ctx, "POST", f.path(args[0], "/kill", nil), keys.Change{Reason: f.reason}, &k); err != nil {
				return err
			}
			if f.asJSON {
				return writeJSON(m.Stdout, k)
			}
			fmt.Fprintf(m.Stderr, "whosaw: %s is killed. %s\n", report.Safe(args[0]), report.Safe(k.Says))
			return nil
		}),
	}
	f.add(cmd.Flags())
	f.addReason(cmd.Flags())
	cmd.Flags().IntVar(&days, "days", 7, "sessions used in the last so many days count")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	cmd.Flags().BoolVar(&forged, "forged-only", false, "refuse only credentials that were never issued, and log nobody out")
	return cmd
}

// showKill says on standard error whom a kill logs out.
func (m *Main) showKill(p *keys.Preview) {
	say := func(format string, args ...any) {
		fmt.Fprintf(m.Stderr, "whosaw: %s\n", report.Safe(fmt.Sprintf(format, args...)))
	}
	var classes []string
	for _, class := range slices.Sorted(maps.Keys(p.Classes)) {
		classes = append(classes, fmt.Sprintf("%s %s", figure.Int(p.Classes[class]), class))
	}
	say("killing %s ends %s of %s (%s), in use in the last %d days", p.Key, figure.Of(p.Sessions, "honest session", "honest sessions"),
		figure.Of(p.Principals, "principal", "principals"), orNone(strings.Join(classes, ", ")), p.Days)
	if len(p.Programs) > 0 {
		say("programs among them, which nobody logs in again by hand: %s", strings.Join(p.Programs, ", "))
	}
	if p.Expired > 0 {
		say("%s of it have expired already", figure.Of(p.Expired, "session", "sessions"))
	}
	if p.Unknown > 0 {
		say("%s in use under it, and nobody reports issuances of this key: whether they are honest is not known", figure.Of(p.Unknown, "credential is", "credentials are"))
	}
	if p.Never > 0 {
		say("%s in use and never issued: --forged-only refuses these alone", figure.Of(p.Never, "credential is", "credentials are"))
	}
	say("%.2f %% of all accesses with a credential in that time are under this key", 100*p.Share)
}

func (m *Main) keysPolicy() *cobra.Command {
	var data dirFlag
	var s api.PolicySpec
	var longest, rotate, dispose string
	var asJSON, none bool
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "What the house asks of its keys, which keys break it; set it",
		Long: `Shows the policy and the keys that break it. With flags it sets a new one, which replaces the one before: it stands in the ledger, so a
replay judges by the one that held. A breach is a finding (detector key_policy), once for each key and breach.`,
		Example: `  whosaw keys policy --data ./data
  whosaw keys policy --longest-life 180d --no-human-readers --owner --rotate-within 1d --dispose-within 30d \
      --reason 'decided by the security board' --data ./data
  whosaw keys policy --none --reason 'we ask nothing' --data ./data`,
		Args: cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			set := none || s.NoHumanReaders || s.Owner
			for _, x := range []struct {
				name, text string
				to         *int64
			}{{"longest-life", longest, &s.LongestLife}, {"rotate-within", rotate, &s.RotateWithin}, {"dispose-within", dispose, &s.DisposeWithin}} {
				if x.text == "" {
					continue
				}
				set = true
				hours, ok := hoursOf(x.text)
				if !ok {
					return usagef("--%s %s: give hours or days, as in 24h or 180d", x.name, x.text)
				}
				*x.to = hours
			}
			if set {
				if err := r.call(ctx, "PUT", "/v1/key-policy", s, nil); err != nil {
					return err
				}
			}
			var list api.KeyList
			if err := r.call(ctx, "GET", "/v1/keys", nil, &list); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, list.Policy)
			}
			return m.writePolicy(&list)
		}),
	}
	data.add(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&longest, "longest-life", "", "how long a key may be in use, as in 180d")
	flags.BoolVar(&s.NoHumanReaders, "no-human-readers", false, "only programs may read keys")
	flags.BoolVar(&s.Owner, "owner", false, "somebody answers for each key, and has not left")
	flags.StringVar(&rotate, "rotate-within", "", "replace a key so soon after a person who could read it has left, as in 24h")
	flags.StringVar(&dispose, "dispose-within", "", "destroy a key so soon after it was taken out of use, as in 30d")
	flags.BoolVar(&none, "none", false, "ask nothing of keys")
	flags.StringVar(&s.Reason, "reason", "", "why; it is on record")
	flags.BoolVar(&asJSON, "json", false, "the policy as one JSON document")
	return cmd
}

func hoursOf(s string) (int64, bool) {
	var n int64
	var unit string
	if _, err := fmt.Sscanf(s, "%d%1s", &n, &unit); err != nil || n <= 0 || fmt.Sprintf("%d%s", n, unit) != s {
		return 0, false
	}
	switch unit {
	case "h":
		return n, true
	case "d":
		return 24 * n, true
	}
	return 0, false
}

func (m *Main) writePolicy(list *api.KeyList) error {
	p := &list.Policy
	w := m.Stdout
	if p.Set == nil {
		fmt.Fprintln(m.Stderr, "whosaw: nothing is asked of keys so far: set a policy with flags, see whosaw keys policy --help")
		return nil
	}
	line := func(is bool, format string, args ...any) {
		if is {
			fmt.Fprintf(w, format+"\n", args...)
		}
	}
	line(p.LongestLife > 0, "a key is in use for %s at most", hoursText(p.LongestLife))
	line(p.NoHumanReaders, "only programs may read a key")
	line(p.Owner, "each key has an owner, who has not left")
	line(p.RotateWithin > 0, "a key is replaced within %s after a person who could read it has left", hoursText(p.RotateWithin))
	line(p.DisposeWithin > 0, "a key is destroyed within %s after it was taken out of use", hoursText(p.DisposeWithin))
	line(true, "set by %s, %s UTC: %s\n", report.Safe(orNone(p.Set.Who)), clock(&p.Set.At), report.Safe(p.Set.Reason))
	t := report.NewTable("key", "in breach", "comes due")
	broken := 0
	for i := range list.Keys {
		k := &list.Keys[i]
		due := "-"
		if len(k.Due) > 0 {
			due = strings.ReplaceAll(string(k.Due[0].Kind), "_", " ") + " " + day(k.Due[0].At, "")
		}
		if len(k.Breaches) > 0 {
			broken++
		}
		t.Row(realmed(k.Realm, k.Key), breaches(k), due)
	}
	if err := t.Write(w); err != nil {
		return err
	}
	fmt.Fprintf(m.Stderr, "whosaw: %d of %s in breach\n", broken, figure.Of(int64(len(list.Keys)), "key", "keys"))
	return nil
}

func hoursText(h int64) string {
	if h%24 == 0 {
		return figure.Of(h/24, "day", "days")
	}
	return figure.Of(h, "hour", "hours")
}
