package shop

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"unicode"
)

// Bounds of one question.
const (
	maxAsked     = 10_000
	maxAskedBody = 8 << 20
)

// asked is somebody whom whosaw asks for: a customer, or somebody in address books.
type asked struct {
	ID    string `json:"id"`
	Realm string `json:"realm,omitempty"`
	Other bool   `json:"other,omitempty"`
}

// reached is how to reach them.
type reached struct {
	asked
	Email    string `json:"email,omitempty"`
	Name     string `json:"name,omitempty"`
	Language string `json:"language,omitempty"`
}

// inBook is somebody in a customer's address book: a customer, or somebody else, under one id in every book.
type inBook struct {
	Of      string `json:"of"`
	ID      string `json:"id,omitempty"`
	Subject string `json:"subject,omitempty"`
}

// Contacts answers whoever sends the notices of a leak, and has the secret: how people are reached (POST /contacts), and who is in whose address book
// (POST /books). It is no page of the shop, and must not be where customers are.
func (s *Shop) Contacts(secret string) http.Handler {
	want := sha256.Sum256([]byte("Bearer " + secret))
	answer := func(fn func(r *http.Request) (any, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if got := sha256.Sum256([]byte(r.Header.Get("Authorization"))); subtle.ConstantTimeCompare(got[:], want[:]) == 0 {
				s.json(w, http.StatusUnauthorized, apiError{"unauthorized"})
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxAskedBody)
			w.Header().Set("Cache-Control", "no-store")
			out, err := fn(r)
			switch {
			case err != nil:
				s.apiTrouble(w, r, err)
			case out == nil:
				s.json(w, http.StatusBadRequest, apiError{"bad_question"})
			default:
				s.json(w, http.StatusOK, out)
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /contacts", answer(func(r *http.Request) (any, error) {
		var in struct {
			People []asked `json:"people"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || len(in.People) > maxAsked {
			return nil, nil
		}
		people := []reached{}
		for _, p := range in.People {
			who, err := s.db.contact(r.Context(), p)
			if err != nil {
				return nil, err
			}
			if who != nil {
				people = append(people, *who)
			}
		}
		return map[string]any{"people": people}, nil
	}))
	mux.HandleFunc("POST /books", answer(func(r *http.Request) (any, error) {
		var in struct {
			Customers []asked `json:"customers"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || len(in.Customers) > maxAsked {
			return nil, nil
		}
		others := []inBook{}
		for _, c := range in.Customers {
			list, err := s.db.book(r.Context(), c.ID)
			if err != nil {
				return nil, err
			}
			others = append(others, list...)
		}
		return map[string]any{"others": others}, nil
	}))
	return mux
}

// contact is how somebody is reached; nil: nothing is known. Of somebody in several address books any mail address that is known will do.
func (s *store) contact(ctx context.Context, p asked) (*reached, error) {
	id, err := strconv.ParseInt(p.ID, 10, 64)
	if err != nil || p.Realm != "" {
		return nil, nil // nobody of ours
	}
	query := "SELECT name, coalesce(email, '') FROM customer WHERE state = 'active' AND number = ?"
	if p.Other {
		query = `SELECT a.name, max(b.email) FROM address a JOIN address b ON b.phone = a.phone AND b.name = a.name AND b.relation <> ''
			WHERE a.id = ? AND a.relation <> '' GROUP BY a.id`
	}
	out := &reached{asked: p}
	switch err := s.read.QueryRowContext(ctx, query, id).Scan(&out.Name, &out.Email); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, found("contact", err)
	}
	out.Language = language(out.Name)
	return out, nil
}

// language is what somebody reads, as far as the shop knows: it goes by the name.
func language(name string) string {
	for _, r := range name {
		if unicode.Is(unicode.Hangul, r) {
			return "ko"
		}
	}
	return "en"
}

// book is who is in a customer's address book. Who has the same name and telephone number is the same person: a customer, or else known by the first entry of
// all.
func (s *store) book(ctx context.Context, customer string) ([]inBook, error) {
	number, err := strconv.ParseInt(customer, 10, 64)
	if err != nil {
		return nil, nil // nobody of ours
	}
	return list(ctx, s.read, func(r *sql.Rows, b *inBook) error {
		var first int64
		var own sql.NullInt64
		if err := r.Scan(&first, &own); err != nil {
			return err
		}
		b.Of = customer
		if own.Valid {
			b.Subject = subjectID(own.Int64)
		} else {
			b.ID = strconv.FormatInt(first, 10)
		}
		return nil
	}, `SELECT (SELECT min(b.id) FROM address b WHERE b.phone = a.phone AND b.name = a.name AND b.relation <> ''),
		(SELECT min(c.number) FROM customer c WHERE c.phone = a.phone AND c.name = a.name AND c.state = 'active')
		FROM address a WHERE a.customer = ? AND a.relation <> '' ORDER BY a.id`, number)
}
