package ledger

import "fmt"

// DamageError says that a file of the ledger is not as it was written. Nothing of it is used.
type DamageError struct {
	File   string
	Offset int64 // where in the file the damage shows
	What   string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("damaged ledger: %s at byte %d: %s; restore this file from a copy: whosaw does not guess what it said",
		e.File, e.Offset, e.What)
}

// A NewerError says that a file was written by a newer whosaw.
type NewerError struct {
	File    string
	Version uint32
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("ledger file %s has format version %d, which this whosaw does not know: use a newer whosaw", e.File, e.Version)
}
