package guard

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how the server is reached. Server, Token and Door must be given.
type Config struct {
	// Where whosaw serves: http://host:port, https://…, or unix:/path of a door's own socket.
	Server string
	// A token of role ingest for Source. For a door with a socket of its own it is used for records only.
	Token string
	// The door's name in whosaw.yaml, of kind middleware.
	Door string
	// The source of the access records. Empty: Door.
	Source string
	// Whether a request is let through while the server cannot be asked. nil: none is.
	Open func(r *http.Request) bool
	// Whether a good answer (status below 300) may leave only after its handler said what it shows; else it is refused with 500. nil: it may. Turn it
	// on for the routes that show customers' data, so that a handler which forgets to say so shows nothing.
	Declared func(r *http.Request) bool
	// The cookie that holds the session, where requests carry no Authorization. Empty: none.
	Cookie string
	// Where the client's address stands, if something in front sets it, as X-Forwarded-For does: its last address counts. Empty: the
	// connection's own. Name it only where nothing else can reach the service.
	AddressHeader string
	// How long the server may take for a decision. 0: 1 s.
	Timeout time.Duration
	// How many access records may wait to be sent; then requests wait. 0: 10,000.
	Backlog int
	// What goes wrong is said here. nil: nowhere.
	Logger *slog.Logger
	// The time of access records. nil: time.Now.
	Now func() time.Time

	transport http.RoundTripper // nil: by Server
}

// Stats counts what happened since the start.
type Stats struct {
	Judged  int64 // requests the server judged, or an earlier decision held for
	Refused int64
	Opened  int64 // let through while the server could not be asked
	Closed  int64 // refused while the server could not be asked
	Sent    int64 // access records that the server has
	Waiting int64 // access records that it does not have yet
	Lost    int64 // access records that it never took, or that were left when Close's time was over
}

// Client judges requests and answers by asking a whosaw server. Its methods are safe for concurrent use.
type Client struct {
	cfg    Config
	http   *http.Client
	base   string
	cache  cache
	queue  chan []byte
	closed chan struct{} // no more records come
	given  chan struct{} // what is left is given up
	ended  chan struct{}
	once   sync.Once
	owed   loss

	judged, refused, opened, shut, sent, waiting, lost atomic.Int64
}

// New gives a client. Close sends what is left.
func New(cfg Config) (*Client, error) {
	c := &Client{cfg: cfg, closed: make(chan struct{}), given: make(chan struct{}), ended: make(chan struct{})}
	if cfg.Token == "" || cfg.Door == "" {
		return nil, errors.New("guard: give Token (whosaw token create) and Door (guard.doors in whosaw.yaml)")
	}
	if cfg.Source == "" {
		c.cfg.Source = cfg.Door
	}
	if cfg.Timeout <= 0 {
		c.cfg.Timeout = time.Second
	}
	if cfg.Backlog <= 0 {
		c.cfg.Backlog = 10_000
	}
	if cfg.Logger == nil {
		c.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	rt := cfg.transport
	if path, ok := strings.CutPrefix(cfg.Server, "unix:"); ok {
		c.base = "http://whosaw"
		if rt == nil {
			rt = &http.Transport{MaxIdleConnsPerHost: 64, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", path)
			}}
		}
	} else {
		u, err := url.Parse(cfg.Server)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("guard: Server is not http://host:port, https://host:port or unix:/path")
		}
		c.base = u.Scheme + "://" + u.Host
		if rt == nil {
			rt = &http.Transport{MaxIdleConnsPerHost: 64, Proxy: nil, ForceAttemptHTTP2: true}
		}
	}
	if c.cfg.Now == nil {
		c.cfg.Now = time.Now
	}
	c.owed.since = c.cfg.Now().UnixMilli()
	c.http = &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c.queue = make(chan []byte, c.cfg.Backlog)
	go c.send()
	return c, nil
}

// Stats gives the counts so far.
func (c *Client) Stats() Stats {
	return Stats{
		Judged: c.judged.Load(), Refused: c.refused.Load(), Opened: c.opened.Load(), Closed: c.shut.Load(),
		Sent: c.sent.Load(), Waiting: c.waiting.Load(), Lost: c.lost.Load(),
	}
}

// Close sends the records that are left, until ctx ends. Requests must have ended before. It may be called once.
func (c *Client) Close(ctx context.Context) error {
	c.once.Do(func() { close(c.closed) })
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
	}
	close(c.given)
	<-c.ended
	if n := c.waiting.Swap(0); n > 0 {
		c.lost.Add(n)
		return fmt.Errorf("guard: %d access records were not sent: %w", n, context.Cause(ctx))
	}
	return nil
}

// question is what the server is asked about a request, and with Status and what stands below it about an answer.
type question struct {
	Request    string   `json:"request,omitempty"`
	Door       string   `json:"door"`
	Method     string   `json:"method,omitempty"`
	Path       string   `json:"path,omitempty"`
	Methods    []string `json:"methods,omitempty"` // that headers name instead
	Route      string   `json:"route,omitempty"`
	Credential string   `json:"credential,omitempty"`
	IP         string   `json:"ip,omitempty"`
	Agent      string   `json:"agent,omitempty"`
	Subjects   []string `json:"subjects,omitempty"`
	Others     int64    `json:"others,omitempty"`
	Fields     []string `json:"fields,omitzero"` // empty and not nil: none; both nil: as the catalog says
	Masked     []string `json:"masked,omitzero"`
	Status     int      `json:"status,omitempty"`
}

// decision is what it answers.
type decision struct {
	Action  string `json:"action"`
	Reasons []struct {
		Code string `json:"code"`
	} `json:"reasons"`
	TTL      float64  `json:"ttl"`
	Retry    int64    `json:"retry_after"`
	Masked   []string `json:"masked"`
	Hold     bool     `json:"hold"`
	Status   int      `json:"status"`
	Route    string   `json:"route"`
	Identity identity `json:"identity"`
}

type identity struct {
	Credential string `json:"credential"`
	Key        string `json:"key"`
	Client     string `json:"client"`
	Principal  string `json:"principal"`
	Realm      string `json:"realm"`
}

// errAsk is a server that cannot be asked.
var errAsk = errors.New("guard: the server cannot be asked")

func (c *Client) ask(ctx context.Context, path string, q any, into any) error {
	body, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("%w: %w", errAsk, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	res, err := c.post(ctx, path, "application/json", body)
	if err != nil {
		return fmt.Errorf("%w: %w", errAsk, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: it answered %s", errAsk, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(into); err != nil {
		return fmt.Errorf("%w: its answer cannot be read", errAsk)
	}
	return nil
}

func (c *Client) post(ctx context.Context, path, kind string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	res, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the address
		}
	}
	return res, err
}

// enqueue hands a record to the sender, and waits while too many wait.
func (c *Client) enqueue(ctx context.Context, line []byte) {
	c.waiting.Add(1)
	select {
	case c.queue <- line:
		return
	default:
	}
	select {
	case c.queue <- line:
	case <-ctx.Done(): // whoever asked has gone; the record must not
		select {
		case c.queue <- line:
		case <-time.After(c.cfg.Timeout):
			c.waiting.Add(-1)
			c.lose(1, "too many wait for the server")
		}
	}
}

// Bounds of a batch, and how long the sender waits after a failure.
const (
	batchRecords = 1000
	retryLeast   = 50 * time.Millisecond
	retryMost    = 5 * time.Second
)

func (c *Client) send() {
	defer close(c.ended)
	for {
		var batch [][]byte
		select {
		case line := <-c.queue:
			batch = append(batch, line)
		case <-c.given:
			return
		case <-c.closed:
			select {
			case line := <-c.queue:
				batch = append(batch, line)
			default:
				return
			}
		}
	more:
		for len(batch) < batchRecords {
			select {
			case line := <-c.queue:
				batch = append(batch, line)
			default:
				break more
			}
		}
		c.deliver(batch)
	}
}

// deliver sends a batch until the server has it, says that it never will, or what is left is given up.
func (c *Client) deliver(batch [][]byte) {
	body := bytes.Join(batch, nil)
	n := int64(len(batch))
	for wait := retryLeast; ; wait = min(2*wait, retryMost) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		rejected, final, err := c.records(ctx, body)
		cancel()
		switch {
		case err == nil:
			c.waiting.Add(-n)
			c.sent.Add(n - rejected)
			c.lost.Add(rejected)
			c.confess()
			if rejected > 0 {
				c.cfg.Logger.Error("the server could not read access records", "records", rejected)
			}
			return
		case final:
			c.waiting.Add(-n)
			c.lose(n, "the server refused them: "+err.Error())
			return
		}
		c.cfg.Logger.Warn("access records wait", "waiting", c.waiting.Load(), "error", err)
		select {
		case <-time.After(wait):
		case <-c.given:
			return
		}
	}
}

// loss is what was lost and the server was not told of. since is when all that there was had been sent.
type loss struct {
	mu    sync.Mutex
	n     int64
	since int64
	until int64

	told confession // the sender's own
}

// confession is a loss that the server was or is being told of. Once it was sent it does not change until the server has said that it knows: it
// may know already, and what is told again under the same id it does not count twice.
type confession struct {
	n, since, until int64
	id              string
}

// lose counts records that the server will never have. It is told so as soon as it takes anything: what is missing is then a gap in its
// answers, not silence.
func (c *Client) lose(n int64, why string) {
	c.cfg.Logger.Error("access records were lost", "records", n, "why", why)
	defer c.lost.Add(n)
	c.owed.mu.Lock()
	defer c.owed.mu.Unlock()
	c.owed.n += n
	c.owed.until = c.cfg.Now().UnixMilli()
}

// confess tells the server what was lost. Only the sender does.
func (c *Client) confess() {
	for c.owed.told.n > 0 || c.owed.next() {
		if !c.tell(&c.owed.told) {
			return
		}
		c.owed.told = confession{}
	}
	c.owed.mu.Lock()
	defer c.owed.mu.Unlock()
	if c.owed.n == 0 {
		c.owed.since = c.cfg.Now().UnixMilli()
	}
}

// next makes of what was lost what is told; false if there is nothing.
func (l *loss) next() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		return false
	}
	l.told = confession{n: l.n, since: min(l.since, l.until), until: l.until, id: newID()}
	l.n, l.since = 0, l.until
	return true
}

// tell reports whether the server knows of a loss now.
func (c *Client) tell(x *confession) bool {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Timeout)
	defer cancel()
	res, err := c.post(ctx, fmt.Sprintf("/v1/records?source=%s&lost=%d&lost_from=%d&lost_until=%d&lost_id=%s", url.QueryEscape(c.cfg.Source), x.n,
		x.since, x.until, x.id), "application/x-ndjson", nil)
	if err == nil {
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			err = fmt.Errorf("the server answered %s", res.Status)
		}
	}
	if err != nil {
		c.cfg.Logger.Warn("the server is not told yet that access records were lost", "records", x.n, "error", err)
		return false
	}
	return true
}

// records sends lines and returns once they are durable, with the number of those the server could not read. final: it will never take them.
func (c *Client) records(ctx context.Context, body []byte) (rejected int64, final bool, err error) {
	res, err := c.post(ctx, "/v1/records?source="+url.QueryEscape(c.cfg.Source), "application/x-ndjson", body)
	if err != nil {
		return 0, false, err
	}
	defer res.Body.Close()
	var received struct {
		Rejected int64 `json:"rejected"`
	}
	if res.StatusCode == http.StatusOK {
		if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&received); err != nil {
			return 0, false, errors.New("the server's answer cannot be read")
		}
		return received.Rejected, false, nil
	}
	switch res.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge:
		final = true
	}
	return 0, final, fmt.Errorf("the server answered %s", res.Status)
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// address is the client's, as the service sees it.
func (c *Client) address(r *http.Request) string {
	text := r.RemoteAddr
	if c.cfg.AddressHeader != "" {
		values := r.Header.Values(c.cfg.AddressHeader)
		if len(values) == 0 {
			return ""
		}
		list := strings.Split(values[len(values)-1], ",")
		text = strings.TrimSpace(list[len(list)-1])
	}
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return ""
	}
	return a.Unmap().WithZone("").String()
}
