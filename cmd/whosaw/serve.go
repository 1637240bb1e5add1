package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/server"
)

func (m *Main) serveCommand() *cobra.Command {
	var file, data, listen string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take live records, judge them as they come, tell people",
		Long: `Runs the server: records come in over HTTP, from log files it follows, or from NATS JetStream; the detectors judge them as
they come; findings are told to the channels of whosaw.yaml; questions are answered over HTTP and, for whoever may read the data
directory, over its unix socket, which the other commands use by themselves.

It listens on loopback unless whosaw.yaml says otherwise. At its first start it prints a one-time link for an administrator.`,
		Example: `  whosaw serve --data ./data                             everything by default, on ` + config.DefaultListen + `
  whosaw serve --config whosaw.yaml --data /var/lib/whosaw
  whosaw config example > whosaw.yaml                    every key, with its meaning and default`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if data == "" {
				return usagef("no data directory: give --data DIR; it is made if it is not there")
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if listen != "" {
				cfg.Listen = listen
				if err := cfg.Check(); err != nil {
					return err
				}
			}
			return m.serve(cmd.Context(), cfg, data)
		}),
	}
	cmd.Flags().StringVar(&file, "config", os.Getenv("WHOSAW_CONFIG"), "configuration file (or WHOSAW_CONFIG); none: the defaults")
	cmd.Flags().StringVar(&data, "data", os.Getenv("WHOSAW_DATA"), "data directory (or WHOSAW_DATA)")
	cmd.Flags().StringVar(&listen, "listen", "", "host:port to serve on, instead of the configuration's; port 0: any free one")
	return cmd
}

func (m *Main) serve(ctx context.Context, cfg *config.Config, dir string) error {
	if cfg.Memory > 0 {
		debug.SetMemoryLimit(int64(cfg.Memory))
	}
	own := m.serverConfig(cfg, dir, m.logger(&cfg.Log))
	own.Serving = func(url, code string) { m.welcome(dir, url, code) }
	s, err := server.Open(ctx, own)
	if err != nil {
		return err
	}
	return errors.Join(s.Run(ctx), s.Close())
}

// serverConfig is what a server of this program stands on.
func (m *Main) serverConfig(cfg *config.Config, dir string, log *slog.Logger) server.Config {
	return server.Config{
		Config: cfg, Dir: dir, Logger: log, Now: m.Now, Version: version(), Operator: operator(), SegmentRecords: m.segmentRecords, Idle: m.idle,
	}
}

func (m *Main) logger(cfg *config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // the configuration was checked
	o := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(m.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(m.Stderr, o))
}

// welcome says where the server is, and at the first start how an administrator comes in.
func (m *Main) welcome(dir, url, code string) {
	fmt.Fprintf(m.Stderr, "whosaw: serving %s on %s\n", dir, url)
	if code == "" {
		return
	}
	fmt.Fprintf(m.Stderr, `whosaw: this is the first start. Open this link within an hour to sign in as administrator; it works once:

    %s/login#%s

whosaw: or make a token for a sender:  whosaw token create web --data %s
`, url, code, quote(dir))
}
