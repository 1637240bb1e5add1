package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/report"
)

// DrillRealm is the name space of a drill's customers: nobody's real ids are in it.
const DrillRealm = "drill"

// HarvestConfig says which server is sent a harvest, and how long its alarm is waited for.
type HarvestConfig struct {
	URL string // of the server: https://host, or http:// to this machine
	// SendToken is the token that may send records of types access and subject, ReadToken the one that may read findings.
	SendToken, ReadToken string
	Source               string // the source to send as; "": the token's own
	// Run tells this drill from others: letters and digits. A detector that has raised its finding on one drill would
	// take the same actor for the same attack.
	Run       string
	Customers int           // to plant and open; 0: 10
	Wait      time.Duration // for the alarm; 0: a minute
	Every     time.Duration // between two questions; 0: half a second
	Client    *http.Client  // nil: one with time limits that follows no redirect
	Now       func() time.Time
}

// HarvestAnswer is whether and when the alarm came.
type HarvestAnswer struct {
	Run        string `json:"run"`
	Realm      string `json:"realm"`
	Sent       int64  `json:"sent"` // records
	Accepted   int64  `json:"accepted"`
	Duplicates int64  `json:"duplicates"`
	Noticed    bool   `json:"noticed"`
	// After is the milliseconds from the sending to the first answer that held the finding; without one, how long was waited.
	After   int64           `json:"after_ms"`
	Finding *whosaw.Finding `json:"finding"`
}

func (c *HarvestConfig) setDefaults() {
	if c.Customers <= 0 {
		c.Customers = 10
	}
	if c.Wait <= 0 {
		c.Wait = time.Minute
	}
	if c.Every <= 0 {
		c.Every = 500 * time.Millisecond
	}
	if c.ReadToken == "" {
		c.ReadToken = c.SendToken
	}
	if c.Client == nil {
		c.Client = &http.Client{
			Timeout:       15 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
}

// Harvest plants customers at a running server, in a realm of their own, opens each once, and waits until the
// server has a finding about it.
func Harvest(ctx context.Context, cfg HarvestConfig) (*HarvestAnswer, error) {
	cfg.setDefaults()
	base, err := serverAddress(cfg.URL)
	if err != nil {
		return nil, err
	}
	h := &harvest{HarvestConfig: cfg, base: base}
	before, err := h.findings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the server's findings: %w", err)
	}
	a := &HarvestAnswer{Run: cfg.Run, Realm: DrillRealm, Sent: 2 * int64(cfg.Customers)}
	began := cfg.Now()
	if err := h.send(ctx, a, began); err != nil {
		return nil, fmt.Errorf("send the harvest: %w", err)
	}
	return a, h.wait(ctx, a, before, began)
}

// serverAddress checks the server's address: a token must not travel readable, nor stand in the address itself.
func serverAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("--server: give the server's address, as in https://whosaw.example or http://127.0.0.1:8080")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("--server: give the plain address, without a user, a password or a question mark; the token comes from WHOSAW_TOKEN or --token-file")
	}
	if u.Scheme == "http" {
		ip := net.ParseIP(u.Hostname())
		if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, errors.New("--server: over plain http the token could be read on the way; give an https address, or run the drill on the server itself")
		}
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

type harvest struct {
	HarvestConfig
	base *url.URL
}

// body gives the record lines: the customers first, then who opened them.
func (h *harvest) body(at time.Time) []byte {
	var b []byte
	line := func(r *whosaw.Record) { b = append(whosaw.AppendJSON(b, r), '\n') }
	subject := func(i int) []string { return []string{"planted-" + h.Run + "-" + strconv.Itoa(i)} }
	for i := range h.Customers {
		line(&whosaw.Record{
			Type: whosaw.TypeSubject, ID: "drill-" + h.Run + "-s" + strconv.Itoa(i), Time: at.UnixMilli(), Realm: DrillRealm, Subjects: subject(i),
			Ref: &whosaw.Reference{State: "canary", Since: at.UnixMilli()},
		})
	}
	for i := range h.Customers {
		line(&whosaw.Record{
			ID: "drill-" + h.Run + "-a" + strconv.Itoa(i), Time: at.UnixMilli(), Realm: DrillRealm, Subjects: subject(i), Route: "GET /whosaw-drill",
			Fields: []string{"name"}, Status: 200, Outcome: whosaw.OutcomeDisclosed, Principal: "service:drill-" + h.Run, Agent: "whosaw-drill",
		})
	}
	return b
}

// send hands the records in.
func (h *harvest) send(ctx context.Context, a *HarvestAnswer, at time.Time) error {
	query := url.Values{}
	if h.Source != "" {
		query.Set("source", h.Source)
	}
	var got struct {
		Accepted   int64 `json:"accepted"`
		Rejected   int64 `json:"rejected"`
		Duplicates int64 `json:"duplicates"`
		Rejects    []struct {
			Reason string `json:"reason"`
			Hint   string `json:"hint"`
		} `json:"rejects"`
	}
	if err := h.ask(ctx, http.MethodPost, "/v1/records", query, h.SendToken, h.body(at), &got); err != nil {
		return err
	}
	a.Accepted, a.Duplicates = got.Accepted, got.Duplicates
	switch {
	case got.Rejected > 0 && len(got.Rejects) > 0:
		return fmt.Errorf("the server rejected %d of %d records: %s; %s", got.Rejected, a.Sent, short(got.Rejects[0].Reason), short(got.Rejects[0].Hint))
	case got.Rejected > 0:
		return fmt.Errorf("the server rejected %d of %d records: the token must be allowed to send records of types access and subject", got.Rejected, a.Sent)
	case got.Accepted+got.Duplicates != a.Sent:
		return fmt.Errorf("the server took %d of %d records and rejected none: is it whosaw?", got.Accepted+got.Duplicates, a.Sent)
	}
	return nil
}

// findings gives those of the drill's realm by their ids.
func (h *harvest) findings(ctx context.Context) (map[string]whosaw.Finding, error) {
	var got struct {
		Findings []whosaw.Finding `json:"findings"`
	}
	if err := h.ask(ctx, http.MethodGet, "/v1/findings", url.Values{"realm": {DrillRealm}, "limit": {"1000"}}, h.ReadToken, nil, &got); err != nil {
		return nil, err
	}
	if got.Findings == nil {
		return nil, errors.New("the answer holds no list of findings: is it whosaw?")
	}
	out := make(map[string]whosaw.Finding)
	for _, f := range got.Findings {
		if slices.ContainsFunc(f.Filter, func(t whosaw.Term) bool { return slices.Contains(t.Realm, DrillRealm) }) {
			out[f.ID] = f
		}
	}
	return out, nil
}

// wait asks until there is a finding that was not there before. A server that is busy is asked again.
func (h *harvest) wait(ctx context.Context, a *HarvestAnswer, before map[string]whosaw.Finding, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, h.Wait)
	defer cancel()
	tick := time.NewTicker(h.Every)
	defer tick.Stop()
	for {
		now, err := h.findings(ctx)
		a.After = h.Now().Sub(began).Milliseconds()
		var busy *busyError
		if err != nil && !errors.As(err, &busy) && ctx.Err() == nil {
			return fmt.Errorf("read the server's findings: %w", err)
		}
		for id, f := range now {
			if _, old := before[id]; !old && (a.Finding == nil || f.Seen < a.Finding.Seen || f.Seen == a.Finding.Seen && f.ID < a.Finding.ID) {
				a.Noticed, a.Finding = true, &f
			}
		}
		if a.Noticed {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil // waited long enough
			}
			return ctx.Err()
		}
	}
}

// busyError is an answer after which the same question may be asked again.
type busyError struct{ status int }

func (e *busyError) Error() string {
	return fmt.Sprintf("the server is busy (status %d): try again later", e.status)
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// ask does one request. No error holds a token, and the address holds no secret.
func (h *harvest) ask(ctx context.Context, method, path string, query url.Values, token string, body []byte, into any) error {
	u := *h.base
	u.Path += path
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/x-ndjson")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := h.Client.Do(req)
	if err != nil {
		return fmt.Errorf("reach the server: %w; is whosaw serve running there?", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if err := refused(resp.StatusCode, text); err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("the answer is no JSON that whosaw gives (%w): is it whosaw's address?", err)
	}
	return nil
}

// refused turns any status but 200 into words.
func refused(status int, text []byte) error {
	why := said(text)
	switch {
	case status == http.StatusOK:
		return nil
	case status == http.StatusUnauthorized:
		return errors.New("the server does not know the token: give one with WHOSAW_TOKEN or --token-file" + why)
	case status == http.StatusForbidden:
		return errors.New("the token may not do that: sending takes one for records of types access and subject (WHOSAW_TOKEN, --token-file), reading findings " +
			"one that may read (WHOSAW_READ_TOKEN, --read-token-file)" + why)
	case status == http.StatusNotFound:
		return errors.New("there is nothing at this address: is it whosaw's?")
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return &busyError{status}
	case status/100 == 3:
		return fmt.Errorf("the server sends elsewhere (status %d): give the address it leads to", status)
	}
	return fmt.Errorf("the server answers with status %d%s", status, why)
}

// said gives the server's own words about a refusal, if the answer has any.
func said(text []byte) string {
	type words struct {
		Message string `json:"message"`
		Hint    string `json:"hint"`
	}
	var answer struct {
		words
		Error words `json:"error"`
	}
	if json.Unmarshal(text, &answer) != nil {
		return ""
	}
	w := answer.Error
	if w.Message == "" {
		w = answer.words
	}
	if w.Message == "" {
		return ""
	}
	out := "; it says: " + short(w.Message)
	if w.Hint != "" {
		out += ": " + short(w.Hint)
	}
	return out
}

// short bounds what a server says.
func short(s string) string {
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

// WriteText says it to a person.
func (a *HarvestAnswer) WriteText(w io.Writer, o report.TextOptions) error {
	m := report.NewMessage(w, o)
	half := a.Sent / 2
	m.Para(fmt.Sprintf("Sent %d planted customers in the realm %s, and that somebody opened each of them: nobody real is touched.", half, a.Realm))
	m.Blank()
	if !a.Noticed {
		m.Verdict(fmt.Sprintf("No alarm came within %s.", length(a.After)), true)
		m.Blank()
		m.Item("Does the server follow its ledger? Its status says how far the detectors have come.")
		m.Item("Is the realm " + a.Realm + " suppressed there?")
		return m.End()
	}
	m.Verdict(fmt.Sprintf("The alarm came within %.1f s, by the detector %s.", math.Ceil(float64(max(a.After, 1))/100)/10, words(a.Finding.Detector)), false)
	m.Para(a.Finding.Says)
	m.Blank()
	m.Para("The finding " + a.Finding.ID + " stands among the real ones until somebody judges it: a drill is explained, not false.")
	return m.End()
}
