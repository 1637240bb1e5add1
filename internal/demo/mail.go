package demo

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/notice"
)

// mailPath is the address of a mail. Who got it does not stand in it.
func mailPath(number int) string { return "/mail/" + strconv.Itoa(number) }

// mailView is a mail as its reader sees it, with what is known of the reader.
type mailView struct {
	console.Speech
	Theme           string
	None            string // what is said where there is no such mail
	Number          int
	To, From, Title string
	At, Signed      string
	Text            []string // the plain form
	In              string   // its language
	Page            string   // where the other form is
	Code            string
	Check           string // where the code is checked
	Facts           []fact
	Others          []way // other mails of the same reader
	Examples        []way
}

// letter gives the mail that a request asks for, and its world. nil: there is none, and the answer says so.
func (p *pages) letter(w http.ResponseWriter, r *http.Request) (*world, *letter) {
	at, _ := p.d.now()
	number, err := strconv.Atoi(r.PathValue("number"))
	if at == nil || err != nil {
		http.NotFound(w, r)
		return nil, nil
	}
	l, err := at.room.letter(number)
	if err != nil {
		p.mailFault(w, err)
		return nil, nil
	}
	if l == nil {
		http.NotFound(w, r)
	}
	return at, l
}

func (p *pages) mail(w http.ResponseWriter, r *http.Request) {
	world, l := p.letter(w, r)
	if l == nil {
		return
	}
	sp := p.words.Of(r)
	v := &mailView{
		Speech: sp, Theme: console.Theme(r), Number: l.number, To: l.to, From: console.Safe(l.from), Title: console.Safe(l.subject), At: world.moment(l.at), Signed: console.Safe(l.signed),
		Text: paragraphs(l.plain), In: l.lang, Code: l.code,
	}
	if l.page != "" {
		v.Page = mailPath(l.number) + "/page"
	}
	for _, n := range world.room.box(l.to) {
		if other, err := world.room.letter(n); err == nil && other != nil && n != l.number {
			v.Others = append(v.Others, way{mailPath(n), console.Safe(other.subject)})
		}
	}
	for _, x := range world.after().examples {
		v.Examples = append(v.Examples, way{mailPath(x.number), sp.T("mail." + x.kind)})
	}
	switch {
	case l.to == sampleMail:
		v.Code = "" // it is nobody's
		v.Facts = []fact{{Label: sp.T("mail.who"), Value: sp.T("mail.tester")}}
	case l.code != "":
		v.Check = world.noticeURL + "/notice?lang=" + sp.Lang() + "#" + l.code
		facts, err := world.reader(r.Context(), sp, l)
		if err != nil {
			p.mailFault(w, err)
			return
		}
		v.Facts = facts
	}
	p.showMail(w, v, http.StatusOK)
}

// reader is what is known of who got a notice: what the thief was shown of them, and what the notice is of.
func (w *world) reader(ctx context.Context, sp console.Speech, l *letter) ([]fact, error) {
	b := w.after()
	id, err := w.shop.CustomerOf(ctx, l.to)
	if err != nil || b.notice == nil {
		return nil, err
	}
	if id == "" {
		return []fact{{Label: sp.T("mail.who"), Value: sp.T("mail.inbook")}}, nil
	}
	facts := []fact{{Label: sp.T("mail.who"), Value: sp.T("mail.customer", id)}}
	names := func(fields []string) string {
		var out []string
		for _, f := range []string{"name", "email", "phone", "address", "door_code"} {
			if slices.Contains(fields, f) {
				out = append(out, sp.T("field."+f))
			}
		}
		return strings.Join(out, ", ")
	}
	var got struct {
		Fields  []string `json:"fields"`
		Outcome string   `json:"outcome"`
	}
	if err := w.call(ctx, officer, "POST", w.letters(b.notice)+"/person", notice.Person{ID: id}, &got); err != nil {
		return nil, err
	}
	return append(facts, fact{Label: sp.T("mail.thief"), Value: names(w.truth()[id])}, fact{Label: sp.T("mail.notice"), Value: names(got.Fields)},
		fact{Label: sp.T("mail.outcome"), Value: sp.T("outcome." + got.Outcome)}), nil
}

// mailForm is the form of a mail that a mail program shows. It is somebody's text: nothing in it may do anything.
func (p *pages) mailForm(w http.ResponseWriter, r *http.Request) {
	_, l := p.letter(w, r)
	if l == nil {
		return
	}
	if l.page == "" {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	_, _ = w.Write([]byte(l.page)) // whoever asked has gone
}

// findMail opens the newest mail of an address. The address stands in the form's body only.
func (p *pages) findMail(w http.ResponseWriter, r *http.Request) {
	world, _ := p.d.now()
	if world == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if box := world.room.box(r.PostFormValue("to")); len(box) > 0 {
		http.Redirect(w, r, mailPath(box[0]), http.StatusSeeOther)
		return
	}
	sp := p.words.Of(r)
	p.showMail(w, &mailView{Speech: sp, Theme: console.Theme(r), Title: sp.T("mail.none"), None: sp.T("mail.nonesays")}, http.StatusNotFound)
}

func (p *pages) showMail(w http.ResponseWriter, v *mailView, status int) {
	var out bytes.Buffer
	if err := p.templates.ExecuteTemplate(&out, "mail.html", v); err != nil {
		p.mailFault(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // whoever asked has gone
}

func (p *pages) mailFault(w http.ResponseWriter, err error) {
	p.d.cfg.Logger.Error("show a mail", "error", err)
	http.Error(w, "the mail could not be shown: the demo's log says why", http.StatusInternalServerError)
}
