package notice

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxBatch bounds a question to the shop.
const maxBatch = 10_000

// Person is whom the shop is asked for.
type Person struct {
	ID    string `json:"id"`
	Realm string `json:"realm,omitempty"`
	Other bool   `json:"other,omitempty"` // the id is of an entry in address books, not of a customer
}

// contact is what the shop answered. The zero value: it knows none.
type contact struct {
	email, name, lang string
	bad               bool // it cannot be used
}

// lookup asks the shop. What it answers stays with the caller.
type lookup struct {
	cfg    LookupConfig
	client *http.Client
}

func newLookup(cfg LookupConfig) (*lookup, error) {
	pool, err := authorities(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, MaxIdleConnsPerHost: lookups, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
	}
	return &lookup{cfg: cfg, client: &http.Client{
		Transport: t, Timeout: cfg.Timeout,
		// A secret must not follow to wherever an answer points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (l *lookup) close() { l.client.CloseIdleConnections() }

// Errors of the look-up never hold what was asked or answered.
var errAnswer = errors.New("the answer is not as docs/formats/notice.md says")

// ask sends a question and reads the answer, once.
func (l *lookup) ask(ctx context.Context, url string, question, into any, most int64) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("ask the shop: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return errors.New("ask the shop: the address of the look-up cannot be used")
	}
	secret, err := readSecret(l.cfg.SecretFile)
	if err != nil {
		return fmt.Errorf("ask the shop: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := l.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return errors.New("ask the shop: no answer; is notice.lookup.url right, and the shop's service up?") // err quotes the address
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		cure := "it is asked again"
		switch res.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			cure = "is notice.lookup.secret_file the secret it knows?"
		case http.StatusNotFound, http.StatusMethodNotAllowed:
			cure = "is notice.lookup.url right?"
		}
		return fmt.Errorf("ask the shop: it answered %d; %s", res.StatusCode, cure)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return errors.New("ask the shop: the answer broke off")
	}
	if int64(len(data)) > most || json.Unmarshal(data, into) != nil {
		return fmt.Errorf("ask the shop: %w", errAnswer)
	}
	return nil
}

// contacts asks for people and gives their contacts in the same order. A person of whom the shop says nothing has none; one of whom
// it says two different things, or something that is no address, has a bad one.
func (l *lookup) contacts(ctx context.Context, people []Person) ([]contact, error) {
	type row struct {
		Person
		Email    string `json:"email"`
		Name     string `json:"name"`
		Language string `json:"language"`
	}
	var answer struct {
		People *[]row `json:"people"`
	}
	if err := l.ask(ctx, l.cfg.URL, map[string]any{"people": people}, &answer, int64(len(people)+1)*4096); err != nil {
		return nil, err
	}
	if answer.People == nil {
		return nil, fmt.Errorf("ask the shop: %w", errAnswer)
	}
	at := make(map[Person]int, len(people))
	for i, p := range people {
		at[p] = i
	}
	out := make([]contact, len(people))
	for _, r := range *answer.People {
		i, ok := at[r.Person]
		if !ok || r.Email == "" {
			continue // nobody asked, or nothing is known
		}
		c := contact{email: r.Email, name: r.Name, lang: r.Language}
		switch {
		case !mailable(r.Email), out[i].email != "" && out[i] != c:
			out[i] = contact{bad: true, lang: r.Language}
		case !out[i].bad:
			out[i] = c
		}
	}
	return out, nil
}

// entry is somebody in an address book.
type entry struct {
	Of      string `json:"of"`      // the customer whose address book it is
	Realm   string `json:"realm"`   // of that customer
	ID      string `json:"id"`      // of the entry's person, the same in every book
	Subject string `json:"subject"` // instead of ID: the person is a customer
}

// books asks who is in the address books of customers.
func (l *lookup) books(ctx context.Context, customers []Person) ([]entry, error) {
	var answer struct {
		Others *[]entry `json:"others"`
	}
	if err := l.ask(ctx, l.cfg.BooksURL, map[string]any{"customers": customers}, &answer, int64(len(customers)+1)<<20); err != nil {
		return nil, err
	}
	if answer.Others == nil {
		return nil, fmt.Errorf("ask the shop: %w", errAnswer)
	}
	for _, e := range *answer.Others {
		if (e.ID == "") == (e.Subject == "") || len(e.ID) > 256 || len(e.Subject) > 256 {
			return nil, fmt.Errorf("ask the shop: %w", errAnswer)
		}
	}
	return *answer.Others, nil
}
