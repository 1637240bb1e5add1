package drill_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/drill"
	"github.com/whosaw/whosaw/internal/report"
)

// server is a whosaw that keeps nothing: records go to the real detectors, findings come out after some questions.
type server struct {
	mu       sync.Mutex
	engine   *detect.Engine
	seq      uint64
	findings []whosaw.Finding
	asked    int
	late     int // questions that are answered without the newest findings
	send     string
	read     string
	bodies   [][]byte
	reject   bool
	busy     int // questions that are told to come later
}

func newServer(t *testing.T) (*server, string) {
	s := &server{engine: detect.New(detect.Config{}, catalog.Rules()), send: "may-send", read: "may-read"}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return s, web.URL
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token != s.send && token != s.read {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/records":
		if token != s.send {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"error":{"code":"forbidden","message":"the role read may not do this","hint":"use another"}}`)
			return
		}
		s.take(w, r)
	case "GET /v1/findings":
		if token != s.read {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if s.asked++; s.asked <= s.busy+1 && s.asked > 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		list := s.findings
		if s.asked <= s.late {
			list = []whosaw.Finding{}
		}
		json.NewEncoder(w).Encode(map[string]any{"findings": append([]whosaw.Finding{}, list...), "next": ""})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *server) take(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.bodies = append(s.bodies, body)
	var d whosaw.Decoder
	n := 0
	for line := range bytes.Lines(body) {
		rec := new(whosaw.Record)
		if err := d.Decode(bytes.TrimSpace(line), now, rec); err != nil || s.reject {
			fmt.Fprintf(w, `{"accepted":0,"rejected":%d,"rejects":[{"line":1,"reason":"a type that is not for you","hint":"ask"}]}`, 20)
			return
		}
		n++
		s.seq++
		s.findings = append(s.findings, s.engine.Observe(s.seq, rec)...)
	}
	fmt.Fprintf(w, `{"accepted":%d,"rejected":0,"duplicates":0}`, n)
}

func harvest(url string) drill.HarvestConfig {
	return drill.HarvestConfig{
		URL: url, SendToken: "may-send", ReadToken: "may-read", Run: "a1", Wait: 20 * time.Second, Every: time.Millisecond,
		Now: func() time.Time { return time.UnixMilli(now) },
	}
}

// TestHarvest: the real detectors find the planted customers, each drill anew, however late the answer is.
func TestHarvest(t *testing.T) {
	s, url := newServer(t)
	s.late, s.busy = 4, 2
	for _, run := range []string{"a1", "b2"} {
		cfg := harvest(url)
		cfg.Run = run
		a, err := drill.Harvest(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if !a.Noticed || a.Finding.Detector != "canary" || a.Sent != 20 || a.Accepted != 20 || a.Finding.Unit != "principal:service:drill-"+run {
			t.Errorf("%+v, finding %+v", a, a.Finding)
		}
		var b bytes.Buffer
		if err := a.WriteText(&b, report.TextOptions{}); err != nil || !strings.Contains(b.String(), "The alarm came within") {
			t.Errorf("%v:\n%s", err, b.String())
		}
	}
	for _, body := range s.bodies {
		for line := range bytes.Lines(body) {
			if !bytes.Contains(line, []byte(`"realm":"drill"`)) {
				t.Errorf("a record outside the drill's realm: %s", line)
			}
		}
	}
}

// TestHarvestUnnoticed: a server whose detectors stand still.
func TestHarvestUnnoticed(t *testing.T) {
	s, url := newServer(t)
	s.late = 1 << 30
	cfg := harvest(url)
	cfg.Wait = 30 * time.Millisecond
	a, err := drill.Harvest(t.Context(), cfg)
	if err != nil || a.Noticed {
		t.Fatalf("%+v, %v", a, err)
	}
	var b bytes.Buffer
	if err := a.WriteText(&b, report.TextOptions{}); err != nil || !strings.Contains(b.String(), "No alarm came") {
		t.Errorf("%v:\n%s", err, b.String())
	}
}

func TestHarvestErrors(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved/v1/findings":
			http.Redirect(w, r, "https://example.com/", http.StatusFound)
		case "/page/v1/findings":
			io.WriteString(w, "<html>")
		case "/other/v1/findings":
			io.WriteString(w, `{"hello":1}`)
		case "/broken/v1/findings":
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer elsewhere.Close()
	_, url := newServer(t)
	rejecting, rejectingURL := newServer(t)
	rejecting.reject = true
	for _, c := range []struct {
		name string
		edit func(*drill.HarvestConfig)
		want string
	}{
		{"no token", func(c *drill.HarvestConfig) { c.SendToken, c.ReadToken = "", "" }, "does not know the token"},
		{"token that may not send", func(c *drill.HarvestConfig) { c.SendToken = "may-read" }, "it says: the role read may not do this: use another"},
		{"token that may not read", func(c *drill.HarvestConfig) { c.ReadToken = "may-send" }, "--read-token-file"},
		{"rejecting", func(c *drill.HarvestConfig) { c.URL = rejectingURL }, "a type that is not for you; ask"},
		{"wrong path", func(c *drill.HarvestConfig) { c.URL += "/x" }, "nothing at this address"},
		{"redirect", func(c *drill.HarvestConfig) { c.URL = elsewhere.URL + "/moved/" }, "sends elsewhere"},
		{"page", func(c *drill.HarvestConfig) { c.URL = elsewhere.URL + "/page" }, "no JSON"},
		{"other JSON", func(c *drill.HarvestConfig) { c.URL = elsewhere.URL + "/other" }, "no list of findings"},
		{"broken", func(c *drill.HarvestConfig) { c.URL = elsewhere.URL + "/broken" }, "status 500"},
		{"secret in the address", func(c *drill.HarvestConfig) { c.URL = "https://may-send@example.com" }, "plain address"},
		{"readable on the way", func(c *drill.HarvestConfig) { c.URL = "http://example.com" }, "plain http"},
		{"no address", func(c *drill.HarvestConfig) { c.URL = "example.com" }, "give the server's address"},
	} {
		cfg := harvest(url)
		c.edit(&cfg)
		_, err := drill.Harvest(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "may-send") {
			t.Errorf("%s: error %v, want one with %q and no token", c.name, err, c.want)
		}
	}
}
