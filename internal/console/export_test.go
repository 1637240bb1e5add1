package console

import (
	"context"

	"github.com/whosaw/whosaw"
)

// HandleOf gives the handle of a filter, as its page's address has it.
func (c *Console) HandleOf(ctx context.Context, f whosaw.Filter) (string, error) {
	return c.filterHandle(ctx, f)
}

// DeedKey is the message that says what was done with a notice.
var DeedKey = deedKey
