package api

import (
	"errors"
	"net/http"

	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// postExplain says what one record added to which statistic. It replays the ledger up to that record.
func (a *API) postExplain(w http.ResponseWriter, r *http.Request) error {
	var which pipeline.Which
	if err := readBody(w, r, 1<<16, &which); err != nil {
		return err
	}
	if err := which.Check(); err != nil {
		return invalid("give sequence, id or finding", "%v", err)
	}
	if _, err := a.cfg.Live.Write(r.Context(), pipeline.AskedRecord(whoOf(r).Name, which)); err != nil {
		a.cfg.Logger.Error("a question could not be recorded, so it is not answered", "kind", "explain", "error", err)
		return unrecorded("the question could not be recorded, so it is not answered", "ask")
	}
	ctx, ask, end, err := a.query(r, "")
	if err != nil {
		return err
	}
	defer end()
	answer, err := a.cfg.Live.ExplainIn(ctx, ask, which)
	if errors.Is(err, pipeline.ErrNoRecord) {
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: err.Error(), Cure: "whosaw subject and whosaw finding list show what there is"}
	}
	if err != nil {
		return askFault(ctx, err)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// Baselines is what the detectors have learnt.
type Baselines struct {
	Judged    uint64            `json:"judged"` // the record up to which they have learnt
	Baselines []detect.Baseline `json:"baselines"`
}

func (a *API) getBaseline(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if _, err := a.cfg.Live.Write(r.Context(), pipeline.AskedBaselines(whoOf(r).Name, q.Get("detector"), q.Get("route"))); err != nil {
		a.cfg.Logger.Error("a question could not be recorded, so it is not answered", "kind", "baseline", "error", err)
		return unrecorded("the question could not be recorded, so it is not answered", "ask")
	}
	if q.Get("wait") == "true" {
		if err := a.cfg.Live.CaughtUp(r.Context()); err != nil {
			return err
		}
	}
	all, judged := a.cfg.Live.Baselines()
	writeJSON(w, http.StatusOK, NewBaselines(all, judged, q.Get("detector"), q.Get("route")))
	return nil
}

// NewBaselines gives those of a detector and a route; "" asks for all.
func NewBaselines(all []detect.Baseline, judged uint64, detector, route string) *Baselines {
	out := &Baselines{Judged: judged, Baselines: []detect.Baseline{}}
	for _, b := range all {
		if (detector == "" || detector == b.Detector) && (route == "" || route == b.Route) {
			out.Baselines = append(out.Baselines, b)
		}
	}
	return out
}
