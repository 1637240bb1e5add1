package server

import (
	"context"
	"fmt"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/follow"
	"github.com/whosaw/whosaw/internal/jetstream"
)

// inputs are what the server reads by itself.
type inputs struct {
	follower *follow.Follower
	streams  []*jetstream.Consumer
}

func (s *Server) openInputs() error {
	var in inputs
	var err error
	if len(s.cfg.Follow) > 0 {
		var logs []follow.Config
		for _, cfg := range s.cfg.Follow {
			logs = append(logs, cfg.Under(s.cfg.Path))
		}
		in.follower, err = follow.New(follow.Options{
			Logs: logs, Catalog: s.live.Catalog(), Keys: &s.cfg.Keys, Sink: s.live, State: s.db, Logger: s.log, Now: s.now,
		})
		if err != nil {
			return err
		}
	}
	for _, cfg := range s.cfg.JetStream {
		c, err := jetstream.New(jetstream.Options{Config: cfg.Under(s.cfg.Path), Catalog: s.live.Catalog(), Keys: &s.cfg.Keys, Sink: s.live, Logger: s.log, Now: s.now})
		if err != nil {
			return err
		}
		in.streams = append(in.streams, c)
	}
	s.inputs = in
	return nil
}

// run reads until ctx ends. What an input cannot mend by itself is told once it has ended.
func (in *inputs) run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, 1+len(in.streams))
	if in.follower != nil {
		wg.Go(func() { errs <- in.follower.Run(ctx) })
	}
	for _, c := range in.streams {
		wg.Go(func() { errs <- c.Run(ctx) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("read inputs: %w", err)
		}
	}
	return nil
}

// status says how far each input is, in the words of the API.
func (in *inputs) status() []api.Input {
	var out []api.Input
	if in.follower != nil {
		for _, l := range in.follower.Status() {
			out = append(out, followed(&l))
		}
	}
	for _, c := range in.streams {
		out = append(out, streamed(c.Status()))
	}
	return out
}

func followed(l *follow.LogStatus) api.Input {
	return api.Input{
		Kind: "file", Name: l.Path, Source: l.Source, Behind: l.Behind, Last: instant(l.LastRead), State: l.State, Error: l.Error,
		Since: instant(l.Since),
	}
}

func streamed(c jetstream.Status) api.Input {
	in := api.Input{
		Kind: "nats", Name: c.Stream, Source: c.Source, Behind: int64(c.Pending) + int64(c.Unacknowledged), Last: instant(c.LastRead),
		State: c.State, Error: c.Error,
	}
	switch {
	case c.Waiting != "":
		in.Error, in.Since = c.Waiting, instant(c.WaitingSince)
	case c.Error != "":
		in.Since = instant(c.Since)
	}
	return in
}

func instant(ms int64) *whosaw.Time {
	if ms == 0 {
		return nil
	}
	t := whosaw.Time(ms)
	return &t
}
