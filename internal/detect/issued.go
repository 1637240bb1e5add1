package detect

// KeepIssued has the engine keep the issuances of long ago in files of a directory of its own, instead of in memory. It is called before anything
// is observed, or the state read.
func (e *Engine) KeepIssued(dir string) { e.archive.Keep(dir) }

// StateSaved is told when a state that the engine wrote is on disk, or when it goes on without one: files that no state needs any more go.
func (e *Engine) StateSaved() error { return e.archive.Saved() }

// Close lets go of the files of issuances, and removes those that no state on disk names. The engine must not be used any more.
func (e *Engine) Close() error { return e.archive.Close() }
