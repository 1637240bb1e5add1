package notice_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/notice"
)

const (
	idA = "notice.aaaaaaaaaaaaaaaaaaaaaaaaaaaa@shop.example"
	idB = "notice.bbbbbbbbbbbbbbbbbbbbbbbbbbbb@shop.example"
)

// report is a mail server's report on the mail with this id.
func report(action, id string) string {
	return "Return-Path: <>\r\nFrom: MAILER-DAEMON@relay\r\nTo: notice@shop.example\r\nSubject: Delivery Status\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"b0\"\r\n\r\n--b0\r\nContent-Type: text/plain\r\n\r\nI am the mail system.\r\n\r\n" +
		"--b0\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay\r\n\r\nFinal-Recipient: rfc822; c2@customer.example\r\n" + action + "\r\nStatus: 5.1.1\r\n\r\n" +
		"--b0\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: notice@shop.example\r\nMessage-ID: <" + id + ">\r\nSubject: x\r\n\r\n--b0--\r\n"
}

func TestBounces(t *testing.T) {
	reply := "From: c2@customer.example\r\nIn-Reply-To: <" + idA + ">\r\nReferences: <" + idA + ">\r\nSubject: Re: x\r\n\r\nIs this real?\r\n> Message-ID: <" + idA + ">\r\n"
	away := "From: c2@customer.example\r\nAuto-Submitted: auto-replied\r\nIn-Reply-To: <" + idA + ">\r\n\r\nAction: failed\r\nI am away.\r\n"
	envelope := "From MAILER-DAEMON Fri Nov 27 07:00:00 2026\n"
	for name, c := range map[string]struct {
		text  string
		want  string
		other int
	}{
		"failed":                      {report("Action: failed", idA), idA, 0},
		"failed, small letters":       {report("action:FAILED (final)", idA), idA, 0},
		"cut off":                     {strings.TrimSuffix(report("Action: failed", idA), "--b0--\r\n"), idA, 0},
		"delayed":                     {report("Action: delayed", idA), "", 1},
		"relayed":                     {report("Action: relayed", idA), "", 1},
		"another's mail":              {report("Action: failed", "1@elsewhere"), "", 1},
		"a reply":                     {reply, "", 1},
		"away":                        {away, "", 1},
		"a mailbox":                   {envelope + report("Action: delayed", idA) + "\n" + envelope + reply + "\n" + envelope + report("Action: failed", idB), idB, 2},
		"twice":                       {envelope + report("Action: failed", idA) + "\n" + envelope + report("Action: failed", idA), idA, 0},
		"a list":                      {"<" + idB + ">\n\n" + idA + "\nMessage-ID: <" + strings.ToUpper(idB) + ">\n", idA + " " + idB, 0},
		"a list with something in it": {idA + "\nTo: c2@customer.example\n", "", 1},
		"nothing":                     {"", "", 0},
	} {
		ids, other := notice.Bounces(c.text)
		for i := range ids {
			if !strings.Contains(ids[i], "@shop.example") {
				ids[i] += "shop.example"
			}
		}
		if !slices.Equal(ids, strings.Fields(c.want)) || other != c.other {
			t.Errorf("%s: %q and %d others", name, ids, other)
		}
	}
}

func FuzzBounces(f *testing.F) {
	f.Add(report("Action: failed", idA))
	f.Add("From x\n" + report("Action: delayed", idA) + "\nFrom y\n" + idB)
	f.Fuzz(func(t *testing.T, text string) {
		ids, _ := notice.Bounces(text)
		for _, id := range ids {
			if !strings.Contains(strings.ToLower(text), id) {
				t.Errorf("%q is not in the text", id)
			}
		}
	})
}
