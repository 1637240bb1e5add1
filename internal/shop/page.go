package shop

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func (s *Shop) customerPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.getHome)
	mux.HandleFunc("GET /search", s.getHome)
	mux.HandleFunc("GET /products/{product}", s.getProduct)
	mux.HandleFunc("GET /login", s.getLogin)
	mux.HandleFunc("POST /login", s.postLogin)
	mux.HandleFunc("POST /logout", s.postLogout)
	mux.HandleFunc("GET /signup", s.getSignUp)
	mux.HandleFunc("POST /signup", s.postSignUp)
	mux.HandleFunc("GET /me", s.customers(s.getProfile))
	mux.HandleFunc("GET /me/addresses", s.customers(s.getAddresses))
	mux.HandleFunc("GET /me/addresses/{id}/edit", s.customers(s.getEdit))
	mux.HandleFunc("POST /me/addresses/{id}", s.customers(s.postEdit))
	mux.HandleFunc("GET /me/orders", s.customers(s.getOrders))
	mux.HandleFunc("POST /orders", s.customers(s.postOrder))
	mux.HandleFunc("GET /me/codes", s.customers(s.getCodes))
	mux.HandleFunc("GET /me/withdraw", s.customers(s.getWithdraw))
	mux.HandleFunc("POST /me/withdraw", s.customers(s.postWithdraw))
	mux.HandleFunc("GET /help", s.customers(s.getHelp))
	mux.HandleFunc("POST /help", s.customers(s.postHelp))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.trouble(w, r, errNone) })
}

// customers lets in whoever has a token of a customer who exists. That the token was ever issued is not asked: see check.
func (s *Shop) customers(next func(http.ResponseWriter, *http.Request, *customer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, ok := s.session(r, Issuer)
		if !ok {
			s.toLogin(w, r, "/login")
			return
		}
		c, err := s.of(r, u.Subject)
		if err != nil {
			s.trouble(w, r, err)
			return
		}
		next(w, r, c)
	}
}

func (s *Shop) of(r *http.Request, subject string) (*customer, error) {
	number, err := strconv.ParseInt(subject, 10, 64)
	if err != nil || strconv.FormatInt(number, 10) != subject {
		return nil, fmt.Errorf("find the customer: %w", errNone)
	}
	return s.db.byNumber(r.Context(), number)
}

// toLogin sends a person to the log-in, and back afterwards; a program is told 401.
func (s *Shop) toLogin(w http.ResponseWriter, r *http.Request, login string) {
	if r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		s.sorry(w, r, http.StatusUnauthorized, "Please log in", "This page is for people who are logged in.", "")
		return
	}
	http.Redirect(w, r, login+"?next="+url.QueryEscape(r.URL.Path), http.StatusSeeOther)
}

type homePage struct {
	Query    string
	Products []product
}

func (s *Shop) getHome(w http.ResponseWriter, r *http.Request) {
	p := homePage{Query: r.URL.Query().Get("q")}
	for _, x := range products {
		if strings.Contains(strings.ToLower(x.Name+" "+x.Says), strings.ToLower(strings.TrimSpace(p.Query))) {
			p.Products = append(p.Products, x)
		}
	}
	_, in := s.session(r, Issuer)
	s.render(w, r, http.StatusOK, "home", view{Title: "Good things for every day", In: in, Page: p})
}

func (s *Shop) getProduct(w http.ResponseWriter, r *http.Request) {
	p, ok := productOf(r.PathValue("product"))
	if !ok {
		s.trouble(w, r, errNone)
		return
	}
	_, in := s.session(r, Issuer)
	s.render(w, r, http.StatusOK, "product", view{Title: p.Name, In: in, Page: p})
}

func productOf(text string) (product, bool) {
	id, err := strconv.Atoi(text)
	if err != nil || id < 1 || id > len(products) {
		return product{}, false
	}
	return products[id-1], true
}

type loginPage struct{ Next, Wrong string }

func (s *Shop) getLogin(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "login", view{Title: "Log in", Page: loginPage{Next: r.URL.Query().Get("next")}})
}

// errWrong is a log-in that is not right. Which half is wrong nobody is told.
var errWrong = errors.New("mail address and password do not fit")

// right checks a password against the one that is kept of an account. found is the error of looking for the account: where there is none, checking takes
// as long, and nothing is right.
func (s *Shop) right(account, kept, password string, found error) error {
	now := s.cfg.Now()
	switch {
	case errors.Is(found, errNone):
		kept = nobody()
	case found != nil:
		return found
	}
	if !s.tries.take(account, now) {
		return errTries
	}
	ok, err := matches(kept, password)
	if err == nil && (!ok || found != nil) {
		return errWrong
	}
	s.tries.back(account)
	return err
}

// logIn checks a mail address and a password.
func (s *Shop) logIn(r *http.Request, email, password string) (*customer, error) {
	c, err := s.db.byEmail(r.Context(), strings.ToLower(strings.TrimSpace(email)))
	if err := s.right(email, c.Password, password, err); err != nil {
		return nil, err
	}
	return c, s.db.loggedIn(r.Context(), c.Number, s.cfg.Now().UnixMilli())
}

func (s *Shop) postLogin(w http.ResponseWriter, r *http.Request) {
	next := r.FormValue("next")
	c, err := s.logIn(r, r.FormValue("email"), r.FormValue("password"))
	if status, says := notIn(err); status != 0 {
		s.render(w, r, status, "login", view{Title: "Log in", Page: loginPage{next, says}})
		return
	}
	if err == nil {
		err = s.enter(w, r, Issuer, subjectID(c.Number))
	}
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	http.Redirect(w, r, safeNext(next, "/me"), http.StatusSeeOther)
}

// notIn is what somebody is told whose log-in failed; 0: it did not, or for a reason that is ours.
func notIn(err error) (int, string) {
	switch {
	case errors.Is(err, errWrong):
		return http.StatusUnauthorized, "That did not work: check what you typed."
	case errors.Is(err, errTries):
		return http.StatusTooManyRequests, "Too many tries. Please wait a quarter of an hour."
	}
	return 0, ""
}

// enter gives whoever logged in a token, in a cookie.
func (s *Shop) enter(w http.ResponseWriter, r *http.Request, issuer, subject string) error {
	client := "web"
	if issuer == DeskIssuer {
		client = "desk"
	}
	token, err := s.letIn(r, issuer, subject, client, s.address(r, 0))
	if err != nil {
		return err
	}
	s.setCookie(w, r, token, int(tokenLife/time.Second))
	return nil
}

func (s *Shop) postLogout(w http.ResponseWriter, r *http.Request) {
	s.setCookie(w, r, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

type profilePage struct{ Name, Email, Since string }

func (s *Shop) getProfile(w http.ResponseWriter, r *http.Request, c *customer) {
	var e exposure
	e.show("name", c.Name)
	e.show("email", c.Email)
	m, ok := s.declare(r, subjectID(c.Number), &e)
	if !ok {
		return
	}
	s.render(w, r, http.StatusOK, "profile", view{Title: "My page", In: true, Page: profilePage{
		masked(m, "name", c.Name), masked(m, "email", c.Email), time.UnixMilli(c.Joined).UTC().Format("January 2006"),
	}})
}

type addressesPage struct{ Addresses []address }

func (s *Shop) getAddresses(w http.ResponseWriter, r *http.Request, c *customer) {
	all, err := s.db.addresses(r.Context(), c.Number)
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	var e exposure
	for i := range all {
		all[i].expose(&e, false)
	}
	m, ok := s.declare(r, subjectID(c.Number), &e)
	if !ok {
		return
	}
	for i := range all {
		a := &all[i]
		a.Name, a.Phone, a.Line, a.DoorCode = masked(m, "name", a.Name), masked(m, "phone", a.Phone), masked(m, "address", a.Line), doorMasked(a.DoorCode)
	}
	s.render(w, r, http.StatusOK, "addresses", view{Title: "My addresses", In: true, Page: addressesPage{all}})
}

// expose says what an address shows, the door code in clear or masked.
func (a *address) expose(e *exposure, inClear bool) {
	e.show("name", a.Name)
	e.show("phone", a.Phone)
	e.show("address", a.Line)
	if inClear {
		e.show("door_code", a.DoorCode)
	} else {
		e.mask("door_code", a.DoorCode)
	}
	if a.Relation != "" {
		e.others++
	}
}

type editPage struct {
	Address address
	Wrong   string
}

// addressOf finds the address that the path names, if it is the customer's.
func (s *Shop) addressOf(r *http.Request, c *customer) (*address, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("find the address: %w", errNone)
	}
	return s.db.address(r.Context(), c.Number, id)
}

func (s *Shop) getEdit(w http.ResponseWriter, r *http.Request, c *customer) {
	a, err := s.addressOf(r, c)
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	s.showEdit(w, r, http.StatusOK, a, "")
}

func (s *Shop) showEdit(w http.ResponseWriter, r *http.Request, status int, a *address, wrong string) {
	var e exposure
	a.expose(&e, true)
	m, ok := s.declare(r, subjectID(a.Customer), &e)
	if !ok {
		return
	}
	a.Name, a.Phone, a.Line, a.DoorCode = masked(m, "name", a.Name), masked(m, "phone", a.Phone), masked(m, "address", a.Line), masked(m, "door_code", a.DoorCode)
	s.render(w, r, status, "edit", view{Title: "Edit address", In: true, Page: editPage{*a, wrong}})
}

// Bounds of what is typed, in characters.
const (
	maxShort = 80
	maxLong  = 200
)

// typed takes a text of a form as it came, but for the blanks around it. false: it is too long, empty where it must not be, or no text.
func typed(text string, most int, must bool) (string, bool) {
	text = strings.TrimSpace(text)
	return text, utf8.ValidString(text) && !strings.ContainsRune(text, 0) && utf8.RuneCountInString(text) <= most && (text != "" || !must)
}

// fill takes an address from a form. A value that came masked and comes back so leaves what is there: else a mask would become somebody's address.
func (a *address) fill(value func(string) string) bool {
	good := true
	for _, x := range []struct {
		field string
		into  *string
		most  int
		must  bool
	}{{"name", &a.Name, maxShort, true}, {"phone", &a.Phone, maxShort, false}, {"address", &a.Line, maxLong, true}, {"door_code", &a.DoorCode, maxShort, false}} {
		text, ok := typed(value(x.field), x.most, x.must)
		good = good && ok
		if *x.into == "" || text != maskedInJSON && text != hide(x.field, *x.into) {
			*x.into = text
		}
	}
	return good
}

// maskedInJSON is what `whosaw proxy` puts in the place of a text.
const maskedInJSON = "****"

const badForm = "A name and an address are needed, each at most some lines long."

func (s *Shop) postEdit(w http.ResponseWriter, r *http.Request, c *customer) {
	a, err := s.addressOf(r, c)
	if err == nil {
		was := *a
		if !a.fill(r.FormValue) {
			s.showEdit(w, r, http.StatusUnprocessableEntity, &was, badForm)
			return
		}
		err = s.db.saveAddress(r.Context(), a)
	}
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	http.Redirect(w, r, "/me/addresses", http.StatusSeeOther)
}

type ordersPage struct{ Orders []orderLine }

type orderLine struct{ Placed, Items, Won string }

func (s *Shop) getOrders(w http.ResponseWriter, r *http.Request, c *customer) {
	all, err := s.db.orders(r.Context(), c.Number)
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	var e exposure
	for i := range all {
		e.show("order_history", all[i].Items)
	}
	m, ok := s.declare(r, subjectID(c.Number), &e)
	if !ok {
		return
	}
	p := ordersPage{}
	for _, o := range all {
		line := orderLine{time.UnixMilli(o.Placed).UTC().Format("2 January 2006"), o.Items, won(o.Won)}
		if m.Has("order_history") {
			line = orderLine{"***", "***", "***"}
		}
		p.Orders = append(p.Orders, line)
	}
	s.render(w, r, http.StatusOK, "orders", view{Title: "My orders", In: true, Page: p})
}

func (s *Shop) postOrder(w http.ResponseWriter, r *http.Request, c *customer) {
	p, ok := productOf(r.FormValue("product"))
	if !ok {
		s.trouble(w, r, errNone)
		return
	}
	if err := s.db.addOrder(r.Context(), &order{Customer: c.Number, Placed: s.cfg.Now().UnixMilli(), Items: "1 × " + p.Name, Won: p.Won}); err != nil {
		s.trouble(w, r, err)
		return
	}
	http.Redirect(w, r, "/me/orders", http.StatusSeeOther)
}

func (s *Shop) getWithdraw(w http.ResponseWriter, r *http.Request, _ *customer) {
	s.render(w, r, http.StatusOK, "withdraw", view{Title: "Close my account", In: true})
}

func (s *Shop) postWithdraw(w http.ResponseWriter, r *http.Request, c *customer) {
	now := s.cfg.Now().UnixMilli()
	if err := s.db.withdraw(r.Context(), c.Number, now); err != nil {
		s.trouble(w, r, err)
		return
	}
	s.tell.tell(r.Context(), subjectRecord(c.Number, stateWithdrawn, now, 0, now))
	s.setCookie(w, r, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

type signUpPage struct {
	Wrong string
	Typed func(string) string // what was typed before, so that nobody types it again
}

func (s *Shop) getSignUp(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "signup", view{Title: "Sign up", Page: signUpPage{Typed: func(string) string { return "" }}})
}

const shortestPassword = 10

func (s *Shop) postSignUp(w http.ResponseWriter, r *http.Request) {
	again := func(status int, says string) {
		s.render(w, r, status, "signup", view{Title: "Sign up", Page: signUpPage{says, r.FormValue}})
	}
	var a address
	email, ok := typed(strings.ToLower(r.FormValue("email")), maxShort, true)
	password := r.FormValue("password")
	switch {
	case !a.fill(r.FormValue):
		again(http.StatusUnprocessableEntity, badForm)
		return
	case !ok || strings.Count(email, "@") != 1 || strings.ContainsAny(email, " \t\r\n<>"):
		again(http.StatusUnprocessableEntity, "That is no mail address.")
		return
	case utf8.RuneCountInString(password) < shortestPassword || len(password) > 1000:
		again(http.StatusUnprocessableEntity, fmt.Sprintf("Choose a password of %d characters or more.", shortestPassword))
		return
	}
	hash, err := hashSlow(password)
	now := s.cfg.Now().UnixMilli()
	c := &customer{Name: a.Name, Email: email, Phone: a.Phone, Password: hash, Joined: now, LastLogin: now}
	taken := false
	if err == nil {
		taken, err = s.db.signUp(r.Context(), c, &a)
	}
	switch {
	case err != nil:
		s.trouble(w, r, err)
		return
	case taken:
		again(http.StatusConflict, "This mail address has an account: log in with it.")
		return
	}
	s.tell.tell(r.Context(), subjectRecord(c.Number, stateActive, now, now, now))
	if err := s.enter(w, r, Issuer, subjectID(c.Number)); err != nil {
		s.trouble(w, r, err)
		return
	}
	http.Redirect(w, r, "/me", http.StatusSeeOther)
}

type helpPage struct {
	Topics []string
	Ticket string
}

func (s *Shop) getHelp(w http.ResponseWriter, r *http.Request, _ *customer) {
	p := helpPage{Topics: topics}
	if n, ok := ticketNumber(r.URL.Query().Get("ticket")); ok {
		p.Ticket = (&ticket{Number: n}).name()
	}
	s.render(w, r, http.StatusOK, "help", view{Title: "Help", In: true, Page: p})
}

func (s *Shop) postHelp(w http.ResponseWriter, r *http.Request, c *customer) {
	topic, ok := typed(r.FormValue("topic"), maxShort, true)
	if !ok {
		topic = topics[0]
	}
	agents, err := s.db.agents(r.Context())
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	name, err := s.openTicket(r.Context(), c.Number, agents[int(c.Number)%len(agents)], topic)
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	http.Redirect(w, r, "/help?ticket="+url.QueryEscape(name), http.StatusSeeOther)
}

// won writes an amount: ₩14,900.
func won(n int64) string {
	t := strconv.FormatInt(n, 10)
	for i := len(t) - 3; i > 0; i -= 3 {
		t = t[:i] + "," + t[i:]
	}
	return "₩" + t
}

// Price is how a price stands on a page.
func (p product) Price() string { return won(p.Won) }
