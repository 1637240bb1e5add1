package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/keys"
)

// keysPage is what keys.html shows.
type keysPage struct {
	*frame
	Rows   []keyRow
	People []personRow
	Off    []offRow
}

type keyRow struct {
	Name, Path, Realm, Use, Owner, State, Since string
	Readers                                     []readerView
	Breaches, Due                               []string
	Bad                                         bool
}

// readerView is somebody who could read a key. Who is said to could is told apart from who did.
type readerView struct {
	Who, Says string
	Left      bool
	Read      bool // an audit log says so
}

type personRow struct {
	Name, State, Since string
	Keys               string
	Left               bool
}

type offRow struct {
	ID, Person, State, Left string
	Open                    int
	Overdue                 bool
}

// keyFault says what an error of the keeper is for who looks.
func keyFault(err error) error {
	var f *keys.Fault
	if !errors.As(err, &f) {
		return err
	}
	e := &api.Error{Status: http.StatusBadRequest, Code: api.CodeInvalid, Says: f.Says, Cure: f.Cure}
	switch {
	case f.Missing:
		e.Status, e.Code = http.StatusNotFound, api.CodeNotFound
	case f.Conflict:
		e.Status, e.Code = http.StatusConflict, api.CodeConflict
	}
	return e
}

func keyPath(realm, name string) string {
	p := "/keys/key?id=" + url.QueryEscape(name)
	if realm != "" {
		p += "&realm=" + url.QueryEscape(realm)
	}
	return p
}

func (f *frame) keyRow(k *keys.Key) keyRow {
	r := keyRow{Name: k.Key, Path: keyPath(k.Realm, k.Key), Realm: k.Realm, Use: k.Use, Owner: k.Owner, State: f.T("key." + k.State), Bad: len(k.Breaches) > 0}
	if k.Since != 0 {
		r.Since = f.Day(int64(k.Since))
	}
	for i := range k.Readers {
		r.Readers = append(r.Readers, f.reader(&k.Readers[i]))
	}
	for _, b := range k.Breaches {
		r.Breaches = append(r.Breaches, f.T("breach."+string(b.Kind), safe(b.Person)))
	}
	for _, b := range k.Due {
		r.Due = append(r.Due, f.Day(b.At)+": "+f.T("breach."+string(b.Kind), safe(b.Person)))
	}
	return r
}

func (f *frame) reader(x *keys.Reader) readerView {
	v := readerView{Who: safe(x.Who), Left: x.Left != 0, Read: x.Read != 0}
	var says []string
	if x.Read != 0 {
		says = append(says, f.N("reader.read", x.Times, f.Short(int64(x.Last))))
	}
	if x.Exported != 0 {
		says = append(says, f.N("reader.exported", x.Exported))
	}
	if x.Typed != 0 {
		says = append(says, f.T("reader.typed", f.Day(int64(x.Typed))))
	}
	if x.Read == 0 && x.Typed == 0 {
		says = append(says, f.T("reader.used"))
	}
	if x.Left != 0 {
		says = append(says, f.T("reader.left", f.Day(int64(x.Left))))
	}
	v.Says = strings.Join(says, "; ")
	return v
}

// keysShown is the register of keys, the people, and the offboardings.
func (c *Console) keysShown(w http.ResponseWriter, r *http.Request, who api.Who) error {
	ctx := r.Context()
	p := &keysPage{frame: c.frame(r, who, "keys", "title.keys")}
	if err := c.cfg.API.Note(ctx, who, whosaw.Reference{Kind: "keys_shown", Person: who.Name}); err != nil {
		return err
	}
	list, err := c.cfg.Keys.Keys(ctx)
	if err != nil {
		return keyFault(err)
	}
	bad := 0
	for i := range list {
		row := p.keyRow(&list[i])
		if row.Bad {
			bad++
		}
		p.Rows = append(p.Rows, row)
	}
	slices.SortStableFunc(p.Rows, func(a, b keyRow) int { return b2i(b.Bad) - b2i(a.Bad) })
	people, err := c.cfg.Keys.People(ctx)
	if err != nil {
		return keyFault(err)
	}
	for _, x := range people {
		row := personRow{Name: x.Person, State: p.T("person." + x.State), Keys: strings.Join(x.Keys, ", "), Left: x.State == "left"}
		if x.Since != 0 {
			row.Since = p.Day(int64(x.Since))
		}
		p.People = append(p.People, row)
	}
	slices.SortStableFunc(p.People, func(a, b personRow) int { return b2i(b.Left) - b2i(a.Left) })
	offs, err := c.cfg.Keys.Offboardings(ctx)
	if err != nil {
		return keyFault(err)
	}
	for _, o := range offs {
		p.Off = append(p.Off, offRow{ID: o.ID, Person: o.Person, State: p.T("off." + o.State), Left: p.Day(int64(o.Left)), Open: o.Open, Overdue: o.Overdue})
	}
	policy, _, err := c.cfg.Keys.Policy(ctx)
	if err != nil {
		return keyFault(err)
	}
	if p.Sub = p.NRich("keys.sub", int64(len(list)), figure.Int(int64(bad))); !policy.Asks() {
		p.Sub = p.NRich("keys.subnone", int64(len(list)))
	}
	c.page(w, r, "keys.html", p, http.StatusOK)
	return nil
}

// keyPage is what key.html shows.
type keyPage struct {
	*frame
	Row     keyRow
	Key     string
	Realm   string
	Dead    bool
	Guarded bool
	History []deed
	Preview *previewView
}

// previewView says whom a kill would log out.
type previewView struct {
	Sessions, Principals, Never, Unknown, Accesses, Share, Expired string
	Feed                                                           bool
	Programs                                                       string
	Classes                                                        []string
	Kill                                                           string
}

const killDays = 7

// key is one key: who could read it, what was done with it, and whom its end would log out.
func (c *Console) key(w http.ResponseWriter, r *http.Request, who api.Who) error {
	id, realm := r.URL.Query().Get("id"), r.URL.Query().Get("realm")
	k, err := c.cfg.Keys.Key(r.Context(), realm, id)
	if err != nil {
		return keyFault(err)
	}
	p := &keyPage{frame: c.frame(r, who, "keys", "title.keys"), Row: keyRow{}, Key: k.Key, Realm: k.Realm, Dead: k.State == "revoked", Guarded: c.cfg.Keys.Guarded()}
	p.Row = p.keyRow(&k)
	p.Path = keyPath(realm, id)
	p.Heading = p.T("key.heading", safe(k.Key))
	p.Sub = p.Rich("key.sub", p.Row.State, safe(k.Use))
	for _, e := range k.History {
		var parts []string
		readers := ""
		if len(e.Readers) > 0 {
			readers = p.T("key.couldread", strings.Join(e.Readers, ", "))
		}
		for _, part := range []string{e.State, e.Kind, readers, e.Who, e.Into, e.Note, e.Source} {
			if part != "" {
				parts = append(parts, safe(part))
			}
		}
		p.History = append(p.History, deed{p.Short(int64(e.At)), strings.Join(parts, " · ")})
	}
	slices.Reverse(p.History)
	c.page(w, r, "key.html", p, http.StatusOK)
	return nil
}

// keyPreview counts whom a kill would log out: it comes behind the page, and is recorded.
func (c *Console) keyPreview(w http.ResponseWriter, r *http.Request, who api.Who) error {
	id, realm := r.URL.Query().Get("id"), r.URL.Query().Get("realm")
	if err := c.cfg.API.Note(r.Context(), who, whosaw.Reference{Kind: "key_preview", Of: id, Person: who.Name}); err != nil {
		return err
	}
	x, err := c.cfg.Keys.Preview(r.Context(), realm, id, killDays)
	if err != nil {
		return keyFault(err)
	}
	p := &keyPage{frame: c.frame(r, who, "keys", "title.keys"), Key: id, Realm: realm, Guarded: c.cfg.Keys.Guarded()}
	v := &previewView{
		Sessions: figure.Int(x.Sessions), Principals: figure.Int(x.Principals), Never: figure.Int(x.Never), Unknown: figure.Int(x.Unknown), Accesses: figure.Int(x.Accesses),
		Expired: figure.Int(x.Expired), Share: decimal(100 * x.Share), Feed: x.Feed, Kill: p.T("key.killgo", figure.Int(x.Sessions)),
	}
	var programs []string
	for _, name := range x.Programs[:min(8, len(x.Programs))] {
		programs = append(programs, safe(name))
	}
	v.Programs = strings.Join(programs, ", ")
	p.Preview = v
	c.page(w, r, "keypreview.html", p, http.StatusOK)
	return nil
}

// keyAct ends a key, or only what was never issued under it.
func (c *Console) keyAct(w http.ResponseWriter, r *http.Request, who api.Who) error {
	id, realm, reason := r.PostFormValue("id"), r.PostFormValue("realm"), strings.TrimSpace(r.PostFormValue("reason"))
	var err error
	switch r.PostFormValue("do") {
	case "kill":
		_, err = c.cfg.Keys.Kill(r.Context(), who.Name, realm, id, keys.Change{Reason: reason})
	case "forged":
		_, err = c.cfg.Keys.DenyForged(r.Context(), who.Name, realm, id, 0, reason)
	case "revive":
		_, err = c.cfg.Keys.Revive(r.Context(), who.Name, realm, id, keys.Change{Reason: reason})
	default:
		return api.Invalid("nothing was chosen", "choose what is to be done")
	}
	if err != nil {
		return keyFault(err)
	}
	return back(w, r, keyPath(realm, id))
}

// offPage is what offboarding.html shows.
type offPage struct {
	*frame
	ID, Person string
	Items      []itemRow
	Closed     string
	Todo       bool
}

type itemRow struct {
	Item, Why, How, Tried string
	Done, Refused         bool
}

// offboarding finds one by its id, which names nobody.
func (c *Console) offboarding(r *http.Request) (keys.Offboarding, error) {
	list, err := c.cfg.Keys.Offboardings(r.Context())
	if err != nil {
		return keys.Offboarding{}, keyFault(err)
	}
	for _, o := range list {
		if o.ID == r.PathValue("id") {
			o, err := c.cfg.Keys.Offboarding(r.Context(), o.Realm, o.Person)
			return o, keyFault(err)
		}
	}
	return keys.Offboarding{}, errGone
}

func (c *Console) offboardingShown(w http.ResponseWriter, r *http.Request, who api.Who) error {
	o, err := c.offboarding(r)
	if err != nil {
		return err
	}
	if err := c.cfg.API.Note(r.Context(), who, whosaw.Reference{Kind: "offboarding_shown", Of: o.Person, Person: who.Name}); err != nil {
		return err
	}
	p := &offPage{frame: c.frame(r, who, "keys", "title.keys"), ID: o.ID, Person: o.Person}
	p.Heading = p.T("off.heading", safe(o.Person))
	p.Sub = p.Rich("off.sub", p.Day(int64(o.Left)), p.Full(int64(o.Due)))
	for _, i := range o.Items {
		row := itemRow{Item: safe(i.Item), Why: safe(i.Why), How: safe(i.How), Done: i.Done}
		if i.Tried != nil {
			row.Tried, row.Refused = safe(i.Tried.Says), i.Tried.Refused
		}
		p.Items = append(p.Items, row)
		p.Todo = p.Todo || !i.Done
	}
	if o.Closed != nil {
		p.Closed = p.T("off.isclosed")
	}
	c.page(w, r, "offboarding.html", p, http.StatusOK)
	return nil
}

// offboardingAct revokes what is left of a leaver, or closes once everything was seen refused.
func (c *Console) offboardingAct(w http.ResponseWriter, r *http.Request, who api.Who) error {
	o, err := c.offboarding(r)
	if err != nil {
		return err
	}
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	if r.PostFormValue("do") == "close" {
		_, err = c.cfg.Keys.Close(r.Context(), who.Name, o.Realm, o.Person, reason)
	} else {
		_, err = c.cfg.Keys.Revoke(r.Context(), who.Name, o.Realm, o.Person, nil, reason)
	}
	if err != nil {
		return keyFault(err)
	}
	return back(w, r, "/keys/offboarding/"+o.ID)
}
