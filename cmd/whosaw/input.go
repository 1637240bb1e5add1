package main

import (
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/whosaw/whosaw/internal/ingest"
)

// inputFlags say how logs are read.
type inputFlags struct {
	format, mapping, source, rejects, keys string
	quiet                                  bool
}

func (in *inputFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&in.format, "format", "", "insist on a format: "+strings.Join(ingest.Formats(), ", ")+" (default: recognised)")
	flags.StringVar(&in.mapping, "mapping", "", "YAML file that says which member of a JSON log is what")
	flags.StringVar(&in.keys, "keys", "", "YAML file that says where signing keys lie in Vault and AWS, for their audit logs (docs/keys.md)")
	flags.StringVar(&in.source, "source", "", "name of the source (default: made from the log's first 4 KiB)")
	flags.StringVar(&in.rejects, "rejects", "", "keep the lines that could not be read in this file (mode 0600)")
	flags.BoolVarP(&in.quiet, "quiet", "q", false, "no progress")
}

// options turns the flags into how to read. Wrong values are wrong usage.
func (m *Main) options(in *inputFlags) (ingest.Options, error) {
	if in.format != "" && !known(in.format, ingest.Formats()) {
		return ingest.Options{}, usagef("--format %s: there are %s", in.format, strings.Join(ingest.Formats(), ", "))
	}
	var keys *ingest.KeyMap
	if in.keys != "" {
		var err error
		if keys, err = ingest.LoadKeyMap(in.keys); err != nil {
			return ingest.Options{}, err
		}
	}
	return ingest.Options{
		Keys:       keys,
		Format:     in.format,
		Mapping:    in.mapping,
		Source:     in.source,
		Stdin:      m.Stdin,
		Now:        m.Now().UnixMilli(),
		RejectFile: in.rejects,
		TempDir:    os.Getenv("TMPDIR"),
	}, nil
}

func known(s string, list []string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
