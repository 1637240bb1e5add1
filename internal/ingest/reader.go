package ingest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

// A reader is one run of Read. Blocks go from a goroutine that reads and splits to workers that decode, and in
// order to the caller's goroutine, which resolves, counts and sorts: everything that depends on order happens there.
type reader struct {
	plan    *Plan
	o       *Options
	sum     Summary
	rejects *rejects
	keys    *keyPlaces
	sorter  *sorter
	tick    ticker
	total   int64
	bytes   atomic.Int64

	pool       sync.Pool // of *decoded
	resolver   *catalog.Resolver
	input      int   // index of the input being consumed
	feeds      int64 // line feeds before the block, in that input
	badDerived int64
}

// A job is a block on its way.
type job struct {
	input int
	block *block
	out   *decoded
	done  chan struct{}
}

// decoded is what a worker made of a block.
type decoded struct {
	records []whosaw.Record
	lines   []int64 // of each record: line feeds before it in the block
	bad     []rejected
	count   int64 // lines that are not blank
	feeds   int64 // line feeds, or elements
	unknown int64 // members
}

// rejected is a line that a worker could not read.
type rejected struct {
	start, end int // in the block
	line       int64
	fault      *whosaw.RecordError
}

// readAll reads every input.
func (rd *reader) readAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	rd.pool.New = func() any { return &decoded{} }
	work := make(chan *job, 2*rd.o.Workers)
	order := make(chan *job, 4*rd.o.Workers)
	wg.Go(func() {
		defer close(work)
		defer close(order)
		rd.produce(ctx, work, order)
	})
	for range rd.o.Workers {
		wg.Go(func() {
			w := worker{now: rd.o.Now, keys: rd.keys, parsers: map[string]lineParser{}}
			for j := range work {
				if ctx.Err() == nil {
					j.out = rd.pool.Get().(*decoded)
					w.decode(j.block, j.out)
				}
				close(j.done)
			}
		})
	}
	rd.begin(0)
	for j := range order {
		<-j.done
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := rd.consume(j); err != nil {
			return err
		}
		rd.report(PhaseRead, false)
	}
	return ctx.Err()
}

// produce reads the inputs one after the other and hands their blocks to the workers and, in order, to the consumer.
func (rd *reader) produce(ctx context.Context, work, order chan<- *job) {
	send := func(i int, b *block) bool {
		b.input = &rd.plan.Inputs[i]
		j := &job{input: i, block: b, done: make(chan struct{})}
		select {
		case work <- j:
		case <-ctx.Done():
			return false
		}
		select {
		case order <- j:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for i := range rd.plan.Inputs {
		in := &rd.plan.Inputs[i]
		c, err := in.open(ctx, func(n int64) { rd.bytes.Add(n) })
		if err != nil {
			reason := "cannot be opened any more"
			if errors.Is(err, fs.ErrNotExist) {
				reason = "has gone since it was looked at"
			}
			b := &block{bad: &badLine{fault: fault("", "the file "+reason, "read it again when nothing moves or removes it"), cut: true}}
			if !send(i, b) {
				return
			}
			continue
		}
		s := in.splitter(c)
		ok := true
		for first := true; ok; first = false {
			b := s.next()
			if b == nil {
				break
			}
			b.first = first
			ok = send(i, b)
		}
		c.Close()
		if !ok {
			return
		}
	}
}

// lineParser reads one line into a record that is empty but for what the caller sets afterwards.
type lineParser interface {
	parse(line string, now int64, r *whosaw.Record) error
}

// A worker decodes blocks.
type worker struct {
	now     int64
	keys    *keyPlaces
	records whosaw.Decoder
	parsers map[string]lineParser
	out     decoded // of a Stream
}

func (w *worker) parser(in *Input) lineParser {
	p := w.parsers[in.Format]
	if p != nil {
		return p
	}
	switch in.Format {
	case FormatRecords, "":
		return nil
	case FormatCombined:
		p = &combinedParser{}
	case FormatCloudTrail:
		p = &cloudTrailParser{keys: w.keys}
	case FormatVault:
		p = &vaultParser{keys: w.keys}
	default:
		p = newMappedParser(in.mapping)
	}
	w.parsers[in.Format] = p
	return p
}

// decode reads the lines of a block.
func (w *worker) decode(b *block, out *decoded) {
	out.records, out.lines, out.bad = out.records[:0], out.lines[:0], out.bad[:0]
	out.count, out.feeds, out.unknown = 0, 0, 0
	if b.bad != nil {
		out.count, out.feeds = 1, b.bad.lines
		return
	}
	p := w.parser(b.input)
	var text string
	if p != nil {
		text = string(b.data) // records keep parts of it
	}
	nul := bytes.IndexByte(b.data, 0) >= 0
	before := w.records.Unknown
	out.feeds = b.eachLine(func(start, end int, line int64) {
		out.count++
		r := out.next()
		var err error
		switch {
		case nul && bytes.IndexByte(b.data[start:end], 0) >= 0:
			err = faultNUL
		case end-start > whosaw.MaxLine:
			err = faultTooLong
		case p == nil:
			if err = w.records.Decode(b.data[start:end], w.now, r); err == nil && r.Type >= whosaw.TypeVerdict {
				err = faultOurs
			}
		default:
			*r = whosaw.Record{}
			err = p.parse(text[start:end], w.now, r)
		}
		if err != nil {
			out.records = out.records[:len(out.records)-1]
			f := asFault(err)
			if b.tail && end == len(b.data) {
				f = tailFault(b.input.Format, b.data[start:end], f)
			}
			out.bad = append(out.bad, rejected{start: start, end: end, line: line, fault: f})
			return
		}
		r.Source, r.Position = b.input.Source, b.base+int64(start)
		out.lines = append(out.lines, line)
	})
	out.unknown = w.records.Unknown - before
}

// next gives the place for one more record, as it was left by the block before.
func (d *decoded) next() *whosaw.Record {
	if n := len(d.records); n < cap(d.records) {
		d.records = d.records[:n+1]
	} else {
		d.records = append(d.records, whosaw.Record{})
	}
	return &d.records[len(d.records)-1]
}

// tailFault judges a bad last line that has no line feed: if more bytes could have mended it, it is half-written.
func tailFault(format string, line []byte, f *whosaw.RecordError) *whosaw.RecordError {
	if f == faultNUL || f == faultTooLong {
		return f
	}
	if format == FormatCombined {
		switch f {
		case faultOpenRequest, faultOpenReferer, faultOpenAgent, faultOpenQuote, faultNoStatus, faultNoSize, faultNoRequest:
			return fault(f.Member, f.Reason, faultHalf.Hint)
		}
		return f
	}
	if !completeJSON(string(line)) {
		return faultHalf
	}
	return f
}

// begin starts an input.
func (rd *reader) begin(i int) {
	rd.input, rd.feeds = i, 0
	rd.resolver = rd.o.Catalog.Resolver()
}

// consume takes a decoded block in order.
func (rd *reader) consume(j *job) error {
	if j.input != rd.input {
		rd.begin(j.input)
	}
	b, d := j.block, j.out
	in, sum := b.input, &rd.sum.Inputs[j.input]
	bad := d.bad
	for i := range d.records {
		r := &d.records[i]
		f, err := rd.take(in, sum, r)
		if err != nil {
			return err
		}
		if f != nil {
			start := int(r.Position - b.base)
			bad = append(bad, rejected{start: start, end: lineEnd(b, start), line: d.lines[i], fault: f})
		}
	}
	if len(bad) > len(d.bad) {
		slices.SortFunc(bad, func(x, y rejected) int { return x.start - y.start })
	}
	if b.bad != nil {
		bad = append(bad, rejected{line: 0, fault: b.bad.fault})
		if b.bad.cut {
			sum.Truncated, sum.Note = true, b.bad.fault.Reason
		}
	}
	for _, x := range bad {
		raw := b.data[x.start:x.end]
		if b.bad != nil {
			raw = b.bad.head
		}
		rd.rejects.add(Reject{
			Source: in.Source, File: in.Path, Line: rd.feeds + x.line + 1, Position: b.base + int64(x.start),
			Reason: reasonText(x.fault), Hint: x.fault.Hint,
		}, raw)
	}
	rejectedHere := int64(len(bad))
	sum.Lines += d.count
	sum.Rejected += rejectedHere
	sum.Accepted += d.count - rejectedHere
	rd.sum.Lines += d.count
	rd.sum.Rejected += rejectedHere
	rd.sum.Accepted += d.count - rejectedHere
	rd.sum.Unknown += d.unknown
	rd.feeds += d.feeds
	d.bad = bad[:0]
	j.out = nil
	b.release()
	rd.pool.Put(d)
	return rd.rejects.err
}

// lineEnd finds the end of the line or element that begins at start.
func lineEnd(b *block, start int) int {
	for _, s := range b.spans {
		if s.start == start {
			return s.end
		}
	}
	if end := bytes.IndexByte(b.data[start:], '\n'); end >= 0 {
		return start + end
	}
	return len(b.data)
}

// take resolves one record and hands it to the sorter. A fault rejects its line after all.
func (rd *reader) take(in *Input, sum *InputSummary, r *whosaw.Record) (*whosaw.RecordError, error) {
	if rd.o.Observe != nil {
		rd.o.Observe(r)
	}
	iss, derived, f := resolve(rd.resolver, rd.o.Catalog, in.Format, r)
	if f != nil {
		return f, nil
	}
	if sum.MinTime == 0 || r.Time < sum.MinTime {
		sum.MinTime = r.Time
	}
	sum.MaxTime = max(sum.MaxTime, r.Time)
	if rd.sorter != nil {
		if err := rd.sorter.add(r); err != nil {
			return nil, err
		}
	}
	if !derived {
		return nil, nil
	}
	iss.Source, iss.Position = in.Source+derivedSuffix, r.Position
	if err := iss.Validate(rd.o.Now); err != nil {
		rd.badDerived++
		return nil, nil
	}
	rd.sum.Derived++
	if rd.sorter != nil {
		return nil, rd.sorter.add(&iss)
	}
	return nil, nil
}

// reasonText is what rejects are counted by.
func reasonText(f *whosaw.RecordError) string {
	if f.Member == "" {
		return f.Reason
	}
	var b strings.Builder
	b.WriteString("member ")
	b.WriteString(f.Member)
	b.WriteString(": ")
	b.WriteString(f.Reason)
	return b.String()
}
