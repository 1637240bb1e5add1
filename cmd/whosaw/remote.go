package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/server"
)

// remote is a server that runs on a data directory, reached over its unix socket: it has the lock, so it is asked.
type remote struct {
	dir   string
	http  *http.Client
	first chan net.Conn // the connection that showed that somebody answers, until it is used
	zone  string
	quiet *quiet       // what answers here, where no server runs
	gaps  []whosaw.Gap // of the last answer to Top
}

// dial finds out whether a server runs on a directory; nil: none does.
func dial(ctx context.Context, dir string) (*remote, error) {
	path := filepath.Join(dir, server.SocketName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("look for a running server: %w", err)
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	c, err := dialer.DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil // what a server left that was killed
	}
	if err != nil {
		return nil, fmt.Errorf("reach the server of %s: %w; only the account that runs it may", dir, err)
	}
	r := &remote{dir: dir, first: make(chan net.Conn, 1)}
	r.first <- c
	r.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case c := <-r.first: // whoever has accepted it answers, even if it is just ending
			return c, nil
		default:
			return dialer.DialContext(ctx, "unix", path)
		}
	}}}
	return r, nil
}

// quiet is a server for one command: it has the lock and answers on the socket, listens to nobody else, and raises nothing:
// what it recorded nobody would be told of.
type quiet struct {
	server *server.Server
	ended  chan error
}

// running finds the server of a directory, and fails where none runs. It leaves the directory alone: a monitor must not have it
// open when the server wants to start.
func (m *Main) running(ctx context.Context, dir string) (*remote, error) {
	if dir == "" {
		return nil, errNoDir
	}
	r, err := dial(ctx, dir)
	if err == nil && r == nil {
		err = fmt.Errorf("no server runs on %s: start one with whosaw serve --data %s", dir, dir)
	}
	return r, err
}

var errNoDir = usagef("no data directory: give --data DIR, that of the server (or set WHOSAW_DATA)")

// reach finds the server of a directory. Where none runs, it takes the lock and answers by itself.
func (m *Main) reach(ctx context.Context, dir string) (*remote, error) {
	if dir == "" {
		return nil, errNoDir
	}
	if err := needLedger(dir, "whosaw serve --data DIR makes one"); err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockWait); ; {
		r, err := dial(ctx, dir)
		if r != nil || err != nil {
			return r, err
		}
		r, err = m.alone(ctx, dir)
		if !errors.As(err, new(*ledger.HeldError)) || time.Now().After(end) {
			return r, err
		}
		select { // a server that is about to listen, or another short command
		case <-time.After(lockWait / 50):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lockWait is how long a command waits for a directory that somebody has open who does not answer on its socket.
const lockWait = 5 * time.Second

// alone takes the lock and answers by itself.
func (m *Main) alone(ctx context.Context, dir string) (*remote, error) {
	own := m.serverConfig(config.Default(), dir, slog.New(slog.DiscardHandler))
	own.Quiet = true
	s, err := server.Open(ctx, own)
	if err != nil {
		return nil, err
	}
	q := &quiet{server: s, ended: make(chan error, 1)}
	go func() { q.ended <- s.ServeOwner() }()
	r, err := dial(ctx, dir)
	if err == nil && r == nil {
		err = errors.New("reach the ledger: its socket does not answer")
	}
	if err != nil {
		return nil, errors.Join(err, q.close())
	}
	r.quiet = q
	return r, nil
}

// over makes a command's function out of one that asks the server of a directory, or what answers in its place.
func (m *Main) over(data *dirFlag, fn func(ctx context.Context, r *remote, args []string) error) func(*cobra.Command, []string) error {
	return run(func(cmd *cobra.Command, args []string) (err error) {
		r, err := m.reach(cmd.Context(), data.dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.close()) }()
		return r.unrecorded(fn(cmd.Context(), r, args))
	})
}

// unrecorded says of a finding that no server has recorded what can be done about it. A finding on record counts as told, so only who tells records it:
// the server, once for each, with its own rules and channels.
func (r *remote) unrecorded(err error) error {
	e := (*api.Error)(nil)
	if r.quiet == nil || !errors.As(err, &e) || e.Code != api.CodeNotFound || !strings.HasPrefix(e.Says, "finding:") {
		return err
	}
	return fmt.Errorf("finding: not known: no server that ran on %s has recorded it. whosaw explain ID --data %s says what raised one that whosaw investigate found; whosaw serve --data %s records and tells what it finds there, each once",
		r.dir, quote(r.dir), quote(r.dir))
}

func (q *quiet) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	q.server.StopOwner(ctx)
	<-q.ended
	return q.server.Close()
}

// call sends a JSON document and reads one. into may be nil.
func (r *remote) call(ctx context.Context, method, path string, in, into any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("ask the server: %w", err)
		}
		body = bytes.NewReader(data)
	}
	res, err := r.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// do sends a request and gives the answer if it is a good one.
func (r *remote) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://whosaw"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	res, err := r.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the server of %s: %w", r.dir, err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	var answer struct {
		Error *api.Error `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer); err != nil || answer.Error == nil {
		return nil, fmt.Errorf("ask the server: it answered %s", res.Status)
	}
	return nil, answer.Error
}

func (r *remote) Count(ctx context.Context, f whosaw.Filter) (whosaw.ScopeAnswer, error) {
	var out whosaw.ScopeAnswer
	err := r.call(ctx, "POST", "/v1/scope", api.Question{Filter: f, Zone: r.zone}, &out)
	return out, err
}

func (r *remote) Top(ctx context.Context, by string, f whosaw.Filter, limit int) ([]whosaw.TopRow, error) {
	data, err := json.Marshal(api.Question{Filter: f, Zone: r.zone, By: by, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	res, err := r.do(ctx, "POST", "/v1/top", bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	r.gaps = nil
	if text := res.Header.Get(api.GapsHeader); text != "" {
		if err := json.Unmarshal([]byte(text), &r.gaps); err != nil {
			return nil, fmt.Errorf("read the server's answer: %w", err)
		}
	}
	var out []whosaw.TopRow
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	return out, nil
}

// Purged gives what came with the rows of Top.
func (r *remote) Purged(whosaw.Filter) ([]whosaw.Gap, error) { return r.gaps, nil }

func (r *remote) Subject(ctx context.Context, realm *string, id string, f whosaw.Filter, limit int, next string) (whosaw.SubjectAnswer, error) {
	var out whosaw.SubjectAnswer
	err := r.call(ctx, "POST", "/v1/subject", api.Question{Filter: f, Zone: r.zone, Subject: &id, Realm: realm, Limit: limit, Next: next}, &out)
	return out, err
}

// WriteList copies the list as the server streams it. One that breaks off is an error.
func (r *remote) WriteList(ctx context.Context, w io.Writer, f whosaw.Filter, form string) error {
	data, err := json.Marshal(api.Question{Filter: f, Zone: r.zone, Form: form})
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	res, err := r.do(ctx, "POST", "/v1/scope/list", bytes.NewReader(data))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("read the list: it is not complete: %w", err)
	}
	return nil
}

func (r *remote) close() error {
	r.http.CloseIdleConnections()
	select {
	case c := <-r.first:
		_ = c.Close() // nothing was asked
	default:
	}
	if r.quiet != nil {
		return r.quiet.close()
	}
	return nil
}
