package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

// Options say how to read. The zero value reads with the catalog's rules and recognises every format.
type Options struct {
	// Format insists on a format; "" recognises it for each input. A line of another format is rejected then.
	Format string
	// Mapping is a mapping file. It is used for every input whose lines have the member it takes the time from.
	Mapping string
	// Keys says where key material lies, for audit logs of Vault and AWS; nil: what they tell of keys is an access like others.
	Keys *KeyMap
	// Source names the source of every input; "" uses the content's hash.
	Source string
	// Stdin is read for the path "-".
	Stdin io.Reader
	// Reread says that the plan will be read more than once: streams are copied to TempDir first.
	Reread bool

	// Catalog resolves raw paths; nil uses catalog.Rules.
	Catalog *catalog.Catalog
	// Now is the clock that event times are judged by, in milliseconds since 1970; 0: the machine's.
	Now int64
	// Observe is called with each accepted record before its path is resolved, in the order of inputs and
	// positions, from one goroutine. The record may not be kept; Record.Clone copies what is.
	Observe func(*whosaw.Record)

	// RejectFile receives the rejected lines; "" keeps none. It is made with mode 0600 when the first line is rejected.
	RejectFile string
	// RejectBytes bounds the reject file; 0: 64 MiB. What no longer fits is counted.
	RejectBytes int64

	// TempDir holds what does not fit in memory; "": the system's.
	TempDir string
	// MemoryRecords and MemoryBytes bound what is sorted in memory; 0: four million records, 512 MiB.
	MemoryRecords int
	MemoryBytes   int64
	// Workers decode in parallel; 0: one for each processor.
	Workers int

	// Progress is told how far reading is, at most ten times a second and at the end of each phase.
	Progress func(Progress)
	// Clock times the progress; nil: time.Now.
	Clock func() time.Time
	// Random names the source of standard input; nil: crypto/rand.
	Random io.Reader
}

func (o *Options) random() io.Reader {
	if o.Random != nil {
		return o.Random
	}
	return rand.Reader
}

// setDefaults fills what was left out.
func (o *Options) setDefaults() {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Now == 0 {
		o.Now = o.Clock().UnixMilli()
	}
	if o.Catalog == nil {
		o.Catalog = catalog.Rules()
	}
	if o.RejectBytes == 0 {
		o.RejectBytes = 64 << 20
	}
	if o.MemoryRecords <= 0 {
		o.MemoryRecords = 4 << 20
	}
	if o.MemoryBytes <= 0 {
		o.MemoryBytes = 512 << 20
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
}

// Phase is what Read is doing.
type Phase string

// The phases, in order.
const (
	PhaseRead Phase = "read" // decoding: bytes of the inputs
	PhaseEmit Phase = "emit" // handing over in order: records
)

// Progress is how far Read is.
type Progress struct {
	Phase      Phase
	BytesRead  int64 // as on disk
	BytesTotal int64 // -1 if an input's size is not known
	Lines      int64
	Emitted    int64
	Records    int64 // to be emitted; 0 while reading
}

// Summary says what was read. Lines = Accepted + Rejected; a repeat among the accepted is found by who keeps them.
type Summary struct {
	Lines    int64 // lines that are not blank, and elements of arrays
	Accepted int64
	Rejected int64
	Derived  int64 // records that lines imply beside themselves; see Derived
	Emitted  int64 // accepted and derived ones that were handed over
	Unknown  int64 // members of records that the contract does not know, left out

	MinTime, MaxTime int64 // of accepted records; 0 if there are none

	Inputs   []InputSummary
	Problems []Problem
	Rejects  []RejectCount // the most frequent first
	Unkept   int64         // rejected lines that did not fit into the reject file
	Notes    []string
}

// InputSummary says what was read of one input.
type InputSummary struct {
	Path        string
	Source      string
	Format      string
	Compression string
	Lines       int64
	Accepted    int64
	Rejected    int64

	MinTime, MaxTime int64
	Truncated        bool   // it could not be read to its end
	Note             string // why, "" if there is nothing to say
}

// Read reads the plan's inputs and emits their records in order: by time, reference records before accesses, source,
// position. A batch and its records are valid until emit returns; their strings share memory with the batch, so what
// is kept for long is kept as Record.Clone. An error of emit ends reading and is given back. With a nil emit
// nothing is sorted: the inputs are decoded, counted and shown to Observe.
//
// When the context ends, Read returns its error promptly. The summary is then of what was read so far.
func Read(ctx context.Context, p *Plan, o Options, emit func(batch []whosaw.Record) error) (Summary, error) {
	o.setDefaults()
	keys, err := o.Keys.compile()
	if err != nil {
		return Summary{}, err
	}
	rd := &reader{plan: p, o: &o, keys: keys, rejects: newRejects(&o)}
	rd.sum.Problems = p.Problems
	rd.sum.Notes = append(rd.sum.Notes, p.Notes...)
	rd.tick = ticker{clock: o.Clock, report: o.Progress}
	rd.total = p.Bytes
	for i := range p.Inputs {
		in := &p.Inputs[i]
		if in.Size < 0 {
			rd.total = -1
		}
		rd.sum.Inputs = append(rd.sum.Inputs, InputSummary{
			Path: in.Path, Source: in.Source, Format: in.formatName(), Compression: in.Compression,
		})
	}
	if emit != nil {
		rd.sorter = newSorter(&o, p.sources(), p.guess())
	}
	err = rd.run(ctx, emit)
	if rd.sorter != nil {
		err = errors.Join(err, rd.sorter.close())
	}
	err = errors.Join(err, rd.rejects.close())
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	rd.finish()
	return rd.sum, err
}

// formatName is the format, with the mapping's own name.
func (in *Input) formatName() string {
	if in.Format == FormatMapping && in.mapping != nil {
		return FormatMapping + " " + in.mapping.name
	}
	return in.Format
}

// guess is how many records there may be, from the size of the inputs; compressed logs are about a tenth.
func (p *Plan) guess() int64 {
	n := int64(0)
	for i := range p.Inputs {
		size := max(p.Inputs[i].Size, 0)
		if p.Inputs[i].Compression != "" {
			size *= 10
		}
		n += size / 250
	}
	return n
}

// sources lists the sources that records of the plan can have.
func (p *Plan) sources() []string {
	var all []string
	for i := range p.Inputs {
		all = append(all, p.Inputs[i].Source, p.Inputs[i].Source+derivedSuffix)
	}
	return all
}

func (rd *reader) run(ctx context.Context, emit func([]whosaw.Record) error) error {
	for i := range rd.plan.Inputs {
		if in := &rd.plan.Inputs[i]; in.stream != nil && in.stream.used {
			return fmt.Errorf("read %s again: a stream can be read once; save it to a file", in.Name())
		}
	}
	if err := rd.rejects.prepare(); err != nil {
		return err
	}
	if err := rd.readAll(ctx); err != nil {
		return err
	}
	rd.report(PhaseRead, true)
	if emit == nil {
		return nil
	}
	err := rd.sorter.emit(ctx, func(batch []whosaw.Record) error {
		if err := emit(batch); err != nil {
			return err
		}
		rd.sum.Emitted += int64(len(batch))
		rd.report(PhaseEmit, false)
		return nil
	})
	if err != nil {
		return err
	}
	rd.report(PhaseEmit, true)
	return nil
}

// report tells the progress.
func (rd *reader) report(phase Phase, end bool) {
	p := Progress{Phase: phase, BytesRead: rd.bytes.Load(), BytesTotal: rd.total, Lines: rd.sum.Lines, Emitted: rd.sum.Emitted}
	if phase == PhaseEmit {
		p.Records = rd.sum.Accepted + rd.sum.Derived
	}
	if end && rd.total >= 0 {
		p.BytesTotal = max(rd.total, p.BytesRead)
	}
	rd.tick.tell(p, end)
}

// ticker thins the progress out.
type ticker struct {
	clock  func() time.Time
	report func(Progress)
	last   time.Time
}

func (t *ticker) tell(p Progress, always bool) {
	if t.report == nil {
		return
	}
	now := t.clock()
	if !always && now.Sub(t.last) < 100*time.Millisecond {
		return
	}
	t.last = now
	t.report(p)
}

// finish completes the summary.
func (rd *reader) finish() {
	s := &rd.sum
	for i := range s.Inputs {
		in := &s.Inputs[i]
		if in.Accepted == 0 {
			continue
		}
		if s.MinTime == 0 || in.MinTime < s.MinTime {
			s.MinTime = in.MinTime
		}
		s.MaxTime = max(s.MaxTime, in.MaxTime)
	}
	s.Rejects = rd.rejects.counts()
	s.Unkept = rd.rejects.unkept
	if n := rd.rejects.unkept; n > 0 && rd.o.RejectFile != "" {
		s.Notes = append(s.Notes, fmt.Sprintf("The reject file is full (%s); %d more rejected lines are counted but not in it.", sizeText(rd.o.RejectBytes), n))
	}
	if n := rd.badDerived; n > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("%d log-ins imply an issuance that is no valid record; the accesses themselves were taken.", n))
	}
}
