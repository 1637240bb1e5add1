package ledger

import "fmt"

// DamageError says that a file of the ledger is not as it was written. Nothing of it is used.
type DamageError struct {
	File   string
	Offset int64 // where in the file the damage shows; -1: the file is missing
	What   string

	// First and Last are the sequences of the records that are affected. First 0: it is not known, as where
	// the damage is in what says so; Last 0: all from First on that the file holds.
	First, Last uint64
}

func (e *DamageError) Error() string {
	where := ""
	if e.Offset >= 0 {
		where = fmt.Sprintf(" at byte %d", e.Offset)
	}
	switch {
	case e.First == 0 || e.Offset < 0: // What says which
	case e.Last == 0:
		where += fmt.Sprintf(", record %d on", e.First)
	case e.Last == e.First:
		where += fmt.Sprintf(", record %d", e.First)
	default:
		where += fmt.Sprintf(", of records %d to %d", e.First, e.Last)
	}
	return fmt.Sprintf("damaged ledger: %s%s: %s; restore this file from a copy: whosaw does not guess what it said",
		e.File, where, e.What)
}

// A NewerError says that a file was written by a newer whosaw.
type NewerError struct {
	File    string
	Version uint32
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("ledger file %s has format version %d, which this whosaw does not know: use a newer whosaw", e.File, e.Version)
}
