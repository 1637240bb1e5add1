package alarm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/whosaw/whosaw"
)

// Tell tells all channels at once, whatever the hour, something that is no finding: that a part of the server does not do its work. It is not
// in the book and is not tried again: it may be about the very disk that the book lies on.
func (d *Dispatcher) Tell(ctx context.Context, part, title, says string) error {
	now := whosaw.Time(d.now().UnixMilli())
	var errs []error
	for _, w := range d.workers {
		m := &Message{
			ID: part + "-" + rand.Text(), Time: now, Seen: now, RaisedAt: now, Detector: part, Unit: "server", Title: title, Says: says, Severity: Critical,
		}
		ctx, cancel := context.WithTimeout(ctx, sendTimeout)
		if err := w.channel.Sender.Send(ctx, m); err != nil {
			errs = append(errs, fmt.Errorf("tell channel %s: %w", w.channel.Name, err))
		}
		cancel()
	}
	return errors.Join(errs...)
}
