package follow

import "context"

// Stem lets tests see what is taken for rotation in a name.
var Stem = stem

// Looker gives one round of the first entry after the other, after the files were read.
func Looker(ctx context.Context, o Options) (func() error, error) {
	f, err := New(o)
	if err != nil {
		return nil, err
	}
	e := f.entries[0]
	round := func() error {
		_, err := e.round(ctx)
		return err
	}
	for range 3 {
		if err := round(); err != nil {
			return nil, err
		}
	}
	return round, nil
}
