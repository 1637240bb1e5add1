package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Code is a customer's own code for finding out whether a leak concerns them.
type Code struct {
	Incident int64  `json:"incident"`
	Secret   string `json:"secret"`
	Link     string `json:"link"` // to the page where it is looked up
}

// Codes gives a [Config.Codes] that asks a whosaw server, with a token that may hand out look-up secrets.
func Codes(server, token string) func(ctx context.Context, customer string) ([]Code, error) {
	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return func(ctx context.Context, customer string) ([]Code, error) {
		body, err := json.Marshal(map[string]string{"subject": customer})
		if err != nil {
			return nil, fmt.Errorf("ask for a code: %w", err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/v1/lookup-secrets", bytes.NewReader(body))
		if err != nil {
			return nil, errors.New("ask for a code: the server's address cannot be used")
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			var wrapped *url.Error
			if errors.As(err, &wrapped) {
				err = wrapped.Err
			}
			return nil, fmt.Errorf("ask for a code: %w", err)
		}
		defer res.Body.Close()
		var got struct {
			Lookups []Code `json:"lookups"`
		}
		if res.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("ask for a code: the server answered %s", res.Status)
		}
		if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&got); err != nil {
			return nil, errors.New("ask for a code: the server's answer cannot be read")
		}
		return got.Lookups, nil
	}
}

type codesPage struct{ Codes []Code }

// getCodes gives a customer their codes. Everybody gets one, concerned or not: so it says nothing, and shows nothing of them.
func (s *Shop) getCodes(w http.ResponseWriter, r *http.Request, c *customer) {
	var p codesPage
	if s.cfg.Codes != nil {
		var err error
		if p.Codes, err = s.cfg.Codes(r.Context(), subjectID(c.Number)); err != nil {
			s.trouble(w, r, err)
			return
		}
	}
	s.render(w, r, http.StatusOK, "codes", view{Title: "Was my data in a leak?", In: true, Page: p})
}
