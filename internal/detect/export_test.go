package detect

import "github.com/whosaw/whosaw"

// Forget empties the caches that change no answer.
func (e *Engine) Forget() {
	clear(e.known.sets)
	e.texts.key, e.texts.client, e.known.key = memo{}, memo{}, memo{}
}

// Shrink makes what has one size in every engine small in one that has seen nothing, for a test that makes very many.
func (e *Engine) Shrink() *Engine {
	e.legacy.words, e.daily.words = 64, 64
	e.known.sets = make([]knownSet, 64)
	return e
}

// ClassOf names the class of the network that an access comes from.
func ClassOf(nets []NetworkClass, r *whosaw.Record) string {
	e := &Engine{nets: newNetTable(nets)}
	return e.netName(e.netClass(&view{r: r}))
}
