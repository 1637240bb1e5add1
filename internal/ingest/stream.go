package ingest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

// StreamOptions say how the lines of a live source are read.
type StreamOptions struct {
	Source  string  // the name under which its records are kept; must be given
	Format  string  // one of Formats; "": whosaw's own record lines
	Mapping string  // a mapping file, with Format "" or FormatMapping
	Keys    *KeyMap // where key material lies; nil: nobody says
	Catalog *catalog.Catalog
}

// Stream decodes the lines of one source as they come. Unlike [Read] it sorts nothing: records keep the order of
// their arrival. Its methods are safe for concurrent use.
type Stream struct {
	in      Input
	cat     *catalog.Catalog
	workers sync.Pool

	mu       sync.Mutex
	resolver *catalog.Resolver // knows how many shapes the source has brought
}

// NewStream checks the options and gives a stream. A format must be named: what comes later cannot be looked at first.
func NewStream(o StreamOptions) (*Stream, error) {
	if o.Source == "" {
		return nil, errors.New("a live source has no name: give it one")
	}
	if err := checkSource(o.Source); err != nil {
		return nil, err
	}
	want, err := wanted(&Options{Format: o.Format, Mapping: o.Mapping})
	if err != nil {
		return nil, err
	}
	keys, err := o.Keys.compile()
	if err != nil {
		return nil, err
	}
	s := &Stream{cat: o.Catalog, in: Input{Path: o.Source, Source: o.Source, Format: o.Format, mapping: want.mapping}}
	if s.cat == nil {
		s.cat = catalog.Rules()
	}
	switch {
	case want.mapping != nil:
		s.in.Format = FormatMapping
	case o.Format == "":
		s.in.Format = FormatRecords
	default:
		s.in.mapping = presetMapping(o.Format)
	}
	s.resolver = s.cat.Resolver()
	s.workers.New = func() any { return &worker{keys: keys, parsers: map[string]lineParser{}} }
	return s, nil
}

// Source is the name of the stream's source.
func (s *Stream) Source() string { return s.in.Source }

// RejectedLine is a line that could not be read, with its beginning.
type RejectedLine struct {
	Reject
	Raw []byte // at most 16 KiB of the line
}

// Batch is what some lines gave. Lines = those in Records that are not Derived + len(Rejects).
type Batch struct {
	Records []whosaw.Record
	LineOf  []int64 // of each record: the number of its line, from 1
	Rejects []RejectedLine
	Lines   int64 // that are not blank
	Feeds   int64 // line feeds: add them to first for the lines that come next
	Unknown int64 // members that were left out
}

// Decode reads whole lines. base is the position of data[0] in the decompressed source and first the number of line feeds
// before it; now is the clock that event times are judged by, in milliseconds since 1970. Records share no memory with data.
func (s *Stream) Decode(now int64, data []byte, base, first int64) *Batch {
	out := &Batch{}
	s.decode(now, &block{input: &s.in, base: base, data: data}, first, out)
	return out
}

func (s *Stream) decode(now int64, b *block, first int64, out *Batch) {
	w := s.workers.Get().(*worker)
	defer s.workers.Put(w)
	w.now = now
	d := &w.out
	w.decode(b, d)
	out.Lines += d.count
	out.Feeds += d.feeds
	out.Unknown += d.unknown
	if b.bad != nil {
		out.Rejects = append(out.Rejects, RejectedLine{
			Reject{Source: s.in.Source, File: s.in.Path, Line: first + 1, Position: b.base, Reason: reasonText(b.bad.fault), Hint: b.bad.fault.Hint},
			b.bad.head,
		})
		return
	}
	known := len(out.Rejects)
	for _, x := range d.bad {
		out.reject(b, x, first)
	}
	out.Records = slices.Grow(out.Records, len(d.records))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range d.records {
		r := &d.records[i]
		start := int(r.Position - b.base)
		iss, derived, f := resolve(s.resolver, s.cat, s.in.Format, r)
		if f != nil {
			out.reject(b, rejected{start: start, end: lineEnd(b, start), line: d.lines[i], fault: f}, first)
			continue
		}
		out.Records = append(out.Records, *r)
		out.LineOf = append(out.LineOf, first+d.lines[i]+1)
		if !derived {
			continue
		}
		iss.Source, iss.Position = s.in.Source+derivedSuffix, r.Position
		if iss.Validate(now) == nil {
			out.Records = append(out.Records, iss)
			out.LineOf = append(out.LineOf, first+d.lines[i]+1)
		}
	}
	slices.SortStableFunc(out.Rejects[known:], func(x, y RejectedLine) int { return cmp.Compare(x.Line, y.Line) })
}

func (out *Batch) reject(b *block, x rejected, first int64) {
	out.Rejects = append(out.Rejects, RejectedLine{
		Reject{
			Source: b.input.Source, File: b.input.Path, Line: first + x.line + 1, Position: b.base + int64(x.start),
			Reason: reasonText(x.fault), Hint: x.fault.Hint,
		},
		bytes.Clone(cutHead(b.data[x.start:x.end])),
	})
}

// Positions of records in a body that is sent: the hash of the block that holds the line, and the place within the
// block. So a body that is sent again gives the same positions, and its records are repeats. Blocks depend on nothing but
// the body's bytes; one that a broken connection leaves short is not taken.
const placeBits = 21 // a line may be 1 MiB long, and a block two of them

// errBody marks a body that could not be read to its end.
type errBody struct {
	fault *whosaw.RecordError
	err   error // what ended it
}

func (e *errBody) Unwrap() error { return e.err }

func (e *errBody) Error() string {
	text := "read the body: " + e.fault.Reason
	if e.fault.Hint != "" {
		text += "; " + e.fault.Hint
	}
	return text
}

// IsBodyError reports whether an error of DecodeBody is the sender's: the body is cut or not what its encoding says.
func IsBodyError(err error) bool { return errors.As(err, new(*errBody)) }

// DecodeBody reads a body that somebody sends, plain, gzip or zstd, and gives it in batches of some thousand lines. A
// last line without line feed counts. limit bounds the decompressed bytes. Where the body is cut, the error is one of
// IsBodyError, and only whole batches have been given: of a body that comes again they are the same.
func (s *Stream) DecodeBody(ctx context.Context, now int64, body io.Reader, limit int64, give func(*Batch) error) error {
	c, err := decompress(ctx, body, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	var first, given int64 // line feeds that were read, and before what is not given yet
	var ended error
	lines := &lineSplitter{r: &bounded{r: c, left: limit}, stop: func(err error) *whosaw.RecordError {
		ended = err
		if errors.Is(err, errTooMuch) {
			return fault("", "the body is longer than "+sizeText(limit)+" decompressed",
				fmt.Sprintf("the first %d of its lines were taken: send those that follow in shorter bodies", given))
		}
		return c.stopFault(err)
	}}
	out, size := &Batch{}, 0
	for {
		b := lines.next()
		switch {
		case b == nil && out.Lines == 0:
			return nil
		case b == nil:
			return give(out)
		case b.short:
			continue
		case b.bad != nil && b.bad.cut:
			if err := ctx.Err(); err != nil {
				return err
			}
			return &errBody{b.bad.fault, ended}
		}
		b.input = &s.in
		b.base = baseOf(b)
		before := out.Feeds
		s.decode(now, b, first, out)
		first += out.Feeds - before
		size += len(b.data)
		b.release()
		if out.Lines >= bodyBatch || size >= bodyBytes {
			if err := give(out); err != nil {
				return err
			}
			out, size, given = &Batch{}, 0, first
		}
	}
}

// baseOf gives a block of a body its position. A line too long to be in a block is told from others by its beginning.
func baseOf(b *block) int64 {
	data := b.data
	if b.bad != nil {
		data = b.bad.head
	}
	return int64(xxhash.Sum64(data)>>(placeBits+1)) << placeBits
}

// bodyBatch and bodyBytes are how many lines of a body, and about how many bytes of them, are given together: enough that syncing
// is cheap, and a bound to what long lines hold in memory.
const (
	bodyBatch = 8192
	bodyBytes = 16 << 20
)

var errTooMuch = errors.New("body too long")

// bounded reads no more than left bytes and says if there are more.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooMuch
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, errTooMuch
	}
	return n, err
}

// resolve gives a decoded record its route and, where the path names the customer, its subject. If the record is the log's
// own log-in, iss is the issuance it implies. A fault rejects the line after all.
func resolve(res *catalog.Resolver, cat *catalog.Catalog, format string, r *whosaw.Record) (iss whosaw.Record, derived bool, f *whosaw.RecordError) {
	path, had := r.Path, len(r.Subjects)
	iss, derived = res.Resolve(r)
	if format == FormatCloudTrail && path != "" && cat.Suggested() {
		objectAsSubject(r, path)
	}
	if len(r.Subjects) != had {
		for _, s := range r.Subjects {
			if f := checkSubject(s); f != nil {
				return iss, false, f
			}
		}
	}
	return iss, derived, nil
}

// CheckSource judges the name of a source that somebody gives.
func CheckSource(name string) error {
	if name == "" {
		return errors.New("the source has no name")
	}
	if err := checkSource(name); err != nil {
		return fmt.Errorf("source name: %s", strings.TrimPrefix(err.Error(), "--source: "))
	}
	return nil
}
