package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) catalogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "Which route shows which fields: suggest a catalog from logs, or check one",
	}
	cmd.AddCommand(m.catalogSuggestCommand(), m.catalogCheckCommand())
	return cmd
}

func (m *Main) catalogSuggestCommand() *cobra.Command {
	var in inputFlags
	cmd := &cobra.Command{
		Use:   "suggest LOG…",
		Short: "Find the routes and the ids in raw paths, and print a catalog to complete",
		Long: `Reads the logs, finds the templates of their paths and the segments that look like ids, and prints a catalog in
YAML. The fields are called unclassified: which route shows which is for you to say.`,
		Example: `  whosaw catalog suggest /var/log/nginx/access.log* > catalog.yaml
  whosaw investigate --catalog catalog.yaml /var/log/nginx/access.log*`,
		Args: needLogs,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			opts, err := m.options(&in)
			if err != nil {
				return err
			}
			bar := m.newProgress(in.quiet)
			if bar != nil {
				opts.Progress = bar.update
			}
			sug, read, err := pipeline.Suggest(cmd.Context(), args, opts)
			bar.clear()
			if err != nil {
				if cmd.Context().Err() != nil {
					return errInterrupted
				}
				return err
			}
			if _, err := m.Stdout.Write(sug.YAML()); err != nil {
				return fmt.Errorf("write the catalog: %w", err)
			}
			return report.WriteRead(m.Stderr, read.Answer(), m.textOptions(nil))
		}),
	}
	in.add(cmd.Flags())
	return cmd
}

func (m *Main) catalogCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE",
		Short:   "Say what a catalog file says, or what is wrong with it",
		Example: `  whosaw catalog check catalog.yaml`,
		Args:    needOne("the catalog file"),
		RunE: run(func(_ *cobra.Command, args []string) error {
			cat, err := catalog.Load(args[0])
			if err != nil {
				return err
			}
			for _, v := range cat.Versions() {
				fmt.Fprintf(m.Stdout, "version %s: %d routes\n", report.Safe(v.Name), len(v.Routes()))
			}
			fmt.Fprintf(m.Stdout, "fields: %s\n", report.Safe(strings.Join(cat.Known(), ", ")))
			for _, note := range cat.Notes() {
				fmt.Fprintf(m.Stdout, "note: %s\n", report.Safe(note))
			}
			return nil
		}),
	}
}
