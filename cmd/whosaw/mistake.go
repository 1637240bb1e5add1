package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/whosaw/whosaw/internal/hint"
)

// wrongFlag names the flag that was most likely meant.
func wrongFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var flags []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			flags = append(flags, "--"+f.Name)
		}
	})
	if near := hint.DidYouMean("--"+unknown.GetSpecifiedName(), flags); near != "" {
		return fmt.Errorf("%w%s", err, near)
	}
	return err
}

// wrongCommand refuses what is none of a command's own commands, and names the one that was most likely meant.
func wrongCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usagef("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint.DidYouMean(args[0], names))
}

// whereHelp says whose help shows the examples of what was tried.
func whereHelp(cmd *cobra.Command) string {
	if cmd.Name() == "help" && cmd.HasParent() {
		cmd = cmd.Parent()
	}
	switch {
	case !cmd.HasParent():
		return "Run 'whosaw --help' for the commands, 'whosaw COMMAND --help' for examples."
	case cmd.HasAvailableSubCommands():
		return fmt.Sprintf("Run '%s --help' for its commands and examples.", cmd.CommandPath())
	}
	return fmt.Sprintf("Run '%s --help' for its flags and examples.", cmd.CommandPath())
}

// needLedger fails where a directory holds no ledger; cure says what makes one, or which to name.
func needLedger(dir, cure string) error {
	_, err := os.Stat(filepath.Join(dir, "ledger"))
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look for the ledger: %w: name a directory that was given to --data before, and may be read", err)
	}
	cure = strings.ReplaceAll(cure, "DIR", dir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no ledger: %s; %s", dir, hint.NotThere(dir), cure)
	}
	return fmt.Errorf("%s holds no ledger: %s", dir, cure)
}
