package keys

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
)

// PersonSpec is what is said of somebody.
type PersonSpec struct {
	Person     string      `json:"person"`
	Realm      string      `json:"realm,omitempty"`
	State      string      `json:"state"`                // active, left
	Since      whosaw.Time `json:"since,omitzero"`       // missing: now
	Principals []string    `json:"principals,omitempty"` // beside staff:PERSON
	Keys       []string    `json:"keys,omitempty"`       // that they could read
}

// maxPeople bounds the people of one call.
const maxPeople = 10_000

// SetPeople records people, all or none. Who has left gets an offboarding.
func (k *Keeper) SetPeople(ctx context.Context, who string, list []PersonSpec) ([]Person, error) {
	if len(list) == 0 || len(list) > maxPeople {
		return nil, bad("give 1 to 10000", "people: none, or too many")
	}
	if err := k.current(ctx); err != nil {
		return nil, err
	}
	now := k.now()
	var records []whosaw.Record
	for i := range list {
		p := &list[i]
		r := whosaw.Record{Type: whosaw.TypePerson, Time: now, Realm: p.Realm, Ref: &whosaw.Reference{
			Person: p.Person, State: p.State, Since: int64(p.Since), Keys: p.Keys, Principals: slices.Clone(p.Principals),
		}}
		// The guard knows people by the principals that records name.
		if own := "staff:" + p.Person; p.Person != "" && !slices.Contains(r.Ref.Principals, own) {
			r.Ref.Principals = append(r.Ref.Principals, own)
		}
		for _, known := range k.register.principalsOf(p.Realm, p.Person) {
			if !slices.Contains(r.Ref.Principals, known) {
				r.Ref.Principals = append(r.Ref.Principals, known)
			}
		}
		if len(p.Person)+len(p.Realm) > maxText {
			return nil, bad("give the id under which the house knows them", "person %d: too long", i+1)
		}
		if err := r.Validate(now); err != nil {
			return nil, bad("", "person %d: %v", i+1, err)
		}
		records = append(records, r)
	}
	a := act(ActPeople, who, "", "", "", "")
	a.Ref.Count = int64(len(records))
	if err := k.write(ctx, a, records...); err != nil {
		return nil, err
	}
	return k.register.People(), nil
}

// People lists the people that records name.
func (k *Keeper) People(ctx context.Context) ([]Person, error) {
	if err := k.current(ctx); err != nil {
		return nil, err
	}
	return k.register.People(), nil
}

func (r *Register) principalsOf(realm, name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.principals(id{realm, name})
}

// ParsePeople reads CSV: a header with person and state, and any of since (a day or RFC 3339), principals and keys (with semicolons between)
// and realm. Other columns are left out.
func ParsePeople(in io.Reader) ([]PersonSpec, error) {
	c := csv.NewReader(in)
	c.TrimLeadingSpace = true
	head, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("read people: the first line must name the columns, person and state among them: %w", err)
	}
	column := map[string]int{}
	for i, name := range head {
		column[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = i
	}
	for _, name := range []string{"person", "state"} {
		if _, ok := column[name]; !ok {
			return nil, fmt.Errorf("read people: there is no column %s: the first line must name person and state", name)
		}
	}
	var out []PersonSpec
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		line, _ := c.FieldPos(0)
		if err != nil {
			return nil, fmt.Errorf("read people: %w", err)
		}
		get := func(name string) string {
			if i, ok := column[name]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		list := func(name string) (out []string) {
			for part := range strings.SplitSeq(get(name), ";") {
				if part = strings.TrimSpace(part); part != "" {
					out = append(out, part)
				}
			}
			return out
		}
		p := PersonSpec{Person: get("person"), Realm: get("realm"), State: strings.ToLower(get("state")), Principals: list("principals"), Keys: list("keys")}
		if p.Person == "" || p.State != "active" && p.State != "left" {
			return nil, fmt.Errorf("read people: line %d: give a person, and active or left as their state", line)
		}
		if s := get("since"); s != "" {
			if p.Since, err = parseDay(s); err != nil {
				return nil, fmt.Errorf("read people: line %d: since: %w", line, err)
			}
		}
		if out = append(out, p); len(out) > maxPeople {
			return nil, fmt.Errorf("read people: more than %d: give the file in parts", maxPeople)
		}
	}
}

func parseDay(s string) (whosaw.Time, error) {
	if ms, err := whosaw.ParseDate(s); err == nil {
		return whosaw.Time(ms), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, errors.New("give a day as 2006-01-02, or RFC 3339")
	}
	return whosaw.Time(t.UnixMilli()), nil
}
