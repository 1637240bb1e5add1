package follow

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// turnChunks bounds what one log may hand over before the next one of its entry gets its turn.
const turnChunks = 16

// retryTime is when a file that could not be read is tried again although it has not changed.
const retryTime = 5 * time.Second

// A log is one log of an entry, with all its generations. Only its entry's goroutine uses it.
type log struct {
	source string
	live   string // path of the file that is written now
	began  int64  // rotated files last written up to then were there before; see follow_log
	looked bool   // began is known
	stored bool   // began is in the store
	gens   []*generation
	files  map[fileID]*file

	cfg    *Config
	types  pipeline.Types
	stream *ingest.Stream
	sink   Sink
	taking *atomic.Int64
	store  *store
	clock  func() time.Time
	logger *slog.Logger

	lines, rejected, repeats int64
	lastTime                 int64 // the youngest record's
	lastRead                 time.Time
	waiting                  string // why lines wait
}

// assign takes what a look into the log's directories showed.
func (l *log) assign(list []found) {
	now := l.clock()
	for _, f := range l.files {
		f.gone = true
	}
	for _, x := range list {
		f := l.files[x.id]
		if f == nil {
			f = newFile(x, now)
			l.files[x.id] = f
		}
		f.update(x, now)
		if g := f.gen; g != nil && g.saved && now.UnixMilli()-g.seen > 24*time.Hour.Milliseconds() {
			g.seen, g.dirty = now.UnixMilli(), true
		}
		if g := f.gen; g != nil && g.done() && f.packed == "" && f.size > max(g.final, g.offset) {
			g.final, g.dirty = -1, true // more came after all
		}
	}
	for id, f := range l.files {
		if !f.gone {
			continue
		}
		if f.f == nil {
			l.leave(f)
			delete(l.files, id)
			continue
		}
		if info, err := f.f.Stat(); err == nil {
			x := f.found
			x.size, x.written, x.current = info.Size(), info.ModTime().UnixNano(), false
			f.update(x, now)
			f.gone = true
		}
	}
}

// leave takes the generation from a file, which no longer holds it or goes. Another file may have it.
func (l *log) leave(f *file) {
	f.close()
	if f.gen != nil && f.gen.file == f {
		f.gen.file = nil
	}
	f.gen, f.looked, f.head = nil, false, nil
}

// current reports whether there is a file that the log is written to now.
func (l *log) current() *file {
	for _, f := range l.files {
		if f.current && !f.gone {
			return f
		}
	}
	return nil
}

// ordered gives the files from the oldest to the one that is written now.
func (l *log) ordered() []*file {
	var all []*file
	for _, f := range l.files {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *file) int {
		switch {
		case a.current != b.current:
			if b.current {
				return -1
			}
			return 1
		case a.written != b.written:
			if a.written < b.written {
				return -1
			}
			return 1
		}
		return int(int64(a.id.inode) - int64(b.id.inode))
	})
	return all
}

// turn identifies what is new and reads what is there. busy: there is more to do at once. An error is the sink's or the store's.
func (l *log) turn(ctx context.Context) (busy bool, err error) {
	order := l.ordered()
	if !l.looked {
		l.begin(order)
	}
	if !l.stored && l.begun() {
		if err := l.store.begin(ctx, l); err != nil {
			return false, err
		}
		l.stored = true
	}
	for _, f := range order {
		l.identify(ctx, f)
	}
	l.chooseFiles(order)
	chunks := turnChunks
	for _, f := range order {
		if f.gen == nil || f.gen.file != f || f.gen.done() {
			continue
		}
		more, err := l.read(ctx, f, &chunks)
		if err != nil {
			return false, err
		}
		if err := l.finish(ctx, f); err != nil {
			return false, err
		}
		busy = busy || more
		if chunks <= 0 {
			return true, nil
		}
	}
	return busy, nil
}

// begin is the first look at a log that was never followed.
func (l *log) begin(order []*file) {
	l.looked, l.began = true, math.MinInt64
	for _, f := range order {
		if l.cfg.From != FromAll && !f.current {
			l.began = max(l.began, f.written)
		}
		if l.cfg.From == FromEnd && f.current {
			f.limit = f.size
		}
	}
}

// begun reports whether the beginning may be stored: before the first line is handed over, so that a crash does not make the log
// one that was never followed; with `end` only when that was reached.
func (l *log) begun() bool {
	for _, f := range l.files {
		if f.limit > 0 {
			return false
		}
	}
	return true
}

// identify finds out which generation a file holds.
func (l *log) identify(ctx context.Context, f *file) {
	g := f.gen
	if f.looked || f.size == 0 || f.gone || g != nil && g.file == f && !g.done() {
		return
	}
	making := !f.current && !f.quiet(l.clock(), makingTime)
	if making && (f.size < headBytes || packedEnd.MatchString(f.path)) {
		return
	}
	if err := f.open(ctx); err != nil {
		if !errors.Is(err, errMoved) {
			l.trouble(f, plainError(err))
		}
		return
	}
	if making && (f.packed != "" || len(f.head) < headBytes) {
		f.close()
		return
	}
	f.problem, f.looked, f.gen = "", true, nil
	if len(f.head) == 0 { // nothing but NULs, or a compressed file that is damaged at once
		f.close()
		return
	}
	g = nil
	if !f.unlike {
		g = l.match(f)
	}
	f.unlike = false
	f.ignored = g == nil && !f.current && f.written <= l.began
	switch {
	case f.ignored:
	case g == nil:
		g = &generation{id: l.nextID(), start: f.start, offset: f.start, final: -1}
		l.gens = append(l.gens, g)
		l.hold(f, g)
	default:
		l.hold(f, g)
		if g.done() && l.outgrown(f, g) {
			g.final, g.dirty = -1, true
		}
	}
	if g == nil || g.done() || g.file != nil && g.file != f {
		f.close()
	}
}

// hold notes that the file holds the generation.
func (l *log) hold(f *file, g *generation) {
	f.gen = g
	if g.path != f.path || g.device != f.id.device || g.inode != f.id.inode {
		g.path, g.device, g.inode, g.seen = f.path, f.id.device, f.id.inode, l.clock().UnixMilli()
		g.dirty = g.dirty || g.saved
	}
}

// outgrown reports whether a file holds more than its generation did when that was finished. Of a long compressed file it is not
// looked for: such a file is made of a whole one.
func (l *log) outgrown(f *file, g *generation) bool {
	if f.packed == "" {
		return f.size > max(g.final, g.offset)
	}
	return g.head.length < headBytes && int64(len(f.head)) > g.final-g.start
}

func (l *log) nextID() int64 {
	id := int64(1)
	for _, g := range l.gens {
		id = max(id, g.id+1)
	}
	return id
}

// match finds the generation that a file's beginning is of: of several the one it held before, then the longest.
func (l *log) match(f *file) *generation {
	var best *generation
	for _, g := range l.gens {
		if !g.begins(f.start, f.head) {
			continue
		}
		if f.current && g.file != nil && g.file != f {
			continue // what is written now is nobody's copy
		}
		same := g.inode == f.id.inode && g.device == f.id.device
		if best == nil || g.offset > best.offset || same && g.offset == best.offset {
			best = g
		}
	}
	return best
}

// chooseFiles gives each generation that nobody reads a file to be read from: the one that is written now, else one that is not
// compressed, else the largest.
func (l *log) chooseFiles(order []*file) {
	better := func(a, b *file) bool {
		switch {
		case a.current != b.current:
			return a.current
		case (a.packed == "") != (b.packed == ""):
			return a.packed == ""
		}
		return a.size > b.size
	}
	for _, f := range order {
		g := f.gen
		if g == nil || g.done() || f.gone && f.f == nil {
			continue
		}
		if g.file == nil || g.file != f && g.file.f == nil && better(f, g.file) {
			g.file = f
		}
	}
}

// read hands over what is new in a file. more: there may be more at once.
func (l *log) read(ctx context.Context, f *file, chunks *int) (more bool, err error) {
	if f.size == f.readSize && f.written == f.readWritten && (f.retry.IsZero() || l.clock().Before(f.retry)) {
		return false, nil
	}
	if f.placed && f.ended {
		return false, nil
	}
	if !l.place(ctx, f) {
		return false, ctx.Err()
	}
	f.retry = time.Time{}
	size, written, limit := f.size, f.written, f.limit
	for *chunks > 0 {
		*chunks--
		end, err := l.chunk(ctx, f)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.As(err, new(sinkError)):
			f.dropWindow()
			f.readSize = -1
			return false, err
		case errors.Is(err, errReplaced):
			l.replaced(f, false)
			return true, nil
		case err != nil:
			l.broken(f, err, size, written)
			return false, nil
		case limit > 0 && f.limit == 0: // the beginning is to be stored first
			f.dropWindow()
			return true, nil
		case end:
			f.readSize, f.readWritten = size, written
			f.dropWindow()
			return false, nil
		}
	}
	f.dropWindow()
	return true, nil
}

// dropWindow forgets a half line of a plain file: its writer may put other bytes where NULs stand now.
func (f *file) dropWindow() {
	if f.packed == "" && f.long == nil {
		f.window = f.window[:0]
	}
}

// place opens the file if need be and goes to where reading is to go on.
func (l *log) place(ctx context.Context, f *file) bool {
	g := f.gen
	if f.f == nil {
		if err := f.open(ctx); err != nil {
			if !errors.Is(err, errMoved) {
				l.trouble(f, plainError(err))
			}
			return false
		}
		if g.offset > g.start && !g.begins(f.start, f.head) || g.start != f.start {
			l.replaced(f, false)
			return false
		}
	}
	if f.placed {
		return true
	}
	switch err := f.resume(ctx); {
	case err == nil:
		f.placed, f.problem = true, ""
		return true
	case errors.Is(err, errShort) && !f.current: // a copy that was made before the last lines came: nothing to take from it
		f.placed, f.problem = true, ""
		g.final, g.dirty = g.offset, true
		f.close()
		g.file = nil
	case errors.Is(err, errShort), errors.Is(err, errReplaced):
		l.replaced(f, true)
	case ctx.Err() == nil:
		l.broken(f, err, f.size, f.written)
	}
	return false
}

// replaced: the file does not hold its generation any more. The rest of that may be in a copy.
// unlike: it begins as the generation does, and is read as another from its beginning; lines that were read before are
// repeats.
func (l *log) replaced(f *file, unlike bool) {
	g := f.gen
	l.leave(f)
	f.unlike = unlike
	if g != nil && g.offset == g.start { // nothing of it is known; what follows is read from its beginning
		l.gens = slices.DeleteFunc(l.gens, func(x *generation) bool { return x == g && !g.saved })
	}
}

// broken: a file cannot be read further. A compressed one may be in the making: it is tried again when it changes.
func (l *log) broken(f *file, err error, size, written int64) {
	text := plainError(err)
	if f.packed != "" {
		text = f.packed + " is cut or damaged: what came before is kept; put a whole file in its place"
		if errors.Is(err, io.ErrUnexpectedEOF) {
			text = f.packed + " ends early: it is being written, or cut; what came before is kept"
		}
	}
	f.close()
	f.readSize, f.readWritten = size, written
	if f.packed == "" {
		f.retry = l.clock().Add(retryTime)
	}
	l.trouble(f, text)
}

func (l *log) trouble(f *file, text string) {
	if f.problem != text {
		l.logger.Warn("log cannot be read", slog.String("source", l.source), slog.String("path", f.path), slog.String("reason", text))
	}
	f.problem = text
}

// sinkError marks an error of the sink: the lines stay where they are and are handed over again.
type sinkError struct{ error }

func (e sinkError) Unwrap() error { return e.error }

// chunk reads and hands over once.
func (l *log) chunk(ctx context.Context, f *file) (end bool, err error) {
	if f.long != nil {
		found, end, err := f.scanLong()
		if err == nil {
			err = f.same()
		}
		if err != nil || !found {
			return end, err
		}
		return false, l.giveLong(ctx, f)
	}
	end, err = f.fill()
	if same := f.same(); same != nil {
		return false, same
	}
	data := f.lines()
	if f.limit > 0 {
		data = f.unwanted(data)
		f.taken(len(data), int64(bytes.Count(data, []byte{'\n'})))
		if f.gen.offset < f.limit && err == nil && !end {
			return end, err
		}
		f.limit = 0
		return false, err
	}
	if len(data) > 0 {
		batch := l.stream.Decode(l.clock().UnixMilli(), data, f.gen.offset, f.gen.lines)
		if err := l.submit(ctx, batch); err != nil {
			return false, err
		}
		f.taken(len(data), batch.Feeds)
	}
	if len(f.window) > whosaw.MaxLine {
		f.beginLong()
		end = false
	}
	return end, err
}

// unwanted gives the lines that were there before the log was followed. One that was half-written then is wanted.
func (f *file) unwanted(data []byte) []byte {
	if over := f.gen.offset + int64(len(data)) - f.limit; over > 0 {
		data = data[:max(0, int64(len(data))-over)]
	}
	return data[:bytes.LastIndexByte(data, '\n')+1]
}

// giveLong hands over the beginning of a line that is too long, to be rejected, and goes on behind it.
func (l *log) giveLong(ctx context.Context, f *file) error {
	long := f.long
	batch := l.stream.Decode(l.clock().UnixMilli(), long.head, f.gen.offset, f.gen.lines)
	if err := l.submit(ctx, batch); err != nil {
		f.close() // the line is looked for again
		return err
	}
	f.long, f.tail = nil, long.tail
	f.gen.advance(long.scan, f.gen.lines+1, f.head, f.tail)
	return nil
}

// submit makes a batch durable.
func (l *log) submit(ctx context.Context, b *ingest.Batch) error {
	newest := l.lastTime
	for i := range b.Records {
		newest = max(newest, b.Records[i].Time)
	}
	l.taking.Store(l.clock().UnixMilli())
	out, err := l.sink.Take(ctx, b, pipeline.Sender{Types: l.types})
	l.taking.Store(0)
	if err != nil {
		if ctx.Err() == nil && l.waiting != err.Error() {
			l.logger.Warn("lines wait for the ledger", slog.String("source", l.source), slog.Any("error", err))
		}
		l.waiting = err.Error()
		return sinkError{err}
	}
	l.waiting = ""
	l.lines += out.Lines
	l.rejected += int64(len(out.Rejects))
	l.repeats += out.Duplicates
	l.lastRead, l.lastTime = l.clock(), newest
	return nil
}

// finish ends a rotated generation of which nothing more is expected: a last line without line feed is taken now.
func (l *log) finish(ctx context.Context, f *file) error {
	g := f.gen
	if g == nil || g.file != f || g.done() || f.f == nil || f.current && !f.gone {
		return nil
	}
	if f.packed != "" {
		if !f.ended {
			return nil
		}
	} else {
		now := l.clock()
		wait := l.cfg.settle()
		if l.current() == nil {
			wait *= 10 // the log has no other file: its writer may go on with this one
		}
		if f.size != f.readSize || f.written != f.readWritten || !f.quiet(now, wait) {
			return nil
		}
		if f.long == nil {
			if _, err := f.fill(); err != nil {
				l.broken(f, err, f.size, f.written)
				return nil
			}
			if f.same() != nil {
				l.replaced(f, false)
				return nil
			}
			if len(f.lines()) > 0 { // it grew just now
				f.dropWindow()
				f.readSize = -1
				return nil
			}
		}
	}
	rest := f.window
	size := g.offset + int64(len(rest))
	if f.long != nil {
		rest, size = f.long.head, f.long.scan
	}
	if len(rest) > 0 {
		batch := l.stream.Decode(l.clock().UnixMilli(), rest, g.offset, g.lines)
		if err := l.submit(ctx, batch); err != nil {
			f.dropWindow()
			return err
		}
	}
	g.final, g.dirty = size, true
	f.close()
	g.file = nil
	return nil
}
