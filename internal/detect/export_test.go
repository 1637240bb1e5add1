package detect

// Forget empties the caches that change no answer.
func (e *Engine) Forget() {
	clear(e.known.sets)
	e.texts.key, e.texts.client, e.known.key = memo{}, memo{}, memo{}
}
