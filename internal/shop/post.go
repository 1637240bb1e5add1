package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

// The faults of a post that no answer is to blame for. Neither names the address that was asked.
var (
	errAddress    = errors.New("the server's address cannot be used")
	errUnreadable = errors.New("the server's answer cannot be read")
)

// maxAnswer is the longest answer that is read.
const maxAnswer = 1 << 20

// poster posts to a whosaw server, with a token that it hands to nobody else.
type poster struct {
	http          *http.Client
	server, token string
}

func newPoster(server, token string, patience time.Duration) *poster {
	return &poster{&http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, server, token}
}

// post sends a body of some kind to a path. The answer is read where all is well; else the status says what is not.
func (p *poster) post(ctx context.Context, path, kind string, body []byte, answer any) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, errAddress
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", kind)
	res, err := p.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK && json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(answer) != nil {
		return nil, errUnreadable
	}
	return res, nil
}
