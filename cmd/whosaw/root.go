package main

import (
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// root is the table of subcommands.
func (m *Main) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "whosaw",
		Short: "Who opened whose data: a breach detector and access ledger for customer data",
		Long: `whosaw reads the access logs you have and says whether somebody harvested customers' data, since when,
through what, and exactly whose data they saw. Where the logs cannot tell, it says so and how to mend that.

Nothing leaves this machine, but for what a server tells the channels you configure.`,
		Example: `  whosaw investigate /var/log/nginx/access.log*        is there a harvest in these logs?
  whosaw investigate --data ./case LOG…                keep the ledger, to ask more
  whosaw scope --data ./case --key backup-2024         whose data was opened with this key
  whosaw doctor LOG…                                   what these logs can and cannot answer`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(m.Stdin)
	root.SetOut(m.Stdout)
	root.SetErr(m.Stderr)
	root.AddCommand(
		m.investigateCommand(),
		m.doctorCommand(),
		m.scopeCommand(),
		m.subjectCommand(),
		m.topCommand(),
		m.catalogCommand(),
		m.setupCommand(),
		m.serveCommand(),
		m.backupCommand(),
		m.restoreCommand(),
		m.statusCommand(),
		m.findingCommand(),
		m.guardCommand(),
		m.proxyCommand(),
		m.incidentCommand(),
		m.noticeCommand(),
		m.clockCommand(),
		m.suppressCommand(),
		m.keysCommand(),
		m.peopleCommand(),
		m.offboardingCommand(),
		m.alarmCommand(),
		m.tokenCommand(),
		m.adminCommand(),
		m.configCommand(),
		m.rulesCommand(),
		m.explainCommand(),
		m.replayCommand(),
		m.mergeCommand(),
		m.baselineCommand(),
		m.drillCommand(),
		m.simCommand(),
		m.demoCommand(),
		m.verifyCommand(),
		m.retentionCommand(),
		m.holdCommand(),
	)
	root.SetFlagErrorFunc(wrongFlag)
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	showHelp(root)
	gatherExamples(root)
	refuseUnknown(root)
	return root
}

// showHelp has commands that only hold others show what they hold, and refuse what is none of them.
func showHelp(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		showHelp(c)
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.Args = wrongCommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
}

// gatherExamples gives commands that only hold others the first example of each of these.
func gatherExamples(cmd *cobra.Command) {
	var first []string
	for _, c := range cmd.Commands() {
		gatherExamples(c)
		if c.Parent().Name() == "completion" {
			c.Example = completionExamples[c.Name()]
		}
		if line, _, _ := strings.Cut(c.Example, "\n"); line != "" {
			first = append(first, line)
		}
	}
	if cmd.Example == "" {
		cmd.Example = strings.Join(first, "\n")
	}
}

// completionExamples are those of the commands that the library brings.
var completionExamples = map[string]string{
	"bash":       "  source <(whosaw completion bash)",
	"zsh":        "  source <(whosaw completion zsh)",
	"fish":       "  whosaw completion fish | source",
	"powershell": "  whosaw completion powershell | Out-String | Invoke-Expression",
}

// refuseUnknown has `whosaw help` refuse what is no command, instead of showing what it shows alone.
func refuseUnknown(root *cobra.Command) {
	for _, help := range root.Commands() {
		if help.Name() != "help" {
			continue
		}
		show := help.Run
		help.Run, help.RunE = nil, func(cmd *cobra.Command, args []string) error {
			if at, rest, err := root.Find(args); err == nil && len(rest) > 0 {
				return wrongCommand(at, rest)
			}
			show(cmd, args)
			return nil
		}
	}
}

// run makes a command's function mark its errors as those of a command that ran.
func run(fn func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := fn(cmd, args); err != nil {
			return &runError{err}
		}
		return nil
	}
}

// needLogs asks for at least one log, in words that say what a log is.
func needLogs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("no log named: %s takes files, directories, or - for standard input", cmd.CommandPath())
	}
	return nil
}

// needOne asks for exactly one argument and says what it is.
func needOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("%s takes one argument, %s; %d are given", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

// version is the module's version and commit as the Go tool stamped them.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	v := info.Main.Version
	if v == "" {
		v = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && !strings.Contains(v, s.Value[:12]) {
			v += " " + s.Value[:12]
		}
	}
	return v
}
