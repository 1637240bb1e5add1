package guard

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/whosaw/whosaw"
)

// ActMode is the act of switching the mode while the guard runs.
const ActMode = "guard_mode"

// Mode is the mode that holds: the configuration's, or the one it was switched to since the start.
func (g *Guard) Mode() Mode {
	if m := g.switched.Load(); m != nil {
		return *m
	}
	return g.cfg.Mode
}

// SetMode switches between shadow and enforce while the guard runs. Who did it, and why, is in the ledger before it holds. It holds until it is
// switched again or the process ends: at a start the configuration's mode holds. What a door cannot do is refused, as in a configuration.
func (g *Guard) SetMode(ctx context.Context, mode Mode, who, reason string) error {
	g.switching.Lock()
	defer g.switching.Unlock()
	reason = strings.TrimSpace(reason)
	switch {
	case mode != ModeShadow && mode != ModeEnforce:
		return badf("mode %q: give shadow or enforce; off needs a restart", string(mode))
	case reason == "" || len(reason) > maxReason || !utf8.ValidString(reason):
		return badf("give a reason, up to %d bytes: those who come after you will ask", maxReason)
	}
	cfg := g.cfg
	cfg.Mode = mode
	if faults := cfg.Check(); len(faults) > 0 {
		return badf("mode %s: guard.%s: %s", mode, faults[0].Key, faults[0].Says)
	}
	was := g.Mode()
	if was == mode {
		return nil
	}
	_, err := g.record.write(ctx, []whosaw.Record{{
		Type: whosaw.TypeAct, Time: g.now().UnixMilli(), Principal: who,
		Ref: &whosaw.Reference{Kind: ActMode, Of: string(mode), Person: who, Note: string(was) + " to " + string(mode) + ": " + reason},
	}})
	if err != nil {
		return fmt.Errorf("record that the guard's mode is switched: %w", err)
	}
	g.switched.Store(&mode)
	g.log.Warn("the guard's mode was switched", "from", string(was), "to", string(mode), "who", who, "at_the_next_start", string(g.cfg.Mode))
	return nil
}
