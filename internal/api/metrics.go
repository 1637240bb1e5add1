package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/whosaw/whosaw/internal/alarm"
)

// metrics are worked out when they are fetched. Labels are names of sources, channels, detectors and routes: nothing of a
// record.
type metrics struct {
	a        *API
	requests *prometheus.HistogramVec
}

var (
	described = func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("whosaw_"+name, help, labels, nil)
	}
	descReady     = described("ready", "1 if records are taken.")
	descAccesses  = described("accesses_total", "Accesses accepted since the start.")
	descRecords   = described("records_total", "Records accepted since the start, accesses among them.")
	descLast      = described("ledger_last_sequence", "Sequence of the last record on disk.")
	descJudged    = described("ledger_judged_sequence", "Sequence up to which the detectors have seen the ledger.")
	descBytes     = described("ledger_bytes", "Size of the ledger on disk.")
	descParts     = described("ledger_parts", "Sealed segments and open logs.")
	descFree      = described("disk_free_bytes", "Free on the file system of the data directory.")
	descLines     = described("source_lines_total", "Lines since the start, by what became of them.", "source", "result")
	descLag       = described("source_lag_seconds", "Between the newest event of the source and now.", "source")
	descSilent    = described("source_silent", "1 if the source is silent for longer than is usual for it, also since before the start.", "source")
	descBehind    = described("input_behind", "Bytes or messages that a followed input has and the ledger does not yet.", "kind", "input", "source")
	descInputBad  = described("input_failing", "1 if a followed input fails.", "kind", "input", "source")
	descFindings  = described("findings", "Findings recorded, by state.", "state")
	descPending   = described("deliveries_pending", "Findings that a channel is yet to be told.", "channel")
	descSent      = described("deliveries_sent_total", "Findings that a channel was told.", "channel")
	descDetJudged = described("detector_judged_total", "Accesses that a detector could judge.", "detector")
	descDetTrials = described("detector_trials_total", "Trials of a detector.", "detector")
	descUnits     = described("detect_units", "Units that the detectors hold.")
	descRunning   = described("questions_running", "Questions that are worked on.")
	descWatchers  = described("watchers", "Connections that wait for live figures.")
	descGuard     = described("guard_ready", "1 if requests are judged; 0: each route does what its fail mode says.")
	descDecided   = described("guard_decisions_total", "Decisions since the start: what would be done if nothing were in shadow mode, and why.", "action", "reason", "shadow")
	descStanding  = described("guard_standing", "Standing decisions that hold.")
	descTokens    = described("guard_tokens", "Checked tokens that are remembered.")
	descPassed    = described("guard_unconfirmed", "Credentials that passed before their issuance is on record.")
	descCrowded   = described("guard_crowded_total", "Requests that did not wait for an issuance because too many did.")
	descAmbiguous = described("guard_ambiguous_total", "Requests that could be read as another route too, by their spelling or by a method that they name.")
	descUnwritten = described("guard_unrecorded_total", "Decisions that are in no record.")
)

// Describe sends nothing: which sources there are is known when they are fetched.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect gives all figures.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := m.a.Status(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(descReady, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(descReady, truth(s.Ready))
	records, accesses := m.a.cfg.Live.Counts()
	counter(descAccesses, accesses)
	counter(descRecords, records)
	gauge(descLast, float64(s.Ledger.Last))
	gauge(descJudged, float64(s.Ledger.Judged))
	gauge(descBytes, float64(s.Ledger.Bytes))
	gauge(descParts, float64(s.Ledger.Parts))
	if s.Disk != nil {
		gauge(descFree, float64(s.Disk.Free))
	}
	for i := range s.Sources {
		src := &s.Sources[i]
		counter(descLines, src.Accepted, src.Source, "accepted")
		counter(descLines, src.Duplicates, src.Source, "duplicate")
		counter(descLines, src.Rejected, src.Source, "rejected")
		gauge(descLag, src.Lag, src.Source)
		gauge(descSilent, truth(src.Silent != nil), src.Source)
	}
	for i := range s.Inputs {
		in := &s.Inputs[i]
		gauge(descBehind, float64(in.Behind), in.Kind, in.Name, in.Source)
		gauge(descInputBad, truth(in.Error != ""), in.Kind, in.Name, in.Source)
	}
	gauge(descFindings, float64(s.Alarms.Open), string(alarm.Open))
	gauge(descFindings, float64(s.Alarms.Suppressed), "suppressed")
	gauge(descFindings, float64(s.Alarms.Findings-s.Alarms.Open-s.Alarms.Suppressed), "judged")
	for i := range s.Alarms.Channels {
		c := &s.Alarms.Channels[i]
		gauge(descPending, float64(c.Pending), c.Name)
		counter(descSent, c.Sent, c.Name)
	}
	for i := range s.Detectors {
		d := &s.Detectors[i]
		counter(descDetJudged, d.Judged, d.Detector)
		counter(descDetTrials, d.Trials, d.Detector)
	}
	_, load := m.a.cfg.Live.Detectors()
	gauge(descUnits, float64(load.Units))
	gauge(descRunning, float64(s.Questions.Running))
	gauge(descWatchers, float64(m.a.hub.count()))
	if g := m.a.cfg.Guard; g != nil {
		s := g.Status()
		gauge(descGuard, truth(s.Ready))
		for _, c := range s.Counts {
			counter(descDecided, c.N, c.Action.String(), string(c.Code), strconv.FormatBool(c.Shadow))
		}
		gauge(descStanding, float64(s.Decisions))
		gauge(descTokens, float64(s.Tokens))
		gauge(descPassed, float64(s.Unconfirmed))
		counter(descCrowded, s.Crowded)
		counter(descAmbiguous, s.Ambiguous)
		counter(descUnwritten, s.Lost)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Metrics serves the figures for Prometheus. open lets anybody fetch them; else a token that may read is asked for.
func (a *API) Metrics(open bool) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(a.metrics, a.metrics.requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	h := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := a.identify(r, false)
		if err == nil && !open {
			err = allowed(readers, who)
		}
		if err != nil {
			writeError(w, answerTo(r.Context(), err))
			return
		}
		h.ServeHTTP(w, r)
	})
}

func newMetrics(a *API) *metrics {
	return &metrics{a: a, requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "whosaw_http_request_seconds", Help: "How long requests took.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
	}, []string{"route", "status"})}
}

// counted notes the status of an answer.
type counted struct {
	http.ResponseWriter
	status int
}

func (c *counted) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (m *metrics) done(rt *route, c *counted, began time.Time) {
	m.requests.WithLabelValues(rt.method+" "+rt.path, strconv.Itoa(c.status)).Observe(time.Since(began).Seconds())
}
