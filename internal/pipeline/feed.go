package pipeline

import (
	"context"
	"errors"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/doctor"
	"github.com/whosaw/whosaw/internal/scope"
)

// Feed takes records in the order in which they arrive, as a server does: durable first, then judged. It is
// the importer without reading and sorting.
type Feed struct{ im *importer }

// Feed begins to take records. It must be closed before the case is asked anything.
func (c *Case) Feed(ctx context.Context) *Feed { return &Feed{newImporter(ctx, c, nil)} }

// Take hands over records. Their strings must stay valid; the slice may be used again. The error, if there is one, is of
// the ledger, and may be of records that were taken before.
func (f *Feed) Take(records []whosaw.Record) error { return f.im.take(records) }

// Close waits until everything that was taken is judged; err, if not nil, is why nothing more comes, and is given back. The
// summary of what was read is the caller's own.
func (f *Feed) Close(err error) (Read, error) {
	err = f.im.finish(err)
	return f.im.read, errors.Join(err, f.im.c.unite())
}

// Watch has fn called with each accepted record before the detectors see it, from one goroutine, which is also that of
// Trace. The record may not be kept.
func (c *Case) Watch(fn func(seq uint64, r *whosaw.Record)) { c.watch = fn }

// Trace has fn told what each access did to the tests, see [detect.Engine.Trace].
func (c *Case) Trace(fn func(detect.Touch)) { c.engine.Trace(fn) }

// Findings are those raised so far, in order.
func (c *Case) Findings() []whosaw.Finding { return c.findings }

// Sightings are the findings with, under the same ids, the places to which they spread: each with the filter by which the
// finding grew there.
func (c *Case) Sightings() []whosaw.Finding { return c.sighted }

// spread picks the steps by which filters grew.
func spread(steps []detect.GrowthStep) []whosaw.Finding {
	var out []whosaw.Finding
	for i := range steps {
		if steps[i].Spreads() {
			out = append(out, steps[i].Finding)
		}
	}
	return out
}

// Status is the detectors' own account.
func (c *Case) Status() []detect.Status { return c.engine.Status() }

// Ask calls fn with an engine for questions about what the ledger holds now.
func (c *Case) Ask(cfg scope.Config, fn func(*scope.Engine) error) error {
	view, err := c.ledger.View(0)
	if err != nil {
		return err
	}
	cfg.Index = c.index
	return errors.Join(fn(scope.New(view, c.catalog, cfg)), view.Close())
}

// Examine says what the records can and cannot answer.
func (c *Case) Examine(ctx context.Context) (whosaw.DoctorAnswer, error) {
	view, err := c.ledger.View(0)
	if err != nil {
		return whosaw.DoctorAnswer{}, err
	}
	answer, err := doctor.Examine(ctx, view, c.catalog, c.engine.Status(), nil)
	return answer, errors.Join(err, view.Close())
}
