package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/server"
)

// verifyAnswer is the answer of `whosaw verify --json`.
type verifyAnswer struct {
	OK bool `json:"ok"`
	ledger.Verified
	Parts any `json:"parts,omitempty"` // they stand in a saved root
	// Incidents is what was checked of the book of incidents; missing: there is none.
	Incidents *api.Verification `json:"incident_book,omitempty"`
	Damage    *damageAnswer     `json:"damage"` // null: nothing is wrong
}

// damageAnswer is the first thing that is wrong.
type damageAnswer struct {
	File   string `json:"file"`
	Offset *int64 `json:"offset"`     // in bytes; null: it has no one place
	First  uint64 `json:"first"`      // record that is affected; 0: not known
	Last   uint64 `json:"last"`       // 0: to the end of the file
	Says   string `json:"says"`       // what is wrong, and what to do
	Kind   string `json:"kind"`       // damage, rewrite
	Saved  string `json:"saved_root"` // of a rewrite
	Found  string `json:"found_root"`
}

func (m *Main) verifyCommand() *cobra.Command {
	var (
		saved, save   string
		asJSON, quiet bool
	)
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Read a whole ledger again and check every byte of it",
		Long: `Reads every file of the ledger in a data directory, checks it against its checksums, decodes every record, and works out
the root of the tree over all of them. The first thing that is wrong is named with file, offset and records, and the exit code is 1. So are the book of
incidents, against the acts in the ledger, and the lists of scope versions.

Checksums find damage, not somebody who writes the files anew: for that keep a root elsewhere (--save-root), on another machine or on
paper, and compare later (--root). It holds for every record up to then, however much the ledger has grown.`,
		Example: `  whosaw verify ./case
  whosaw verify ./case --save-root /mnt/usb/case-2026-11.root
  whosaw verify ./case --root /mnt/usb/case-2026-11.root`,
		Args: needOne("the data directory"),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			cfg := ledger.VerifyConfig{Dir: args[0]}
			if saved != "" {
				b, err := os.ReadFile(saved)
				if err != nil {
					return fmt.Errorf("read saved root: %w", err)
				}
				if cfg.Saved, err = ledger.ParseSavedRoot(b); err != nil {
					return fmt.Errorf("%s: %w", saved, err)
				}
			}
			if save != "" {
				if err := placeForRoot(save, args[0]); err != nil {
					return err
				}
			}
			bar := m.newProgress(quiet)
			cfg.Progress = bar.bytes("verifying")
			v, err := ledger.Verify(cmd.Context(), cfg)
			bar.clear()
			var held *ledger.HeldError
			if errors.As(err, &held) && held.PID != 0 {
				return fmt.Errorf("data directory %s is in use by process %d, and what is being written cannot be verified: stop it, or verify a copy: "+
					"whosaw backup --data %s --to COPY; whosaw backup verify COPY", held.Dir, held.PID, held.Dir)
			}
			answer := verifyAnswer{OK: err == nil, Verified: v, Damage: damageOf(err)}
			if err == nil {
				if answer.Incidents, err = m.verifyBook(cmd.Context(), args[0]); err != nil {
					return err
				}
				if b := answer.Incidents; b != nil && !b.OK {
					answer.OK, answer.Damage = false, &damageAnswer{File: server.StateName, Says: b.Says, Kind: "incident"}
					err = errors.New(b.Says)
				}
			}
			if err != nil && (!asJSON || answer.Damage == nil) {
				return err
			}
			if asJSON {
				if e := writeJSON(m.Stdout, answer); e != nil || err != nil {
					return errors.Join(e, err)
				}
			} else if err := errors.Join(writeVerified(m.Stdout, &v, cfg.Saved != nil), m.writeBook(answer.Incidents)); err != nil {
				return err
			}
			if save != "" {
				return m.saveRoot(save, &v)
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&saved, "root", "", "file of --save-root to compare with")
	cmd.Flags().StringVar(&save, "save-root", "", "new file for the root, to be kept elsewhere")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "no progress")
	return cmd
}

// damageOf gives what was found, nil if the error is another.
func damageOf(err error) *damageAnswer {
	var damage *ledger.DamageError
	var rewrite *ledger.RewriteError
	switch {
	case errors.As(err, &rewrite):
		a := &damageAnswer{File: rewrite.File, First: rewrite.First, Last: rewrite.Last, Says: rewrite.Error(), Kind: "rewrite", Saved: rewrite.Saved.String()}
		if rewrite.Found != (ledger.Hash{}) {
			a.Found = rewrite.Found.String()
		}
		return a
	case errors.As(err, &damage):
		a := &damageAnswer{File: damage.File, First: damage.First, Last: damage.Last, Says: damage.Error(), Kind: "damage"}
		if damage.Offset >= 0 {
			a.Offset = &damage.Offset
		}
		return a
	}
	return nil
}

func writeVerified(w io.Writer, v *ledger.Verified, compared bool) error {
	text := fmt.Sprintf("Nothing is wrong: %s in %s and %s, %s bytes.\n", figure.Of(int64(v.Records), "record", "records"),
		figure.Of(int64(v.Segments), "segment", "segments"), figure.Of(int64(v.Logs), "log", "logs"), figure.Int(v.Bytes))
	text += fmt.Sprintf("root %s of the records 1 to %d\n", v.Root, v.Rooted)
	if v.Rooted < v.Sequence {
		text += fmt.Sprintf("The records %d to %d are in a log that an older whosaw began; they come under the root when it is sealed.\n", v.Rooted+1, v.Sequence)
	}
	if v.Purged > 0 {
		text += fmt.Sprintf("%s removed by retention; what they were stays under the root.\n", figure.Of(int64(v.Purged), "record was", "records were"))
	}
	if v.Torn > 0 {
		text += fmt.Sprintf("The log ends in %s of a write that did not end; nobody was told that it was kept.\n", figure.Of(v.Torn, "byte", "bytes"))
	}
	if compared {
		text += fmt.Sprintf("The records 1 to %d are those of the saved root.\n", v.Saved)
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// placeForRoot refuses places that a root cannot be saved in, before anything is read.
func placeForRoot(name, dir string) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s exists: name a new file with --save-root; an older root says more than a new one", name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("save root: %w", err)
	}
	in, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return fmt.Errorf("save root: %w", err)
	}
	own, err := filepath.Abs(filepath.Join(dir, "ledger"))
	if err != nil {
		return fmt.Errorf("save root: %w", err)
	}
	if in == own {
		return fmt.Errorf("%s is in the ledger: name a file elsewhere with --save-root, best on another machine", name)
	}
	return nil
}

// saveRoot writes the root to a new file.
func (m *Main) saveRoot(name string, v *ledger.Verified) error {
	b, err := ledger.NewSavedRoot(v, m.Now()).Encode()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("save root: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("save root: %w", err)
	}
	fmt.Fprintf(m.Stderr, "whosaw: the root is in %s; keep it where nobody who can write the ledger can write it\n", report.Safe(name))
	return nil
}
