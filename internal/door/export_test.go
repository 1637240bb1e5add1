package door

import (
	"net/http"

	"github.com/whosaw/whosaw/internal/guard"
)

// NginxHandler is the handler of a door of kind nginx.
func NginxHandler(j Judge, d *guard.DoorConfig) http.Handler { return nginxHandler(j, d) }

// DecideHandler is the handler of a door of kind decide.
func DecideHandler(j Judge, name string) http.Handler { return decideHandler(j, name) }
