package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// reading is one way to bring lines into an engine.
type reading struct {
	Says         string
	Lines, Bytes int64 // bytes as on disk
	Seconds, CPU float64
}

// lineFiles are the same lines plain and compressed.
var lineFiles = []string{"lines.jsonl", "lines.jsonl.gz", "lines.jsonl.zst"}

// readLines reads record lines into a durable ledger, with and without the detectors, and with DuckDB's
// read_json into a table.
func readLines(ctx context.Context, s *shop, o *options) (out []reading, err error) {
	dir := filepath.Join(o.dir, "lines")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	n, err := writeLines(newShop(o.lines), dir)
	if err != nil {
		return nil, err
	}
	for _, name := range lineFiles {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("find lines: %w", err)
		}
		for _, way := range []struct {
			says string
			read func(ctx context.Context, path, dir string) error
		}{
			{"whosaw, durable ledger", intoLedger},
			{"whosaw, durable ledger and all detectors", intoCase},
			{"DuckDB, read_json into a table", intoDuck},
		} {
			into := filepath.Join(dir, "into")
			began := startWatch()
			if err := way.read(ctx, path, into); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", way.says, name, err)
			}
			took := began.stop()
			out = append(out, reading{way.says + ", " + name, n, info.Size(), took.wall.Seconds(), took.cpu.Seconds()})
			if err := os.RemoveAll(into); err != nil {
				return nil, fmt.Errorf("remove what was read: %w", err)
			}
		}
	}
	return out, nil
}

// writeLines writes the shop's records plain, as gzip and as zstd.
func writeLines(s *shop, dir string) (lines int64, err error) {
	var all []io.Writer
	var closers []io.Closer
	for i, name := range lineFiles {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return 0, fmt.Errorf("write lines: %w", err)
		}
		closers = append(closers, f)
		var w io.WriteCloser = f
		switch i {
		case 1:
			w, err = gzip.NewWriterLevel(f, 5)
		case 2:
			w, err = zstd.NewWriter(f)
		}
		if err != nil {
			return 0, fmt.Errorf("write lines: %w", err)
		}
		if i > 0 {
			closers = append(closers, w)
		}
		all = append(all, w)
	}
	w := bufio.NewWriterSize(io.MultiWriter(all...), 1<<20)
	var line []byte
	stop := make(chan struct{})
	defer close(stop)
	batches, give := s.stream(stop)
	for b := range batches {
		for i := range b.records {
			line = append(whosaw.AppendJSON(line[:0], &b.records[i]), '\n')
			if _, err := w.Write(line); err != nil {
				return 0, fmt.Errorf("write lines: %w", err)
			}
		}
		lines += int64(len(b.records))
		give(b)
	}
	err = w.Flush()
	for i := len(closers) - 1; i >= 0; i-- {
		err = errors.Join(err, closers[i].Close())
	}
	if err != nil {
		return 0, fmt.Errorf("write lines: %w", err)
	}
	return lines, nil
}

// planFor gives how the product reads a file.
func planFor(ctx context.Context, path, dir string) (*ingest.Plan, ingest.Options, error) {
	opts := ingest.Options{TempDir: filepath.Dir(dir)}
	plan, err := ingest.NewPlan(ctx, []string{path}, opts)
	return plan, opts, err
}

func intoLedger(ctx context.Context, path, dir string) error {
	plan, opts, err := planFor(ctx, path, dir)
	if err != nil {
		return err
	}
	led, err := ledger.Open(ledger.Config{Dir: dir})
	if err != nil {
		return errors.Join(err, plan.Close())
	}
	var last *ledger.Pending
	sum, err := ingest.Read(ctx, plan, opts, func(records []whosaw.Record) error {
		next, err := led.Begin(ctx, slices.Clone(records), last)
		if last != nil {
			_, e := last.Wait()
			err = errors.Join(err, e)
		}
		last = next
		return err
	})
	if last != nil {
		_, e := last.Wait()
		err = errors.Join(err, e)
	}
	if err == nil && sum.Rejected > 0 {
		err = fmt.Errorf("%d lines were rejected", sum.Rejected)
	}
	if err == nil {
		err = led.Seal(ctx)
	}
	return errors.Join(err, led.Close(), plan.Close())
}

func intoCase(ctx context.Context, path, dir string) error {
	cat, err := shopCatalog()
	if err != nil {
		return err
	}
	plan, opts, err := planFor(ctx, path, dir)
	if err != nil {
		return err
	}
	c, err := pipeline.Open(ctx, pipeline.Config{Dir: dir, Catalog: cat})
	if err != nil {
		return errors.Join(err, plan.Close())
	}
	read, err := c.Import(ctx, plan, opts, nil)
	if err == nil && read.Rejected > 0 {
		err = fmt.Errorf("%d lines were rejected", read.Rejected)
	}
	if err == nil {
		err = c.Ledger().Seal(ctx)
	}
	return errors.Join(err, c.Close(), plan.Close())
}

// duckLines is a table of what the lines say, as a user would make it. Issuances are in it as rows.
const duckLines = `CREATE TABLE lines AS SELECT * FROM read_json('%s', format = 'newline_delimited', columns = {type: 'VARCHAR', time: 'TIMESTAMP',
	subject: 'VARCHAR', fields: 'VARCHAR[]', route: 'VARCHAR', status: 'USMALLINT', principal: 'VARCHAR', credential: 'VARCHAR', "key": 'VARCHAR', ip: 'VARCHAR',
	country: 'VARCHAR', asn: 'UINTEGER', agent: 'VARCHAR'})`

func intoDuck(ctx context.Context, path, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	db, conn, err := openDuckFile(ctx, filepath.Join(dir, "lines.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(), db.Close()) }()
	if err := duckRun(ctx, conn, fmt.Sprintf(duckLines, path), "CHECKPOINT"); err != nil {
		return err
	}
	var n int64
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM lines WHERE time IS NULL").Scan(&n); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("DuckDB: count lines: %w", err)
	}
	if n > 0 {
		return fmt.Errorf("DuckDB: %d lines have no time", n)
	}
	return nil
}
