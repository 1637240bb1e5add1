package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/ledger"
)

// shares are several engines that judge a case side by side, each the records of its realms; the others' it lets pass. Merged, they are what one
// engine would be: see [detect.Engine.Merge], which also says while which bounds are not met, and that a key policy must not come.
type shares struct {
	engines []*detect.Engine
	of      func(realm string) int
}

// Share has so many engines judge what a Feed takes, until that is closed: each the records of the realms that of gives its number. It is called before
// the first record, and never where a key policy may come.
func (c *Case) Share(engines int, of func(realm string) int) error {
	if c.judged != 0 {
		return errors.New("share the detectors' work: they have judged records already")
	}
	s := &shares{engines: []*detect.Engine{c.engine}, of: of}
	for len(s.engines) < engines {
		s.engines = append(s.engines, detect.New(c.cfg.Detect, c.cfg.Catalog))
	}
	c.shares = s
	return nil
}

// unite merges the engines to one, which goes on as if it had judged everything.
func (c *Case) unite() error {
	s := c.shares
	if s == nil {
		return nil
	}
	c.shares = nil
	for _, o := range s.engines[1:] {
		if err := c.engine.Merge(o); err != nil {
			c.torn = true
			return fmt.Errorf("unite what the detectors of several realms know: %w", err)
		}
	}
	return nil
}

// judge lets every engine see a batch, and gives what they raised in the order of the records: at one record, which may end the waiting of accesses in
// several realms, engine by engine.
func (s *shares) judge(batch *appended, sequence func(i int) uint64, raised func(i int, f whosaw.Finding)) {
	type found struct {
		at int
		f  whosaw.Finding
	}
	owners := make([]int, len(batch.records))
	seqs := make([]uint64, len(batch.records))
	for i := range batch.records {
		owners[i] = -1
		if seqs[i] = sequence(i); batch.records[i].Type != whosaw.TypeVerdict {
			owners[i] = s.of(batch.records[i].Realm)
		}
	}
	all := make([][]found, len(s.engines))
	var done sync.WaitGroup
	for k, e := range s.engines {
		done.Go(func() {
			e.ObserveBatch(batch.records, func(i int) uint64 {
				// A verdict names its finding by id alone: who has not raised that lets it be.
				if seqs[i] == 0 || owners[i] == k || owners[i] < 0 {
					return seqs[i]
				}
				for _, f := range e.Pass(seqs[i], &batch.records[i]) {
					all[k] = append(all[k], found{i, f})
				}
				return 0
			}, func(i int, f whosaw.Finding) { all[k] = append(all[k], found{i, f}) })
		})
	}
	done.Wait()
	list := slices.Concat(all...)
	slices.SortStableFunc(list, func(a, b found) int { return cmp.Compare(a.at, b.at) })
	for _, x := range list {
		raised(x.at, x.f)
	}
}

// accepted gives the sequence of a record, 0 if the ledger had it.
func (b *appended) accepted(i int) uint64 {
	if b.receipts[i].Ack != ledger.Accepted {
		return 0
	}
	return b.receipts[i].Sequence
}
