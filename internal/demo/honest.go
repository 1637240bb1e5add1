package demo

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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw/internal/draw"
	"github.com/whosaw/whosaw/internal/shop"
)

// sessionLife is how long the shop's sessions last.
const sessionLife = 12 * time.Hour

// honest are customers and agents who use the shop while the demo runs: real requests, by the habits of the past.
type honest struct {
	*habits
	w      *world
	logins []shop.Login // of the regulars, in their order
	desk   []shop.Login
	http   *http.Client

	requests, refused, failed atomic.Int64
	visits                    atomic.Int64 // that go on now

	mu     sync.Mutex
	latest []deed
}

// deed is something that an honest person opened.
type deed struct {
	at   time.Time
	who  string
	path string // of the shop; a customer's number at the desk is left out
}

// latestMost is how many are shown.
const latestMost = 6

// note keeps the latest.
func (h *honest) note(who, path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest = append(h.latest, deed{h.w.cfg.Now(), who, path})
	if len(h.latest) > latestMost {
		h.latest = h.latest[1:]
	}
}

// deeds are the latest.
func (h *honest) deeds() []deed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.latest)
}

func newHonest(w *world, customers, desk []shop.Login, zone *time.Location) *honest {
	numbers := make([]string, len(customers))
	by := map[string]shop.Login{}
	for i, l := range customers {
		numbers[i] = l.ID
		by[l.ID] = l
	}
	var ids []string
	for _, l := range desk[min(1, len(desk)):] { // the first one is for the visitor
		ids = append(ids, l.ID)
	}
	h := &honest{w: w, habits: newHabits(w.cfg.Seed, numbers, ids, zone), desk: desk[min(1, len(desk)):], http: newClient()}
	for _, id := range h.regulars {
		h.logins = append(h.logins, by[id])
	}
	return h
}

// newClient gives a client that follows nothing and keeps no cookies: each session has its own.
func newClient() *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Counts of honest requests: all, and those that a guard refused.
type tally struct{ requests, refused int64 }

func (h *honest) tally() tally { return tally{h.requests.Load(), h.refused.Load()} }

// since gives what came since an earlier tally.
func (t tally) since(was tally) tally {
	return tally{t.requests - was.requests, t.refused - was.refused}
}

// run has people come until ctx ends, and waits for those who are there.
func (h *honest) run(ctx context.Context) {
	var there sync.WaitGroup
	defer there.Wait()
	defer h.http.CloseIdleConnections()
	for i := range h.desk {
		there.Go(func() { h.agent(ctx, i) })
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for second := 0; ; second++ {
		d := draw.New(h.seed, drawLive, second, 0)
		begin := times(&d, visitsPeak*h.busy(h.w.cfg.Now())/60)
		begin = max(begin, thereAlways-int(h.visits.Load()))
		for range begin {
			v := h.visit(&d)
			own := draw.New(h.seed, drawLook, second, v.customer)
			h.visits.Add(1)
			there.Go(func() {
				defer h.visits.Add(-1)
				h.visited(ctx, &v, own)
			})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// thereAlways is how many visits go on at least: who watches a minute of a night sees the shop go on too.
const thereAlways = 5

// wait waits, and reports whether there is more to do.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// session is somebody who is logged in, at one of the shop's doors.
type session struct {
	base, token, agent string
	ip                 netip.Addr
}

// visited is a customer's visit: a log-in, then pages, and the shop's wares between them. Who is logged out in the middle logs in again and goes on.
func (h *honest) visited(ctx context.Context, v *visit, d draw.Draw) {
	browsing := webBrowsing
	if v.app {
		browsing = appBrowsing
	}
	s, err := h.logIn(ctx, v)
	if err != nil {
		h.fail(ctx, err)
		return
	}
	for i := range v.pages {
		looks := d.Between(3, 9)
		for range looks {
			if !wait(ctx, v.pauses[i]/time.Duration(looks+1)) {
				return
			}
			if _, err := h.get(ctx, s, browsing[d.Below(len(browsing))]); err != nil {
				h.fail(ctx, err)
				return
			}
		}
		if !wait(ctx, v.pauses[i]/time.Duration(looks+1)) {
			return
		}
		if s, err = h.shown(ctx, s, v, v.pages[i].path); err != nil {
			h.fail(ctx, err)
			return
		}
	}
}

// shown opens a page of the customer's own, after a new log-in where the session has ended.
func (h *honest) shown(ctx context.Context, s *session, v *visit, path string) (*session, error) {
	for again := false; ; again = true {
		status, err := h.get(ctx, s, path)
		switch {
		case err != nil:
			return nil, err
		case status == http.StatusOK:
			h.note("customer:"+h.regulars[v.customer], "GET "+path)
			return s, nil
		case status != http.StatusUnauthorized && status != http.StatusForbidden:
			return nil, fmt.Errorf("the shop answered %d", status)
		}
		h.refused.Add(1)
		if again {
			return nil, errors.New("a new log-in was refused too")
		}
		if s, err = h.logIn(ctx, v); err != nil {
			return nil, err
		}
	}
}

// fail counts what did not work for another reason than a refusal. Who was cut off at the end is no failure.
func (h *honest) fail(ctx context.Context, err error) {
	if ctx.Err() == nil {
		h.failed.Add(1)
		h.w.log.Warn("an honest visit came to nothing", "error", err)
	}
}

// logIn gives a session.
func (h *honest) logIn(ctx context.Context, v *visit) (*session, error) {
	l := &h.logins[v.customer]
	if !v.app {
		return h.enter(ctx, "/login", url.Values{"email": {l.Email}, "password": {l.Password}}, v.agent, v.ip)
	}
	body, err := json.Marshal(map[string]string{"email": l.Email, "password": l.Password})
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	s := &session{base: h.w.appURL, agent: v.agent, ip: v.ip}
	res, err := h.send(ctx, s, http.MethodPost, "/api/login", "application/json", body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var got struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&got); err != nil || got.Token == "" {
		return nil, fmt.Errorf("log in by the app: the shop answered %s", res.Status)
	}
	s.token = got.Token
	return s, nil
}

// enter logs in at a form of the pages.
func (h *honest) enter(ctx context.Context, path string, form url.Values, agent string, ip netip.Addr) (*session, error) {
	s := &session{base: h.w.pagesURL, agent: agent, ip: ip}
	res, err := h.send(ctx, s, http.MethodPost, path, "application/x-www-form-urlencoded", []byte(form.Encode()))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	for _, c := range res.Cookies() {
		if c.Name == shop.Cookie && c.Value != "" {
			s.token = c.Value
			return s, nil
		}
	}
	return nil, fmt.Errorf("log in at %s: the shop answered %s", path, res.Status)
}

func (h *honest) get(ctx context.Context, s *session, path string) (int, error) {
	res, err := h.send(ctx, s, http.MethodGet, path, "", nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

func (h *honest) send(ctx context.Context, s *session, method, path, kind string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the shop: %w", err)
	}
	req.Header.Set("User-Agent", s.agent)
	req.Header.Set(addressHeader, s.ip.String())
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if s.token != "" {
		if s.base == h.w.appURL {
			req.Header.Set("Authorization", "Bearer "+s.token)
		} else {
			req.AddCookie(&http.Cookie{Name: shop.Cookie, Value: s.token})
		}
	}
	res, err := h.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("ask the shop: %w", err)
	}
	h.requests.Add(1)
	return res, nil
}

// agent is a shift at the desk: calls, each with a ticket and a customer's card.
func (h *honest) agent(ctx context.Context, i int) {
	var s *session
	for call := 0; ; call++ {
		d := draw.New(h.seed, drawCall, i, call)
		mean := time.Duration(float64(time.Minute) / (calls * h.busy(h.w.cfg.Now())))
		if !wait(ctx, time.Duration(d.Between(200, 1800))*mean/1000) {
			return
		}
		if s == nil {
			var err error
			l := &h.desk[i]
			if s, err = h.enter(ctx, "/desk/login", url.Values{"agent": {l.ID}, "password": {l.Password}}, browsers[0], deskAddress(i)); err != nil {
				h.fail(ctx, err)
				continue
			}
		}
		customer := h.regulars[d.Below(len(h.regulars))]
		if _, err := h.w.shop.OpenTicket(ctx, customer, h.desk[i].ID, "parcel not arrived"); err != nil {
			h.fail(ctx, err)
			continue
		}
		status, err := h.get(ctx, s, deskPage.path+customer)
		switch {
		case err != nil:
			h.fail(ctx, err)
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			h.refused.Add(1)
			s = nil
		default:
			h.note("staff:"+h.desk[i].ID, deskPage.route)
		}
	}
}

// ours refuses requests for another host: a page elsewhere must not reach the demo by a name that it gave to this machine.
func ours(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch host := hostOf(r.Host); strings.ToLower(host) {
		case "localhost", "127.0.0.1", "::1":
			next.ServeHTTP(w, r)
		default:
			http.Error(w, "this server is not known by that host name", http.StatusMisdirectedRequest)
		}
	})
}
