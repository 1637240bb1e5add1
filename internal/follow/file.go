package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

const (
	blockBytes = 256 << 10 // read at once
	chunkBytes = 1 << 20   // handed over at once, about
	// makingTime: a compressed file, or a rotated one that is too short to be recognised for certain, is left alone until it has not
	// changed for so long: it may be in the making.
	makingTime = 2 * time.Second
)

// fileID tells files apart while they exist.
type fileID struct{ device, inode uint64 }

func idOf(info fs.FileInfo) fileID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(st.Dev), st.Ino}
	}
	return fileID{}
}

// found is a file as a look into its directory shows it.
type found struct {
	path    string
	id      fileID
	size    int64
	written int64 // time of the last modification, nanoseconds
	current bool  // has the name that the writer gives, not one that rotation gave
}

// A file holds a generation, or a copy of one. It is known by device and inode: names move on while it is open.
type file struct {
	found
	gone    bool      // under none of the log's names any more; read on while it is open
	changed time.Time // when it was last seen to be another than before

	looked  bool // at its beginning, as it is now
	ignored bool // it was there before the log was followed
	unlike  bool // it begins like a generation but does not go on like it: it is one of its own
	gen     *generation

	f      *os.File
	packed string // gzip or zstd
	z      io.ReadCloser
	placed bool   // reading goes on at gen.offset and what is in the window
	ended  bool   // the compressed content was read to its end
	start  int64  // bytes before the first line
	head   []byte // what follows start, up to headBytes: it must stay the same
	tail   lastBytes
	window []byte // content from gen.offset on
	long   *longLine
	limit  int64 // lines that begin before it are not wanted: they were there before the log was followed

	readSize, readWritten int64 // as it was when it was last read to its end, or as far as it could be; -1: it was not
	retry                 time.Time
	problem               string
}

// longLine is a line longer than whosaw.MaxLine, of which the beginning is kept until its end is found.
type longLine struct {
	head []byte
	scan int64 // content up to here has no line feed
	tail lastBytes
}

var (
	errMoved    = errors.New("another file has its name now")
	errReplaced = errors.New("it no longer holds what it did")
	errShort    = errors.New("it ends before the place where reading stopped")
)

// newFile is a file seen for the first time. What its time of modification says of the past counts as seen.
func newFile(x found, now time.Time) *file {
	f := &file{found: x, changed: now, readSize: -1}
	if age := now.Sub(time.Unix(0, x.written)); age > 0 {
		f.changed = now.Add(-age)
	}
	return f
}

// update takes what a look showed.
func (f *file) update(x found, now time.Time) {
	if x.size != f.size || x.written != f.written {
		f.changed = now
		f.looked = false
	}
	f.found, f.gone = x, false
}

// quiet reports whether the file has not changed for d.
func (f *file) quiet(now time.Time, d time.Duration) bool {
	return now.Sub(f.changed) >= d
}

// open opens the file and looks at its beginning.
func (f *file) open(ctx context.Context) error {
	fd, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	f.f = fd
	info, err := fd.Stat()
	if err != nil {
		f.close()
		return err
	}
	if idOf(info) != f.id || !info.Mode().IsRegular() {
		f.close()
		return errMoved
	}
	if err := f.look(ctx); err != nil {
		f.close()
		return err
	}
	return nil
}

// look finds out about compression, start and head.
func (f *file) look(ctx context.Context) error {
	var magic [16]byte
	n, err := f.f.ReadAt(magic[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	f.packed, f.start, f.head = "", 0, nil
	z, packed, err := ingest.Decompress(ctx, bytes.NewReader(magic[:n]))
	if err != nil {
		return err
	}
	z.Close()
	if packed == "" {
		return f.lookPlain()
	}
	f.packed = packed
	if z, err = f.unpack(ctx); err != nil {
		return err
	}
	defer z.Close()
	buf := make([]byte, 32<<10)
	var head []byte
	for len(head) < headBytes {
		n, err := z.Read(buf)
		head = append(head, buf[:n]...)
		if f.start == int64(len(head)-n) || len(head) == 0 { // nothing but NULs so far
			rest := bytes.TrimLeft(head, "\x00")
			f.start += int64(len(head) - len(rest))
			head = rest
		}
		if err != nil {
			break // a damaged file shows it again when it is read
		}
	}
	f.setHead(head)
	return nil
}

func (f *file) unpack(ctx context.Context) (io.ReadCloser, error) {
	if _, err := f.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	z, _, err := ingest.Decompress(ctx, f.f)
	return z, err
}

// seekData finds the next bytes that are no hole, on Linux.
const seekData = 3

func (f *file) lookPlain() error {
	buf := make([]byte, blockBytes)
	for {
		n, err := f.f.ReadAt(buf, f.start)
		if err != nil && err != io.EOF {
			return err
		}
		rest := bytes.TrimLeft(buf[:n], "\x00")
		f.start += int64(n - len(rest))
		if len(rest) > 0 {
			if len(rest) < headBytes {
				rest = make([]byte, headBytes)
				if n, err = f.f.ReadAt(rest, f.start); err != nil && err != io.EOF {
					return err
				}
				rest = rest[:n]
			}
			f.setHead(rest)
			return nil
		}
		if err == io.EOF {
			return nil
		}
		if runtime.GOOS == "linux" { // a sparse file is mostly hole
			if at, err := f.f.Seek(f.start, seekData); err == nil && at > f.start {
				f.start = at
			}
		}
	}
}

func (f *file) setHead(b []byte) {
	if f.start == 0 && bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		f.start, b = 3, b[3:]
	}
	f.head = bytes.Clone(b[:min(len(b), headBytes)])
}

func (f *file) close() {
	if f.z != nil {
		f.z.Close()
	}
	if f.f != nil {
		f.f.Close() // read only
	}
	f.f, f.z, f.window, f.long, f.ended, f.placed = nil, nil, nil, nil, false, false
	f.readSize = -1
}

// resume goes to gen.offset and makes sure that the bytes before it are those that were read.
func (f *file) resume(ctx context.Context) error {
	g := f.gen
	f.tail, f.window, f.long = nil, nil, nil
	if f.packed != "" {
		return f.skip(ctx)
	}
	tail := make([]byte, g.tail.length)
	if _, err := f.f.ReadAt(tail, g.offset-g.tail.length); err == io.EOF {
		return errShort
	} else if err != nil {
		return err
	}
	if g.offset > g.start && digestOf(tail) != g.tail {
		return errReplaced
	}
	f.tail = append(f.tail, tail...)
	return nil
}

// skip unpacks up to gen.offset.
func (f *file) skip(ctx context.Context) error {
	if f.z != nil {
		f.z.Close()
	}
	z, err := f.unpack(ctx)
	if err != nil {
		return err
	}
	f.z, f.ended = z, false
	g := f.gen
	buf := make([]byte, blockBytes)
	for at := int64(0); at < g.offset; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := z.Read(buf[:min(int64(len(buf)), g.offset-at)])
		if over := g.start - at; over < int64(n) {
			f.tail.add(buf[max(over, 0):n])
		}
		at += int64(n)
		if at < g.offset && err == io.EOF {
			f.ended = true
			return errShort
		}
		if at < g.offset && err != nil {
			return err
		}
	}
	if g.offset > g.start && digestOf(f.tail) != g.tail {
		return errReplaced
	}
	return nil
}

// fill reads until the window holds a chunk. end: there is no more for now.
func (f *file) fill() (end bool, err error) {
	for len(f.window) < chunkBytes {
		var n int
		at := len(f.window)
		f.window = append(f.window, make([]byte, blockBytes)...)
		if f.packed != "" {
			n, err = f.z.Read(f.window[at:])
		} else {
			n, err = f.f.ReadAt(f.window[at:], f.gen.offset+int64(at))
		}
		f.window = f.window[:at+n]
		if err == io.EOF {
			f.ended = f.packed != ""
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// same makes sure, after reading, that the file holds the same generation still: generations only follow on each other, so
// what was read before is of this one. It learns more of the head on the way.
func (f *file) same() error {
	if f.packed != "" {
		return nil // never written in place
	}
	info, err := f.f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < f.gen.offset+int64(len(f.window)) || f.long != nil && info.Size() < f.long.scan {
		return errReplaced
	}
	head := make([]byte, len(f.head))
	if _, err := f.f.ReadAt(head, f.start); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(head, f.head) {
		return errReplaced
	}
	known := f.start + int64(len(f.head))
	if from := known - f.gen.offset; len(f.head) < headBytes && from >= 0 && from < int64(len(f.window)) {
		more := f.window[from:]
		f.head = append(f.head, more[:min(len(more), headBytes-len(f.head))]...)
	}
	return nil
}

// lines gives the whole lines of the window.
func (f *file) lines() []byte {
	return f.window[:bytes.LastIndexByte(f.window, '\n')+1]
}

// taken drops the first n bytes of the window: they are durable.
func (f *file) taken(n int, feeds int64) {
	f.tail.add(f.window[:n])
	f.gen.advance(f.gen.offset+int64(n), f.gen.lines+feeds, f.head, f.tail)
	f.window = f.window[:copy(f.window, f.window[n:])]
}

// beginLong goes over to looking for the end of a line that is too long.
func (f *file) beginLong() {
	l := &longLine{head: bytes.Clone(f.window[:whosaw.MaxLine+1]), scan: f.gen.offset + int64(len(f.window)), tail: bytes.Clone(f.tail)}
	l.tail.add(f.window)
	f.long, f.window = l, nil
}

// scanLong looks for the line's end. The window then holds what follows it; until then it is empty. end: no more for now.
func (f *file) scanLong() (found, end bool, err error) {
	buf := make([]byte, blockBytes)
	for range chunkBytes / blockBytes {
		var n int
		if f.packed != "" {
			n, err = f.z.Read(buf)
		} else {
			n, err = f.f.ReadAt(buf, f.long.scan)
		}
		if i := bytes.IndexByte(buf[:n], '\n') + 1; i > 0 {
			f.long.tail.add(buf[:i])
			f.long.scan += int64(i)
			f.window = bytes.Clone(buf[i:n])
			if err == io.EOF {
				err = nil
			}
			return true, false, err
		}
		f.long.tail.add(buf[:n])
		f.long.scan += int64(n)
		if err == io.EOF {
			f.ended = f.packed != ""
			return false, true, nil
		}
		if err != nil {
			return false, false, err
		}
	}
	return false, false, nil
}

// behind is how many bytes are not read yet; of a compressed file its size on disk.
func (f *file) behind() int64 {
	switch {
	case f.ignored || f.gen != nil && f.gen.done():
		return 0
	case f.gen == nil:
		return f.size
	case f.gen.file != f: // a copy
		return 0
	case f.packed != "":
		if f.ended {
			return 0
		}
		return f.size
	}
	return max(0, f.size-f.gen.offset)
}

// plainError words an error of the file system without its path, which the problem names already.
func plainError(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Sprintf("%v: let the user that whosaw runs as read it", err)
	}
	return err.Error()
}
