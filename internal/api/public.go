package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/regime"
)

// LookupSpec asks for the look-up secrets of a customer who has logged in at the shop.
type LookupSpec struct {
	Subject  string `json:"subject"`
	Realm    string `json:"realm,omitempty"`
	Incident int64  `json:"incident,omitempty"` // missing: of each that offers a look-up
}

// LookupSecret is a customer's secret for one look-up. There is one for everybody, concerned or not.
type LookupSecret struct {
	Incident int64  `json:"incident"`
	Secret   string `json:"secret"`
	Link     string `json:"link"` // for the customer; the secret is behind the #, which no server is sent
}

var errNoPages = &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: "the public pages are off", Cure: "set public.listen in whosaw.yaml"}

func (a *API) postLookupSecrets(w http.ResponseWriter, r *http.Request) error {
	var in LookupSpec
	if err := readBody(w, r, 1<<16, &in); err != nil {
		return err
	}
	if in.Subject == "" || len(in.Subject) > whosaw.MaxSubject || len(in.Realm) > whosaw.MaxSubject {
		return invalid("give the customer's id as the records have it", "subject: it is missing or too long")
	}
	if a.cfg.Secrets == nil {
		return errNoPages
	}
	list, err := a.cfg.Secrets(r.Context(), whoOf(r).Name, in.Incident, in.Realm, in.Subject)
	if errors.Is(err, incident.ErrUnknown) {
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: "this incident offers no look-up", Cure: "whosaw incident offer begins one"}
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"lookups": list})
	return nil
}

// PostingAsk puts a notice to everybody onto the public pages.
type PostingAsk struct {
	Law string `json:"law"`
	incident.PostingSpec
}

func (a *API) postPosting(w http.ResponseWriter, r *http.Request) error {
	n, err := incidentNumber(r)
	if err != nil {
		return err
	}
	var in PostingAsk
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if a.cfg.Secrets == nil {
		return errNoPages
	}
	for _, l := range in.Langs {
		if !slices.Contains(incident.Languages, l) {
			return invalid("give some of en, ko, ar, bn", "langs: there are no documents in %q", l)
		}
	}
	law, err := a.ruling(r, n, in.Law, in.Duty)
	if err != nil {
		return err
	}
	if _, err := a.cfg.Incidents.Book.Post(r.Context(), n, whoOf(r).Name, law, in.PostingSpec); err != nil {
		return a.incidentFault(err)
	}
	return a.sendIncident(w, r, http.StatusCreated, n)
}

// ruling is the version of a law whose clock runs.
func (a *API) ruling(r *http.Request, n int64, law, duty string) (*regime.Law, error) {
	in, err := a.cfg.Incidents.Book.Incident(r.Context(), n)
	if err != nil {
		return nil, a.incidentFault(err)
	}
	for _, c := range a.clocks(in, "en") {
		if c.Law != law || c.Duty != duty {
			continue
		}
		for _, l := range a.cfg.Incidents.Laws {
			if l.ID == law && l.Version == c.Version {
				return l, nil
			}
		}
	}
	return nil, &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: "no clock of this incident has that law and duty", Cure: clocksName}
}

// RemovalAsk takes a posted notice down.
type RemovalAsk struct {
	Event int64  `json:"event"` // the one that posted it
	Note  string `json:"note"`  // why, before its days are over
}

func (a *API) postRemoval(w http.ResponseWriter, r *http.Request) error {
	n, err := incidentNumber(r)
	if err != nil {
		return err
	}
	var in RemovalAsk
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if err := a.cfg.Incidents.Book.Remove(r.Context(), n, whoOf(r).Name, in.Event, in.Note); err != nil {
		return a.incidentFault(fmt.Errorf("take down: %w", err))
	}
	return a.sendIncident(w, r, http.StatusOK, n)
}
