package drill

import (
	"context"
	"math/rand/v2"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// Woven gives the records that Onto would weave into a case's: the log as it is, and with everything made up.
func Woven(ctx context.Context, c *pipeline.Case, cfg OntoConfig, n int) (plain, made []whosaw.Record, err error) {
	view, err := c.Ledger().View(0)
	if err != nil {
		return nil, nil, err
	}
	defer view.Close()
	o := &onto{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x64726f6e)), view: view, profile: nil}
	o.profile = newProfile(cfg.Catalog, o.rng)
	if err := o.records(ctx, func(r *whosaw.Record) error { o.profile.add(r); return nil }); err != nil {
		return nil, nil, err
	}
	attack := o.profile.weave(cfg.Scenario, n, o.rng)
	bare := &maker{profile: o.profile}
	full := &maker{profile: o.profile, variant: variant{subject: true, credential: true, issuance: true, key: true, canary: true}, given: map[string]bool{}}
	for i := range attack {
		a, _ := bare.attack(i, &attack[i])
		b, _ := full.attack(i, &attack[i])
		plain, made = append(plain, a), append(made, b)
	}
	return plain, made, nil
}
