package alarm

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// slack posts to an incoming hook of Slack, or of what takes the same (Mattermost, Rocket.Chat, Discord's /slack).
type slack struct{ *poster }

// Send posts one message.
func (s *slack) Send(ctx context.Context, m *Message) error {
	body, err := m.slack()
	if err != nil {
		return refused("%w", err)
	}
	return s.post(ctx, body, http.Header{"Content-Type": {"application/json; charset=utf-8"}})
}

func (m *Message) slack() ([]byte, error) {
	lines := m.lines()
	for i, l := range lines {
		lines[i] = mrkdwn.Replace(l)
	}
	if m.Link != "" {
		lines[len(lines)-1] = "<" + m.Link + "|Judge it>"
	}
	b, err := marshal(map[string]any{
		"text":         "*" + mrkdwn.Replace(m.subject()) + "*\n" + strings.Join(lines, "\n"),
		"unfurl_links": false,
	})
	if err != nil {
		return nil, fmt.Errorf("write text %s: %w", m.ID, err)
	}
	return b, nil
}

// mrkdwn makes text from outside lose its power: "<!channel>" would call everybody, "<http://…|bank>" would be a link, and a star or a
// back-tick would end what we began. The invisible character keeps marks apart from the words they would embrace.
var mrkdwn = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "*", "∗", "`", "ˋ", "~", "∼", "@", "@\u200b")
