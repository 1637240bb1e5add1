package scope_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/scope"
)

// TestMemory: a question that would take more than it may is given up, whole; with enough it is answered as ever.
func TestMemory(t *testing.T) {
	for _, ids := range []string{"number", "text"} {
		view := openView(t, accesses(20_000, func(i int) string {
			if ids == "text" {
				return fmt.Sprintf(`"subject":"customer-%d","fields":["name"],"ip":"10.0.%d.%d"`, i, i/250%250, i%250)
			}
			return fmt.Sprintf(`"subject":%d,"fields":["name"],"ip":"10.0.%d.%d"`, i, i/250%250, i%250)
		}), 1000)
		all := whosaw.Filter{{}}
		for _, c := range []struct {
			memory int64
			enough bool
		}{{20_000, false}, {200_000, false}, {64 << 20, true}, {0, true}} {
			e := scope.New(view, nil, scope.Config{Memory: c.memory, Workers: 3})
			for name, ask := range map[string]func() error{
				"count": func() error {
					a, err := e.Count(t.Context(), all)
					if err == nil && a.Subjects != 20_000 {
						t.Errorf("%s ids, %d bytes: %d subjects", ids, c.memory, a.Subjects)
					}
					return err
				},
				"list":     func() error { return e.List(t.Context(), all, func(whosaw.ListRow) error { return nil }) },
				"top":      func() error { _, err := e.Top(t.Context(), "ip", all, 3); return err },
				"timeline": func() error { _, err := e.Timeline(t.Context(), []whosaw.Filter{all}, time.Minute); return err },
			} {
				if err := ask(); c.enough && err != nil || !c.enough && !errors.Is(err, scope.ErrMemory) {
					t.Errorf("%s ids, %s with %d bytes: %v", ids, name, c.memory, err)
				}
			}
		}
	}
}
