package ingest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/hint"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// Plan says what will be read: the inputs, recognised, and what cannot be read.
type Plan struct {
	Inputs   []Input
	Problems []Problem // in directories only: what is named on the command line must be readable
	Notes    []string  // what the user should know, in sentences
	Bytes    int64     // as on disk, of the inputs whose size is known

	spool string // a directory with copies of streams; "" if there are none
	pipes []io.Closer
}

// Input is one file or stream.
type Input struct {
	Path        string // "-" is standard input
	Source      string
	Format      string // one of Formats; "" for an input without a line
	Compression string // "", "gzip", "zstd"
	Size        int64  // as on disk; -1: not known

	elements bool // holds JSON documents with many records each
	mapping  *mapping
	file     string  // what to open: the path, or the copy of a stream
	stream   *stream // read once, not reopened
}

// Name is the input's path, or words for standard input.
func (in *Input) Name() string {
	if in.Path == Stdin {
		return "standard input"
	}
	return in.Path
}

// Problem is something in a directory that was not read.
type Problem struct {
	Path   string
	Reason string
	Hint   string
}

func (p Problem) String() string {
	if p.Hint == "" {
		return p.Path + ": " + p.Reason
	}
	return p.Path + ": " + p.Reason + "; " + p.Hint
}

// stream is an input that cannot be opened again. What was looked at is kept, to be read first.
type stream struct {
	r    io.Reader
	head []byte
	used bool
}

// NewPlan looks at the inputs and reads of each no more than it takes to know it. It fails if anything that is
// named cannot be read or is not recognised, before any record is read. Options that matter here are Format,
// Mapping, Source, Stdin, Reread, TempDir and Random. The plan must be closed.
func NewPlan(ctx context.Context, paths []string, o Options) (*Plan, error) {
	p := &Plan{}
	if err := p.look(ctx, paths, &o); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close removes what the plan copied. The context of NewPlan must live until then.
func (p *Plan) Close() error {
	for _, c := range p.pipes {
		c.Close() // read only
	}
	p.pipes = nil
	if p.spool == "" {
		return nil
	}
	dir := p.spool
	p.spool = ""
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove copy of standard input: %w", err)
	}
	return nil
}

func (p *Plan) look(ctx context.Context, paths []string, o *Options) error {
	if len(paths) == 0 {
		return errors.New("no logs named: give files, directories, or - for standard input")
	}
	if err := checkSource(o.Source); err != nil {
		return err
	}
	want, err := wanted(o)
	if err != nil {
		return err
	}
	for i, path := range paths {
		if path == Stdin && slices.Contains(paths[:i], Stdin) {
			return errors.New("standard input is named twice: it can be read once")
		}
		if err := p.addPath(ctx, path, want, o); err != nil {
			return err
		}
	}
	if len(p.Inputs) == 0 {
		msg := "nothing to read in " + strings.Join(paths, ", ")
		if len(p.Problems) == 0 {
			msg += ": no file lies there"
		} else {
			msg += ": " + p.Problems[0].String()
		}
		if n := len(p.Problems) - 1; n > 0 {
			msg += fmt.Sprintf(" (and %d more)", n)
		}
		return errors.New(msg)
	}
	p.finish(o)
	return nil
}

// finish names sources and says what the user should know of them.
func (p *Plan) finish(o *Options) {
	distinct := map[string]bool{}
	for i := range p.Inputs {
		in := &p.Inputs[i]
		if in.Size > 0 {
			p.Bytes += in.Size
		}
		distinct[in.Source] = true
		if o.Source != "" {
			in.Source = o.Source
		} else if in.Path == Stdin {
			p.Notes = append(p.Notes, "Standard input has no name, so this reading is a new source and a second one would count again; --source NAME makes a repeat harmless.")
		}
		if in.Format == "" {
			p.Notes = append(p.Notes, in.Name()+" has no lines.")
		}
	}
	if n := len(distinct); o.Source != "" && n > 1 {
		p.Notes = append(p.Notes, fmt.Sprintf("%d different files share the source %s: two of their lines at the same offset and time would be taken for one record. Leave --source out, and each file is its own source.", n, o.Source))
	}
}

func checkSource(s string) error {
	switch {
	case len(s) > 256 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("--source: give a name of at most 256 bytes without control characters")
	case s == "whosaw" || s == "operator":
		return fmt.Errorf("--source: %s is what whosaw's own records are kept under; give another name", s)
	case strings.HasSuffix(s, derivedSuffix):
		return fmt.Errorf("--source: %s at the end is whosaw's own mark for what a log implies; give another name", derivedSuffix)
	}
	return nil
}

func (p *Plan) addPath(ctx context.Context, path string, want *wish, o *Options) error {
	if path == "" {
		return errors.New("an empty name is no log: a variable that is not set? Name files, directories, or - for standard input")
	}
	if path == Stdin {
		return p.addStream(ctx, Stdin, o.Stdin, want, o)
	}
	info, err := os.Stat(path)
	if err != nil {
		return readError(path, err)
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return p.addDir(ctx, path, path, want, o, []fs.FileInfo{info})
	case mode.IsRegular():
		return p.addFile(ctx, path, info, want)
	case mode&fs.ModeNamedPipe != 0: // also what a shell's <(command) gives
		f, err := openPipe(ctx, path)
		if err != nil {
			return readError(path, err)
		}
		p.pipes = append(p.pipes, f)
		return p.addStream(ctx, path, f, want, o)
	default:
		return fmt.Errorf("read %s: it is %s; name files, directories, or - for standard input", path, kindOf(mode))
	}
}

// openPipe opens a FIFO; that waits for a writer, so it must not be able to hold up a cancelled run.
func openPipe(ctx context.Context, path string) (*os.File, error) {
	type opened struct {
		f   *os.File
		err error
	}
	ch := make(chan opened, 1)
	go func() {
		f, err := os.Open(path)
		ch <- opened{f, err}
	}()
	select {
	case r := <-ch:
		return r.f, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readError says what stands in the way of reading a file, and the cure.
func readError(path string, err error) error {
	return fmt.Errorf("read %s: %w%s", path, reasonOf(err), cureOf(path, err))
}

// reasonOf drops what a PathError repeats.
func reasonOf(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func cureOf(path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "; run as a user who may read it, or: sudo chmod " + readable(path) + " " + path
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return "; " + hint.NotThere(path)
	case errors.Is(err, syscall.ELOOP):
		return "; the symbolic link leads to itself"
	}
	return ""
}

// readable is what chmod is told: a directory has to be entered too.
func readable(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "a+rx"
	}
	return "a+r"
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "neither a file nor a directory"
}

// addDir adds what lies in a directory, in the order of names. Links are followed, but never into a directory
// that is being walked already.
func (p *Plan) addDir(ctx context.Context, named, dir string, want *wish, o *Options, above []fs.FileInfo) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if dir == named {
			return readError(dir, err)
		}
		p.problem(dir, reasonOf(err).Error(), strings.TrimPrefix(cureOf(dir, err), "; "))
		return nil
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if err != nil {
			p.problem(path, reasonOf(err).Error(), strings.TrimPrefix(cureOf(path, err), "; "))
			continue
		}
		switch mode := info.Mode(); {
		case mode.IsDir():
			if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
				p.problem(path, "a link to a directory that holds it", "")
				continue
			}
			if err := p.addDir(ctx, named, path, want, o, append(slices.Clip(above), info)); err != nil {
				return err
			}
		case mode.IsRegular():
			if err := p.addFile(ctx, path, info, want); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				var u *unrecognised
				if errors.As(err, &u) {
					p.problem(path, u.reason, u.hint)
				} else {
					p.problem(path, reasonOf(errors.Unwrap(err)).Error(), strings.TrimPrefix(cureOf(path, err), "; "))
				}
			}
		default:
			p.problem(path, kindOf(mode)+", not a file", "name it alone if it should be read")
		}
	}
	return nil
}

func (p *Plan) problem(path, reason, hint string) {
	p.Problems = append(p.Problems, Problem{Path: path, Reason: reason, Hint: hint})
}

func (p *Plan) addFile(ctx context.Context, path string, info fs.FileInfo, want *wish) error {
	f, err := os.Open(path)
	if err != nil {
		return readError(path, err)
	}
	defer f.Close()
	in := Input{Path: path, file: path, Size: info.Size()}
	if err := in.sniff(ctx, f, want, sniffFile); err != nil {
		return readErrorIfSystem(path, err)
	}
	p.Inputs = append(p.Inputs, in)
	return nil
}

func readErrorIfSystem(path string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return readError(path, err)
	}
	return fmt.Errorf("read %s: %w", path, err)
}

// addStream adds standard input or a FIFO. If it will be read more than once it is copied first.
func (p *Plan) addStream(ctx context.Context, path string, r io.Reader, want *wish, o *Options) error {
	in := Input{Path: path, Size: -1}
	name := in.Name()
	if r == nil {
		return fmt.Errorf("read %s: there is none", name)
	}
	r = newPump(ctx, r)
	if o.Reread {
		file, size, err := p.copyStream(r, o)
		if err != nil {
			return fmt.Errorf("copy %s to read it twice: %w%s", name, err, diskFull(err))
		}
		in.file, in.Size = file, size
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("open copy of %s: %w", name, err)
		}
		defer f.Close()
		if err := in.sniff(ctx, f, want, sniffFile); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	} else {
		kept := &keeper{r: r}
		if err := in.sniff(ctx, kept, want, sniffStream); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		in.stream = &stream{r: r, head: kept.head}
	}
	if path == Stdin {
		var id [8]byte
		if _, err := io.ReadFull(o.random(), id[:]); err != nil {
			return fmt.Errorf("name the source of standard input: %w", err)
		}
		in.Source = "stdin-" + hex.EncodeToString(id[:])
	}
	p.Inputs = append(p.Inputs, in)
	return nil
}

// keeper keeps what is read through it.
type keeper struct {
	r    io.Reader
	head []byte
}

func (k *keeper) Read(b []byte) (int, error) {
	n, err := k.r.Read(b)
	k.head = append(k.head, b[:n]...)
	return n, err
}

func (p *Plan) copyStream(r io.Reader, o *Options) (file string, size int64, err error) {
	if p.spool == "" {
		if p.spool, err = os.MkdirTemp(o.TempDir, "whosaw-stdin-"); err != nil {
			return "", 0, err
		}
	}
	f, err := os.CreateTemp(p.spool, "")
	if err != nil {
		return "", 0, err
	}
	size, err = io.Copy(f, r)
	return f.Name(), size, errors.Join(err, f.Close())
}

// diskFull gives the cure for a full disk.
func diskFull(err error) string {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return "; the disk for temporary files is full: free some, or name another directory with TMPDIR"
	}
	return ""
}

// open gives the input's content from its beginning.
func (in *Input) open(ctx context.Context, add func(int64)) (*content, error) {
	if in.stream != nil {
		in.stream.used = true
		head := in.stream.head
		in.stream.head = nil
		return decompress(ctx, io.MultiReader(strings.NewReader(string(head)), in.stream.r), add)
	}
	f, err := os.Open(in.file)
	if err != nil {
		return nil, err
	}
	c, err := decompress(ctx, f, add)
	if err != nil {
		f.Close()
		return nil, err
	}
	c.close = append([]func(){func() { f.Close() }}, c.close...)
	return c, nil
}

// splitter gives the input's lines or elements.
func (in *Input) splitter(c *content) splitter {
	if in.elements {
		return newElementSplitter(c, c.stopFault)
	}
	return &lineSplitter{r: c, stop: c.stopFault}
}

// derivedSuffix ends the source of records that a log's lines imply beside what they say.
const derivedSuffix = "#issuance"

// Derived reports whether the record was implied by a line that is a record itself: the issuance of a log-in. Its
// position is that line's; it is no line of its own.
func Derived(r *whosaw.Record) bool { return strings.HasSuffix(r.Source, derivedSuffix) }
