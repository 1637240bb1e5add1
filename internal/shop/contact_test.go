package shop_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw/internal/shop"
)

type (
	askedFor struct {
		ID    string `json:"id"`
		Realm string `json:"realm,omitempty"`
		Other bool   `json:"other,omitempty"`
	}
	reach struct {
		askedFor
		Email    string `json:"email"`
		Name     string `json:"name"`
		Language string `json:"language"`
	}
	inBook struct {
		Of      string `json:"of"`
		ID      string `json:"id"`
		Subject string `json:"subject"`
	}
)

// lookedUp is a small shop whose look-up is served, with its file.
func lookedUp(t *testing.T) (ask func(path, secret, body string) (int, string), db *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	s, err := shop.Open(t.Context(), shop.Config{Path: path, Customers: 200, Agents: 1, Seed: 3, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	srv := httptest.NewServer(s.Contacts("the secret"))
	t.Cleanup(srv.Close)
	if db, err = sql.Open("sqlite", "file:"+path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return func(path, secret, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}, db
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestContacts: who asks with the secret is told of each person what the shop's file says, and of nobody else; who asks without it is told nothing.
func TestContacts(t *testing.T) {
	ask, db := lookedUp(t)
	one := func(query string, args ...any) (out string) {
		t.Helper()
		if err := db.QueryRow(query, args...).Scan(&out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	customer := one("SELECT number FROM customer WHERE state = 'active' ORDER BY number LIMIT 1")
	left := one("SELECT number FROM customer WHERE state = 'withdrawn' ORDER BY number LIMIT 1")
	other := one("SELECT id FROM address WHERE email <> '' ORDER BY id LIMIT 1")
	silent := one("SELECT id FROM address WHERE email = '' AND relation <> '' ORDER BY id LIMIT 1")
	own := one("SELECT id FROM address WHERE relation = '' ORDER BY id LIMIT 1")
	question := encode(t, map[string]any{"people": []askedFor{
		{ID: customer}, {ID: left}, {ID: other, Other: true}, {ID: silent, Other: true}, {ID: own, Other: true}, {ID: customer, Realm: "elsewhere"}, {ID: "nobody"},
	}})
	status, text := ask("/contacts", "the secret", question)
	var got struct{ People []reach }
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	language := func(name string) string {
		if strings.IndexFunc(name, func(r rune) bool { return r >= '가' && r <= '힣' }) >= 0 {
			return "ko"
		}
		return "en"
	}
	var want []reach
	for _, p := range []struct{ id, table, key string }{{customer, "customer", "number"}, {other, "address", "id"}, {silent, "address", "id"}} {
		r := reach{askedFor: askedFor{ID: p.id, Other: p.table == "address"}}
		r.Name, r.Email = one("SELECT name FROM "+p.table+" WHERE "+p.key+" = ?", p.id), one("SELECT email FROM "+p.table+" WHERE "+p.key+" = ?", p.id)
		r.Language = language(r.Name)
		want = append(want, r)
	}
	if diff := cmp.Diff(want, got.People, cmp.AllowUnexported(reach{}, askedFor{})); diff != "" {
		t.Errorf("contacts (-want +got):\n%s", diff)
	}
	for _, secret := range []string{"", "the secre", "the secret2"} {
		if status, text := ask("/contacts", secret, question); status != http.StatusUnauthorized || strings.Contains(text, "@") {
			t.Errorf("with secret %q: %d %s", secret, status, text)
		}
	}
	for _, body := range []string{"", "no JSON", `{"people": "all"}`} {
		if status, _ := ask("/contacts", "the secret", body); status != http.StatusBadRequest {
			t.Errorf("%q: %d", body, status)
		}
	}
}

// TestBooks: each entry of a customer's address book that is somebody else's is told, somebody in two books under one id, and a customer as a customer.
func TestBooks(t *testing.T) {
	ask, db := lookedUp(t)
	rows, err := db.Query("SELECT customer, id FROM address WHERE relation <> '' ORDER BY customer, id")
	if err != nil {
		t.Fatal(err)
	}
	var want []inBook
	var customers []askedFor
	for rows.Next() {
		var of, id int64
		if err := rows.Scan(&of, &id); err != nil {
			t.Fatal(err)
		}
		want = append(want, inBook{Of: strconv.FormatInt(of, 10), ID: strconv.FormatInt(id, 10)})
		if a := (askedFor{ID: want[len(want)-1].Of}); !slices.Contains(customers, a) {
			customers = append(customers, a)
		}
	}
	if err := rows.Close(); err != nil || len(want) < 20 {
		t.Fatal(err, len(want))
	}
	// The last entry is the first one's person, the one before it a customer.
	first, last, before := want[0], len(want)-1, len(want)-2
	subject := ""
	if err := db.QueryRow("SELECT max(number) FROM customer WHERE state = 'active'").Scan(&subject); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		query string
		args  []any
	}{
		{"UPDATE address SET (name, phone) = (SELECT name, phone FROM address WHERE id = ?) WHERE id = ?", []any{first.ID, want[last].ID}},
		{"UPDATE address SET (name, phone) = (SELECT name, phone FROM customer WHERE number = ?) WHERE id = ?", []any{subject, want[before].ID}},
	} {
		if _, err := db.Exec(q.query, q.args...); err != nil {
			t.Fatal(err)
		}
	}
	want[last].ID = first.ID
	want[before].ID, want[before].Subject = "", subject
	status, text := ask("/books", "the secret", encode(t, map[string]any{"customers": append(customers, askedFor{ID: "nobody"})}))
	var got struct{ Others []inBook }
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	if diff := cmp.Diff(want, got.Others); diff != "" {
		t.Errorf("address books (-want +got):\n%s", diff)
	}
}

// TestCodes: a customer who is logged in gets their own code, with nothing of them on the page; who is not, none.
func TestCodes(t *testing.T) {
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Subject string }
		if r.URL.Path != "/v1/lookup-secrets" || r.Header.Get("Authorization") != "Bearer token" || json.NewDecoder(r.Body).Decode(&in) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		asked <- in.Subject
		io.WriteString(w, `{"lookups": [{"incident": 1, "secret": "K7QX-AAAA", "link": "https://notice.shop.example/affected/1#K7QX-AAAA"}]}`)
	}))
	defer server.Close()
	s, err := shop.Open(t.Context(), shop.Config{Path: filepath.Join(t.TempDir(), "shop.db"), Customers: 100, Agents: 1, Seed: 3, Codes: shop.Codes(server.URL, "token")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	list, err := s.Logins(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	pages := httptest.NewServer(s.Handler())
	defer pages.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm(pages.URL+"/login", map[string][]string{"email": {list[0].Email}, "password": {list[0].Password}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	open := func(cookies []*http.Cookie) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, pages.URL+"/me/codes", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cookies {
			req.AddCookie(c)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	if status, text := open(nil); status != http.StatusUnauthorized || strings.Contains(text, "K7QX") || len(asked) > 0 {
		t.Errorf("without a log-in: %d", status)
	}
	status, text := open(res.Cookies())
	if status != http.StatusOK || !strings.Contains(text, `href="https://notice.shop.example/affected/1#K7QX-AAAA"`) {
		t.Fatalf("logged in: %d %s", status, text)
	}
	if who := <-asked; who != list[0].ID {
		t.Errorf("the code of %s was asked for, not of %s", who, list[0].ID)
	}
	for _, word := range []string{list[0].Name, list[0].Email, "token"} {
		if strings.Contains(text, word) {
			t.Errorf("the page holds %q", word)
		}
	}
}
