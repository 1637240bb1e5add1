package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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
	to := newPoster(server, token, 10*time.Second)
	return func(ctx context.Context, customer string) ([]Code, error) {
		body, err := json.Marshal(map[string]string{"subject": customer})
		if err != nil {
			return nil, fmt.Errorf("ask for a code: %w", err)
		}
		var got struct {
			Lookups []Code `json:"lookups"`
		}
		switch res, err := to.post(ctx, "/v1/lookup-secrets", "application/json", body, &got); {
		case err != nil:
			return nil, fmt.Errorf("ask for a code: %w", err)
		case res.StatusCode != http.StatusOK:
			return nil, fmt.Errorf("ask for a code: the server answered %s", res.Status)
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
