package ledger

import "fmt"

// DamageError says that a file of the ledger is not as it was written. Nothing of it is used.
type DamageError struct {
	File   string
	Offset int64 // where in the file the damage shows; -1: the file is missing
	What   string
}

func (e *DamageError) Error() string {
	where := ""
	if e.Offset >= 0 {
		where = fmt.Sprintf(" at byte %d", e.Offset)
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
