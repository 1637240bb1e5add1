package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/server"
)

func (m *Main) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "The server's configuration: check it, show what holds, print every key",
	}
	var file string
	check := &cobra.Command{
		Use:     "check [FILE]",
		Short:   "Say what is wrong with a configuration, all of it, and how to mend it",
		Example: `  whosaw config check whosaw.yaml`,
		Args:    cobra.MaximumNArgs(1),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && cmd.Flags().Changed("config"):
				return usagef("two configurations named: give FILE or --config FILE")
			case len(args) > 0:
				file = args[0]
			case file == "":
				return usagef("no configuration named: whosaw config check FILE")
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if err := checkFiles(cfg); err != nil {
				return err
			}
			fmt.Fprintf(m.Stderr, "whosaw: %s is good\n", file)
			return nil
		}),
	}
	show := &cobra.Command{
		Use:     "show",
		Short:   "What holds: the file's values, and the defaults of the rest",
		Example: `  whosaw config show --config whosaw.yaml`,
		Args:    cobra.NoArgs,
		RunE: run(func(*cobra.Command, []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			return cfg.Write(m.Stdout)
		}),
	}
	example := &cobra.Command{
		Use:     "example",
		Short:   "A file with every key, its meaning and its default",
		Example: `  whosaw config example > whosaw.yaml`,
		Args:    cobra.NoArgs,
		RunE: run(func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(m.Stdout, config.Reference)
			return err
		}),
	}
	for _, c := range []*cobra.Command{check, show} {
		c.Flags().StringVar(&file, "config", os.Getenv("WHOSAW_CONFIG"), "configuration file (or WHOSAW_CONFIG)")
	}
	cmd.AddCommand(check, show, example)
	return cmd
}

// checkFiles opens what a configuration names, as the server's start does.
func checkFiles(cfg *config.Config) error {
	if cfg.Catalog != "" {
		if _, err := catalog.Load(cfg.Path(cfg.Catalog)); err != nil {
			return err
		}
	}
	dc, err := server.EngineConfig(cfg, "")
	if err != nil {
		return err
	}
	if _, err := server.WithActions(cfg.Guard, dc.Rules); err != nil {
		return err
	}
	if cfg.TLS.Cert != "" {
		keys := &server.KeyPair{Cert: cfg.Path(cfg.TLS.Cert), Key: cfg.Path(cfg.TLS.Key)}
		if _, err := keys.Get(nil); err != nil {
			return err
		}
	}
	for _, s := range cfg.Ingest.Sources {
		if _, err := ingest.NewStream(ingest.StreamOptions{Source: s.Name, Format: s.Format, Mapping: cfg.Path(s.Mapping)}); err != nil {
			return fmt.Errorf("ingest.sources %s: %w", s.Name, err)
		}
	}
	return nil
}
