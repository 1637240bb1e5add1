package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/demo"
)

func (m *Main) demoCommand() *cobra.Command {
	cfg := demo.Config{}
	var noOpen, verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "A made-up shop, a thief with its key, and whosaw, on this machine: watch what happens",
		Long: `Opens a made-up shop on loopback with customers, a call-centre desk, and a whosaw server that watches it, and a page that leads through a theft:
a calm day, the stolen key, the harvest with the guard off and on, whom it hit, the end of the key. Nothing is played back: requests, tokens,
records, alarms and counts are real; only the shop and its people are made up. The page links to the real pages of the server and of the shop.

Nothing is set up, no other machine is asked, and what was written is removed at the end. Ctrl-C ends it.`,
		Example: `  whosaw demo                                        opens the browser
  whosaw demo --listen 127.0.0.1:0 --no-open          only prints the address, for scripts
  whosaw demo --customers 20000 --seed 7              a larger shop, with other people
  whosaw demo --data ./demo                           keep the ledger, to ask it afterwards: whosaw scope --data ./demo/1/data …`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelError
			if verbose {
				level = slog.LevelInfo
			}
			cfg.Version, cfg.Operator, cfg.Now = version(), operator(), m.Now
			cfg.Logger = slog.New(slog.NewTextHandler(m.Stderr, &slog.HandlerOptions{Level: level}))
			return m.demo(cmd.Context(), cfg, !noOpen)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "host:port on loopback for the page; port 0: any free one")
	flags.BoolVar(&noOpen, "no-open", false, "do not open a browser")
	flags.StringVar(&cfg.Data, "data", "", "directory to keep: empty, or not there (default: a temporary one, removed at the end)")
	flags.IntVar(&cfg.Customers, "customers", 5_000, "customers of the shop")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "what customers and their visits follow from")
	flags.DurationVar(&cfg.Span, "span", time.Minute, "how long the thief takes for all numbers, where the machine can keep up")
	flags.StringVar(&cfg.Zone, "zone", "", "time zone of clocks and days, as in Asia/Seoul (default: this machine's)")
	flags.BoolVar(&verbose, "verbose", false, "what the server and the shop say of themselves")
	return cmd
}

func (m *Main) demo(ctx context.Context, cfg demo.Config, browse bool) error {
	began := time.Now()
	d, err := demo.Open(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(m.Stdout, d.URL())
	fmt.Fprintf(m.Stderr, "whosaw: the demo is at %s; Ctrl-C ends it\n", d.URL())
	waiting, stop := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		if d.Ready(waiting) {
			fmt.Fprintf(m.Stderr, "whosaw: the shop is open, after %.1f s\n", time.Since(began).Seconds())
		}
	}()
	if browse {
		if err := openBrowser(ctx, d.URL()); err != nil {
			fmt.Fprintf(m.Stderr, "whosaw: no browser could be opened (%v): open the address yourself\n", err)
		}
	}
	err = d.Run(ctx)
	stop()
	<-told
	if cfg.Data != "" {
		fmt.Fprintf(m.Stderr, "whosaw: the ledger is kept: whosaw scope --data %s/1/data --key backup-2024 --issued no\n", quote(d.Dir()))
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// openBrowser asks the desktop to show an address. It does not wait for the browser.
func openBrowser(ctx context.Context, url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), name, args...)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // what it says is the desktop's business
	return nil
}
