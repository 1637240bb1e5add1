package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Hash is a hash of the tree; as text it is hexadecimal.
type Hash [hashSize]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText gives the hash in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads a hash in hexadecimal.
func (h *Hash) UnmarshalText(b []byte) error {
	if n, err := hex.Decode(h[:], b[:min(len(b), 2*hashSize)]); err != nil || n != hashSize || len(b) != 2*hashSize {
		return errors.New("a hash has 64 hexadecimal digits")
	}
	return nil
}

const (
	rootFormat  = "whosaw-root"
	rootVersion = 1
)

// SavedRoot is what is kept elsewhere to find later that a ledger was rewritten: whoever can write the ledger can
// make its checksums good again, but not another ledger with the same root. The roots of the parts on the
// way say where.
type SavedRoot struct {
	Format   string     `json:"format"`
	Version  int        `json:"version"`
	When     time.Time  `json:"when"`
	Sequence uint64     `json:"sequence"` // of the last record under the root
	Root     Hash       `json:"root"`
	Parts    []PartRoot `json:"parts"` // roots before it, in order
	Sum      string     `json:"sum"`   // SHA-256 of the file with this member empty
}

// NewSavedRoot gives what is to be kept of a ledger that was verified.
func NewSavedRoot(v *Verified, when time.Time) *SavedRoot {
	s := &SavedRoot{Format: rootFormat, Version: rootVersion, When: when.UTC().Truncate(time.Second), Sequence: v.Rooted, Root: v.Root, Parts: v.Parts}
	if n := len(s.Parts); n > 0 && s.Parts[n-1].Last == v.Rooted {
		s.Parts = s.Parts[:n-1]
	}
	return s
}

// Encode gives the bytes of the file.
func (s *SavedRoot) Encode() ([]byte, error) {
	c := *s
	b, err := sumJSON(&c, &c.Sum)
	if err != nil {
		return nil, fmt.Errorf("write root: %w", err)
	}
	s.Sum = c.Sum
	return b, nil
}

// ParseSavedRoot reads the bytes of a file that Encode made.
func ParseSavedRoot(b []byte) (*SavedRoot, error) {
	s := new(SavedRoot)
	if err := json.Unmarshal(b, s); err != nil || s.Format != rootFormat {
		return nil, errors.New("this is no saved root: give a file that whosaw verify --save-root made")
	}
	if s.Version != rootVersion {
		return nil, fmt.Errorf("the saved root has version %d, which this whosaw does not know; if it was made by a newer whosaw, use that", s.Version)
	}
	sum := s.Sum
	again, err := s.Encode()
	if err != nil || s.Sum != sum || !bytes.Equal(again, b) {
		return nil, errors.New("the saved root does not match its checksum: it is not as it was written, use another copy of it")
	}
	last := uint64(0)
	for _, p := range append(s.Parts[:len(s.Parts):len(s.Parts)], PartRoot{s.Sequence, s.Root}) {
		if p.Last <= last && s.Sequence > 0 {
			return nil, errors.New("the saved root is not in order: use another copy of it")
		}
		last = p.Last
	}
	return s, nil
}

// sequences gives those at which there is a root, ascending.
func (s *SavedRoot) sequences() []uint64 {
	all := make([]uint64, 0, len(s.Parts)+1)
	for _, p := range s.Parts {
		all = append(all, p.Last)
	}
	return append(all, s.Sequence)
}

// at gives the root that was saved for a sequence.
func (s *SavedRoot) at(sequence uint64) (Hash, bool) {
	if sequence == s.Sequence {
		return s.Root, true
	}
	for _, p := range s.Parts {
		if p.Last == sequence {
			return p.Root, true
		}
	}
	return Hash{}, false
}

// RewriteError says that every file is sound in itself, and yet not what was saved of the ledger.
type RewriteError struct {
	File         string // that the last of the records lies in
	First, Last  uint64 // among these records is what was changed, left out or put in
	Saved, Found Hash
	Short        bool // the ledger ends before Last
}

func (e *RewriteError) Error() string {
	switch {
	case e.Short:
		return fmt.Sprintf("the ledger in %s ends with record %d, and a root was saved of %d: what came after was removed, "+
			"or this is an older copy; restore a newer one", e.File, e.First-1, e.Last)
	case e.Found == Hash{}:
		return fmt.Sprintf("the records %d to %d of the ledger in %s cannot be compared with the saved root: they have no leaves", e.First, e.Last, e.File)
	}
	return fmt.Sprintf("rewritten ledger: %s: all checksums are right, but among the records %d to %d are others than when the root was saved "+
		"(root %s at %d, saved %s); restore them from a copy that gives the saved root, and find out who could write here",
		e.File, e.First, e.Last, e.Found, e.Last, e.Saved)
}
