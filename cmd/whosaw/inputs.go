package main

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

func (s *server) openInputs() error {
	var in inputs
	var err error
	if len(s.cfg.Follow) > 0 {
		in.follower, err = follow.New(follow.Options{
			Logs: s.cfg.Follow, Catalog: s.live.Catalog(), Sink: s.live, State: s.db, Logger: s.log, Now: s.m.Now,
		})
		if err != nil {
			return err
		}
	}
	for _, cfg := range s.cfg.JetStream {
		c, err := jetstream.New(jetstream.Options{Config: cfg, Catalog: s.live.Catalog(), Sink: s.live, Logger: s.log, Now: s.m.Now})
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
	in := api.Input{Kind: "file", Name: l.Path, Source: l.Source, Behind: l.Behind, Last: instant(l.LastRead), State: "following"}
	switch {
	case l.Waiting != "":
		in.State = "waiting"
	case !l.Live && l.Files == 0:
		in.State = "not there yet"
	}
	if l.Waiting != "" {
		in.Error = l.Waiting
	}
	for i := range l.Problems {
		if in.Error == "" {
			in.Error = l.Problems[i].Path + ": " + l.Problems[i].Reason
		}
	}
	return in
}

func streamed(c jetstream.Status) api.Input {
	in := api.Input{
		Kind: "nats", Name: c.Stream, Source: c.Source, Behind: int64(c.Pending) + int64(c.Unacknowledged), Last: instant(c.LastRead),
		State: "reading", Error: c.Error,
	}
	if !c.Reading {
		in.State, in.Since = "not connected", instant(c.Since)
	}
	if c.Waiting != "" {
		in.State = "waiting"
		if in.Error == "" {
			in.Error = c.Waiting
		}
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
