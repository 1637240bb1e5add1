package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/auth"
)

// The two at the shop's privacy office: one writes, the other reads it again.
const (
	officer = "privacy-officer"
	second  = "second-person"
)

// desk is the privacy office: it works over the server's API, each person with their own token.
type desk struct {
	tokens map[string]string
	http   *http.Client
}

// refusal is what the server did not let somebody do, with its own words.
type refusal struct {
	status int
	says   string
}

func (r *refusal) Error() string { return r.says }

// staff makes the tokens, once.
func (w *world) staff(ctx context.Context) error {
	if w.desk.tokens != nil {
		return nil
	}
	tokens := map[string]string{}
	for _, name := range []string{officer, second} {
		secret, err := w.create(ctx, auth.Spec{Name: name, Role: auth.RoleAdmin})
		if err != nil {
			return err
		}
		tokens[name] = secret
	}
	w.desk = desk{tokens, &http.Client{Timeout: 2 * time.Minute}}
	return nil
}

// call asks the server as somebody of the office, and reads the answer into into: a value, or a function that is given the body; nil: nothing. What the server
// refuses is a *refusal.
func (w *world) call(ctx context.Context, who, method, path string, body, into any) error {
	var text []byte
	var err error
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("ask the server: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, w.srv.URL()+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+w.desk.tokens[who])
	req.Header.Set("Content-Type", "application/json")
	res, err := w.desk.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return fmt.Errorf("ask the server: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		var wrong struct {
			Error struct {
				Says string `json:"message"`
				Cure string `json:"hint"`
			} `json:"error"`
		}
		if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&wrong); err != nil || wrong.Error.Says == "" {
			return fmt.Errorf("ask the server: %s %s: it answered %s", method, path, res.Status)
		}
		return &refusal{res.StatusCode, strings.TrimSuffix(wrong.Error.Says+": "+wrong.Error.Cure, ": ")}
	}
	switch x := into.(type) {
	case nil:
		return nil
	case func(io.Reader) error:
		return x(res.Body)
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("ask the server: %s %s: read the answer: %w", method, path, err)
	}
	return nil
}

// refused does what the server must not let somebody do, and gives its words.
func (w *world) refused(ctx context.Context, who, method, path string, body any) (string, error) {
	err := w.call(ctx, who, method, path, body, nil)
	var r *refusal
	if errors.As(err, &r) && r.status < http.StatusInternalServerError {
		return r.says, nil
	}
	if err == nil {
		err = fmt.Errorf("%s %s: the server let it pass, and must not", method, path)
	}
	return "", err
}
