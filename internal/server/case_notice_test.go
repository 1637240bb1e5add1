package server_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/regime"
)

func (s *story) postNotice() {
	ask := m{"law": pipa, "duty": "posted", "langs": []string{"ko", "en"}, "title": "Customer data, November 2025"}
	s.refused("kim", "POST", "/v1/incidents/1/post", ask, "nobody has signed off")
	for _, lang := range []string{"ko", "en"} {
		s.sign(s.document(pipa, "posted", lang, 0))
	}
	s.ask("kim", "POST", "/v1/incidents/1/post", ask, nil)
	in := s.incident()
	s.posted = in.Postings[0].Event
	if c := s.theClock(pipa, "posted", 0); c.State != regime.Late {
		s.t.Errorf("posted nine days after it was due, it is %s", c.State)
	}
	if page := s.page("/?lang=ko", nil); !strings.Contains(page, "유출") || !strings.Contains(page, "공동현관") {
		s.t.Errorf("the home page does not say what leaked")
	}
}

// noticeStands counts the thirty days from looks at the page: as long as the server looks, as it does each minute, they pass; a time in which nobody looked
// is to be stood again. Two days after it was posted, as in the case, it may not go.
func (s *story) noticeStands() {
	first := s.clock()
	for now := first; now.Before(first.Add(3 * time.Hour)); {
		now = now.Add(3 * time.Minute)
		s.at(now)
		check(s.t, s.srv.SeePosted(s.t.Context()))
	}
	take := m{"event": s.posted}
	s.refused("kim", "POST", "/v1/incidents/1/remove", take, "30 more days")
	s.at(first.AddDate(0, 0, 2))
	check(s.t, s.srv.SeePosted(s.t.Context()))
	s.refused("kim", "POST", "/v1/incidents/1/remove", take, "30 more days")
	p := s.incident().Postings[0]
	if len(p.Gaps) != 1 || p.Gaps[0].Until.Sub(p.Gaps[0].From) != 45*time.Hour || p.Until.Sub(p.First) != 30*24*time.Hour+45*time.Hour || p.Stood(s.clock()) != 3*time.Hour {
		s.t.Errorf("the posted notice: %+v", p)
	}
}

func (s *story) lateRecords() {
	for _, a := range s.kept {
		if !exists(a.subject) {
			s.t.Fatalf("nobody's records are late: %d", a.subject)
		}
	}
	s.ship("gw-2", s.kept)
	check(s.t, s.srv.Live().CaughtUp(s.t.Context()))
	v := s.scopeIs(nil, "the records of a gateway that nobody had asked for", count(s.sent, func(a *access) bool { return a.forged }))
	if d := v.Difference; d.Added != int64(lateOnes) || d.Removed+d.Widened != 0 || !slices.Contains(d.Causes, "records") {
		s.t.Errorf("%d customers came late: %+v", lateOnes, d)
	}
	s.mark(regime.Found, "", "165,455 more at full size")
	s.tell(networkAct, "authority")
	s.tell(pipa, "authority")
	if c := s.theClock(networkAct, "authority", 2); c.State != regime.Met {
		s.t.Errorf("what was found in February is %s", c.State)
	}
}

// letter is what the test keeps of a mail.
type letter struct {
	lang, code string
	fields     []string
	wrong      string
}

// codeLine is a notice's code on a line of its own.
var codeLine = regexp.MustCompile(`(?m)^[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){6}$`)

func (s *story) noticeToEverybody() {
	texts, err := notice.LoadTexts("")
	check(s.t, err)
	got := map[string]letter{}
	s.relay.take = func(raw []byte) {
		to, l := s.read(texts, raw, len(got)%500 == 0)
		if _, twice := got[to]; twice {
			l.wrong = "a second notice"
		}
		got[to] = l
	}
	var n notice.Notice
	s.ask("kim", "POST", "/v1/incidents/1/notices", m{"version": 3, "books": true, "routes": []string{pageList.route}}, &n)
	due := s.version[2].due()
	if n.Version != 3 || n.People != int64(len(due)) || len(n.Faults) > 0 {
		s.t.Fatalf("the notice is for %d people, want %d; faults %+v", n.People, len(due), n.Faults)
	}
	send := func(size int) { s.ask("kim", "POST", "/v1/notices/1/send", m{"size": size}, nil) }
	s.refused("kim", "POST", "/v1/notices/1/send", m{}, "not approved")
	s.refused("kim", "POST", "/v1/notices/1/approve", m{"hash": n.Hash}, "a second person approves it")
	s.refused("lee", "POST", "/v1/notices/1/approve", m{"hash": strings.Repeat("0", 64)}, "not those that were read")
	s.ask("lee", "POST", "/v1/notices/1/approve", m{"hash": n.Hash}, nil)
	state := func(is notice.State) func() bool {
		return func() bool {
			n = notice.Notice{}
			s.ask("kim", "GET", "/v1/notices/1", nil, &n)
			return n.State == is
		}
	}
	send(500)
	s.until("the first wave", state(notice.WaveOver))
	if reached := n.People - n.Outcomes["waiting"]; reached != 500 {
		s.t.Errorf("the first wave reached %d people", reached)
	}
	send(0)
	s.until("everybody", state(notice.Done))
	s.tell(pipa, "people")
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.eachGotTheirs(due, got, n.Outcomes)
	s.letters = got
}

// eachGotTheirs holds what the relay got against who was to get what.
func (s *story) eachGotTheirs(due map[string][]string, got map[string]letter, outcomes map[string]int64) {
	s.t.Helper()
	var want = map[string]int64{}
	codes := map[string]bool{}
	langs := map[string]int{}
	faults := 0
	for key, fields := range due {
		address := addressOf(key)
		switch address {
		case "":
			want["no_contact"]++
			continue
		case "no address":
			want["bad_contact"]++
			continue
		}
		want["sent"]++
		l, ok := got[address]
		lang, _, _ := strings.Cut(languageOf(strings.TrimPrefix(key, "other:")), "-")
		if lang == "" {
			lang = "ko"
		}
		langs[lang]++
		if !ok || l.wrong != "" || l.lang != lang || !slices.Equal(l.fields, fields) || codes[l.code] {
			if faults++; faults < 6 {
				s.t.Errorf("%s is due %v in %s, and got (%t) %+v", key, fields, lang, ok, l)
			}
		}
		codes[l.code] = true
	}
	if len(got) != int(want["sent"]) || !maps.Equal(outcomes, want) {
		s.t.Errorf("%d mails; outcomes %v, want %v", len(got), outcomes, want)
	}
	s.t.Logf("%d mails: %v", len(got), langs)
}

// read takes a notice apart: to whom, which fields it has advice for in both its forms, and what is wrong with it. Signatures are checked where asked.
func (s *story) read(texts map[string]*notice.Texts, raw []byte, signed bool) (to string, l letter) {
	fail := func(err error) (string, letter) { l.wrong = err.Error(); return to, l }
	msg, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return fail(err)
	}
	address, err := netmail.ParseAddress(msg.Header.Get("To"))
	if err != nil {
		return fail(err)
	}
	to = address.Address
	plain, page, err := parts(msg)
	if err != nil {
		return fail(err)
	}
	l.lang, l.code = msg.Header.Get("Content-Language"), codeLine.FindString(plain)
	t := texts[l.lang]
	if t == nil || l.code == "" {
		return fail(errors.New("no language, or no code"))
	}
	for f, words := range t.Fields {
		advice := strings.TrimSpace(words.Advice)
		has := strings.Contains(plain, advice)
		if has != strings.Contains(html.UnescapeString(page), advice) {
			l.wrong = "the two forms differ in " + f
		}
		if has {
			l.fields = append(l.fields, f)
		}
	}
	slices.Sort(l.fields)
	switch {
	case !strings.Contains(msg.Header.Get("DKIM-Signature"), "d=haneul.example"):
		l.wrong = "it is not signed"
	case signed:
		if err := s.verify(raw); err != nil {
			return fail(err)
		}
	}
	return to, l
}

// parts gives the two forms of a mail.
func parts(msg *netmail.Message) (plain, page string, err error) {
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		return "", "", err
	}
	r := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return plain, page, nil
		}
		if err != nil {
			return "", "", err
		}
		body := io.Reader(p)
		switch p.Header.Get("Content-Transfer-Encoding") {
		case "quoted-printable":
			body = quotedprintable.NewReader(p)
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, p)
		}
		data, err := io.ReadAll(body)
		if err != nil {
			return "", "", err
		}
		if text := strings.ReplaceAll(string(data), "\r\n", "\n"); strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			page = text
		} else {
			plain = text
		}
	}
}

var (
	blanks = regexp.MustCompile(`[ \t]+`)
	folded = regexp.MustCompile(`\r\n[ \t]`)
	value  = regexp.MustCompile(`\bb=[^;]*`)
)

// verify checks a DKIM signature (RFC 6376, RFC 8463): relaxed headers, relaxed or simple body.
func (s *story) verify(raw []byte) error {
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	headers := map[string]string{}
	for line := range strings.SplitSeq(folded.ReplaceAllString(head, " "), "\r\n") {
		name, v, _ := strings.Cut(line, ":")
		headers[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(blanks.ReplaceAllString(v, " "))
	}
	signature := headers["dkim-signature"]
	tags := map[string]string{}
	for tag := range strings.SplitSeq(signature, ";") {
		k, v, _ := strings.Cut(tag, "=")
		tags[strings.TrimSpace(k)] = strings.ReplaceAll(v, " ", "")
	}
	if tags["a"] != "ed25519-sha256" || !strings.HasPrefix(tags["c"], "relaxed") {
		return fmt.Errorf("signed as %s, %s", tags["a"], tags["c"])
	}
	if strings.HasSuffix(tags["c"], "/relaxed") {
		lines := strings.Split(body, "\r\n")
		for i := range lines {
			lines[i] = strings.TrimRight(blanks.ReplaceAllString(lines[i], " "), " ")
		}
		body = strings.Join(lines, "\r\n")
	}
	body = strings.TrimRight(body, "\r\n") + "\r\n"
	sum := sha256.Sum256([]byte(body))
	if tags["bh"] != base64.StdEncoding.EncodeToString(sum[:]) {
		return errors.New("the body is not the one that was signed")
	}
	h := sha256.New()
	for name := range strings.SplitSeq(strings.ToLower(tags["h"]), ":") {
		if v, ok := headers[name]; ok {
			fmt.Fprintf(h, "%s:%s\r\n", name, v)
			delete(headers, name) // named once more than it is there, it is empty: nobody can add another
		}
	}
	fmt.Fprintf(h, "dkim-signature:%s", strings.TrimSpace(value.ReplaceAllString(signature, "b=")))
	b, err := base64.StdEncoding.DecodeString(tags["b"])
	if err != nil || !ed25519.Verify(s.key, h.Sum(nil), b) {
		return errors.New("the signature is not the key's")
	}
	return nil
}

// checkCodes asks the public page, as somebody who got a notice.
func (s *story) checkCodes() {
	asked := 0
	for _, to := range slices.Sorted(maps.Keys(s.letters)) {
		code := s.letters[to].code
		if page := s.page("/notice?lang=en", map[string][]string{"code": {code}}); !genuine(s.t, page) {
			s.t.Errorf("a true code is not known")
		}
		last := "0"
		if strings.HasSuffix(code, "0") {
			last = "1"
		}
		if page := s.page("/notice?lang=en", map[string][]string{"code": {code[:len(code)-1] + last}}); genuine(s.t, page) {
			s.t.Errorf("a made-up code is taken for a true one")
		}
		if asked++; asked == 50 {
			break
		}
	}
}

// genuine reads what the page says of a code.
func genuine(t testing.TB, page string) bool {
	t.Helper()
	yes, no := strings.Contains(page, `class="answer held"`), strings.Contains(page, `class="answer watch"`)
	if yes == no {
		t.Fatalf("the page says neither")
	}
	return yes
}

func (s *story) inTheEnd() {
	for duty, want := range map[string]regime.State{networkAct + "/authority": regime.Late, pipa + "/authority": regime.Met, pipa + "/people": regime.Late, pipa + "/posted": regime.Late} {
		law, duty, _ := strings.Cut(duty, "/")
		if c := s.theClock(law, duty, 0); c.State != want {
			s.t.Errorf("%s/%s is %s in the end, want %s", law, duty, c.State, want)
		}
	}
	s.nothingIsPurged()
}
