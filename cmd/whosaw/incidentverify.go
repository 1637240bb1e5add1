package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/server"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

func (m *Main) incidentVerify() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "verify",
		Example: `  whosaw incident verify --data ./data`,
		Short:   "Check that nobody rewrote the book of incidents, or a list of it",
		Long: `Each event of an incident carries the hash of the one before, and stands in the ledger as an act. This checks the chains, each act, and the lists of
scope versions. The ledger itself is checked by whosaw verify, which does this too; keep its root elsewhere.`,
		Args: cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			var v api.Verification
			if err := r.call(ctx, "GET", "/v1/incident-verification", nil, &v); err != nil {
				return err
			}
			if asJSON {
				if err := writeJSON(m.Stdout, v); err != nil {
					return err
				}
			} else if v.OK {
				if err := m.writeBook(&v); err != nil {
					return err
				}
			}
			if !v.OK {
				return errors.New(v.Says)
			}
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

// writeBook says what was checked of incidents; nil: there are none.
func (m *Main) writeBook(v *api.Verification) error {
	if v == nil {
		return nil
	}
	pending := ""
	if v.Pending > 0 {
		pending = fmt.Sprintf("; %s not in the ledger yet: start the server", figure.Of(int64(v.Pending), "event is", "events are"))
	}
	_, err := fmt.Fprintf(m.Stdout, "Incidents: %s in %s are as they were recorded, as %s of the ledger say; %s of scope versions, %s removed by retention%s.\n",
		figure.Of(int64(v.Events), "event", "events"), figure.Of(int64(v.Incidents), "incident", "incidents"), figure.Of(int64(v.Acts), "act", "acts"),
		figure.Of(int64(v.Lists), "list", "lists"), figure.Int(int64(v.Purged)), pending)
	return err
}

// bookOf opens the book of incidents of a directory whose lock is held; nil: there is no state. What it records goes into the ledger too.
func (m *Main) bookOf(ctx context.Context, led *ledger.Ledger) (book *incident.Book, done func() error, err error) {
	state := filepath.Join(led.Dir(), server.StateName)
	if _, err := os.Stat(state); errors.Is(err, fs.ErrNotExist) {
		return nil, func() error { return nil }, nil
	}
	db, err := sqlite.Open(ctx, state)
	if err != nil {
		return nil, nil, err
	}
	position := m.Now().UnixNano()
	book = incident.NewBook(incident.Config{
		DB: db, Dir: filepath.Join(led.Dir(), server.IncidentDir), Now: m.Now,
		Act: func(ctx context.Context, who string, act whosaw.Reference) (uint64, error) {
			position++
			r := whosaw.Record{Type: whosaw.TypeAct, Time: m.Now().UnixMilli(), Source: "operator", Position: position, Principal: who, Ref: &act}
			receipt, err := led.Append(ctx, []whosaw.Record{r})
			if err != nil {
				return 0, err
			}
			return receipt[0].Sequence, nil
		},
	})
	return book, db.Close, nil
}

// verifyBook checks the book of incidents of a directory that no server has; nil: there is none.
func (m *Main) verifyBook(ctx context.Context, dir string) (v *api.Verification, err error) {
	if _, err := os.Stat(filepath.Join(dir, server.StateName)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	led, err := ledger.Open(ledger.Config{Dir: dir, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, led.Close()) }()
	book, done, err := m.bookOf(ctx, led)
	if errors.Is(err, fs.ErrPermission) {
		fmt.Fprintf(m.Stderr, "whosaw: the state of %s cannot be opened for reading alone, so incidents were not checked: run this as the account of the server\n", dir)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	view, err := led.View(0)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	answer, err := api.VerifyIncidents(ctx, book, view)
	if err != nil || answer.Incidents == 0 && answer.OK {
		return nil, err
	}
	return &answer, nil
}
