package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags of a run. The parts of a run are processes of their own, with the same flags.
type options struct {
	n       int64
	dir     string
	engines string
	asks    string
	runs    int
	cold    int
	lines   int64
	keep    bool
	replays bool

	// Of the parts.
	part, engine string
	first        int
	profile      string
}

func run(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Int64Var(&o.n, "n", 10_000_000, "accesses")
	flags.StringVar(&o.dir, "dir", "", "where ledger and tables are made; what is there already is used (default: a temporary directory)")
	flags.StringVar(&o.engines, "engines", "whosaw,duckdb,parquet", "what is asked")
	flags.StringVar(&o.asks, "questions", "all", "of q1,q1-all,q2,q3,q4,q5-ip,q5-principal,q5-credential,q5-off,q6")
	flags.IntVar(&o.runs, "runs", 5, "timed runs of each question")
	flags.IntVar(&o.cold, "cold", 3, "runs in a new process each, with nothing cached; 0: none")
	flags.Int64Var(&o.lines, "lines", 2_000_000, "record lines with which reading JSON is compared; 0: not at all")
	flags.BoolVar(&o.keep, "keep", false, "do not remove a temporary directory")
	flags.BoolVar(&o.replays, "case", false, "load the attack with the share that it had in the case, and ask what it took; -n 1000000000 is its full size")
	flags.StringVar(&o.part, "part", "", "what a process of a run does: load, ask, lines, case")
	flags.StringVar(&o.engine, "engine", "", "and with which engine")
	flags.IntVar(&o.first, "first", 0, "and the first variant of its questions")
	flags.StringVar(&o.profile, "profile", "", "and where it writes what the processor did, QUESTION.pprof each, first runs left out; for -part ask")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.n < 1000 {
		return fmt.Errorf("%d accesses are too few: give at least 1000", o.n)
	}
	if o.part != "" {
		return o.work(ctx)
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "whosaw-bench-")
		if err != nil {
			return fmt.Errorf("make a directory: %w", err)
		}
		o.dir = dir
		if !o.keep {
			defer os.RemoveAll(dir)
		}
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if o.replays {
		return o.replay(ctx)
	}
	return o.compare(ctx)
}

// questions gives the names of those to ask.
func (o *options) questions() []string {
	var names []string
	for _, q := range questions {
		if o.asks == "all" || slices.Contains(strings.Split(o.asks, ","), q.name) {
			names = append(names, q.name)
		}
	}
	return names
}

// loaded is what a load came to.
type loaded struct {
	Accesses, Records, Bytes int64
	Index                    int64   // of the bytes those that can be built again
	Seconds                  float64 // making the accesses included
	Busy                     float64 // in the engine; of DuckDB the same, it fetches them
	Peak                     int64   // memory
}

// timed is an answer with what it took.
type timed struct {
	asked
	Seconds float64
	CPU     float64 // seconds
	Answer  answer
}

// engine answers questions. The time is that of the answer alone.
type engine interface {
	ask(ctx context.Context, a *asked) (answer, cost, error)
	Close() error
}

// work is what a process of a run does. It writes one JSON document.
func (o *options) work(ctx context.Context) error {
	s := newShop(o.n)
	if o.replays {
		s = newCase(o.n)
	}
	var out any
	var err error
	switch o.part {
	case "load":
		out, err = o.load(ctx, s)
	case "ask":
		out, err = o.askAll(ctx, s)
	case "case":
		out, err = o.askCase(ctx, s)
	case "lines":
		out, err = readLines(ctx, s, o)
	default:
		err = fmt.Errorf("no part is called %q", o.part)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func (o *options) load(ctx context.Context, s *shop) (map[string]loaded, error) {
	out := make(map[string]loaded)
	switch o.engine {
	case "whosaw":
		l, err := loadWhosaw(ctx, s, filepath.Join(o.dir, "whosaw"))
		if err != nil {
			return nil, err
		}
		l.Peak = peak()
		out["whosaw"] = l
	case "duckdb":
		table, parquet, err := loadDuck(ctx, s, o.dir)
		if err != nil {
			return nil, err
		}
		table.Peak, parquet.Peak = peak(), peak()
		out["duckdb"], out["parquet"] = table, parquet
	default:
		return nil, fmt.Errorf("nothing is loaded into %q", o.engine)
	}
	return out, nil
}

// askedAll is what a process that asks came to.
type askedAll struct {
	Open    float64 // seconds
	Peak    int64
	Answers []timed
}

func (o *options) askAll(ctx context.Context, s *shop) (out askedAll, err error) {
	began := time.Now()
	var e engine
	switch o.engine {
	case "whosaw":
		e, err = openWhosaw(s, filepath.Join(o.dir, "whosaw"))
	case "duckdb", "parquet":
		e, err = openDuck(ctx, o.dir, o.engine == "parquet")
	default:
		err = fmt.Errorf("no engine is called %q", o.engine)
	}
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	out.Open = time.Since(began).Seconds()
	for _, name := range o.questions() {
		some, err := o.askOne(ctx, s, e, name)
		if err != nil {
			return out, err
		}
		out.Answers = append(out.Answers, some...)
	}
	out.Peak = peak()
	return out, nil
}

// askOne asks one question, variant after variant.
func (o *options) askOne(ctx context.Context, s *shop, e engine, name string) (out []timed, err error) {
	for v := o.first; v < o.first+o.runs; v++ {
		if o.profile != "" && v == o.first+1 {
			file, err := os.Create(filepath.Join(o.profile, name+".pprof"))
			if err != nil {
				return nil, fmt.Errorf("make profile: %w", err)
			}
			defer file.Close()
			if err := pprof.StartCPUProfile(file); err != nil {
				return nil, fmt.Errorf("make profile: %w", err)
			}
			defer pprof.StopCPUProfile()
		}
		a := s.ask(name, v)
		answer, took, err := e.ask(ctx, &a)
		if err != nil {
			return nil, fmt.Errorf("%s, variant %d: %w", name, v, err)
		}
		a.Addrs = nil
		out = append(out, timed{a, took.wall.Seconds(), took.cpu.Seconds(), answer})
	}
	return out, nil
}
