package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/doctor"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) doctorCommand() *cobra.Command {
	var f investigateFlags
	cmd := &cobra.Command{
		Use:   "doctor LOG…",
		Short: "What these logs can and cannot answer, and the lines to add",
		Long: `Says how many of the accesses name whose data was opened, with which credential, signed by which key, from where;
which detectors can judge and which are blind; when a source was silent; and what to add to the log so that they can.`,
		Example: `  whosaw doctor /var/log/nginx/access.log
  whosaw setup nginx                                  the lines to add`,
		Args: needLogs,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			zone, err := loadZone(f.zone)
			if err != nil {
				return err
			}
			study, err := m.study(cmd.Context(), args, &f.in, f.catalog, "", zone)
			if err != nil {
				return err
			}
			m.notes(&study.read, f.in.mapping)
			if f.json {
				return writeJSON(m.Stdout, study.result.Doctor)
			}
			if err := report.WriteDoctor(m.Stdout, m.reportData(study, args, &f, zone), m.textOptions(zone)); err != nil {
				return err
			}
			if len(study.result.Doctor.Add) == 0 {
				return nil
			}
			return m.writeSetups()
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.catalog, "catalog", "", "catalog file: which route shows which fields (default: a suggested one)")
	flags.BoolVar(&f.json, "json", false, "the answer as one JSON document")
	addZone(flags, &f.zone)
	f.in.add(flags)
	return cmd
}

// writeSetups prints the lines to add for every proxy and framework that whosaw knows.
func (m *Main) writeSetups() error {
	for _, name := range doctor.SetupNames() {
		text, err := doctor.Setup(name)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(m.Stdout, "\n──── The lines for %s (whosaw setup %s prints them alone) ────\n\n%s", name, name, text); err != nil {
			return fmt.Errorf("write the lines: %w", err)
		}
	}
	return nil
}
