package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// many is from how many accesses on the slow questions are asked once.
const many = 50_000_000

// figures is everything that a run came to.
type figures struct {
	Accesses int64
	Load     map[string]loaded
	Warm     map[string]askedAll          // by engine
	Cold     map[string]map[string]series // by question and engine
	Lines    []reading
	Compared int // answers
}

type series []float64

func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

// compare is a run.
func (o *options) compare(ctx context.Context) error {
	out := figures{Accesses: o.n, Load: make(map[string]loaded), Warm: make(map[string]askedAll), Cold: make(map[string]map[string]series)}
	names := strings.Split(o.engines, ",")
	if err := o.loadAll(ctx, names, &out); err != nil {
		return err
	}
	first := make(map[string]timed) // answers by question and variant
	for _, name := range names {
		all, err := o.warm(ctx, name)
		if err != nil {
			return err
		}
		out.Warm[name] = all
		if err := out.check(first, name, all.Answers); err != nil {
			return err
		}
	}
	for run := range o.cold {
		for _, q := range o.questions() {
			if out.Cold[q] == nil {
				out.Cold[q] = make(map[string]series)
			}
			if run > 0 && o.n >= many {
				continue
			}
			for _, name := range names {
				if err := forget(o.files(name)); err != nil {
					return err
				}
				var all askedAll
				if err := o.process(ctx, &all, "ask", name, "-questions", q, "-runs", "1", "-first", strconv.Itoa(100+run)); err != nil {
					return err
				}
				if err := out.check(first, name, all.Answers); err != nil {
					return err
				}
				out.Cold[q][name] = append(out.Cold[q][name], all.Open+all.Answers[0].Seconds)
			}
		}
	}
	if o.lines > 0 {
		if err := o.process(ctx, &out.Lines, "lines", "whosaw"); err != nil {
			return err
		}
	}
	out.print(os.Stdout, o.questions(), names)
	return out.save(filepath.Join(o.dir, "figures.json"))
}

// warm asks everything in one process. The first run of each question is not timed.
func (o *options) warm(ctx context.Context, name string) (askedAll, error) {
	var all askedAll
	quick, slow := []string{}, []string{}
	for _, q := range questions {
		switch {
		case !slices.Contains(o.questions(), q.name):
		case q.slow && o.n >= many:
			slow = append(slow, q.name)
		default:
			quick = append(quick, q.name)
		}
	}
	for _, p := range []struct {
		names []string
		runs  int
	}{{quick, o.runs + 1}, {slow, 2}} {
		if len(p.names) == 0 {
			continue
		}
		if err := remember(o.files(name)); err != nil {
			return all, err
		}
		var some askedAll
		if err := o.process(ctx, &some, "ask", name, "-questions", strings.Join(p.names, ","), "-runs", strconv.Itoa(p.runs)); err != nil {
			return all, err
		}
		all.Open, all.Peak = some.Open, max(all.Peak, some.Peak)
		all.Answers = append(all.Answers, some.Answers...)
	}
	return all, nil
}

// check holds answers against those of the engine before.
func (f *figures) check(first map[string]timed, name string, answers []timed) error {
	for _, a := range answers {
		key := a.Question + " " + strconv.Itoa(a.Variant)
		other, ok := first[key]
		if !ok {
			first[key] = a
			continue
		}
		if how := other.Answer.equal(&a.Answer); how != "" {
			return fmt.Errorf("%s, variant %d: the answer of %s differs from the one before: %s", a.Question, a.Variant, name, how)
		}
		f.Compared++
	}
	return nil
}

// loadAll loads what is not there already.
func (o *options) loadAll(ctx context.Context, names []string, out *figures) error {
	name := "loaded-"
	if o.replays {
		name = "case-"
	}
	known := filepath.Join(o.dir, name+strconv.FormatInt(o.n, 10)+".json")
	if b, err := os.ReadFile(known); err == nil {
		if err := json.Unmarshal(b, &out.Load); err != nil {
			return fmt.Errorf("read %s: %w", known, err)
		}
	}
	for _, name := range names {
		if _, ok := out.Load[name]; ok {
			continue
		}
		if name == "parquet" {
			name = "duckdb"
		}
		if err := os.RemoveAll(o.files(name)); err != nil {
			return fmt.Errorf("remove what was loaded before: %w", err)
		}
		var some map[string]loaded
		if err := o.process(ctx, &some, "load", name); err != nil {
			return err
		}
		for k, v := range some {
			out.Load[k] = v
		}
		b, err := json.Marshal(out.Load)
		if err != nil {
			return fmt.Errorf("keep what was loaded: %w", err)
		}
		if err := os.WriteFile(known, b, 0o600); err != nil {
			return fmt.Errorf("keep what was loaded: %w", err)
		}
	}
	return nil
}

// files is what an engine reads.
func (o *options) files(name string) string {
	switch name {
	case "whosaw":
		return filepath.Join(o.dir, "whosaw")
	case "duckdb":
		return filepath.Join(o.dir, duckFile)
	}
	return filepath.Join(o.dir, parquetFile)
}

// process runs a part in a process of its own and reads what it came to.
func (o *options) process(ctx context.Context, into any, part, name string, more ...string) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	args := append([]string{
		"-part", part, "-engine", name, "-n", strconv.FormatInt(o.n, 10), "-dir", o.dir, "-lines", strconv.FormatInt(o.lines, 10),
	}, more...)
	if o.replays {
		args = append(args, "-case")
	}
	fmt.Fprintln(os.Stderr, "bench:", part, name, strings.Join(more, " "))
	cmd := exec.CommandContext(ctx, exe, args...)
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", part, name, err)
	}
	if err := json.Unmarshal(stdout.Bytes(), into); err != nil {
		return fmt.Errorf("%s %s: %w", part, name, err)
	}
	return nil
}

func (f *figures) save(name string) error {
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return fmt.Errorf("keep figures: %w", err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		return fmt.Errorf("keep figures: %w", err)
	}
	return nil
}
