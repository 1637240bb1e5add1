package report

import (
	"time"

	"github.com/whosaw/whosaw"
)

// Data is an investigation to be told. Only Read is always needed; what is empty is left out.
type Data struct {
	Made    time.Time      // when the report was made; zero: not shown
	Version string         // of whosaw
	Zone    *time.Location // of the times shown; nil: UTC

	Sources []string // what was read, as the user named it
	Read    whosaw.ReadAnswer
	Rejects []Reject // the first few rejected lines
	// RejectFile is where the rejected lines are kept, "" if nowhere.
	RejectFile string
	// Catalog is the catalog's name; Suggested says that it is the program's own suggestion.
	Catalog   string
	Suggested bool
	Ledger    string // the data directory that was kept, "" if none
	// Partial says that not everything was read, and how to go on: "interrupted: …".
	Partial string

	Findings []whosaw.Finding
	// Scopes has one entry for each attack, in the order of whosaw.Investigation.
	Scopes []Scope
	// All is the scope of everything, for reports without a finding; nil: not shown.
	All    *Scope
	Doctor whosaw.DoctorAnswer
	Next   []Command
}

// Scope is what an attack disclosed, with what the plots and tables need.
type Scope struct {
	Answer   whosaw.ScopeAnswer
	Absent   int64 // accesses to subjects that do not exist
	Timeline Timeline
	Tops     []Top
}

// Timeline is the number of subjects disclosed for the first time within the scope, by equal steps of time.
type Timeline struct {
	Step    time.Duration // of a bucket: an hour, a day
	Buckets []Bucket      // by time; those that are missing are zero
}

// Bucket is one step that begins at At, in milliseconds since 1970 UTC.
type Bucket struct {
	At int64
	N  int64
}

// Top is a table of who saw most. Rows without a Day are over all days.
type Top struct {
	By   string // the dimension: ip, key, principal, route, …
	Rows []whosaw.TopRow
}

// Reject is a line that could not be read.
type Reject struct {
	Source string
	Line   int64 // from 1; 0: unknown
	Reason string
}

// Command is something to do next.
type Command struct {
	Says string
	Line string
}

// Caps of both outputs. What goes beyond is counted in words.
const (
	maxScopes    = 12
	maxFindings  = 24 // cards in all
	maxTops      = 6
	maxTopRows   = 12
	maxGaps      = 12
	maxFields    = 40
	maxRejects   = 8
	maxBuckets   = 240
	maxSources   = 6
	maxChips     = 24
	maxValue     = 120  // characters of a value that came from a log
	maxValueFull = 2000 // of the same in full, in a title
	maxCommand   = 4000 // of a command
)

func (d *Data) zone() *time.Location {
	if d.Zone == nil {
		return time.UTC
	}
	return d.Zone
}

// findings gives the findings of a scope, and those of none.
func (d *Data) findings(ids []string) []whosaw.Finding {
	var out []whosaw.Finding
	for _, f := range d.Findings {
		for _, id := range ids {
			if f.ID == id {
				out = append(out, f)
				break
			}
		}
	}
	return out
}

func (d *Data) loose() []whosaw.Finding {
	in := make(map[string]bool)
	for _, s := range d.Scopes {
		for _, id := range s.Answer.Findings {
			in[id] = true
		}
	}
	var out []whosaw.Finding
	for _, f := range d.Findings {
		if !in[f.ID] {
			out = append(out, f)
		}
	}
	return out
}
