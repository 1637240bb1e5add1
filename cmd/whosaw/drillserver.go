package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/whosaw/whosaw/internal/drill"
)

// serverFlags say which server is sent a harvest of planted customers.
type serverFlags struct {
	url                      string
	tokenFile, readTokenFile string
	wait                     time.Duration
}

func (s *serverFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&s.url, "server", "", "send a harmless harvest of planted customers to this running server, and wait for its alarm")
	flags.StringVar(&s.tokenFile, "token-file", "", "with --server: file with the token that may send access and subject records (or WHOSAW_TOKEN)")
	flags.StringVar(&s.readTokenFile, "read-token-file", "", "with --server: file with the token that may read findings (or WHOSAW_READ_TOKEN; default: the same)")
	flags.DurationVar(&s.wait, "wait", time.Minute, "with --server: how long to wait for the alarm")
}

// drillServer sends the harvest.
func (m *Main) drillServer(ctx context.Context, f *drillFlags) error {
	send, err := token(f.server.tokenFile, "WHOSAW_TOKEN")
	if err != nil {
		return err
	}
	if send == "" {
		return usagef("--server needs a token: give it in WHOSAW_TOKEN or --token-file, never on the command line, where others can read it")
	}
	read, err := token(f.server.readTokenFile, "WHOSAW_READ_TOKEN")
	if err != nil {
		return err
	}
	bar := m.newProgress(f.in.quiet)
	defer bar.clear()
	bar.note("waiting for the alarm …")
	answer, err := drill.Harvest(ctx, drill.HarvestConfig{
		URL: f.server.url, SendToken: send, ReadToken: read, Source: f.in.source, Run: strings.ToLower(rand.Text()[:10]), Wait: f.server.wait, Now: m.Now,
	})
	if err != nil {
		if ctx.Err() != nil {
			bar.clear()
			fmt.Fprintln(m.Stderr, "whosaw: stopped; the planted customers of this drill stay at the server, in the realm "+drill.DrillRealm)
			return errInterrupted
		}
		return err
	}
	bar.clear()
	if f.json {
		err = writeJSON(m.Stdout, answer)
	} else {
		err = answer.WriteText(m.Stdout, m.textOptions(nil))
	}
	if err == nil && !answer.Noticed {
		return errUnnoticed
	}
	return err
}

var errUnnoticed = errors.New("no alarm came: the server would not have noticed this harvest in time")

// token reads a secret from a file or the environment; "" if neither is given.
func token(file, variable string) (string, error) {
	if file == "" {
		return strings.TrimSpace(os.Getenv(variable)), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	t := strings.TrimSpace(string(text))
	if t == "" || strings.ContainsAny(t, " \t\r\n") {
		return "", fmt.Errorf("read the token: %s must hold one token and nothing else", file)
	}
	return t, nil
}
