package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// habit is how a source sends. It outlives a restart: a source that fell silent meanwhile, or before, must not pass for one that never was.
// Times are milliseconds.
type habit struct {
	Source   string `json:"source"`
	Moved    int64  `json:"moved"`    // when something new of it came last; 0: nothing did
	Arrivals int64  `json:"arrivals"` // as many, a second apart
	Gap      int64  `json:"gap"`      // the longest between two, this week
	Before   int64  `json:"before"`   // and the week before
	Week     int64  `json:"week"`     // which that is
}

const (
	week = 7 * day
	// sourceGone is how long a source may have been silent at the start to be remembered: what was switched off for good must not
	// blind for ever.
	sourceGone = week
	// sourceLive is the same where only the ledger tells of it: what it holds of that source may have been an import of old logs.
	sourceLive = day
	// habitKnown is after how many arrivals a source's longest gap says how it sends.
	habitKnown = 20
	// silentUnknown is how long a source may be silent until then, and silentLeast any source.
	silentUnknown = 10 * 60 * 1000
	silentLeast   = 2 * 60 * 1000
	// habitsEvery is how long what is written of the sources may be behind.
	habitsEvery = 60 * 1000
)

// SourcesName is the file of a data directory that says how the sources send.
const SourcesName = "sources.json"

// came notes that something new came. A gap in which the server was down, wholly or in part, is not the source's.
func (h *habit) came(now, began int64) {
	if w := now / week; w != h.Week {
		if h.Before = 0; w == h.Week+1 {
			h.Before = h.Gap
		}
		h.Gap, h.Week = 0, w
	}
	if h.Moved >= began {
		h.Gap = max(h.Gap, now-h.Moved)
	}
	if now-h.Moved >= 1000 {
		h.Arrivals++
	}
	h.Moved = now
}

// silent says whether the source has been silent for longer than its habit: three times its longest gap and at least two minutes; ten
// minutes while little is known of it. What it could not send before the start is not held against it.
func (h *habit) silent(now, began int64) bool {
	limit := int64(silentUnknown)
	if h.Arrivals > habitKnown {
		limit = max(silentLeast, 3*max(h.Gap, h.Before))
	}
	return h.Moved != 0 && now-max(h.Moved, began) > limit
}

// SilentSince is when a source that has been silent for longer than its habit sent something new last, before the last start or since;
// zero: it is not silent.
func (s *SourceStatus) SilentSince(now time.Time) time.Time {
	if !s.habit.silent(now.UnixMilli(), s.began) {
		return time.Time{}
	}
	return time.UnixMilli(s.habit.Moved)
}

// habits is what is written.
type habits struct {
	Version int     `json:"version"`
	Sources []habit `json:"sources"`
}

const habitsVersion = 1

// remember takes the sources' habits from the last run. Without them the newest event of each, as the ledger has it, stands for when it came.
func (s *sources) remember(path string) error {
	known, err := readHabits(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known == nil {
		for _, st := range s.by {
			if s.began-st.Newest < sourceLive {
				st.habit.Moved = min(st.Newest, s.began)
			}
		}
		return err
	}
	for _, h := range known.Sources {
		if h.Moved = min(h.Moved, s.began); h.Source != "" && h.Moved > 0 && s.began-h.Moved < sourceGone {
			s.get(h.Source).habit = h
		}
	}
	return nil
}

// readHabits gives nil where there are none, or none that can be read.
func readHabits(path string) (*habits, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how the sources sent: %w", err)
	}
	var known habits
	if err := json.Unmarshal(b, &known); err != nil {
		return nil, fmt.Errorf("read how the sources sent, in %s: %w", path, err)
	}
	if known.Version != habitsVersion {
		return nil, fmt.Errorf("read how the sources sent, in %s: version %d is not known", path, known.Version)
	}
	return &known, nil
}

// keep writes the habits.
func (s *sources) keep(path string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	out := habits{Version: habitsVersion, Sources: []habit{}}
	s.mu.Lock()
	for name, st := range s.by {
		if h := st.habit; h.Moved != 0 {
			h.Source = name
			out.Sources = append(out.Sources, h)
		}
	}
	s.mu.Unlock()
	b, err := json.Marshal(&out)
	if err != nil {
		return fmt.Errorf("write how the sources send: %w", err)
	}
	tmp := path + ".new"
	if err = os.WriteFile(tmp, append(b, '\n'), 0o600); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp) // it would be in nobody's way
		return fmt.Errorf("write how the sources send: %w", err)
	}
	return nil
}

// habitsPath is where the habits are kept; "": nowhere.
func (l *Live) habitsPath() string {
	if l.cfg.StateDir == "" {
		return ""
	}
	return filepath.Join(l.cfg.StateDir, SourcesName)
}

// keepSources writes how the sources send, if that is wanted. Without it silence is found later after a restart, and nothing else is lost.
func (l *Live) keepSources() {
	if path := l.habitsPath(); path != "" {
		if err := l.sources.keep(path); err != nil {
			l.cfg.Logger.Warn("after a restart it is not known how the sources sent", "error", err)
		}
	}
}
