package notice

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
)

// messageID finds ids of notices in what a mail server sent back.
var messageID = regexp.MustCompile(`notice\.([0-9a-z]{28})@`)

// idLine is a line of a list of Message-IDs.
var idLine = regexp.MustCompile(`^(?i:message-id:)?\s*<?(notice\.[0-9a-z]{28}@[0-9a-z.-]*)>?$`)

// Bounces finds the ids of the notices that came back for good, in mails as a mailbox has them or in a list of Message-IDs, one a line. Of mails only reports count that
// say so (RFC 3464, Action: failed), and of these only the id of the mail that they return: a report of a delay, an automatic answer and a customer's reply
// quote that id too. other is how many mails are none of those.
func Bounces(text string) (ids []string, other int) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for _, mail := range mails(text) {
		id, listed := "", false
		if listed = !headed(mail); listed {
			for line := range strings.Lines(mail) {
				if m := idLine.FindStringSubmatch(strings.ToLower(strings.TrimSpace(line))); m != nil {
					ids = append(ids, m[1])
				}
			}
		} else if id = failed(mail); id != "" {
			ids = append(ids, id)
		} else {
			other++
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), other
}

// mails parts a mailbox at the lines that begin with "From ".
func mails(text string) (out []string) {
	var at int
	for i := 0; i < len(text); {
		if strings.HasPrefix(text[i:], "From ") && (i == 0 || strings.HasSuffix(text[:i], "\n\n")) {
			out = append(out, text[at:i])
			at = i
		}
		next := strings.IndexByte(text[i:], '\n')
		if next < 0 {
			break
		}
		i += next + 1
	}
	return slices.DeleteFunc(append(out, text[at:]), func(s string) bool { return strings.TrimSpace(s) == "" })
}

// headed reports whether a text is a mail, and not a list.
func headed(text string) bool {
	if strings.HasPrefix(text, "From ") {
		return true
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !idLine.MatchString(strings.ToLower(line)) {
			return true
		}
	}
	return false
}

// failed gives the id of the mail that a report returns as failed; "" if it is no such report.
func failed(text string) string {
	if rest, ok := strings.CutPrefix(text, "From "); ok {
		_, text, _ = strings.Cut(rest, "\n")
	}
	m, err := netmail.ReadMessage(strings.NewReader(text))
	if err != nil {
		return ""
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || !strings.EqualFold(params["report-type"], "delivery-status") || params["boundary"] == "" {
		return ""
	}
	var id string
	gone := false
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextPart()
		if err != nil { // the end, or a report that was cut off: what was read counts
			break
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		body, err := io.ReadAll(part)
		if err != nil && len(body) == 0 {
			break
		}
		switch kind {
		case "message/delivery-status", "message/global-delivery-status":
			gone = gone || action(body)
		case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers":
			if head, err := netmail.ReadMessage(io.MultiReader(bytes.NewReader(body), strings.NewReader("\n\n"))); err == nil {
				if m := messageID.FindString(strings.ToLower(head.Header.Get("Message-Id"))); m != "" {
					id = m
				}
			}
		}
	}
	if !gone {
		return ""
	}
	return id
}

// action reports whether a delivery status says of somebody that the mail failed for good.
func action(status []byte) bool {
	for s := bufio.NewScanner(bytes.NewReader(status)); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		value, _, _ = strings.Cut(value, "(") // a comment
		if strings.EqualFold(strings.TrimSpace(name), "Action") && strings.EqualFold(strings.TrimSpace(value), "failed") {
			return true
		}
	}
	return false
}
