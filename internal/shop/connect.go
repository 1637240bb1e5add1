package shop

import (
	"bytes"
	_ "embed" // the two files below
)

var (
	//go:embed catalog.yaml
	catalogYAML []byte
	//go:embed whosaw.yaml
	whosawYAML []byte
)

// Catalog says which of the shop's routes show which fields, as catalog.yaml for a server and for `whosaw proxy`.
func Catalog() []byte { return bytes.Clone(catalogYAML) }

// Server is the whosaw.yaml of a server that guards the shop. It names catalog.yaml ([Catalog]) and jwks.json ([Shop.JWKS]) beside it, and the doors
// [Door] and [APIDoor]. mode is enforce, or shadow: everything is let through and recorded, and what would have been refused is known.
func Server(mode string) []byte {
	return bytes.Replace(whosawYAML, []byte("mode: enforce"), []byte("mode: "+mode), 1)
}

// The doors of [Server]: the middleware of the pages, and the proxy in front of the API.
const (
	Door    = "shop"
	APIDoor = "app"
)
