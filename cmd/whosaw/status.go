package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/report"
)

// dirFlag names the data directory of a server.
type dirFlag struct{ dir string }

func (d *dirFlag) add(flags *pflag.FlagSet) {
	flags.StringVar(&d.dir, "data", os.Getenv("WHOSAW_DATA"), "data directory of the server (or WHOSAW_DATA)")
}

// day writes a time in milliseconds as a day, or what stands for none.
func day(ms int64, none string) string {
	if ms == 0 {
		return none
	}
	return time.UnixMilli(ms).UTC().Format(time.DateOnly)
}

func (m *Main) statusCommand() *cobra.Command {
	var data dirFlag
	var asJSON, check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How the server is: sizes, ranges, sources and their lag, disk, which detectors can judge",
		Example: `  whosaw status --data ./data
  whosaw status --data ./data --json
  whosaw status --data ./data --check        for monitors: exit 1 if records are not taken`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if check {
				r, err := m.running(ctx, data.dir)
				if err != nil {
					return err
				}
				defer r.close()
				return r.call(ctx, "GET", "/readyz", nil, nil)
			}
			r, err := m.reach(ctx, data.dir)
			if err != nil {
				return err
			}
			defer r.close()
			if r.quiet != nil {
				fmt.Fprintln(m.Stderr, "whosaw: no server runs; reading the ledger …")
				if err := r.quiet.server.Live().CaughtUp(ctx); err != nil {
					return err
				}
			}
			var s api.Status
			if err := r.call(ctx, "GET", "/v1/status", nil, &s); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, s)
			}
			return m.writeStatus(&s, r)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	cmd.Flags().BoolVar(&check, "check", false, "say nothing, exit 1 if a server does not run or takes no records")
	return cmd
}

// clock writes a time for a person, in UTC.
func clock(t *whosaw.Time) string {
	if t == nil {
		return "–"
	}
	return time.UnixMilli(int64(*t)).UTC().Format("2006-01-02 15:04:05")
}

func (m *Main) writeStatus(s *api.Status, r *remote) error {
	w := m.Stdout
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	if r.quiet != nil {
		line("server", "does not run")
	} else {
		line("server", "runs since %s UTC, version %s", clock(&s.Began), s.Version)
	}
	l := &s.Ledger
	line("ledger", "%s and %s in %s; %s on disk", figure.Of(l.Accesses, "access", "accesses"), figure.Of(l.Records, "other record", "other records"),
		figure.Of(int64(l.Parts), "part", "parts"), bytesText(l.Bytes))
	if l.From != nil {
		line("events", "%s to %s UTC", clock(l.From), clock(l.To))
	}
	if l.Last > 0 {
		line("judged", "%s of %s records", figure.Int(int64(l.Judged)), figure.Int(int64(l.Last)))
	}
	if d := s.Disk; d != nil {
		text := fmt.Sprintf("%s free of %s", bytesText(d.Free), bytesText(d.Size))
		if d.Days != nil {
			text += fmt.Sprintf("; grows by %s a day: ", bytesText(d.PerDay))
			if *d.Days < 3650 {
				text += fmt.Sprintf("full in %s days", figure.Int(int64(*d.Days)))
			} else {
				text += "not full in ten years"
			}
		}
		line("disk", "%s", text)
	}
	line("findings", "%s recorded, %s open, %s suppressed", figure.Int(s.Alarms.Findings), figure.Int(s.Alarms.Open), figure.Int(s.Alarms.Suppressed))
	for _, says := range s.Says {
		line("note", "%s", report.Safe(says))
	}
	if err := m.statusTables(s); err != nil {
		return err
	}
	return nil
}

func (m *Main) statusTables(s *api.Status) error {
	if len(s.Sources) > 0 {
		fmt.Fprintln(m.Stdout)
		t := report.NewTable("source", "newest event (UTC)", "lag", "lines", "taken", "repeats", "rejected")
		t.Right(3, 4, 5, 6)
		for i := range s.Sources {
			src := &s.Sources[i]
			t.Row(src.Source, clock(src.Newest), lagText(src.Lag), figure.Int(src.Lines), figure.Int(src.Accepted), figure.Int(src.Duplicates), figure.Int(src.Rejected))
		}
		if err := t.Write(m.Stdout); err != nil {
			return err
		}
	}
	if len(s.Inputs) > 0 {
		fmt.Fprintln(m.Stdout)
		t := report.NewTable("input", "kind", "source", "state", "behind", "last taken (UTC)", "fault")
		t.Right(4)
		for i := range s.Inputs {
			in := &s.Inputs[i]
			t.Row(in.Name, in.Kind, in.Source, in.State, figure.Int(in.Behind), clock(in.Last), in.Error)
		}
		if err := t.Write(m.Stdout); err != nil {
			return err
		}
	}
	fmt.Fprintln(m.Stdout)
	t := report.NewTable("detector", "judges", "accesses judged", "trials", "why not more")
	t.Right(2, 3)
	for i := range s.Detectors {
		d := &s.Detectors[i]
		t.Row(d.Detector, d.Judges, figure.Int(d.Judged), figure.Int(d.Trials), d.Says)
	}
	if err := t.Write(m.Stdout); err != nil {
		return err
	}
	if len(s.Alarms.Channels) == 0 {
		return nil
	}
	fmt.Fprintln(m.Stdout)
	t = report.NewTable("channel", "kind", "told", "waiting", "last told (UTC)", "fault")
	t.Right(2, 3)
	for i := range s.Alarms.Channels {
		c := &s.Alarms.Channels[i]
		t.Row(c.Name, c.Kind, figure.Int(c.Sent), figure.Int(c.Pending), clock(c.LastSent), c.Error)
	}
	return t.Write(m.Stdout)
}

// bytesText writes a size for a person; exact sizes are in --json.
func bytesText(n int64) string {
	unit, name := float64(1), "bytes"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if float64(n) < unit*1024 {
			break
		}
		unit, name = unit*1024, u
	}
	if name == "bytes" {
		return figure.Of(n, "byte", "bytes")
	}
	return fmt.Sprintf("%.1f %s", float64(n)/unit, name)
}

func lagText(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	if d > 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return strings.TrimSuffix(d.String(), "0s")
}
