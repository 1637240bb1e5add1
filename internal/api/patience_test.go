package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/api"
)

// patient serves one handler with a short patience.
func patient(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(api.Patient(h, 100*time.Millisecond))
	t.Cleanup(s.Close)
	return s
}

// raw opens a connection and sends the text as it is.
func raw(t *testing.T, s *httptest.Server, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	check(t, err)
	t.Cleanup(func() { c.Close() })
	check(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, text)
	check(t, err)
	return c
}

// TestPatientWithWork: a handler may work for as long as it likes after it has the body, again and again on a connection.
func TestPatientWithWork(t *testing.T) {
	s := patient(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			t.Error("the request ended while it was worked on")
		case <-time.After(400 * time.Millisecond):
		}
		fmt.Fprint(w, "done")
	})
	c := raw(t, s, "")
	answers := bufio.NewReader(c)
	for range 2 {
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		check(t, err)
		res, err := http.ReadResponse(answers, nil)
		check(t, err)
		if data, err := io.ReadAll(res.Body); err != nil || string(data) != "done" {
			t.Errorf("answer %q, %v", data, err)
		}
	}
}

// TestPatienceEnds: who stands still in the middle of a body or of an answer is let go, also where nobody reads the body.
func TestPatienceEnds(t *testing.T) {
	failed := make(chan error, 2)
	s := patient(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/read":
			_, err := io.Copy(io.Discard, r.Body)
			failed <- err
		case "/write":
			_, err := io.Copy(w, strings.NewReader(strings.Repeat("x", 256<<20)))
			failed <- err
		}
	})
	for _, path := range []string{"/read", "/write"} {
		length := 0
		if path == "/read" {
			length = 1000
		}
		raw(t, s, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, length))
		select {
		case err := <-failed:
			if err == nil {
				t.Errorf("%s: went well", path)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: who stands still is waited for", path)
		}
	}
	for _, path := range []string{"/read", "/ignore"} {
		c := raw(t, s, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
		if n, err := io.Copy(io.Discard, c); err != nil || n == 0 {
			t.Errorf("%s: %d bytes of an answer, and the connection stays open: %v", path, n, err)
		}
	}
}
