package follow

import (
	"cmp"
	"slices"
	"time"
)

// LogStatus is how far a log is followed. Times are milliseconds since 1970; 0: not yet.
type LogStatus struct {
	Source string `json:"source"`
	Path   string `json:"path"`
	// State is what it does, in a word or two; Error what keeps it from that, "": nothing, and Since since when.
	State string `json:"state"`
	Error string `json:"error,omitempty"`
	Since int64  `json:"since,omitempty"`
	// Live says that the file which is written now is there and can be read.
	Live bool `json:"live"`
	// Files is how many files of the log there are, rotated ones included.
	Files int `json:"files"`
	// Behind is how many bytes wait to be read; of compressed files their size on disk.
	Behind int64 `json:"behind"`
	// Offset is how far the live file was read.
	Offset int64 `json:"offset"`
	// Newest is the time of the youngest record since the start, LastRead when lines were last taken.
	Newest   int64 `json:"newest"`
	LastRead int64 `json:"last_read"`
	// Lines, Rejected and Repeats count since the start.
	Lines    int64 `json:"lines"`
	Rejected int64 `json:"rejected"`
	Repeats  int64 `json:"repeats"`
	// Unfinished counts generations that were not read to their end and of which no file is found any more: what was written to
	// them after the last read is missing here.
	Unfinished int `json:"unfinished"`
	// Waiting says why lines wait although they could be read; "": they do not.
	Waiting  string    `json:"waiting,omitempty"`
	Problems []Problem `json:"problems,omitempty"`
}

// Status tells how far each log is followed, by source and path.
func (f *Follower) Status() []LogStatus {
	var all []LogStatus
	for _, e := range f.entries {
		all = append(all, e.current()...)
	}
	slices.SortFunc(all, func(a, b LogStatus) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Path, b.Path))
	})
	return all
}

// busyTime is how long the ledger may take over a batch before the status says that lines wait.
const busyTime = 2 * time.Second

// current is the state after the last round. If the ledger has been busy with a batch since, it says so.
func (e *entry) current() []LogStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := slices.Clone(e.status)
	if since := e.taking.Load(); since != 0 && e.o.Now().Sub(time.UnixMilli(since)) > busyTime {
		for i := range all {
			if all[i].Waiting == "" {
				all[i].Waiting = "the ledger is busy"
				all[i].judge(since)
			}
		}
	}
	return all
}

// judge sums up.
func (s *LogStatus) judge(since int64) {
	s.State, s.Error, s.Since = "following", "", 0
	switch {
	case s.Waiting != "":
		s.State, s.Error = "waiting", s.Waiting
	case len(s.Problems) > 0:
		s.State, s.Error = "cannot read", s.Problems[0].Path+": "+s.Problems[0].Reason
	case s.Unfinished > 0:
		s.Error = "rotated files are gone before they were read to their end: import them from where they are kept, under this source"
	case s.Files == 0:
		s.State = "no file yet"
	case s.Behind > chunkBytes:
		s.State = "catching up"
	}
	if s.Error != "" {
		s.Since = since
	}
}

// publish makes the state after a round visible.
func (e *entry) publish(err error) {
	var all []LogStatus
	for _, l := range e.list() {
		s := l.status()
		s.Problems = append(s.Problems, e.problems...)
		all = append(all, s)
	}
	if len(all) == 0 { // a pattern that names nothing yet, or a state that cannot be read
		all = append(all, LogStatus{Source: e.cfg.Source, Path: e.cfg.Path, Problems: e.problems})
	}
	if err != nil {
		for i := range all {
			if all[i].Waiting == "" {
				all[i].Waiting = err.Error()
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.o.Now().UnixMilli()
	for i := range all {
		s := &all[i]
		since := now
		for k := range e.status {
			if old := &e.status[k]; old.Path == s.Path && old.Error != "" {
				since = old.Since
			}
		}
		s.judge(since)
	}
	e.status = all
}

func (l *log) status() LogStatus {
	s := LogStatus{
		Source: l.source, Path: l.live, Files: len(l.files), Newest: l.lastTime, Lines: l.lines, Rejected: l.rejected,
		Repeats: l.repeats, Waiting: l.waiting,
	}
	if !l.lastRead.IsZero() {
		s.LastRead = l.lastRead.UnixMilli()
	}
	held := map[*generation]bool{}
	for _, f := range l.ordered() {
		held[f.gen] = true
		s.Behind += f.behind()
		if f.current && !f.gone {
			s.Live = f.problem == ""
			if f.gen != nil {
				s.Offset = f.gen.offset
			}
		}
		if f.problem != "" {
			s.Problems = append(s.Problems, Problem{f.path, f.problem})
		}
	}
	now := l.clock()
	for _, g := range l.gens {
		if !held[g] && !g.done() && g.saved && now.Sub(time.UnixMilli(g.seen)) > l.cfg.settle() {
			s.Unfinished++
		}
	}
	return s
}
