package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/whosaw/whosaw"
)

// parts copies what of the ledger is not there yet and gives the manifest's lines for all of it.
func (b *backup) parts(ctx context.Context, now sources) ([]BackupFile, error) {
	var files []BackupFile
	var todo []int // files that are to be copied
	from := map[int]*source{}
	for i := range now {
		s := &now[i]
		var f []BackupFile
		var err error
		switch {
		case s.seg != nil:
			f, err = b.planSegment(ctx, s)
		case s.gone != nil:
			f = b.planGone(s)
		default:
			f = b.planLog(s)
		}
		if err != nil {
			return nil, err
		}
		for _, file := range f {
			if file.SHA256 == "" || b.damaged(&file) {
				todo = append(todo, len(files))
				from[len(files)] = s
				b.planned += file.Size
			}
			files = append(files, file)
		}
	}
	if free, err := b.disk.Free(b.cfg.To); err == nil && free < b.planned {
		return nil, fmt.Errorf("%w: %s has %d bytes free and the backup needs %d more; free some space there, or name another directory with --to: "+
			"the backup that was there before is whole", ErrDiskFull, b.cfg.To, free, b.planned)
	}
	b.planned += b.copied
	for _, i := range todo {
		if err := b.copyPart(ctx, from[i], &files[i]); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// planSegment gives the line of a segment, without a checksum if it is to be copied.
func (b *backup) planSegment(ctx context.Context, s *source) ([]BackupFile, error) {
	f := BackupFile{As: "ledger/" + filepath.Base(s.seg.name), Size: s.seg.size, First: s.first, Last: s.last}
	f.Path = f.path()
	if old := b.earlier(f.Path); old != nil {
		return []BackupFile{*old}, nil
	}
	// A backup that was ended may have copied it already: it was renamed when all of it was on disk.
	there, err := openSegment(b.in(f.Path))
	if err != nil {
		return []BackupFile{f}, nil
	}
	if !sameSegment(there, s.seg) {
		return nil, b.foreign()
	}
	w := newFileWriter(nil)
	if err := copySegment(ctx, there, w); err == nil {
		f.SHA256 = w.sum()
	} else if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return []BackupFile{f}, nil
}

// planGone gives the line of a tombstone.
func (b *backup) planGone(s *source) []BackupFile {
	f := BackupFile{As: "ledger/" + filepath.Base(partName("", s.first, goneSuffix)), Size: int64(len(s.gone.encode())), First: s.first, Last: s.last}
	f.Path = f.path()
	if old := b.earlier(f.Path); old != nil {
		f = *old
	}
	return []BackupFile{f}
}

// holds copies the holds, if there are any, and gives the manifest's line.
func (b *backup) holds() ([]BackupFile, error) {
	holds := b.l.Holds()
	if len(holds) == 0 {
		return nil, nil
	}
	text := encodeHolds(holds)
	sum := sha256.Sum256(text)
	f := BackupFile{As: "ledger/" + holdsName, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])}
	f.Path = f.path()
	if old := b.earlier(f.Path); old == nil || f.read(context.Background(), b.cfg.To, newFileWriter(nil)) != nil {
		if _, err := b.place(f.Path, func(w *fileWriter) error { _, err := w.Write(text); return err }); err != nil {
			return nil, err
		}
	}
	return []BackupFile{f}, nil
}

// planLog gives the pieces of a log: those that are there, and one more with what came since.
func (b *backup) planLog(s *source) []BackupFile {
	rest := BackupFile{As: "ledger/" + filepath.Base(s.name), First: s.first, Last: s.last}
	pieces := b.pieces(rest.As)
	if len(pieces) >= maxPieces || slices.ContainsFunc(pieces, func(p BackupFile) bool { return b.damaged(&p) }) {
		pieces = nil
	}
	if n := len(pieces); n > 0 {
		rest.Offset, rest.First = pieces[n-1].Offset+pieces[n-1].Size, pieces[n-1].Last+1
	}
	if rest.Size = s.end - rest.Offset; rest.Size == 0 {
		return pieces
	}
	rest.Path = rest.path()
	return append(pieces, rest)
}

// earlier gives the line of the earlier backup's file of this path.
func (b *backup) earlier(path string) *BackupFile {
	if b.before == nil {
		return nil
	}
	for i := range b.before.Files {
		if b.before.Files[i].Path == path {
			return &b.before.Files[i]
		}
	}
	return nil
}

// pieces gives the lines of the earlier backup's pieces of a log, in order.
func (b *backup) pieces(log string) (pieces []BackupFile) {
	if b.before != nil {
		for _, f := range b.before.Files {
			if f.As == log {
				pieces = append(pieces, f)
			}
		}
	}
	return pieces
}

// damaged says whether a file that should be there can be seen not to be, without reading it.
func (b *backup) damaged(f *BackupFile) bool {
	if f.checkPlain(b.cfg.To) != nil {
		return true
	}
	if f.segment() {
		_, err := openSegment(b.in(f.Path))
		return err != nil
	}
	return false
}

// copyPart copies a segment, or the piece of a log.
func (b *backup) copyPart(ctx context.Context, s *source, f *BackupFile) error {
	sum, err := b.place(f.Path, func(w *fileWriter) error {
		switch {
		case s.seg != nil:
			if err := copySegment(ctx, s.seg, w); err != nil {
				return err
			}
		case s.gone != nil:
			if _, err := w.Write(s.gone.encode()); err != nil {
				return err
			}
		default:
			r := &logReader{f: s.log, name: s.name, size: s.end, next: f.First, pos: f.Offset}
			if f.Offset == 0 {
				r.first = s.first
			}
			if err := copyFrames(ctx, r, w); err != nil {
				return err
			}
			if r.next != f.Last+1 {
				return r.damage(s.end, fmt.Sprintf("the log goes up to sequence %d where %d was acknowledged", r.next-1, f.Last))
			}
		}
		if f.SHA256 != "" && w.sum() != f.SHA256 {
			return b.foreign()
		}
		return nil
	})
	f.SHA256 = sum
	return err
}

func (b *backup) foreign() error {
	return fmt.Errorf("the backup in %s is of another ledger, or of this one before it was restored from an older backup: name another directory with --to", b.cfg.To)
}

// sameSegment compares two segments by their footers, which hold random secrets and the checksums of
// all that is in them.
func sameSegment(a, b *segment) bool {
	return a.size == b.size && bytes.Equal(a.footer.append(nil), b.footer.append(nil))
}

// belongs checks that the ledger goes on where the backup in the directory ends: it may hold the only
// copy of what another ledger had.
func (b *backup) belongs(ctx context.Context, now sources) error {
	if b.before.Sequence > now.last() {
		return b.foreign()
	}
	for _, f := range b.before.Files {
		if !f.segment() {
			continue
		}
		s := now.find(f.First)
		if s != nil && s.gone != nil && s.last == f.Last {
			continue // retention removed it since, and it goes from here too
		}
		if s == nil || s.seg == nil || s.last != f.Last || s.seg.size != f.Size {
			return b.foreign()
		}
		there, err := openSegment(b.in(f.Path))
		if err != nil {
			continue // it is copied anew, and must come out the same
		}
		if !sameSegment(there, s.seg) {
			return b.foreign()
		}
	}
	logs := map[string]bool{}
	for _, f := range b.before.Files {
		if !f.piece() || logs[f.As] {
			continue
		}
		logs[f.As] = true
		pieces := b.pieces(f.As)
		s := now.find(f.First)
		var same bool
		var err error
		switch {
		case s == nil:
		case s.gone != nil:
			same = pieces[len(pieces)-1].Last <= s.last
		case s.seg == nil:
			same, err = sameBytes(ctx, s, pieces)
		default:
			same, err = b.sameRecords(ctx, s.seg, pieces)
		}
		if err != nil {
			return err
		}
		if !same {
			return b.foreign()
		}
	}
	return nil
}

// sameBytes compares the beginning of a log with the checksums of its pieces in the backup.
func sameBytes(ctx context.Context, s *source, pieces []BackupFile) (bool, error) {
	for _, p := range pieces {
		if p.Offset+p.Size > s.end {
			return false, nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(s.log, p.Offset, p.Size)); err != nil {
			return false, fmt.Errorf("read log: %w%s", err, cure(err))
		}
		if hex.EncodeToString(h.Sum(nil)) != p.SHA256 {
			return false, nil
		}
	}
	return true, nil
}

var errEnough = errors.New("enough")

// sameRecords compares the records of a log that was sealed since with those of its pieces.
func (b *backup) sameRecords(ctx context.Context, seg *segment, pieces []BackupFile) (bool, error) {
	if pieces[len(pieces)-1].Last < pieces[0].First {
		return true, nil // there were none
	}
	was := &pieceRecords{dir: b.cfg.To, pieces: pieces}
	defer was.close()
	v := &View{zip: b.l.unzip, parts: []viewPart{seg.view()}}
	var mine []byte
	same := true
	err := v.Records(ctx, 0, func(_ uint64, r *whosaw.Record) error {
		theirs, err := was.next()
		if err == io.EOF {
			return errEnough
		}
		if err != nil {
			return err
		}
		if mine = appendRecord(mine[:0], r); !bytes.Equal(mine, theirs) {
			same = false
			return errEnough
		}
		return nil
	})
	if err == nil { // the segment has fewer, or as many
		_, err = was.next()
		same = same && err == io.EOF
		if err == io.EOF {
			err = nil
		}
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return same, err
}

// pieceRecords gives the canonical records in the pieces of a log in order.
type pieceRecords struct {
	dir    string
	pieces []BackupFile
	r      *logReader
	rest   []byte
}

func (p *pieceRecords) close() {
	if p.r != nil {
		p.r.Close() // only read
		p.r = nil
	}
}

func (p *pieceRecords) next() ([]byte, error) {
	for len(p.rest) == 0 {
		if p.r == nil {
			if len(p.pieces) == 0 {
				return nil, io.EOF
			}
			f := &p.pieces[0]
			if err := f.checkPlain(p.dir); err != nil {
				return nil, err
			}
			r, err := openPiece(filepath.Join(p.dir, f.Path), f)
			if err != nil {
				return nil, err
			}
			p.r, p.pieces = r, p.pieces[1:]
			if f.Offset == 0 {
				if err := r.head(); err != nil {
					return nil, err
				}
			}
		}
		frame, err := p.r.frame(false)
		if err == io.EOF {
			p.close()
			continue
		}
		if err != nil {
			return nil, err
		}
		p.rest = frame.payload
	}
	if len(p.rest) < 4 {
		return nil, errShort
	}
	n := binary.LittleEndian.Uint32(p.rest)
	if uint64(n) > uint64(len(p.rest)-4) {
		return nil, errShort
	}
	record := p.rest[4 : 4+n]
	p.rest = p.rest[4+n:]
	return record, nil
}

// extras has what lies beside the ledger copied and gives the manifest's lines. A file that is as it
// was keeps its name, which has its checksum.
func (b *backup) extras(ctx context.Context) ([]BackupFile, error) {
	files, err := b.copyExtras(ctx, b.cfg.Extra)
	if err != nil || b.cfg.More == nil {
		return files, err
	}
	list, err := b.cfg.More()
	if err != nil {
		return nil, err
	}
	if err := checkExtras(slices.Concat(b.cfg.Extra, list)); err != nil {
		return nil, err
	}
	more, err := b.copyExtras(ctx, list)
	return append(files, more...), err
}

func (b *backup) copyExtras(ctx context.Context, list []Extra) ([]BackupFile, error) {
	var files []BackupFile
	for _, e := range list {
		temp := b.in(backupOther + "/" + flat(e.Name) + tempSuffix)
		if err := e.Write(ctx, temp); err != nil {
			_ = b.disk.Remove(temp)
			return nil, fmt.Errorf("copy %s: %w%s", e.Name, err, backupCure(err))
		}
		if err := os.Chmod(temp, 0o600); err != nil {
			return nil, fmt.Errorf("copy %s: %w%s", e.Name, err, backupCure(err))
		}
		w := newFileWriter(nil)
		if err := copyPlain(ctx, temp, w); err != nil {
			return nil, err
		}
		f := BackupFile{As: e.Name, Size: w.at, SHA256: w.sum()}
		f.Path = f.path()
		files = append(files, f)
		if old := b.earlier(f.Path); old != nil && !b.damaged(old) && !b.changed(ctx, old) {
			if err := b.disk.Remove(temp); err != nil {
				return nil, fmt.Errorf("remove from backup: %w%s", err, backupCure(err))
			}
			continue
		}
		if err := b.settleExtra(temp, b.in(f.Path)); err != nil {
			return nil, fmt.Errorf("copy %s: %w%s", e.Name, err, backupCure(err))
		}
		b.progress(w.at)
	}
	return files, nil
}

// changed reads a file that lies beside the ledger in the earlier backup; they are small.
func (b *backup) changed(ctx context.Context, f *BackupFile) bool {
	w := newFileWriter(nil)
	return copyPlain(ctx, b.in(f.Path), w) != nil || w.sum() != f.SHA256
}

// settleExtra makes a file that the caller wrote last, under its name.
func (b *backup) settleExtra(temp, name string) error {
	f, err := b.disk.Open(temp)
	if err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := b.disk.Rename(temp, name); err != nil {
		return err
	}
	return b.disk.SyncDir(filepath.Dir(name))
}

// KeptFile is the Extra of a file of the data directory that nobody writes while it is copied; ok is
// false if there is none.
func KeptFile(dir, name string) (e Extra, ok bool) {
	from := filepath.Join(dir, name)
	if info, err := os.Stat(from); err != nil || !info.Mode().IsRegular() {
		return Extra{}, false
	}
	return Extra{Name: name, Write: func(ctx context.Context, path string) error {
		b, err := os.ReadFile(from)
		if err != nil && errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s was removed while the backup ran: start again", from)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w%s", from, err, cure(err))
		}
		return os.WriteFile(path, b, 0o600)
	}}, true
}
