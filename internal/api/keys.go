package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/reference"
)

// keyRoutes are about signing keys, people and offboardings.
var keyRoutes = []route{
	{"GET", "/v1/keys", readers, (*API).getKeys},
	{"POST", "/v1/keys", admins, (*API).postKey},
	{"POST", "/v1/keys/import", admins, (*API).postKeySet},
	{"GET", "/v1/keys/{id}", readers, (*API).getKey},
	{"GET", "/v1/keys/{id}/kill", readers, (*API).getKill},
	{"POST", "/v1/keys/{id}/kill", admins, (*API).postKill},
	{"POST", "/v1/keys/{id}/deny-forged", admins, (*API).postDenyForged},
	{"POST", "/v1/keys/{id}/rotate", admins, changeKey((*keys.Keeper).Rotate)},
	{"POST", "/v1/keys/{id}/retire", admins, changeKey((*keys.Keeper).Retire)},
	{"POST", "/v1/keys/{id}/dispose", admins, changeKey((*keys.Keeper).Dispose)},
	{"POST", "/v1/keys/{id}/revive", admins, changeKey((*keys.Keeper).Revive)},
	{"GET", "/v1/key-policy", readers, (*API).getKeyPolicy},
	{"PUT", "/v1/key-policy", admins, (*API).putKeyPolicy},
	{"GET", "/v1/people", readers, (*API).getPeople},
	{"POST", "/v1/people", admins, (*API).postPeople},
	{"GET", "/v1/offboardings", readers, (*API).getOffboardings},
	{"GET", "/v1/offboardings/{name}", readers, (*API).getOffboarding},
	{"POST", "/v1/offboardings/{name}/revoke", admins, (*API).postRevoke},
	{"POST", "/v1/offboardings/{name}/close", admins, (*API).postClose},
	{"GET", "/jwks.json", anyone, (*API).getKeySet},
	{"GET", "/.well-known/jwks.json", anyone, (*API).getKeySet},
}

// keyFault says what an error of the keeper is for the one who asked.
func keyFault(err error) error {
	var f *keys.Fault
	if !errors.As(err, &f) {
		return err
	}
	switch {
	case f.Missing:
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: f.Says, Cure: f.Cure}
	case f.Conflict:
		return &Error{Status: http.StatusConflict, Code: CodeConflict, Says: f.Says, Cure: f.Cure}
	}
	return &Error{Status: http.StatusBadRequest, Code: CodeInvalid, Says: f.Says, Cure: f.Cure}
}

// maxKeyBody bounds what is said of keys and people: ten thousand people fit.
const maxKeyBody = 8 << 20

func answerKeys(w http.ResponseWriter, v any, err error) error {
	if err != nil {
		return keyFault(err)
	}
	writeJSON(w, http.StatusOK, v)
	return nil
}

func realmOf(r *http.Request) string { return r.URL.Query().Get("realm") }

// KeyList is the register.
type KeyList struct {
	Keys   []keys.Key `json:"keys"`
	Policy KeyPolicy  `json:"policy"`
}

// KeyPolicy is the policy and who set it.
type KeyPolicy struct {
	reference.KeyPolicy
	Set *keys.Act `json:"set,omitempty"` // missing: nobody has, and nothing is asked
}

func (a *API) policy(r *http.Request) (KeyPolicy, error) {
	p, by, err := a.cfg.Keys.Policy(r.Context())
	out := KeyPolicy{KeyPolicy: p}
	if by != (keys.Act{}) {
		out.Set = &by
	}
	return out, err
}

func (a *API) getKeys(w http.ResponseWriter, r *http.Request) error {
	list, err := a.cfg.Keys.Keys(r.Context())
	if err != nil {
		return keyFault(err)
	}
	p, err := a.policy(r)
	return answerKeys(w, KeyList{list, p}, err)
}

func (a *API) postKey(w http.ResponseWriter, r *http.Request) error {
	var in keys.Spec
	if err := readBody(w, r, maxKeyBody, &in); err != nil {
		return err
	}
	key, err := a.cfg.Keys.Add(r.Context(), whoOf(r).Name, in)
	return answerKeys(w, key, err)
}

// KeySetSpec is a key set whose keys are to be registered.
type KeySetSpec struct {
	Set   string `json:"jwks"`
	Realm string `json:"realm,omitempty"`
	Use   string `json:"use,omitempty"`
	Owner string `json:"owner,omitempty"`
	Note  string `json:"note,omitempty"`
}

func (a *API) postKeySet(w http.ResponseWriter, r *http.Request) error {
	var in KeySetSpec
	if err := readBody(w, r, maxKeyBody, &in); err != nil {
		return err
	}
	list, err := a.cfg.Keys.Import(r.Context(), whoOf(r).Name, in.Set, keys.Spec{Realm: in.Realm, Use: in.Use, Owner: in.Owner, Note: in.Note})
	return answerKeys(w, map[string]any{"keys": list}, err)
}

func (a *API) getKey(w http.ResponseWriter, r *http.Request) error {
	key, err := a.cfg.Keys.Key(r.Context(), realmOf(r), r.PathValue("id"))
	return answerKeys(w, key, err)
}

// changeKey makes a handler of what is done to a key.
func changeKey(do func(k *keys.Keeper, ctx context.Context, who, realm, name string, c keys.Change) (keys.Key, error)) func(*API, http.ResponseWriter, *http.Request) error {
	return func(a *API, w http.ResponseWriter, r *http.Request) error {
		var in keys.Change
		if err := readBody(w, r, maxKeyBody, &in); err != nil {
			return err
		}
		key, err := do(a.cfg.Keys, r.Context(), whoOf(r).Name, realmOf(r), r.PathValue("id"), in)
		return answerKeys(w, key, err)
	}
}

// defaultDays is how far a preview looks back for sessions in use.
const defaultDays = 7

func (a *API) getKill(w http.ResponseWriter, r *http.Request) error {
	days := defaultDays
	if s := r.URL.Query().Get("days"); s != "" {
		var err error
		if days, err = strconv.Atoi(s); err != nil {
			return invalid("give 1 to 3650", "days: it is no number")
		}
	}
	if err := a.note(r, whosaw.Reference{Kind: "key_preview", Of: r.PathValue("id"), Person: whoOf(r).Name}); err != nil {
		return err
	}
	p, err := a.cfg.Keys.Preview(r.Context(), realmOf(r), r.PathValue("id"), days)
	return answerKeys(w, p, err)
}

// Killed is the answer to a kill.
type Killed struct {
	Key    keys.Key `json:"key"`
	MaxAge int64    `json:"max_age"` // seconds until whoever asks for the key set has heard of it
	Says   string   `json:"says"`
}

func (a *API) postKill(w http.ResponseWriter, r *http.Request) error {
	var in keys.Change
	if err := readBody(w, r, maxKeyBody, &in); err != nil {
		return err
	}
	key, err := a.cfg.Keys.Kill(r.Context(), whoOf(r).Name, realmOf(r), r.PathValue("id"), in)
	if err != nil {
		return keyFault(err)
	}
	says := "Doors that ask the guard refuse it now. Gateways that take the key set from here let go of it within " +
		strconv.Itoa(int(keys.MaxAge.Seconds())) + " seconds; those that have the key from elsewhere do not hear of it."
	if !a.cfg.Keys.Guarded() {
		says = "No guard runs here. " + says[len("Doors that ask the guard refuse it now. "):]
	}
	a.cfg.Logger.Warn("a signing key was killed", "who", whoOf(r).Name)
	writeJSON(w, http.StatusOK, Killed{key, int64(keys.MaxAge.Seconds()), says})
	return nil
}

// DenyForged is the narrower cut: never-issued credentials of a key are refused.
type DenyForged struct {
	Reason string      `json:"reason"`
	Until  whosaw.Time `json:"until,omitzero"` // missing: for thirty days
}

func (a *API) postDenyForged(w http.ResponseWriter, r *http.Request) error {
	var in DenyForged
	if err := readBody(w, r, maxKeyBody, &in); err != nil {
		return err
	}
	decision, err := a.cfg.Keys.DenyForged(r.Context(), whoOf(r).Name, realmOf(r), r.PathValue("id"), in.Until, in.Reason)
	return answerKeys(w, map[string]string{"decision": decision}, err)
}

func (a *API) getKeyPolicy(w http.ResponseWriter, r *http.Request) error {
	p, err := a.policy(r)
	return answerKeys(w, p, err)
}

// PolicySpec is a policy to be set.
type PolicySpec struct {
	reference.KeyPolicy
	Reason string `json:"reason"`
}

func (a *API) putKeyPolicy(w http.ResponseWriter, r *http.Request) error {
	var in PolicySpec
	if err := readBody(w, r, maxKeyBody, &in); err != nil {
		return err
	}
	if err := a.cfg.Keys.SetPolicy(r.Context(), whoOf(r).Name, in.KeyPolicy, in.Reason); err != nil {
		return keyFault(err)
	}
	return a.getKeyPolicy(w, r)
}

func (a *API) getPeople(w http.ResponseWriter, r *http.Request) error {
	list, err := a.cfg.Keys.People(r.Context())
	return answerKeys(w, map[string]any{"people": list}, err)
}

// PeopleSpec says of people who they are and whether they have left.
type PeopleSpec struct {
	People []keys.PersonSpec `json:"people"`
}

func (a *API) postPeople(w http.ResponseWriter, r *http.Request) error {
	var in PeopleSpec
	if err := readBody(w, r, maxKeyBody, &in); err != nil {
		return err
	}
	list, err := a.cfg.Keys.SetPeople(r.Context(), whoOf(r).Name, in.People)
	return answerKeys(w, map[string]any{"people": list}, err)
}

func (a *API) getOffboardings(w http.ResponseWriter, r *http.Request) error {
	list, err := a.cfg.Keys.Offboardings(r.Context())
	if list == nil {
		list = []keys.Offboarding{}
	}
	return answerKeys(w, map[string]any{"offboardings": list}, err)
}

func (a *API) getOffboarding(w http.ResponseWriter, r *http.Request) error {
	if err := a.note(r, whosaw.Reference{Kind: "offboarding_shown", Of: r.PathValue("name"), Person: whoOf(r).Name}); err != nil {
		return err
	}
	o, err := a.cfg.Keys.Offboarding(r.Context(), realmOf(r), r.PathValue("name"))
	return answerKeys(w, o, err)
}

// WorkSpec says what is done about an offboarding, and why.
type WorkSpec struct {
	Reason string   `json:"reason"`
	Items  []string `json:"items,omitempty"` // of revoke; missing: all that are not done
}

func (a *API) postRevoke(w http.ResponseWriter, r *http.Request) error {
	var in WorkSpec
	if err := readBody(w, r, maxKeyBody, &in); err != nil {
		return err
	}
	o, err := a.cfg.Keys.Revoke(r.Context(), whoOf(r).Name, realmOf(r), r.PathValue("name"), in.Items, in.Reason)
	return answerKeys(w, o, err)
}

func (a *API) postClose(w http.ResponseWriter, r *http.Request) error {
	var in WorkSpec
	if err := readBody(w, r, maxKeyBody, &in); err != nil {
		return err
	}
	o, err := a.cfg.Keys.Close(r.Context(), whoOf(r).Name, realmOf(r), r.PathValue("name"), in.Reason)
	return answerKeys(w, o, err)
}

// getKeySet serves the public keys to gateways. They are public; whoever asks need not be known.
func (a *API) getKeySet(w http.ResponseWriter, r *http.Request) error {
	set, err := a.cfg.Keys.KeySet(r.Context(), realmOf(r))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(keys.MaxAge.Seconds()))+", must-revalidate")
	h.Set("ETag", set.ETag)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Header.Get("If-None-Match") == set.ETag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	_, _ = w.Write(set.Body) // whoever asked has gone
	return nil
}
