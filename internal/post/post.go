package post

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Config says where to send and how.
type Config struct {
	// URL of the server: its scheme and host. The path of the call is added.
	URL string
	// Source names the records' source. Empty: the token has one.
	Source string
	// Token goes into the Authorization header. Empty: none.
	Token string
	// Zstd compresses the bodies.
	Zstd bool

	// Client sends; nil: one that waits a minute for an answer.
	Client *http.Client
	// Now and Sleep are the clock; nil: the machine's.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

const (
	bodyBytes = 1 << 20
	// tries is how often a body is sent on faults that nobody asked to wait for; patience how long a server may say
	// "later" about one body.
	tries    = 6
	patience = 30 * time.Minute
	longest  = 5 * time.Minute // one wait
)

// Received is what the server said of the lines so far.
type Received struct {
	Lines, Accepted, Duplicates, Rejected int64
}

// Sender sends lines. It is used by one goroutine.
type Sender struct {
	ctx  context.Context // of all requests: an io.Writer has no other way to be stopped
	cfg  Config
	to   string
	body bytes.Buffer
	zstd *zstd.Encoder
	pack []byte
	got  Received
	why  string
	bad  error // ends the sender
}

// New makes a sender. Its requests end with ctx.
func New(ctx context.Context, cfg Config) (*Sender, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("check the server's address: it is not like https://whosaw.example.com")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("check the server's address: only scheme, host and path belong in it; the token comes from WHOSAW_TOKEN or a file")
	}
	if cfg.Token != "" && u.Scheme == "http" && !thisMachine(u.Hostname()) {
		return nil, errors.New("check the server's address: over http:// the token could be read on the way: use https://")
	}
	u = u.JoinPath("v1", "records")
	if cfg.Source != "" {
		u.RawQuery = url.Values{"source": {cfg.Source}}.Encode()
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: time.Minute}
	}
	// A redirect could lead the token elsewhere.
	client := *cfg.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cfg.Client = &client
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	s := &Sender{ctx: ctx, cfg: cfg, to: u.String()}
	if cfg.Zstd {
		if s.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)); err != nil {
			return nil, fmt.Errorf("prepare compression: %w", err)
		}
	}
	return s, nil
}

func thisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Write takes whole lines and sends when enough have come.
func (s *Sender) Write(lines []byte) (int, error) {
	taken := 0
	for taken < len(lines) && s.bad == nil {
		cut := len(lines)
		if room := max(1, bodyBytes-s.body.Len()); cut-taken > room {
			end := bytes.IndexByte(lines[taken+room-1:], '\n')
			if end >= 0 {
				cut = taken + room + end
			}
		}
		s.body.Write(lines[taken:cut])
		taken = cut
		if s.body.Len() >= bodyBytes {
			s.bad = s.send()
		}
	}
	return taken, s.bad
}

// Close sends what is left. It gives the error that ended the sender, if one did.
func (s *Sender) Close() error {
	if s.bad == nil && s.body.Len() > 0 {
		s.bad = s.send()
	}
	if s.zstd != nil {
		return errors.Join(s.bad, s.zstd.Close())
	}
	return s.bad
}

// Received gives what the server said so far, and why it did not take the first line that it rejected.
func (s *Sender) Received() (Received, string) { return s.got, s.why }

// send sends the body until the server has it.
func (s *Sender) send() error {
	data := s.body.Bytes()
	if s.zstd != nil {
		s.pack = s.zstd.EncodeAll(data, s.pack[:0])
		data = s.pack
	}
	var waited time.Duration
	for try := 1; ; try++ {
		wait, asked, err := s.post(data)
		if err == nil {
			s.body.Reset()
			return nil
		}
		switch {
		case s.ctx.Err() != nil:
			return s.ctx.Err()
		case wait < 0:
			return err
		case asked && waited >= patience, !asked && try >= tries:
			return fmt.Errorf("%w; gave up after %d tries: send again when the server is well, nothing is counted twice", err, try)
		case !asked:
			wait = min(longest, 250*time.Millisecond<<try)
		}
		waited += wait
		if err := s.cfg.Sleep(s.ctx, wait); err != nil {
			return err
		}
	}
}

// post sends a body once. On an error, wait below zero says that another try would be in vain, and asked that the server
// said how long to wait.
func (s *Sender) post(data []byte) (wait time.Duration, asked bool, err error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, s.to, bytes.NewReader(data))
	if err != nil {
		return -1, false, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if s.zstd != nil {
		req.Header.Set("Content-Encoding", "zstd")
	}
	if s.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.cfg.Token)
	}
	resp, err := s.cfg.Client.Do(req)
	if err != nil {
		return 0, false, fmt.Errorf("send records: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, false, fmt.Errorf("read the server's answer: %w", err)
	}
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return 0, false, s.count(answer)
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable, code == http.StatusInsufficientStorage:
		wait, asked = s.retryAfter(resp.Header.Get("Retry-After"))
		return wait, asked, fmt.Errorf("send records: the server answers %d", code)
	case code >= 500, code == http.StatusRequestTimeout:
		return 0, false, fmt.Errorf("send records: the server answers %d", code)
	default:
		return -1, false, fmt.Errorf("send records: the server answers %d%s", code, cure(code))
	}
}

func cure(code int) string {
	switch code {
	case http.StatusUnauthorized:
		return ": give a token that may send records, in WHOSAW_TOKEN or with --token-file"
	case http.StatusForbidden:
		return ": the token may not send records of this source"
	case http.StatusNotFound:
		return ": this is no whosaw server, or the address has a path too many"
	case http.StatusRequestEntityTooLarge:
		return ": it takes bodies of a mebibyte at least, by default"
	}
	if code >= 300 && code < 400 {
		return ": name the address that it redirects to"
	}
	return ""
}

// count adds what the server says it did. A server that says nothing took the lines.
func (s *Sender) count(answer []byte) error {
	lines := int64(bytes.Count(s.body.Bytes(), []byte{'\n'}))
	var got struct {
		Lines      int64 `json:"lines"`
		Accepted   int64 `json:"accepted"`
		Duplicates int64 `json:"duplicates"`
		Rejected   int64 `json:"rejected"`
		Rejects    []struct {
			Reason string `json:"reason"`
		} `json:"rejects"`
	}
	if err := json.Unmarshal(answer, &got); err != nil || got.Lines == 0 {
		got.Lines, got.Accepted = lines, lines
	}
	s.got.Lines += got.Lines
	s.got.Accepted += got.Accepted
	s.got.Duplicates += got.Duplicates
	s.got.Rejected += got.Rejected
	if s.why == "" && len(got.Rejects) > 0 {
		s.why = got.Rejects[0].Reason
	}
	return nil
}

// retryAfter reads the header: seconds or a date.
func (s *Sender) retryAfter(h string) (time.Duration, bool) {
	h = strings.TrimSpace(h)
	if n, err := strconv.Atoi(h); err == nil && n >= 0 {
		return min(longest, max(time.Second, time.Duration(n)*time.Second)), true
	}
	if t, err := http.ParseTime(h); err == nil {
		return min(longest, max(time.Second, t.Sub(s.cfg.Now()))), true
	}
	return 0, false
}
