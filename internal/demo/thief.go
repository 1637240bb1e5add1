package demo

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/whosaw/whosaw/internal/shop"
)

// thief has the shop's backup key. They sign a token for each number, one after the other, and open the page that shows name and mail address, from
// sixteen addresses: as in the case.
type thief struct {
	w    *world
	key  *shop.Stolen
	http *http.Client
}

const (
	// thiefHands are requests at once: a request whose token was never issued may be made to wait before it is refused.
	thiefHands     = 64
	thiefAddresses = 16
	// The thief opens the list of addresses too of one in so many customers.
	addressesOf = 4
	// And of one in so many of these the page on which an address is edited: the door code stands on it in clear.
	doorsOf = 5
)

func newThief(w *world) *thief { return &thief{w: w, key: w.shop.StolenKey(), http: newClient()} }

// attempt is what the thief does in one step, and what they got: their own list. What whosaw makes of it is beside it.
type attempt struct {
	first, last int64 // numbers
	span        time.Duration

	mu      sync.Mutex
	began   time.Time
	ended   time.Time // zero: it goes on
	tried   int64
	let     int64 // tokens that were let through, whether there was a customer or not
	refused int64
	absent  int64
	failed  int64
	got     map[int64]seen   // customers whose data the thief holds
	tail    []glimpse        // the latest, in order of number
	people  tally            // honest requests before it
	after   tally            // and when it ended
	codes   map[string]int64 // what refusals said
	lost    int64            // counted by whosaw: customers shown
	exact   bool             // all of it is counted
	points  []point
}

// seen is what the thief was shown of a customer, and between when.
type seen struct {
	asked, answered time.Time
	book            bool     // the list of addresses too
	others          []string // in it: name and telephone number of other people
	door            bool     // the page on which the door code stands in clear
}

// glimpse is one number's answer.
type glimpse struct {
	at     time.Duration
	number int64
	status int
	code   string
}

// point is how many customers whosaw had counted at a time.
type point struct {
	at time.Duration
	n  int64
}

// run tries the numbers, evenly over the span, until all are tried or ctx ends.
func (t *thief) run(ctx context.Context, a *attempt) {
	a.mu.Lock()
	a.began, a.got, a.codes, a.people = t.w.cfg.Now(), map[int64]seen{}, map[string]int64{}, t.w.honest.tally()
	began := a.began
	a.mu.Unlock()
	numbers := make(chan int64)
	var hands sync.WaitGroup
	for range min(thiefHands, int(a.last-a.first+1)) {
		hands.Go(func() {
			for n := range numbers {
				t.try(ctx, a, n)
			}
		})
	}
	pace := a.span / time.Duration(a.last-a.first+1)
give:
	for n := a.first; n <= a.last; n++ {
		if ahead := time.Duration(n-a.first)*pace - t.w.cfg.Now().Sub(began); ahead > 0 && !wait(ctx, ahead) {
			break
		}
		select {
		case numbers <- n:
		case <-ctx.Done():
			break give
		}
	}
	close(numbers)
	hands.Wait()
	t.http.CloseIdleConnections()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended, a.after = t.w.cfg.Now(), t.w.honest.tally()
}

// code is what a refusal says of itself, in JSON or on a page.
var code = regexp.MustCompile(`(?:"error":"|Code: )([a-z_]+)`)

// try opens a customer's page with a token of the thief's own making.
func (t *thief) try(ctx context.Context, a *attempt, number int64) {
	if ctx.Err() != nil {
		return // an answer that is not waited for would be in nobody's list
	}
	ctx = context.WithoutCancel(ctx)
	at := t.w.cfg.Now()
	token, err := t.key.Forge(strconv.FormatInt(number, 10), at)
	if err != nil {
		a.fail()
		t.w.log.Error("the thief could not sign", "error", err)
		return
	}
	status, body, err := t.open(ctx, "/me", token, number)
	if err != nil {
		a.fail()
		t.w.log.Warn("the thief got no answer", "error", err)
		return
	}
	said := ""
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		if m := code.FindSubmatch(body); m != nil {
			said = string(m[1])
		}
	}
	a.note(number, at, t.w.cfg.Now(), status, said)
	if status == http.StatusOK && number%addressesOf == 0 {
		t.addresses(ctx, a, number, token)
	}
}

// What the thief reads on the list of addresses: to whom each belongs, and where it is edited.
var (
	entry = regexp.MustCompile(`<p class="tag">([^<]*)</p>\s*<h2 data-field="name">([^<]*)</h2>\s*<dl><div><dt>Phone</dt><dd data-field="phone">([^<]*)</dd>`)
	edit  = regexp.MustCompile(`"(/me/addresses/\d+/edit)"`)
)

// addresses opens a customer's list of addresses, and sometimes the first of them.
func (t *thief) addresses(ctx context.Context, a *attempt, number int64, token string) {
	status, body, err := t.open(ctx, "/me/addresses", token, number)
	if err != nil {
		a.fail()
		t.w.log.Warn("the thief got no answer", "error", err)
		return
	}
	if status != http.StatusOK {
		return
	}
	var others []string
	for _, m := range entry.FindAllSubmatch(body, -1) {
		if string(m[1]) != "home" {
			others = append(others, html.UnescapeString(string(m[2])+"|"+string(m[3])))
		}
	}
	a.book(number, t.w.cfg.Now(), others)
	first := edit.FindSubmatch(body)
	if number%(addressesOf*doorsOf) != 0 || first == nil {
		return
	}
	switch status, _, err := t.open(ctx, string(first[1]), token, number); {
	case err != nil:
		a.fail()
		t.w.log.Warn("the thief got no answer", "error", err)
	case status == http.StatusOK:
		a.unlock(number, t.w.cfg.Now())
	}
}

func (t *thief) open(ctx context.Context, path, token string, number int64) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.w.pagesURL+path, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("ask the shop: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", browsers[0])
	req.Header.Set(addressHeader, addressOf(number))
	res, err := t.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return 0, nil, fmt.Errorf("ask the shop: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return 0, nil, fmt.Errorf("read the shop's answer: %w", err)
	}
	return res.StatusCode, body, nil
}

// addressOf is from where the thief asks for a number: RFC 5737.
func addressOf(number int64) string {
	return netip.AddrFrom4([4]byte{203, 0, 113, byte(16 + number%thiefAddresses)}).String()
}

// fail counts a request that had no answer.
func (a *attempt) fail() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed++
}

// book notes that a customer's list of addresses was shown too.
func (a *attempt) book(number int64, answered time.Time, others []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.got[number]
	s.book, s.answered, s.others = true, answered, others
	a.got[number] = s
}

// unlock notes that a door code was shown in clear.
func (a *attempt) unlock(number int64, answered time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.got[number]
	s.door, s.answered = true, answered
	a.got[number] = s
}

// tailLength is how many of the latest answers are shown.
const tailLength = 4

func (a *attempt) note(number int64, at, answered time.Time, status int, code string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tried++
	switch status {
	case http.StatusOK:
		a.let++
		a.got[number] = seen{asked: at, answered: answered}
	case http.StatusNotFound:
		a.let++
		a.absent++
	case http.StatusUnauthorized, http.StatusForbidden:
		a.refused++
		a.codes[code]++
	default:
		a.failed++
	}
	a.tail = append(a.tail, glimpse{at.Sub(a.began), number, status, code})
	slices.SortFunc(a.tail, func(x, y glimpse) int { return int(x.number - y.number) })
	if len(a.tail) > tailLength {
		a.tail = a.tail[1:]
	}
}

// customers are those on the thief's own list, in order.
func (a *attempt) customers() []int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]int64, 0, len(a.got))
	for n := range a.got {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
