package alarm

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// webhook posts each message, signed as Standard Webhooks says.
type webhook struct {
	*poster
	format         func(*Message) ([]byte, error)
	contentType    string
	secret, bearer secret
}

// Send posts one message.
func (w *webhook) Send(ctx context.Context, m *Message) error {
	body, err := w.format(m)
	if err != nil {
		return refused("%w", err)
	}
	h := http.Header{"Content-Type": {w.contentType}}
	stamp := strconv.FormatInt(w.now().Unix(), 10)
	h.Set("webhook-id", m.ID)
	h.Set("webhook-timestamp", stamp)
	if w.secret.given() {
		text, err := w.secret.read()
		if err != nil {
			return refused("%w", err)
		}
		keys, err := signingKeys(text)
		if err != nil {
			return refused("%s: %w", w.secret.key("secret"), err)
		}
		h.Set("webhook-signature", sign(keys, m.ID, stamp, body))
	}
	if w.bearer.given() {
		token, err := w.bearer.read()
		if err != nil {
			return refused("%w", err)
		}
		h.Set("Authorization", "Bearer "+token)
	}
	return w.post(ctx, body, h)
}

// sign gives one signature for each key, over the id, the time and the bytes of the body.
func sign(keys [][]byte, id, stamp string, body []byte) string {
	out := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.", id, stamp)
		mac.Write(body)
		out[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(out, " ")
}

// writer gives the body of a format and its type.
func writer(format, source, version string) (func(*Message) ([]byte, error), string) {
	if format == formatOCSF {
		return func(m *Message) ([]byte, error) { return m.ocsf(version) }, "application/json"
	}
	return func(m *Message) ([]byte, error) { return m.cloudEvent(source) }, "application/cloudevents+json; charset=UTF-8"
}

const (
	formatCloudEvents = "cloudevents"
	formatOCSF        = "ocsf"
)

// sendTimeout bounds one try, whatever the channel.
const sendTimeout = 30 * time.Second
