package follow

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Problem is something that keeps a log from being read. It is tried again.
type Problem struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// list looks for an entry's files: those of each log by the path of its live file.
func (c *Config) list() (logs map[string][]found, problems []Problem) {
	s := search{cfg: c, logs: map[string][]found{}}
	if !hasMeta(c.Path) {
		s.logs[c.Path] = nil
		s.exact()
	} else {
		s.pattern()
	}
	for _, p := range c.Rotated {
		names, err := filepath.Glob(p)
		if err != nil {
			continue // Check has seen to it
		}
		for _, name := range names {
			base, _ := stem(filepath.Base(name))
			for live := range s.logs {
				if !hasMeta(c.Path) || filepath.Base(live) == base {
					s.add(live, name, false)
				}
			}
		}
	}
	if hasMeta(c.Path) {
		for live, files := range s.logs {
			s.logs[live] = chooseCurrent(files)
		}
	}
	return s.logs, s.problems
}

type search struct {
	cfg      *Config
	logs     map[string][]found
	problems []Problem
}

func (s *search) trouble(path string, err error) {
	s.problems = append(s.problems, Problem{path, plainError(err)})
}

// exact looks for one log's live file and for what was rotated beside it.
func (s *search) exact() {
	path := s.cfg.Path
	s.add(path, path, true)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		s.trouble(filepath.Dir(path), err)
	}
	for _, e := range entries {
		if base, rotated := stem(e.Name()); rotated && base == filepath.Base(path) {
			s.add(path, filepath.Join(filepath.Dir(path), e.Name()), false)
		}
	}
}

// pattern looks for the logs that a pattern names.
func (s *search) pattern() {
	dir, want := filepath.Split(filepath.Clean(s.cfg.Path))
	dirs := []string{filepath.Clean(dir)}
	if hasMeta(dir) {
		dirs, _ = filepath.Glob(dirs[0]) // Check has seen to the pattern
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			s.trouble(dir, err)
			continue
		}
		for _, e := range entries {
			base, rotated := stem(e.Name())
			ok, _ := filepath.Match(want, base)
			if !ok {
				ok, _ = filepath.Match(want, e.Name()) // access-*.log: named by its date from the start
			}
			if ok {
				s.add(filepath.Join(dir, base), filepath.Join(dir, e.Name()), !rotated)
			}
		}
	}
}

// add looks at a file. Links are followed; what is no file is left out.
func (s *search) add(live, path string, current bool) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return // it moved on; or, if it is the live one, it is not there yet
	}
	if err != nil {
		s.trouble(path, err)
		return
	}
	if !info.Mode().IsRegular() {
		if current {
			s.problems = append(s.problems, Problem{path, "it is not a file"})
		}
		return
	}
	x := found{path: path, id: idOf(info), size: info.Size(), written: info.ModTime().UnixNano(), current: current}
	for i, y := range s.logs[live] {
		if y.id == x.id { // two names of one file
			s.logs[live][i].current = y.current || current
			return
		}
	}
	s.logs[live] = append(s.logs[live], x)
}

// chooseCurrent: where no file has the live name, as with logs that are named by their date from the start, the one written last
// is the one that is written now.
func chooseCurrent(files []found) []found {
	last := -1
	for i, x := range files {
		if x.current {
			return files
		}
		if dateAt.MatchString(filepath.Base(x.path)) && (last < 0 || x.written > files[last].written) {
			last = i
		}
	}
	if last >= 0 {
		files[last].current = true
	}
	return files
}
