package shop

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// API serves JSON as a mobile app would ask for it: bearer tokens only, no cookies, no word of whosaw. It is meant to stand behind `whosaw proxy`, which
// finds in the answers what [Catalog] says is there.
func (s *Shop) API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/login", s.apiLogin)
	mux.HandleFunc("GET /api/products", func(w http.ResponseWriter, _ *http.Request) { s.json(w, http.StatusOK, products) })
	mux.HandleFunc("GET /api/profile", s.apiCustomers(s.apiProfile))
	mux.HandleFunc("GET /api/addresses", s.apiCustomers(s.apiAddresses))
	mux.HandleFunc("GET /api/addresses/{id}", s.apiCustomers(s.apiAddress))
	mux.HandleFunc("PUT /api/addresses/{id}", s.apiCustomers(s.apiSave))
	mux.HandleFunc("GET /api/orders", s.apiCustomers(s.apiOrders))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { s.json(w, http.StatusNotFound, apiError{"not_found"}) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

type apiError struct {
	Error string `json:"error"`
}

func (s *Shop) json(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: encode an answer of the shop: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // whoever asked has gone
}

func (s *Shop) apiTrouble(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errNone) {
		s.json(w, http.StatusNotFound, apiError{"not_found"})
		return
	}
	if r.Context().Err() == nil {
		s.log.Error("a request to the shop failed", "route", r.Pattern, "error", err)
	}
	s.json(w, http.StatusInternalServerError, apiError{"internal"})
}

func (s *Shop) apiCustomers(next func(http.ResponseWriter, *http.Request, *customer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, err := s.check(bearer(r), Issuer)
		if err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			s.json(w, http.StatusUnauthorized, apiError{"unauthorized"})
			return
		}
		c, err := s.of(r, u.Subject)
		if err != nil {
			s.apiTrouble(w, r, err)
			return
		}
		next(w, r, c)
	}
}

// readJSON reads a body of a few members.
func (s *Shop) readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/json" {
		s.json(w, http.StatusUnsupportedMediaType, apiError{"not_json"})
		return false
	}
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		s.json(w, http.StatusBadRequest, apiError{"not_json"})
		return false
	}
	return true
}

func (s *Shop) apiLogin(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if !s.readJSON(w, r, &in) {
		return
	}
	c, err := s.logIn(r, in.Email, in.Password)
	if status, _ := notIn(err); status != 0 {
		s.json(w, status, apiError{"login_failed"})
		return
	}
	var token string
	if err == nil {
		token, err = s.letIn(r, Issuer, subjectID(c.Number), "app", s.address(r, 1))
	}
	if err != nil {
		s.apiTrouble(w, r, err)
		return
	}
	s.json(w, http.StatusOK, map[string]any{"token": token, "expires_in": int(tokenLife / time.Second)})
}

func (s *Shop) apiProfile(w http.ResponseWriter, _ *http.Request, c *customer) {
	s.json(w, http.StatusOK, map[string]string{"customer": subjectID(c.Number), "name": c.Name, "email": c.Email})
}

// apiEntry is an address in an answer. A relation stands only where it is not the customer's own.
type apiEntry struct {
	ID       int64  `json:"id"`
	Relation string `json:"relation,omitempty"`
	Name     string `json:"name"`
	Phone    string `json:"phone"`
	Address  string `json:"address"`
	DoorCode string `json:"door_code,omitempty"`
}

func (a *address) entry() apiEntry {
	return apiEntry{a.ID, a.Relation, a.Name, a.Phone, a.Line, a.DoorCode}
}

func (s *Shop) apiAddresses(w http.ResponseWriter, r *http.Request, c *customer) {
	all, err := s.db.addresses(r.Context(), c.Number)
	if err != nil {
		s.apiTrouble(w, r, err)
		return
	}
	entries := make([]apiEntry, len(all))
	for i := range all {
		entries[i] = all[i].entry()
		entries[i].DoorCode = doorMasked(entries[i].DoorCode)
	}
	s.json(w, http.StatusOK, map[string]any{"customer": subjectID(c.Number), "addresses": entries})
}

func (s *Shop) apiAddress(w http.ResponseWriter, r *http.Request, c *customer) {
	a, err := s.addressOf(r, c)
	if err != nil {
		s.apiTrouble(w, r, err)
		return
	}
	s.json(w, http.StatusOK, map[string]any{"customer": subjectID(c.Number), "address": a.entry()})
}

func (s *Shop) apiSave(w http.ResponseWriter, r *http.Request, c *customer) {
	a, err := s.addressOf(r, c)
	if err != nil {
		s.apiTrouble(w, r, err)
		return
	}
	var in apiEntry
	if !s.readJSON(w, r, &in) {
		return
	}
	values := map[string]string{"name": in.Name, "phone": in.Phone, "address": in.Address, "door_code": in.DoorCode}
	if !a.fill(func(name string) string { return values[name] }) {
		s.json(w, http.StatusUnprocessableEntity, apiError{"bad_address"})
		return
	}
	if err := s.db.saveAddress(r.Context(), a); err != nil {
		s.apiTrouble(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Shop) apiOrders(w http.ResponseWriter, r *http.Request, c *customer) {
	all, err := s.db.orders(r.Context(), c.Number)
	if err != nil {
		s.apiTrouble(w, r, err)
		return
	}
	type entry struct {
		Placed string `json:"placed"`
		Items  string `json:"items"`
		Won    int64  `json:"won"`
	}
	entries := make([]entry, len(all))
	for i, o := range all {
		entries[i] = entry{time.UnixMilli(o.Placed).UTC().Format(time.RFC3339), o.Items, o.Won}
	}
	s.json(w, http.StatusOK, map[string]any{"customer": subjectID(c.Number), "orders": entries})
}
