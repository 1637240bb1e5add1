package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/whosaw/whosaw"
)

// Ack is what became of an appended record.
type Ack uint8

const (
	Accepted Ack = iota // on disk under Receipt.Sequence
	Repeat              // already there under Receipt.Sequence, with the same content
	Conflict            // the same identity is there with other content: not taken
)

// Receipt answers one appended record. Of a repeat or a conflict, Sequence is the earlier record's.
type Receipt struct {
	Ack      Ack
	Sequence uint64
}

// request is what the writer is asked to do.
type request struct {
	records  []whosaw.Record
	encoded  []byte // the records as a frame holds them: length and canonical bytes
	ends     []int  // of each record in encoded
	receipts []Receipt
	seal     bool
	after    *request     // what must not have failed
	hold     *held        // for a backup: to be filled
	act      func() error // what the writer does between appends
	err      error
	done     chan struct{} // closed by the writer when the rest is set
}

const (
	maxFrameRecords = 1 << 16
	maxFrameBytes   = 16 << 20 // one record more fits, see maxPayload
	maxGroup        = 256      // requests that are answered together

	// maxLog is the size of a log at which it is sealed however few its records: they are held in
	// memory, and sections have bounds.
	maxLog = 512 << 20
)

// Append appends the records in order and returns once they are on disk: one receipt a record.
// Calls that wait at the same time share one sync. The records may be written over afterwards.
//
// A record that cannot be stored (see Encode) gives an error and nothing is appended. After
// ErrDiskFull the ledger is as it was, and the call can be made again; of a call with more records
// than a frame takes, a first part may be there, and is answered as repeated. After any other error
// in writing none of the records is acknowledged, though some may be found when the ledger is opened
// again, and the ledger takes no more. A call that ends with ctx's error did nothing.
func (l *Ledger) Append(ctx context.Context, records []whosaw.Record) ([]Receipt, error) {
	p, err := l.Begin(ctx, records, nil)
	if err != nil {
		return nil, err
	}
	return p.Wait()
}

// Pending is an append under way.
type Pending struct {
	l     *Ledger
	r     *request // nil: of no record
	space *[]byte
}

// Begin does the first half of an [Ledger.Append], and gives what waits for the rest: the next batch can be encoded
// meanwhile. The records may not be changed until then. If the append that this one comes after fails, none of
// these records is appended, and they fail with the same error; nil: it comes after none.
func (l *Ledger) Begin(ctx context.Context, records []whosaw.Record, after *Pending) (*Pending, error) {
	if len(records) == 0 {
		return &Pending{}, nil
	}
	r := &request{records: records, ends: make([]int, len(records)), done: make(chan struct{})}
	if after != nil {
		r.after = after.r
	}
	p := &Pending{l: l, r: r, space: l.encoded.Get().(*[]byte)}
	r.encoded = *p.space
	for i := range records {
		start := len(r.encoded)
		b, err := Encode(append(r.encoded, 0, 0, 0, 0), &records[i])
		if err != nil {
			p.free()
			return nil, fmt.Errorf("append record %d of %d: %w", i+1, len(records), err)
		}
		binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
		r.encoded, r.ends[i] = b, len(b)
	}
	r.receipts = make([]Receipt, len(records))
	if err := l.give(ctx, r); err != nil {
		p.free()
		return nil, fmt.Errorf("append: %w", err)
	}
	return p, nil
}

// Wait returns once the records are on disk, as [Ledger.Append] does. It is called once.
func (p *Pending) Wait() ([]Receipt, error) {
	if p.r == nil {
		return nil, nil
	}
	<-p.r.done
	p.free()
	if p.r.err != nil {
		return nil, fmt.Errorf("append: %w", p.r.err)
	}
	return p.r.receipts, nil
}

// free gives the memory of the encoded records back: the writer has copied what it keeps.
func (p *Pending) free() {
	*p.space = p.r.encoded[:0]
	p.l.encoded.Put(p.space)
	p.r.encoded = nil
}

// Seal seals what the open log holds and waits until that is done: for the end of an import.
func (l *Ledger) Seal(ctx context.Context) error {
	if err := l.send(ctx, &request{seal: true, done: make(chan struct{})}); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// send gives the writer a request and waits for its answer.
func (l *Ledger) send(ctx context.Context, r *request) error {
	if err := l.give(ctx, r); err != nil {
		return err
	}
	<-r.done
	return r.err
}

// give gives the writer a request. Once the writer has taken it, ctx is of no use: what is on its way to disk cannot
// be called back.
func (l *Ledger) give(ctx context.Context, r *request) error {
	if l.cfg.ReadOnly {
		return ErrReadOnly
	}
	select {
	case <-l.stop:
		return ErrClosed
	default:
	}
	select {
	case l.requests <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.stop:
		return ErrClosed
	}
}

// write is the writer: it alone changes the ledger, but for the seal that it waits for.
func (l *Ledger) write() {
	defer close(l.done)
	defer l.endSeal()
	for {
		var group []*request
		select {
		case r := <-l.requests:
			group = append(group, r)
		case <-l.stop:
			return
		}
		for more := true; more && len(group) < maxGroup; {
			select {
			case r := <-l.requests:
				group = append(group, r)
			default:
				more = false
			}
		}
		l.answer(group)
	}
}

// answer does what a group of requests asks for, in order. Their records share frames and syncs.
func (l *Ledger) answer(group []*request) {
	pending := 0 // requests of the group that are answered already
	settle := func(upTo int, err error) {
		for ; pending < upTo; pending++ {
			if group[pending].hold == nil {
				group[pending].err = err
			}
			close(group[pending].done)
		}
	}
	refuse := func(err error) {
		if !errors.Is(err, ErrDiskFull) {
			err = stopped(l.fail(err))
		}
		settle(len(group), err)
	}
	l.batch.reset()
	for _, r := range group {
		if r.hold != nil { // also of a ledger that writes no more
			r.err = l.hold(r.hold)
		}
	}
	for i, r := range group {
		if err := l.failure(); err != nil {
			settle(len(group), stopped(err))
			return
		}
		if r.seal {
			err := l.commit()
			if err == nil {
				settle(i, nil)
				err = l.sealNow()
			}
			if err != nil {
				refuse(err)
				return
			}
			settle(i+1, nil)
			continue
		}
		if r.after != nil {
			// It came before this one, and not with it: those of a group fail together.
			if err := r.after.settled(); err != nil {
				if err := l.commit(); err != nil {
					refuse(err)
					return
				}
				settle(i, nil)
				settle(i+1, err)
				continue
			}
			r.after = nil // or each would hold all before it
		}
		if r.act != nil {
			err := l.commit()
			if err == nil {
				settle(i, nil)
				err = r.act()
			}
			var refused *refusal
			if err != nil && !errors.As(err, &refused) && !errors.Is(err, ErrDiskFull) {
				refuse(err)
				return
			}
			settle(i+1, err)
			continue
		}
		for n := range r.records {
			if l.batch.full(l.cfg.SegmentRecords - l.open.count()) {
				if err := l.commit(); err != nil {
					refuse(err)
					return
				}
				settle(i, nil)
			}
			l.batch.take(r, n)
		}
	}
	if err := l.commit(); err != nil {
		refuse(err)
		return
	}
	settle(len(group), nil)
}

// settled gives the error of a request that was answered; nil also where it is not.
func (r *request) settled() error {
	select {
	case <-r.done:
		return r.err
	default:
		return nil
	}
}

func stopped(err error) error {
	return fmt.Errorf("the ledger writes no more until it is opened again: %w", err)
}

// item is a record on its way.
type item struct {
	r       *whosaw.Record
	encoded []byte // with its length before it
	receipt *Receipt
	hash    uint64
	done    bool // the receipt is set: a repeat or a conflict
}

// batch is what one frame will hold.
type batch struct {
	items []item
	taken []int // the items that are new, in order
	bytes int

	records []*whosaw.Record // what was taken
	encoded [][]byte
}

func (b *batch) reset() {
	clear(b.items) // these hold the callers' memory
	clear(b.records)
	clear(b.encoded)
	b.items, b.taken, b.bytes = b.items[:0], b.taken[:0], 0
}

func (b *batch) full(room int) bool {
	return len(b.items) >= min(room, maxFrameRecords) || b.bytes >= maxFrameBytes
}

func (b *batch) take(r *request, n int) {
	start := 0
	if n > 0 {
		start = r.ends[n-1]
	}
	b.items = append(b.items, item{
		r:       &r.records[n],
		encoded: r.encoded[start:r.ends[n]],
		receipt: &r.receipts[n],
		hash:    identityHash(&r.records[n]),
	})
	b.bytes += r.ends[n] - start
}

// commit puts the batch on disk and into memory, and then lets it be seen. When the open part is
// full, the next begins. The open part takes the records while they are being written: if that
// fails, nobody will see them.
func (l *Ledger) commit() error {
	b := &l.batch
	if len(b.items) == 0 {
		return nil
	}
	if err := l.ready(b); err != nil {
		return err
	}
	if err := l.sort(b); err != nil {
		return err
	}
	if len(b.taken) > 0 {
		l.frame = beginFrame(l.frame)
		b.records, b.encoded = b.records[:0], b.encoded[:0]
		for _, i := range b.taken {
			l.frame = append(l.frame, b.items[i].encoded...)
			b.records = append(b.records, b.items[i].r)
			b.encoded = append(b.encoded, b.items[i].encoded[4:])
		}
		l.frame = finishFrame(l.frame, l.open.first+uint64(l.open.count()), len(b.taken))
		written := make(chan error, 1)
		go func() { written <- l.log.write(l.frame) }()
		l.open.add(b.records, b.encoded)
		if err := <-written; err != nil {
			if errors.Is(err, ErrDiskFull) {
				return l.undo(err)
			}
			return err
		}
		l.tight = false
		l.publish()
	}
	b.reset()
	if l.partFull() {
		if err := l.rotate(true); err != nil && !errors.Is(err, ErrDiskFull) {
			return err
		}
	}
	return nil
}

// sort finds out which records of the batch are new, and gives those their sequences.
func (l *Ledger) sort(b *batch) error {
	parts := l.earlier()
	if err := l.repeats.sealed(b, parts.sealed); err != nil {
		return fmt.Errorf("look for repeats: %w", err)
	}
	o := l.open
	for i := range b.items {
		it := &b.items[i]
		if i%block == 0 {
			next := b.items[i:min(i+block, len(b.items))]
			o.known.touch(next)
			if parts.frozen != nil {
				parts.frozen.known.touch(next)
			}
		}
		if it.done {
			continue
		}
		for _, p := range [...]*openPart{parts.frozen, o} {
			if p == nil || !p.spans.mayHold(it.r) {
				continue
			}
			if err := p.judge(it, b); err != nil {
				return fmt.Errorf("look for repeats: %w", err)
			}
		}
		if it.done {
			continue
		}
		*it.receipt = Receipt{Accepted, o.first + uint64(o.count()+len(b.taken))}
		o.spans.take(it.r)
		o.known.add(it.hash)
		b.taken = append(b.taken, i)
	}
	return nil
}
