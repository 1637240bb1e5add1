package console

import (
	"errors"
	"net/http"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// serverPage is what server.html shows.
type serverPage struct {
	*frame
	Status api.Status
	URL    string
	First  bool // nothing has come in
	Types  []string
	Made   *api.NewToken
	Fault  string
}

// server says how the server is, and makes tokens for senders.
func (c *Console) server(w http.ResponseWriter, r *http.Request, who api.Who) error {
	return c.showServer(w, r, who, nil, "")
}

func (c *Console) showServer(w http.ResponseWriter, r *http.Request, who api.Who, made *api.NewToken, fault string) error {
	p := &serverPage{frame: c.frame(r, who, "server", "title.server"), URL: c.cfg.URL, Types: pipeline.AllTypes.Names(), Made: made, Fault: fault}
	p.Path = "/server"
	var err error
	if p.Status, err = c.cfg.API.Status(r.Context()); err != nil {
		return err
	}
	p.First = p.Status.Ledger.Accesses == 0
	if p.Sub = p.Rich("server.sub", p.Status.Version, p.Full(int64(p.Status.Began))); p.First {
		p.Sub = p.Rich("server.nothing")
	}
	c.page(w, r, "server.html", p, http.StatusOK)
	return nil
}

func (c *Console) token(w http.ResponseWriter, r *http.Request, who api.Who) error {
	if err := r.ParseForm(); err != nil {
		return badForm
	}
	made, err := c.cfg.API.MakeToken(r.Context(), who, api.TokenSpec{Name: r.PostFormValue("name"), Types: r.PostForm["type"]})
	if err != nil {
		var e *api.Error
		var spec *auth.BadSpec
		if errors.As(err, &spec) || errors.As(err, &e) {
			return c.showServer(w, r, who, nil, err.Error())
		}
		return err
	}
	return c.showServer(w, r, who, &made, "")
}

var badForm = &api.Error{Status: http.StatusBadRequest, Code: api.CodeInvalid, Says: "the form cannot be read", Cure: "go back and send it again"}
