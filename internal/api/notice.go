package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/scope"
)

// noticeRoutes are those of notices to people.
var noticeRoutes = []route{
	{"POST", "/v1/incidents/{id}/notices", admins, (*API).postNotice},
	{"GET", "/v1/notices", readers, (*API).getNotices},
	{"GET", "/v1/notices/{id}", readers, (*API).getNotice},
	{"POST", "/v1/notices/{id}/preview", readers, (*API).postPreview},
	{"POST", "/v1/notices/{id}/dry", admins, (*API).postDry},
	{"POST", "/v1/notices/{id}/approve", admins, (*API).postApprove},
	{"POST", "/v1/notices/{id}/send", admins, (*API).postSend},
	{"POST", "/v1/notices/{id}/acts", admins, (*API).postNoticeAct},
	{"POST", "/v1/notices/{id}/person", readers, (*API).postPerson},
	{"POST", "/v1/notices/{id}/export", admins, (*API).postExport},
}

func (a *API) noticeFault(err error) error {
	switch {
	case errors.Is(err, notice.ErrUnknown):
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: err.Error()}
	case errors.Is(err, notice.ErrInvalid):
		return invalid("", "%v", err)
	}
	return a.incidentFault(err)
}

func noticeNumber(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || n < 1 {
		return 0, &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: "there is no such notice", Cure: "give its number, as GET /v1/notices lists it"}
	}
	return n, nil
}

// NoticeSpec says who is to get a notice.
type NoticeSpec struct {
	Version int  `json:"version,omitempty"` // of the scope; missing: the last
	Since   int  `json:"since,omitempty"`   // leaves out whoever was in this earlier version with the same fields, or in an address book and told of the same
	Books   bool `json:"books,omitempty"`   // people in the address books that were shown are told too
	// Routes are those that show address books; missing: what the catalog says others for.
	Routes []string `json:"routes,omitempty"`
	// Masked tells people too of whom masked values only were shown.
	Masked bool `json:"masked,omitempty"`
}

func (a *API) postNotice(w http.ResponseWriter, r *http.Request) error {
	n, err := incidentNumber(r)
	if err != nil {
		return err
	}
	var in NoticeSpec
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	made, err := a.MakeNotice(r.Context(), whoOf(r), n, in)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, made)
	return nil
}

// MakeNotice fixes who gets a notice.
func (a *API) MakeNotice(ctx context.Context, who Who, n int64, in NoticeSpec) (*notice.Notice, error) {
	if len(in.Routes) > 0 && !in.Books {
		return nil, invalid("ask for books too, or leave routes out", "routes says which routes show address books, and books is not asked for")
	}
	spec := notice.Spec{Version: in.Version, Since: in.Since, Masked: in.Masked}
	if in.Books {
		inc, err := a.cfg.Incidents.Book.Incident(ctx, n)
		if err != nil {
			return nil, a.incidentFault(err)
		}
		v, err := inc.Version(in.Version)
		if err != nil {
			return nil, a.incidentFault(err)
		}
		routes := in.Routes
		if len(routes) == 0 {
			routes = a.bookRoutes()
		}
		if len(routes) == 0 {
			return nil, invalid("name them in routes", "books: the catalog knows no route that shows address books")
		}
		filter := narrow(v.Answer.Filter, routes)
		spec.Books = func(yield func(whosaw.ListRow) error) error {
			if len(filter) == 0 {
				return nil
			}
			ask, err := a.cfg.Live.Ask(scope.Config{Workers: a.cfg.QueryWorkers, Zone: a.cfg.Zone, Memory: a.cfg.QueryMemory})
			if err != nil {
				return err
			}
			return errors.Join(ask.Engine.List(ctx, filter, yield), ask.Close())
		}
	}
	made, err := a.cfg.Notices.Make(ctx, n, who.Name, spec)
	return made, a.noticeFault(err)
}

// bookRoutes are the routes that show entries of address books, by the catalog.
func (a *API) bookRoutes() []string {
	var out []string
	for _, v := range a.cfg.Live.Catalog().Versions() {
		for _, rt := range v.Routes() {
			if rt.Others > 0 {
				out = append(out, rt.Route)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// narrow keeps of a filter what is on some routes; nothing if no term is.
func narrow(f whosaw.Filter, routes []string) whosaw.Filter {
	var out whosaw.Filter
	for _, term := range f {
		var plain, not, keep []string
		for _, v := range term.Route {
			if rest, ok := strings.CutPrefix(v, "!"); ok && !strings.HasPrefix(rest, "!") {
				not = append(not, rest)
			} else {
				plain = append(plain, v)
			}
		}
		for _, rt := range routes {
			if !slices.Contains(not, rt) && (len(plain) == 0 || slices.Contains(plain, rt)) {
				keep = append(keep, rt)
			}
		}
		if len(keep) > 0 {
			term.Route = keep
			out = append(out, term)
		}
	}
	return out
}

func (a *API) getNotices(w http.ResponseWriter, r *http.Request) error {
	list, err := a.cfg.Notices.Notices(r.Context())
	if err != nil {
		return a.noticeFault(err)
	}
	writeJSON(w, http.StatusOK, map[string]any{"notices": list})
	return nil
}

func (a *API) getNotice(w http.ResponseWriter, r *http.Request) error {
	n, err := noticeNumber(r)
	if err != nil {
		return err
	}
	return a.sendNotice(w, r, n)
}

func (a *API) sendNotice(w http.ResponseWriter, r *http.Request, n int64) error {
	out, err := a.cfg.Notices.Notice(r.Context(), n)
	if err != nil {
		return a.noticeFault(err)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// PreviewSpec says whose notice is made as a sample.
type PreviewSpec struct {
	Lang   string   `json:"lang,omitempty"`
	Fields []string `json:"fields,omitempty"` // missing: all that were shown of anybody
	Other  bool     `json:"other,omitempty"`  // as somebody in an address book
	Masked bool     `json:"masked,omitempty"` // as somebody of whom masked values only were shown
}

func (a *API) postPreview(w http.ResponseWriter, r *http.Request) error {
	n, err := noticeNumber(r)
	if err != nil {
		return err
	}
	var in PreviewSpec
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	fields := in.Fields
	switch {
	case in.Masked:
		fields = []string{}
	case len(fields) == 0:
		fields = nil
	}
	m, err := a.cfg.Notices.Preview(r.Context(), n, in.Lang, fields, in.Other)
	if err != nil {
		return a.noticeFault(err)
	}
	writeJSON(w, http.StatusOK, m)
	return nil
}

// maxDry bounds a dry run over HTTP.
const maxDry = 1_000_000

func (a *API) postDry(w http.ResponseWriter, r *http.Request) error {
	n, err := noticeNumber(r)
	if err != nil {
		return err
	}
	var in struct {
		People int `json:"people"`
	}
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if in.People < 1 || in.People > maxDry {
		return invalid("give 1 to 1,000,000", "people: out of range")
	}
	out, err := a.DryNotice(r.Context(), whoOf(r), n, in.People)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// DryNotice asks the shop for some people of a notice and makes their mails. The shop is asked about people: on record before, as every question is.
func (a *API) DryNotice(ctx context.Context, who Who, n int64, people int) (*notice.DryRun, error) {
	if err := a.noteBy(ctx, who, whosaw.Reference{Kind: "notice_dry_run", Of: "notice " + strconv.FormatInt(n, 10), Person: who.Name}); err != nil {
		return nil, err
	}
	out, err := a.cfg.Notices.Dry(ctx, n, people)
	return out, a.noticeFault(err)
}

// NoticeFault is an error of the book of notices as a page shows it; nil stays nil.
func (a *API) NoticeFault(err error) error {
	if err == nil {
		return nil
	}
	return a.noticeFault(err)
}

func (a *API) postApprove(w http.ResponseWriter, r *http.Request) error {
	n, err := noticeNumber(r)
	if err != nil {
		return err
	}
	var in struct {
		Hash string `json:"hash"`
	}
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if err := a.cfg.Notices.Approve(r.Context(), n, whoOf(r).Name, in.Hash); err != nil {
		return a.noticeFault(err)
	}
	return a.sendNotice(w, r, n)
}

// WaveSpec is the next wave of a notice.
type WaveSpec struct {
	Size int64   `json:"size,omitempty"` // people; missing: all who are left
	Rate float64 `json:"rate,omitempty"` // a second; missing: as fast as it goes
}

func (a *API) postSend(w http.ResponseWriter, r *http.Request) error {
	n, err := noticeNumber(r)
	if err != nil {
		return err
	}
	var in WaveSpec
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if err := a.cfg.Notices.Send(r.Context(), n, whoOf(r).Name, in.Size, in.Rate); err != nil {
		return a.noticeFault(err)
	}
	return a.sendNotice(w, r, n)
}

// NoticeAct is what a person does with a notice.
type NoticeAct struct {
	Do         string   `json:"do"`                    // pause, resume, stop, again, leave, sample, bounced
	Note       string   `json:"note,omitempty"`        // why
	Outcome    string   `json:"outcome,omitempty"`     // again: whose
	To         string   `json:"to,omitempty"`          // sample: the test address, which is recorded nowhere
	Lang       string   `json:"lang,omitempty"`        // sample
	MessageIDs []string `json:"message_ids,omitempty"` // bounced: of mails that came back for good
}

func (a *API) postNoticeAct(w http.ResponseWriter, r *http.Request) error {
	n, err := noticeNumber(r)
	if err != nil {
		return err
	}
	var in NoticeAct
	if err := readBody(w, r, 64<<20, &in); err != nil {
		return err
	}
	ctx, who, book := r.Context(), whoOf(r).Name, a.cfg.Notices
	switch in.Do {
	case "pause":
		err = book.Pause(ctx, n, who, in.Note)
	case "resume":
		err = book.Resume(ctx, n, who)
	case "stop":
		err = book.Stop(ctx, n, who, in.Note)
	case "again":
		var from notice.Outcome
		if from, err = notice.OutcomeOf(in.Outcome); err != nil {
			return invalid("", "%v", err)
		}
		_, err = book.Again(ctx, n, who, from, in.Note)
	case "leave":
		_, err = book.Leave(ctx, n, who, in.Note)
	case "sample":
		err = book.Sample(ctx, n, who, in.To, in.Lang)
	case "bounced":
		_, err = book.Bounced(ctx, n, who, in.MessageIDs)
	default:
		return invalid("give pause, resume, stop, again, leave, sample or bounced", "do: there is no such act")
	}
	if err != nil {
		return a.noticeFault(err)
	}
	return a.sendNotice(w, r, n)
}

func (a *API) postPerson(w http.ResponseWriter, r *http.Request) error {
	n, err := noticeNumber(r)
	if err != nil {
		return err
	}
	var in notice.Person
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if err := a.note(r, whosaw.Reference{Kind: "notice_person", Of: "notice " + r.PathValue("id"), Person: whoOf(r).Name}); err != nil {
		return err
	}
	out, err := a.cfg.Notices.Person(r.Context(), n, in)
	if err != nil {
		return a.noticeFault(err)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// ExportSpec says whose notices are handed over for another channel.
type ExportSpec struct {
	Outcomes []string `json:"outcomes,omitempty"` // missing: whom mail does not reach
	Lang     string   `json:"lang,omitempty"`     // for whom no language is known
}

func (a *API) postExport(w http.ResponseWriter, r *http.Request) error {
	n, err := noticeNumber(r)
	if err != nil {
		return err
	}
	var in ExportSpec
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	var outcomes []notice.Outcome
	for _, name := range in.Outcomes {
		o, err := notice.OutcomeOf(name)
		if err != nil {
			return invalid("", "%v", err)
		}
		outcomes = append(outcomes, o)
	}
	begun := false
	to := beginner{w, func() {
		if !begun {
			begun = true
			h := w.Header()
			h.Set("Content-Type", "text/csv; charset=utf-8")
			h.Set("Cache-Control", "no-store")
			h.Set("X-Content-Type-Options", "nosniff")
		}
	}}
	_, err = a.cfg.Notices.Export(r.Context(), n, whoOf(r).Name, outcomes, in.Lang, to)
	if err != nil && begun {
		a.cfg.Logger.Warn("an export was broken off", "error", err)
		panic(http.ErrAbortHandler)
	}
	return a.noticeFault(err)
}
