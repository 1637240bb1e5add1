package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A backup is a directory: parts/ has segments and pieces of logs, other/ what lies beside the
// ledger, and manifest.json says which of them are the backup. docs/formats/ledger.md has the bytes.
const (
	manifestName    = "manifest.json"
	manifestFormat  = "whosaw-backup"
	manifestVersion = 1
	maxManifest     = 64 << 20
	backupParts     = "parts"
	backupOther     = "other"
)

// Manifest says what a backup holds. It is written last: what it does not name is no part of it.
type Manifest struct {
	Format   string       `json:"format"`
	Version  int          `json:"version"`
	Whosaw   string       `json:"whosaw"`   // the version that made it
	When     time.Time    `json:"when"`     // it was made, UTC
	Sequence uint64       `json:"sequence"` // the last record's; the backup has all up to it, and no more
	Files    []BackupFile `json:"files"`    // segments, then pieces of the log, each in order; then what lies beside
	Sum      string       `json:"sum"`      // SHA-256 of the manifest's file with this member empty
}

// BackupFile is one file of a backup.
type BackupFile struct {
	Path   string `json:"path"`   // in the backup
	As     string `json:"as"`     // in the data directory
	Offset int64  `json:"offset"` // of the file's bytes in that of the data directory: logs come in pieces
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	First  uint64 `json:"first,omitempty"` // sequence of its first record
	Last   uint64 `json:"last,omitempty"`  // and of its last; First-1 if it holds none
}

// BackupError says that a backup is not as it was written, or is no backup.
type BackupError struct {
	File string
	What string
}

func (e *BackupError) Error() string {
	return fmt.Sprintf("damaged backup: %s: %s; use another backup, or make a new one in another directory", e.File, e.What)
}

func (f *BackupFile) segment() bool { return strings.HasSuffix(f.As, segmentSuffix) && f.ledgers() }
func (f *BackupFile) gone() bool    { return strings.HasSuffix(f.As, goneSuffix) && f.ledgers() }
func (f *BackupFile) sealed() bool  { return f.segment() || f.gone() }
func (f *BackupFile) holds() bool   { return f.As == "ledger/"+holdsName }
func (f *BackupFile) piece() bool   { return strings.HasSuffix(f.As, logSuffix) && f.ledgers() }
func (f *BackupFile) ledgers() bool { return strings.HasPrefix(f.As, "ledger/") }

// path is the only name that the file may have in the backup.
func (f *BackupFile) path() string {
	switch {
	case f.piece():
		return fmt.Sprintf("%s/%s.%d-%d", backupParts, filepath.Base(f.As), f.Offset, f.Offset+f.Size)
	case f.sealed():
		return backupParts + "/" + filepath.Base(f.As)
	}
	return backupOther + "/" + f.SHA256[:16] + "-" + flat(f.As)
}

// flat is the name of a file beside the ledger, its directories too, as one name.
func flat(as string) string { return strings.ReplaceAll(as, "/", "-") }

// topOf is the directory or file of a name that lies in the data directory itself.
func topOf(as string) string {
	name, _, _ := strings.Cut(as, "/")
	return name
}

var (
	partPattern  = regexp.MustCompile(`^[0-9]{20}\.(seg|gone|log\.[0-9]+-[0-9]+)$`)
	otherPattern = regexp.MustCompile(`^[0-9a-f]{16}-[A-Za-z0-9][A-Za-z0-9._-]*$`)
	extraPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,2}$`)
	sumPattern   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// extraName says whether a file of this name may lie beside the ledger in a backup.
func extraName(name string) bool {
	switch topOf(name) {
	case "ledger", lockName, restoringName, holdsName:
		return false
	}
	return extraPattern.MatchString(name) && !strings.HasSuffix(name, tempSuffix)
}

// encode gives the bytes of the manifest's file.
func (m *Manifest) encode() ([]byte, error) {
	c := *m
	b, err := sumJSON(&c, &c.Sum)
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	m.Sum = c.Sum
	return b, nil
}

// sumJSON gives a document as JSON with its own checksum in it: of the same bytes, with none there.
func sumJSON(doc any, sum *string) ([]byte, error) {
	*sum = ""
	b, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return nil, err
	}
	of := sha256.Sum256(append(b, '\n'))
	*sum = hex.EncodeToString(of[:])
	b, err = json.MarshalIndent(doc, "", " ")
	return append(b, '\n'), err
}

// ReadManifest reads and checks the manifest of the backup in a directory, not the files it names.
// There being none is fs.ErrNotExist.
func ReadManifest(dir string) (Manifest, error) {
	name := filepath.Join(dir, manifestName)
	info, err := os.Stat(name)
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w%s", err, cure(err))
	}
	if !info.Mode().IsRegular() || info.Size() > maxManifest {
		return Manifest{}, &BackupError{name, "this is not the manifest of a backup"}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w%s", err, cure(err))
	}
	m, err := parseManifest(b)
	if err != nil {
		return Manifest{}, &BackupError{name, err.Error()}
	}
	return m, nil
}

func parseManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return Manifest{}, errors.New("this is not the manifest of a backup: it does not read as JSON")
	}
	switch {
	case m.Format != manifestFormat:
		return Manifest{}, errors.New("this is not the manifest of a backup: it has another format")
	case m.Version != manifestVersion:
		return Manifest{}, fmt.Errorf("it has version %d, which this whosaw does not know; if it was made by a newer whosaw, use that", m.Version)
	}
	sum := m.Sum
	again, err := m.encode()
	if err != nil || m.Sum != sum || !bytes.Equal(again, b) {
		return Manifest{}, errors.New("the manifest does not match its checksum")
	}
	return m, m.check()
}

// check holds the files together: restoring trusts their names.
func (m *Manifest) check() error {
	next, end := uint64(1), int64(0)
	log, seen := "", map[string]bool{}
	for i := range m.Files {
		f := &m.Files[i]
		bad := func(what string) error { return fmt.Errorf("file %d of the manifest %s", i+1, what) }
		switch {
		case f.Size < 0 || f.Offset < 0 || !sumPattern.MatchString(f.SHA256):
			return bad("has no right size or checksum")
		case f.Path != f.path() || seen[f.Path]:
			return bad("has not the name it should have")
		}
		seen[f.Path] = true
		if !f.ledgers() || f.holds() {
			if !f.holds() && !extraName(f.As) || f.Offset != 0 || f.First != 0 || f.Last != 0 || seen[f.As] {
				return bad("may not lie beside a ledger")
			}
			seen[f.As] = true
			continue
		}
		if !partPattern.MatchString(filepath.Base(f.Path)) {
			return bad("has not the name it should have")
		}
		if f.sealed() || f.As != log {
			if f.As != "ledger/"+filepath.Base(partName("", next, filepath.Ext(f.As))) || f.sealed() && (log != "" || f.Last < f.First) {
				return bad("does not follow the one before")
			}
			end = 0
		}
		if f.piece() {
			log = f.As
		}
		if f.First != next || f.Last+1 < f.First || f.Offset != end {
			return bad("does not follow the one before")
		}
		next, end = f.Last+1, f.Offset+f.Size
	}
	if next-1 != m.Sequence {
		return fmt.Errorf("its files go up to sequence %d, not %d", next-1, m.Sequence)
	}
	return nil
}

// Bytes is the size of the backup's files.
func (m *Manifest) Bytes() int64 {
	n := int64(0)
	for i := range m.Files {
		n += m.Files[i].Size
	}
	return n
}

// checkPlain says whether a file of a backup is there with its size, without reading it.
func (f *BackupFile) checkPlain(dir string) error {
	name := filepath.Join(dir, f.Path)
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &BackupError{name, "the file is not there"}
	case err != nil:
		return fmt.Errorf("read backup: %w%s", err, cure(err))
	case !info.Mode().IsRegular() || info.Size() != f.Size:
		return &BackupError{name, fmt.Sprintf("it has %d bytes where the manifest says %d", info.Size(), f.Size)}
	}
	return nil
}
