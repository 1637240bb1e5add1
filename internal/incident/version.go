package incident

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/scope"
)

// Version is one answer to "whose data": who is in it is in a list beside the book.
type Version struct {
	Number int                `json:"version"`
	AsOf   uint64             `json:"as_of"` // the last record that was looked at
	Reason string             `json:"reason"`
	Answer whosaw.ScopeAnswer `json:"answer"`
	// List is the SHA-256 of the list, uncompressed, in hex: a JSON object a line, as `whosaw scope --list jsonl` writes it.
	List string `json:"list"`
	// Purged: retention removed the list. What it was stays under its hash.
	Purged bool `json:"purged,omitempty"`
	// Difference from the version before; nil for the first.
	Difference *Difference `json:"difference,omitempty"`
}

// Difference counts subjects. Added + Same + Widened are the new version's, Removed + Same + Widened the old one's.
type Difference struct {
	Added   int64 `json:"added"`   // who was not in the version before
	Removed int64 `json:"removed"` // who is no longer
	Widened int64 `json:"widened"` // who is in both, with other fields
	Same    int64 `json:"same"`
	// Causes are those of: filter (another one was asked), records (more had come), catalog (it says otherwise what a page shows).
	Causes []string `json:"causes"`
}

// MakeVersion asks engine for a scope, keeps its list, and records it as the next version with a reason.
func (b *Book) MakeVersion(ctx context.Context, incident int64, who string, engine *scope.Engine, asOf uint64, filter whosaw.Filter, reason string) (*Version, error) {
	b.making.Lock()
	defer b.making.Unlock()
	in, err := b.Incident(ctx, incident)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(reason) == "" {
		return nil, invalid(errors.New("scope version: give a reason: who reads it later was not there"))
	}
	filter = slices.Clone(filter)
	for i := range filter {
		if filter[i].AsOf == 0 {
			filter[i].AsOf = asOf // so the answer can be had again
		}
	}
	v := &Version{Number: len(in.Versions) + 1, AsOf: asOf, Reason: reason}
	if v.Answer, err = engine.Count(ctx, filter); err != nil {
		return nil, err
	}
	rows, err := b.keepList(ctx, incident, v, engine, filter)
	if err != nil {
		return nil, err
	}
	if rows != v.Answer.Subjects {
		return nil, fmt.Errorf("BUG: the list has %d subjects and the count %d: nothing was recorded", rows, v.Answer.Subjects)
	}
	if v.Number > 1 {
		if v.Difference, err = b.difference(ctx, incident, &in.Versions[v.Number-2], v); err != nil {
			return nil, err
		}
	}
	if _, err := b.record(ctx, incident, who, Scoped, &Body{Scope: v, Note: reason}); err != nil {
		return nil, err
	}
	return v, nil
}

// ListSuffix ends the names of lists.
const ListSuffix = ".jsonl.zst"

// listPath is by the list's hash, so that a version which was not recorded after all leaves nothing that another could be taken for.
func (b *Book) listPath(incident int64, list string) string {
	return filepath.Join(b.cfg.Dir, fmt.Sprintf("%d", incident), list+ListSuffix)
}

func (b *Book) keepList(ctx context.Context, incident int64, v *Version, engine *scope.Engine, filter whosaw.Filter) (rows int64, err error) {
	dir := filepath.Join(b.cfg.Dir, fmt.Sprintf("%d", incident))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("keep list: %w", err)
	}
	f, err := os.CreateTemp(dir, ".list-*")
	if err != nil {
		return 0, fmt.Errorf("keep list: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := zstd.NewWriter(f)
	if err != nil {
		return 0, fmt.Errorf("keep list: %w", err)
	}
	sum := sha256.New()
	buf := bufio.NewWriterSize(io.MultiWriter(z, sum), 1<<16)
	list := scope.NewListWriter(buf, false)
	err = engine.List(ctx, filter, func(row whosaw.ListRow) error {
		rows++
		return list.Row(row)
	})
	if err = errors.Join(err, buf.Flush(), z.Close()); err != nil {
		return 0, fmt.Errorf("keep list: %w", err)
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("keep list: %w", err)
	}
	v.List = hex.EncodeToString(sum.Sum(nil))
	if err := os.Rename(f.Name(), b.listPath(incident, v.List)); err != nil {
		return 0, fmt.Errorf("keep list: %w", err)
	}
	return rows, syncDir(dir)
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("keep list: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("keep list: %w", err)
	}
	return nil
}

// List calls yield with each subject of a version, in the order of a scope's list. When all were given, it checks that the list is the one that was
// recorded: only a nil error says so.
func (b *Book) List(ctx context.Context, incident int64, v *Version, yield func(row whosaw.ListRow) error) error {
	r, err := b.openList(incident, v)
	if err != nil {
		return err
	}
	defer r.Close()
	for n := 0; ; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := yield(row); err != nil {
			return err
		}
	}
}

type listReader struct {
	f     *os.File
	z     *zstd.Decoder
	sum   hash.Hash
	lines *bufio.Reader
	want  string
	what  string
}

func (b *Book) openList(incident int64, v *Version) (*listReader, error) {
	what := fmt.Sprintf("list of scope version %d of incident %d", v.Number, incident)
	if v.Purged {
		return nil, invalid(fmt.Errorf("%s: retention removed it; a backup may have it", what))
	}
	f, err := os.Open(b.listPath(incident, v.List))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: its file is gone: take it from a backup, or make a new version", what)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", what, err), f.Close())
	}
	r := &listReader{f: f, z: z, sum: sha256.New(), want: v.List, what: what}
	r.lines = bufio.NewReaderSize(io.TeeReader(z, r.sum), 1<<16)
	return r, nil
}

// next gives a row; io.EOF only when the whole list was the recorded one.
func (r *listReader) next() (row whosaw.ListRow, err error) {
	line, err := r.lines.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		rest, more := r.lines.ReadBytes('\n')
		line, err = append(slices.Clone(line), rest...), more
	}
	switch {
	case errors.Is(err, io.EOF) && len(line) == 0:
		if hex.EncodeToString(r.sum.Sum(nil)) != r.want {
			return row, fmt.Errorf("%s: it is not the one that was recorded: take it from a backup, or make a new version", r.what)
		}
		return row, io.EOF
	case err != nil:
		return row, fmt.Errorf("%s: %w", r.what, err)
	}
	if err := json.Unmarshal(line, &row); err != nil {
		return row, fmt.Errorf("%s: %w", r.what, err)
	}
	return row, nil
}

func (r *listReader) Close() { r.z.Close(); r.f.Close() }

// order is that of a scope's list: shorter ids first, then bytewise, then by realm.
func order(a, b *whosaw.ListRow) int {
	if c := cmp.Compare(len(a.Subject), len(b.Subject)); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Subject, b.Subject); c != 0 {
		return c
	}
	return cmp.Compare(a.Realm, b.Realm)
}

func (b *Book) difference(ctx context.Context, incident int64, old, v *Version) (*Difference, error) {
	d := &Difference{Causes: []string{}}
	if !sameFilter(old.Answer.Filter, v.Answer.Filter) {
		d.Causes = append(d.Causes, "filter")
	}
	if old.AsOf != v.AsOf {
		d.Causes = append(d.Causes, "records")
	}
	if old.Answer.Catalog != v.Answer.Catalog {
		d.Causes = append(d.Causes, "catalog")
	}
	err := b.Compare(ctx, incident, old, v, func(was, is *whosaw.ListRow) error {
		switch {
		case was == nil:
			d.Added++
		case is == nil:
			d.Removed++
		case !slices.Equal(was.Fields, is.Fields):
			d.Widened++
		default:
			d.Same++
		}
		return nil
	})
	return d, err
}

// sameFilter compares what was asked, whenever it was.
func sameFilter(a, b whosaw.Filter) bool {
	x, err := json.Marshal(without(a))
	if err != nil {
		return false
	}
	y, err := json.Marshal(without(b))
	return err == nil && string(x) == string(y)
}

func without(f whosaw.Filter) whosaw.Filter {
	f = slices.Clone(f)
	for i := range f {
		f[i].AsOf = 0
	}
	return f
}

// Compare visits the subjects of two versions side by side, in order: was is nil for who came, is for who went.
func (b *Book) Compare(ctx context.Context, incident int64, old, v *Version, visit func(was, is *whosaw.ListRow) error) error {
	var readers [2]*listReader
	var rows [2]*whosaw.ListRow
	step := func(i int) error {
		row, err := readers[i].next()
		if errors.Is(err, io.EOF) {
			rows[i] = nil
			return nil
		}
		rows[i] = &row
		return err
	}
	for i, version := range []*Version{old, v} {
		r, err := b.openList(incident, version)
		if err != nil {
			return err
		}
		defer r.Close()
		readers[i] = r
		if err := step(i); err != nil {
			return err
		}
	}
	for n := 0; rows[0] != nil || rows[1] != nil; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c := 0
		switch {
		case rows[0] == nil:
			c = 1
		case rows[1] == nil:
			c = -1
		default:
			c = order(rows[0], rows[1])
		}
		was, is := rows[0], rows[1]
		if c > 0 {
			was = nil
		}
		if c < 0 {
			is = nil
		}
		if err := visit(was, is); err != nil {
			return err
		}
		if was != nil {
			if err := step(0); err != nil {
				return err
			}
		}
		if is != nil {
			if err := step(1); err != nil {
				return err
			}
		}
	}
	return nil
}
