package alarm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// poster sends bodies to one address.
type poster struct {
	address string // "" if it is a secret
	hidden  secret
	client  *http.Client
	agent   string
	plain   bool // http:// to another machine was allowed
	now     func() time.Time
}

func newPoster(address string, hidden secret, plain bool, caFile, agent string, now func() time.Time) (*poster, error) {
	pool, err := authorities(caFile)
	if err != nil {
		return nil, err
	}
	return &poster{address: address, hidden: hidden, plain: plain, agent: agent, now: now, client: &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool},
			DisableKeepAlives:      true, // alarms are rare: a connection kept would be dead when it is needed
			MaxResponseHeaderBytes: 64 << 10,
		},
		// A redirect would carry the message to where nobody decided to send it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// checkURL says what is wrong with an address, without repeating it.
func checkURL(address string, plain bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return errors.New("it is no URL; write https://host/path")
	case u.User != nil:
		return errors.New("it holds a password; give bearer_file instead")
	case u.Scheme == "http" && !plain && !loopback(u.Hostname()):
		return errors.New("http:// would send alarms readable by everyone between; use https://, or allow it with plaintext: true")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// post sends a body and gives nil once the other side has taken it.
func (p *poster) post(ctx context.Context, body []byte, header http.Header) error {
	address := p.address
	if p.hidden.given() {
		var err error
		if address, err = p.hidden.read(); err != nil {
			return refused("%w", err)
		}
		if err := checkURL(address, p.plain); err != nil {
			return refused("the address in %s: %w", p.hidden.key("url"), err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return refused("the URL cannot be used")
	}
	req.Header = header
	req.Header.Set("User-Agent", p.agent)
	resp, err := p.client.Do(req)
	if err != nil {
		return retry("connect: %w", network(err))
	}
	defer resp.Body.Close()
	// Some servers answer before they have read the body, and take it back if nobody listens.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)); err != nil && ctx.Err() != nil {
		return retry("read answer: %w", network(err))
	}
	return p.judge(resp)
}

// judge says what an answer means.
func (p *poster) judge(resp *http.Response) error {
	code := resp.StatusCode
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return &Fault{Kind: Retry, After: retryAfter(resp.Header.Get("Retry-After"), p.now()),
			Err: fmt.Errorf("the server answered %d", code)}
	case code >= 300 && code < 400:
		return refused("the server answered %d: redirects are not followed, configure the final address", code)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return refused("the server answered %d: check the address and the secret", code)
	case code == http.StatusNotFound, code == http.StatusGone:
		return refused("the server answered %d: the address is not in use (any more)", code)
	}
	return refused("the server answered %d", code)
}

// maxAfter bounds what the other side may ask for: a wrong clock there must not silence alarms here.
const maxAfter = time.Hour

// retryAfter reads seconds or a date; 0 for what is neither.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxAfter)
	}
	return 0
}
