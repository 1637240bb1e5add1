package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/ledger"
)

// importer joins reading, appending and detecting, so that they go on side by side: while a batch is judged, the
// next is made durable, the one after that is encoded and another is read. Each stage has one goroutine and handles batches in order.
type importer struct {
	c            *Case
	acknowledged func(lines int64)

	batch  []whosaw.Record // being gathered
	append chan []whosaw.Record
	wait   chan appended // on their way to the disk
	judge  chan appended
	done   sync.WaitGroup

	mu  sync.Mutex
	err error // of the ledger: nothing is appended after it

	read Read
	safe int64
}

// appended is a batch that is on disk, or on its way there.
type appended struct {
	records  []whosaw.Record
	pending  *ledger.Pending
	receipts []ledger.Receipt
}

// appendRecords is how many records are made durable together: enough that syncing is cheap, few enough
// that a kill loses little work.
const appendRecords = 8192

func newImporter(ctx context.Context, c *Case, acknowledged func(int64)) *importer {
	im := &importer{
		c: c, acknowledged: acknowledged,
		append: make(chan []whosaw.Record, 1), wait: make(chan appended, 1), judge: make(chan appended, 1),
	}
	im.done.Go(func() { im.appendAll(ctx) })
	im.done.Go(im.waitAll)
	im.done.Go(im.judgeAll)
	return im
}

// take gathers records that ingest emits. The records' strings stay valid; the slice does not.
func (im *importer) take(records []whosaw.Record) error {
	for len(records) > 0 {
		if im.batch == nil {
			im.batch = make([]whosaw.Record, 0, appendRecords)
		}
		n := min(len(records), appendRecords-len(im.batch))
		im.batch = append(im.batch, records[:n]...)
		records = records[n:]
		if len(im.batch) == appendRecords {
			im.append <- im.batch
			im.batch = nil
		}
	}
	return im.failed()
}

// finish waits for what is under way. After an error of reading the batch that was being gathered is dropped: it was
// never acknowledged.
func (im *importer) finish(err error) error {
	if err == nil && len(im.batch) > 0 {
		im.append <- im.batch
	}
	close(im.append)
	im.done.Wait()
	if err == nil {
		err = im.failed()
	}
	return err
}

func (im *importer) failed() error {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.err
}

func (im *importer) fail(err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.err = cmp.Or(im.err, fmt.Errorf("append to the ledger: %w", err))
}

func (im *importer) appendAll(ctx context.Context) {
	defer close(im.wait)
	var last *ledger.Pending
	for records := range im.append {
		if im.failed() != nil {
			continue
		}
		p, err := im.c.ledger.Begin(ctx, records, last)
		if err != nil {
			im.fail(err)
			continue
		}
		last = p
		im.wait <- appended{records: records, pending: p}
	}
}

func (im *importer) waitAll() {
	defer close(im.judge)
	for batch := range im.wait {
		receipts, err := batch.pending.Wait()
		if err != nil {
			im.fail(err)
			continue
		}
		for i := range batch.records {
			if !ingest.Derived(&batch.records[i]) {
				im.safe++
			}
		}
		if im.acknowledged != nil {
			im.acknowledged(im.safe)
		}
		batch.receipts = receipts
		im.judge <- batch
	}
}

func (im *importer) judgeAll() {
	for batch := range im.judge {
		im.judgeOne(&batch)
	}
}

func (im *importer) judgeOne(batch *appended) {
	c := im.c
	sequence := func(i int) uint64 {
		r := &batch.records[i]
		im.read.Count(r, batch.receipts[i].Ack)
		seq := batch.accepted(i)
		if seq == 0 {
			return 0
		}
		if c.watch != nil {
			c.watch(seq, r)
		}
		c.judged = seq
		return seq
	}
	raised := func(i int, f whosaw.Finding) {
		c.raised = append(c.raised, Raised{batch.accepted(i), f})
		c.findings, c.sighted = append(c.findings, f), append(c.sighted, f)
	}
	if c.shares != nil {
		c.shares.judge(batch, sequence, raised)
		for _, e := range c.shares.engines {
			c.sighted = append(c.sighted, spread(e.Grown())...)
		}
		return
	}
	c.engine.ObserveBatch(batch.records, sequence, raised)
	c.sighted = append(c.sighted, spread(c.engine.Grown())...)
}

// Count sorts a line under what became of it. Derived records are no lines.
func (read *Read) Count(r *whosaw.Record, ack ledger.Ack) {
	if ingest.Derived(r) {
		return
	}
	switch ack {
	case ledger.Accepted:
		if read.from == 0 || r.Time < read.from {
			read.from = r.Time
		}
		read.to = max(read.to, r.Time)
	case ledger.Repeat:
		read.Repeats++
	case ledger.Conflict:
		if read.Conflicts == 0 {
			read.FirstConflict.Source, read.FirstConflict.Position = r.Source, r.Position
		}
		read.Conflicts++
		if read.conflicts == nil {
			read.conflicts = map[string]int64{}
		}
		read.conflicts[r.Source]++
	}
}
