package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/doctor"
)

func (m *Main) setupCommand() *cobra.Command {
	names := doctor.SetupNames()
	return &cobra.Command{
		Use:   "setup " + strings.Join(names, "|"),
		Short: "Print the lines that make a proxy or service log whose data was opened",
		Long: `Prints the exact lines to add so that the log says whose data was opened (subject), with which credential,
and which key signed it: the three members that most logs lack and most detectors need.`,
		Example: `  whosaw setup nginx                the log format and how the service fills it
  whosaw setup nginx > whosaw.conf  to a file`,
		Args:      needOne("one of " + strings.Join(names, ", ")),
		ValidArgs: names,
		RunE: run(func(_ *cobra.Command, args []string) error {
			text, err := doctor.Setup(args[0])
			if err != nil {
				return &usageError{err}
			}
			if _, err := io.WriteString(m.Stdout, text); err != nil {
				return fmt.Errorf("write the lines: %w", err)
			}
			return nil
		}),
	}
}
