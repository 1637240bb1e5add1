package main

import (
	"bytes"
	"context"
	"net/url"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// importBatch is how many records go to a server in one request.
const importBatch = 8192

// study lets a running server have the logs' records, in their order, and asks it for the answer.
func (r *remote) study(ctx context.Context, plan *ingest.Plan, opts ingest.Options, s *study, bar *progress) error {
	var held []whosaw.Record
	send := func() error {
		err := r.send(ctx, held, s)
		held = held[:0]
		return err
	}
	sum, err := ingest.Read(ctx, plan, opts, func(records []whosaw.Record) error {
		for len(records) > 0 {
			n := min(len(records), importBatch-len(held))
			held = append(held, records[:n]...)
			records = records[n:]
			if len(held) == importBatch {
				if err := send(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && len(held) > 0 {
		err = send()
	}
	s.read.Summary = sum
	if err != nil {
		return err
	}
	if err := r.call(ctx, "POST", "/v1/local/rejected", s.read.Totals(opts.Source != ""), nil); err != nil {
		return err
	}
	bar.note("counting …")
	var answer api.Study
	if err := r.call(ctx, "GET", "/v1/local/study?zone="+url.QueryEscape(r.zone), nil, &answer); err != nil {
		return err
	}
	s.result = pipeline.Result{Investigation: answer.Investigation, All: answer.All, Scopes: answer.Scopes}
	s.result.Read = s.read.Answer()
	return nil
}

// send hands records over and counts what became of them.
func (r *remote) send(ctx context.Context, records []whosaw.Record, s *study) error {
	data, err := api.AppendImport(nil, records)
	if err != nil {
		return err
	}
	res, err := r.do(ctx, "POST", "/v1/local/import", bytes.NewReader(data))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	acks, err := api.ReadAcks(res.Body, len(records))
	if err != nil {
		return err
	}
	for i := range records {
		s.read.Count(&records[i], acks[i])
		if !ingest.Derived(&records[i]) {
			s.safe++
		}
	}
	return nil
}
