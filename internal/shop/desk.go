package shop

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func (s *Shop) deskPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /desk/login", s.getDeskLogin)
	mux.HandleFunc("POST /desk/login", s.postDeskLogin)
	mux.HandleFunc("POST /desk/logout", s.postDeskLogout)
	mux.HandleFunc("GET /desk", s.agents(s.getDesk))
	mux.HandleFunc("POST /desk/find", s.agents(s.postFind))
	mux.HandleFunc("GET /desk/customers/{customer}", s.agents(s.getCustomer))
}

func (t *ticket) name() string { return "T-" + strconv.FormatInt(100_000+t.Number, 10) }

// ticketNumber reads what name wrote.
func ticketNumber(text string) (int64, bool) {
	digits, ok := strings.CutPrefix(strings.ToUpper(strings.TrimSpace(text)), "T-")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n - 100_000, ok && err == nil && n > 100_000
}

// agents lets in whoever has a token of an agent.
func (s *Shop) agents(next func(http.ResponseWriter, *http.Request, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, ok := s.session(r, DeskIssuer)
		if !ok {
			s.toLogin(w, r, "/desk/login")
			return
		}
		if _, err := s.db.agent(r.Context(), u.Subject); err != nil {
			s.trouble(w, r, err)
			return
		}
		next(w, r, u.Subject)
	}
}

func (s *Shop) getDeskLogin(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "desklogin", view{Title: "Desk log-in", Desk: true, Page: loginPage{Next: r.URL.Query().Get("next")}})
}

func (s *Shop) postDeskLogin(w http.ResponseWriter, r *http.Request) {
	id, next := strings.ToLower(strings.TrimSpace(r.FormValue("agent"))), r.FormValue("next")
	kept, err := s.db.agent(r.Context(), id)
	err = s.right("staff:"+id, kept, r.FormValue("password"), err)
	if status, says := notIn(err); status != 0 {
		s.render(w, r, status, "desklogin", view{Title: "Desk log-in", Desk: true, Page: loginPage{next, says}})
		return
	}
	if err == nil {
		err = s.enter(w, r, DeskIssuer, id)
	}
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	http.Redirect(w, r, safeNext(next, "/desk"), http.StatusSeeOther)
}

func (s *Shop) postDeskLogout(w http.ResponseWriter, r *http.Request) {
	s.setCookie(w, r, "", -1)
	http.Redirect(w, r, "/desk/login", http.StatusSeeOther)
}

type deskPage struct {
	Tickets []deskTicket
	Wrong   string
}

type deskTicket struct{ Name, Topic, Until string }

func (s *Shop) getDesk(w http.ResponseWriter, r *http.Request, agent string) {
	s.showDesk(w, r, http.StatusOK, agent, "")
}

func (s *Shop) showDesk(w http.ResponseWriter, r *http.Request, status int, agent, wrong string) {
	open, err := s.db.tickets(r.Context(), "agent = ? AND closes > ?", agent, s.cfg.Now().UnixMilli())
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	p := deskPage{Wrong: wrong}
	for i := range open {
		p.Tickets = append(p.Tickets, deskTicket{open[i].name(), open[i].Topic, time.UnixMilli(open[i].Closes).UTC().Format("15:04 UTC")})
	}
	s.render(w, r, status, "desk", view{Title: "Call centre", Desk: true, In: true, Page: p})
}

// postFind leads from a ticket to its customer. It takes a customer's number too, and asks no agent why: what that leads to is for whosaw to see.
func (s *Shop) postFind(w http.ResponseWriter, r *http.Request, agent string) {
	text := strings.TrimSpace(r.FormValue("find"))
	number, err := int64(0), error(nil)
	if n, ok := ticketNumber(text); ok {
		number, err = s.db.ticketCustomer(r.Context(), n)
	} else {
		number, err = strconv.ParseInt(text, 10, 64)
		if err != nil || number < 1 {
			err = errNone
		}
	}
	switch {
	case errors.Is(err, errNone):
		s.showDesk(w, r, http.StatusNotFound, agent, "There is no such ticket.")
	case err != nil:
		s.trouble(w, r, err)
	default:
		http.Redirect(w, r, fmt.Sprintf("/desk/customers/%d", number), http.StatusSeeOther)
	}
}

type deskCustomerPage struct {
	Number, Name, Email, Phone string
	Address                    *address
}

func (s *Shop) getCustomer(w http.ResponseWriter, r *http.Request, _ string) {
	c, err := s.of(r, r.PathValue("customer"))
	var own *address
	if err == nil {
		own, err = s.db.ownAddress(r.Context(), c.Number)
	}
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	var e exposure
	e.show("name", c.Name)
	e.show("email", c.Email)
	e.show("phone", c.Phone)
	if own != nil {
		own.expose(&e, false)
	}
	m, ok := s.declare(r, subjectID(c.Number), &e)
	if !ok {
		return
	}
	if own != nil {
		own.Name, own.Phone, own.Line, own.DoorCode = masked(m, "name", own.Name), masked(m, "phone", own.Phone), masked(m, "address", own.Line), doorMasked(own.DoorCode)
	}
	s.render(w, r, http.StatusOK, "deskcustomer", view{Title: "Customer", Desk: true, In: true, Page: deskCustomerPage{
		subjectID(c.Number), masked(m, "name", c.Name), masked(m, "email", c.Email), masked(m, "phone", c.Phone), own,
	}})
}
