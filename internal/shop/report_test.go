package shop_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/shop"
)

// told keeps what a shop sends, and does what it is told about it.
type told struct {
	fail    func(attempt int) error
	calls   int
	records []whosaw.Record
}

func (s *told) send(ctx context.Context, records []whosaw.Record) error {
	s.calls++
	if s.fail != nil {
		if err := s.fail(s.calls); err != nil {
			return err
		}
	}
	s.records = append(s.records, records...)
	return ctx.Err()
}

// ticketed opens a shop that tells s, in a bubble, and has n tickets opened.
func ticketed(t *testing.T, s *told, tickets int) *shop.Shop {
	t.Helper()
	sh, err := shop.Open(t.Context(), shop.Config{Path: filepath.Join(t.TempDir(), "shop.db"), Customers: 10, Agents: 1, Send: s.send})
	check(t, err)
	l, err := sh.Logins(t.Context(), 0, 1)
	check(t, err)
	for range tickets {
		_, err := sh.OpenTicket(t.Context(), l[0].ID, "desk-01", "refund")
		check(t, err)
	}
	return sh
}

// TestTellingAgain: what whosaw cannot take now is told again, in order and once; nobody waits longer than the moment that is said.
func TestTellingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &told{fail: func(n int) error {
			if n <= 8 {
				return errors.New("nobody is there")
			}
			return nil
		}}
		began := time.Now()
		sh := ticketed(t, s, 3)
		if waited := time.Since(began); waited > 3*300*time.Millisecond {
			t.Errorf("three tickets waited %v", waited)
		}
		<-time.After(time.Minute)
		check(t, sh.Close(t.Context()))
		if len(s.records) != 3 || s.calls < 9 {
			t.Fatalf("%d records in %d calls", len(s.records), s.calls)
		}
		for i := range s.records[1:] {
			if s.records[i].ID >= s.records[i+1].ID {
				t.Errorf("%s was told before %s", s.records[i].ID, s.records[i+1].ID)
			}
		}
	})
}

// TestTellingInVain: what will never be taken is counted, and so is what is left when there is no more time.
func TestTellingInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sh := ticketed(t, &told{fail: func(int) error { return fmt.Errorf("%w: no", shop.ErrNotTaken) }}, 2)
		if err := sh.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "2 records") {
			t.Errorf("refused: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		sh := ticketed(t, &told{fail: func(int) error { return errors.New("nobody is there") }}, 2)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := sh.Close(ctx); err == nil || !strings.Contains(err.Error(), "2 records") {
			t.Errorf("given up: %v", err)
		}
	})
}

// TestLogInWaits: nobody has a token before its issuance is on record, unless that takes longer than the moment that is said.
func TestLogInWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var sent []whosaw.Record
		sh, err := shop.Open(t.Context(), shop.Config{Path: filepath.Join(t.TempDir(), "shop.db"), Customers: 10, Agents: 1, Send: func(_ context.Context, records []whosaw.Record) error {
			sent = append(sent, records...)
			<-release
			return nil
		}})
		check(t, err)
		l, err := sh.Logins(t.Context(), 0, 1)
		check(t, err)
		logIn := func() (done chan int) {
			done = make(chan int, 1)
			go func() {
				form := url.Values{"email": {l[0].Email}, "password": {l[0].Password}}
				r := httptest.NewRequest("POST", "/login", strings.NewReader(form.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w := httptest.NewRecorder()
				sh.Handler().ServeHTTP(w, r)
				done <- w.Code
			}()
			return done
		}
		done := logIn()
		synctest.Wait()
		if len(done) > 0 || len(sent) != 1 || sent[0].Type != whosaw.TypeIssuance || sent[0].Subjects[0] != l[0].ID {
			t.Fatalf("logged in: %v, before this was on record: %+v", len(done) > 0, sent)
		}
		release <- struct{}{}
		if code := <-done; code != 303 {
			t.Errorf("log-in: %d", code)
		}
		began := time.Now()
		if code := <-logIn(); code != 303 || time.Since(began) != 300*time.Millisecond {
			t.Errorf("a log-in that whosaw does not answer: %d after %v", code, time.Since(began))
		}
		close(release)
		check(t, sh.Close(t.Context()))
		if len(sent) != 2 {
			t.Errorf("%d records", len(sent))
		}
	})
}

// TestAnnouncedAgain: what is told again is a repeat, with the same id, time and content, or is news with another time.
func TestAnnouncedAgain(t *testing.T) {
	now := time.UnixMilli(1_795_000_000_000)
	told := map[string]string{} // by id and time
	news := 0
	sh := open(t, func(c *shop.Config) {
		c.Now = func() time.Time { return now }
		c.Wait = time.Minute
		c.Send = func(_ context.Context, records []whosaw.Record) error {
			for i := range records {
				r := &records[i]
				if err := r.Validate(now.UnixMilli()); err != nil {
					return fmt.Errorf("%w: %w", shop.ErrNotTaken, err)
				}
				line := string(whosaw.AppendJSON(nil, r))
				identity := fmt.Sprint(r.ID, " ", r.Time)
				if was, ok := told[identity]; ok && was != line {
					t.Errorf("a conflict:\n%s\n%s", was, line)
				} else if !ok {
					news++
				}
				told[identity] = line
			}
			return nil
		}
	})
	check(t, sh.Announce(t.Context()))
	first := news
	now = now.Add(time.Hour)
	check(t, sh.Announce(t.Context()))
	if news != first || first < 40+3+4 {
		t.Errorf("%d records, then %d more of the same", first, news-first)
	}
	h := sh.Handler()
	post := func(c *http.Cookie, path string, form url.Values) *http.Cookie {
		r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if c != nil {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 303 {
			t.Fatalf("%s: %d", path, w.Code)
		}
		return w.Result().Cookies()[0]
	}
	l, err := sh.Logins(t.Context(), 0, 2)
	check(t, err)
	leaver := post(nil, "/login", url.Values{"email": {l[0].Email}, "password": {l[0].Password}})
	post(nil, "/login", url.Values{"email": {l[1].Email}, "password": {l[1].Password}})
	post(nil, "/signup", url.Values{"name": {"n"}, "email": {"a@example.org"}, "address": {"a"}, "password": {"a long enough one"}})
	now = now.Add(time.Minute)
	post(leaver, "/me/withdraw", nil)
	now = now.Add(time.Minute)
	before := news
	check(t, sh.Announce(t.Context()))
	if news != before+1 { // the second one's last log-in
		t.Errorf("after log-ins, a sign-up and a withdrawal %d are news", news-before)
	}
}

// TestPost: which answers of a server are final, and that no error holds the token.
func TestPost(t *testing.T) {
	status, body := 200, `{"accepted":1,"rejected":0}`
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	defer srv.Close()
	send := shop.Post(srv.URL, "the-secret-token", "login")
	records := []whosaw.Record{{Type: whosaw.TypeReason, Subjects: []string{"7"}, Ref: &whosaw.Reference{Kind: "ticket"}}}
	check(t, send(t.Context(), records))
	if got.URL.Path != "/v1/records" || got.URL.RawQuery != "source=login" || got.Header.Get("Authorization") != "Bearer the-secret-token" {
		t.Errorf("sent to %s", got.URL)
	}
	for _, x := range []struct {
		status int
		body   string
		final  bool
	}{
		{200, `{"rejected":1}`, true}, {403, `{}`, true}, {401, `{}`, true}, {400, `{}`, true}, {404, `x`, true}, {200, `<html>`, false}, {503, `{}`, false}, {429, ``, false}, {302, ``, false},
	} {
		status, body = x.status, x.body
		err := send(t.Context(), records)
		if err == nil || errors.Is(err, shop.ErrNotTaken) != x.final || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d %s: %v", x.status, x.body, err)
		}
	}
	srv.Close()
	if err := send(t.Context(), records); err == nil || errors.Is(err, shop.ErrNotTaken) || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v", err)
	}
}
