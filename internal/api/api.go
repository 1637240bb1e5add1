package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/user"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

// Config is what the API stands on.
type Config struct {
	Live   *pipeline.Live
	Auth   *auth.Store
	Alarms *alarm.Dispatcher
	Guard  *guard.Guard // nil: it is off
	Keys   *keys.Keeper
	Logger *slog.Logger
	Now    func() time.Time

	MaxBody, MaxDecompressed int64                  // bytes of a body of records, as sent and decompressed
	Idle                     time.Duration          // how long the other end may stand still in the middle of a body or an answer; 0: 30s
	Formats                  []ingest.StreamOptions // of sources that are not sent as records; without Catalog
	Zone                     *time.Location         // of days, where a question names none

	QueryTimeout    time.Duration
	QueryConcurrent int
	QueryWorkers    int
	QueryMemory     int64

	Incidents Incidents
	// Secrets gives a customer's look-up secrets, of one incident or (0) of each that offers a look-up; nil: there are no public pages.
	Secrets func(ctx context.Context, who string, incident int64, realm, subject string) ([]LookupSecret, error)
	Notices *notice.Book

	URL string // under which people reach the server
	// Hosts are the names, without port, under which pages may be asked; none: any.
	Hosts []string
	// Secure says that the server is reached by TLS only: cookies are marked so.
	Secure bool

	Inputs  func() []Input // what the server follows by itself; nil: nothing
	Disk    func() (Disk, error)
	Backup  func(ctx context.Context, dst string) (any, error) // into a directory on the server's machine; nil: not offered
	Version string
}

// API answers requests. Run must be running for live figures.
type API struct {
	cfg     Config
	streams streams
	turns   chan struct{} // one for each question that is worked on
	hub     hub
	over    chan struct{} // closed when Run has ended
	ending  sync.Once
	metrics *metrics
	began   time.Time
	zones   sync.Map // name to *time.Location: the same one each time
	cross   http.CrossOriginProtection

	attending sync.Mutex // one at a time looks for findings without an incident
}

// New gives an API.
func New(cfg Config) (*API, error) {
	a := &API{cfg: cfg, over: make(chan struct{}), turns: make(chan struct{}, cfg.QueryConcurrent), began: cfg.Now()}
	if a.cfg.Idle == 0 {
		a.cfg.Idle = defaultIdle
	}
	if a.cfg.Zone == nil {
		a.cfg.Zone = time.UTC
	}
	a.zones.Store(a.cfg.Zone.String(), a.cfg.Zone)
	a.streams.catalog = cfg.Live.Catalog()
	a.streams.formats = map[string]ingest.StreamOptions{}
	for _, f := range cfg.Formats {
		a.streams.formats[f.Source] = f
		if _, err := a.streams.get(f.Source); err != nil {
			return nil, fmt.Errorf("source %s: %w", f.Source, err)
		}
	}
	a.hub.watchers = map[chan []byte]bool{}
	a.metrics = newMetrics(a)
	return a, nil
}

// access is who may use a route.
type access int

const (
	anyone    access = iota // nobody need be known
	senders                 // tokens that send, and the owner of the data directory
	doors                   // tokens that ask the guard, and the owner of the data directory
	readers                 // who may read
	admins                  // who may change something
	shops                   // tokens that hand out look-up secrets, and the owner of the data directory
	ownerOnly               // over the unix socket only
)

// route is one thing that can be asked.
type route struct {
	method, path string
	who          access
	handle       func(*API, http.ResponseWriter, *http.Request) error
}

// routes are all there are; openapi.yaml describes each.
var routes = slices.Concat(keyRoutes, noticeRoutes, []route{
	{"POST", "/v1/records", senders, (*API).postRecords},
	{"POST", "/v1/scope", readers, (*API).postScope},
	{"POST", "/v1/scope/list", readers, (*API).postList},
	{"POST", "/v1/subject", readers, (*API).postSubject},
	{"POST", "/v1/top", readers, (*API).postTop},
	{"POST", "/v1/explain", readers, (*API).postExplain},
	{"GET", "/v1/baseline", readers, (*API).getBaseline},
	{"GET", "/v1/investigation", readers, (*API).getInvestigation},
	{"GET", "/v1/findings", readers, (*API).getFindings},
	{"GET", "/v1/findings/{id}", readers, (*API).getFinding},
	{"POST", "/v1/findings/{id}/verdict", admins, (*API).postVerdict},
	{"POST", "/v1/findings/{id}/assign", admins, (*API).postAssign},
	{"GET", "/v1/suppressions", readers, (*API).getSuppressions},
	{"POST", "/v1/suppressions", admins, (*API).postSuppression},
	{"DELETE", "/v1/suppressions/{id}", admins, (*API).deleteSuppression},
	{"GET", "/v1/channels", readers, (*API).getChannels},
	{"POST", "/v1/channels/{name}/test", admins, (*API).postChannelTest},
	{"GET", "/v1/status", readers, (*API).getStatus},
	{"GET", "/v1/live", readers, (*API).getLive},
	{"GET", "/v1/tokens", admins, (*API).getTokens},
	{"POST", "/v1/tokens", admins, (*API).postToken},
	{"DELETE", "/v1/tokens/{name}", admins, (*API).deleteToken},
	{"POST", "/v1/decide", doors, (*API).postDecide},
	{"POST", "/v1/decide/answer", doors, (*API).postAnswer},
	{"GET", "/v1/guard", readers, (*API).getGuard},
	{"POST", "/v1/guard/mode", admins, (*API).postGuardMode},
	{"GET", "/v1/guard/decisions", readers, (*API).getDecisions},
	{"POST", "/v1/guard/decisions", admins, (*API).postDecision},
	{"POST", "/v1/guard/decisions/{id}/undo", admins, (*API).postUndo},
	{"GET", "/v1/guard/feed", doors, (*API).getFeed},
	{"GET", "/v1/incidents", readers, (*API).getIncidents},
	{"POST", "/v1/incidents", admins, (*API).postIncident},
	{"GET", "/v1/incidents/{id}", readers, (*API).getIncident},
	{"POST", "/v1/incidents/{id}/events", admins, (*API).postEvent},
	{"POST", "/v1/incidents/{id}/versions", admins, (*API).postVersion},
	{"POST", "/v1/incidents/{id}/versions/{version}/list", readers, (*API).postVersionList},
	{"GET", "/v1/incidents/{id}/document", readers, (*API).getDocument},
	{"POST", "/v1/incidents/{id}/sign", admins, (*API).postSignature},
	{"POST", "/v1/incidents/{id}/post", admins, (*API).postPosting},
	{"POST", "/v1/incidents/{id}/remove", admins, (*API).postRemoval},
	{"POST", "/v1/lookup-secrets", shops, (*API).postLookupSecrets},
	{"GET", "/v1/incident-verification", readers, (*API).getVerification},
	{"GET", "/v1/clocks", readers, (*API).getClocks},
	{"GET", "/v1/questions", readers, (*API).getQuestions},
	{"GET", "/v1/holds", readers, (*API).getHolds},
	{"POST", "/v1/holds", admins, (*API).postHold},
	{"POST", "/v1/holds/{id}/release", admins, (*API).postRelease},
	{"POST", "/v1/retention", admins, (*API).postRetention},
	{"GET", "/v1/openapi.yaml", anyone, (*API).getOpenAPI},

	{"POST", "/v1/local/import", ownerOnly, (*API).postImport},
	{"POST", "/v1/local/rejected", ownerOnly, (*API).postRejected},
	{"GET", "/v1/local/study", ownerOnly, (*API).getStudy},
	{"POST", "/v1/local/replay", ownerOnly, (*API).postReplay},
	{"POST", "/v1/local/backup", ownerOnly, (*API).postBackup},
	{"POST", "/v1/local/link", ownerOnly, (*API).postLink},
})

// Register adds the routes to a mux. Over the unix socket (local) whoever connects owns the data directory.
func (a *API) Register(mux *http.ServeMux, local bool) {
	for _, r := range routes {
		if r.who != ownerOnly || local {
			mux.Handle(r.method+" "+r.path, a.serve(r, local))
		}
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		for _, known := range routes {
			if known.path == r.URL.Path && (known.who != ownerOnly || local) {
				w.Header().Set("Allow", known.method)
				writeError(w, &Error{Status: http.StatusMethodNotAllowed, Code: CodeInvalid, Says: "this path takes another method", Cure: "use " + known.method})
				return
			}
		}
		writeError(w, errNotFound)
	})
}

// serve wraps a route: who is asking, errors, panics.
func (a *API) serve(rt route, local bool) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &counted{ResponseWriter: rw}
		began := time.Now()
		defer func() { a.metrics.done(&rt, w, began) }()
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				a.cfg.Logger.Error("panic in a handler", "path", rt.path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				writeError(w, errInternal)
			}
		}()
		who, err := a.identify(r, local)
		if err == nil {
			err = allowed(rt.who, who)
		}
		if err == nil {
			err = rt.handle(a, w, r.WithContext(context.WithValue(r.Context(), whoKey{}, who)))
		}
		if err == nil || errors.Is(err, errSent) {
			return
		}
		e := answerTo(r.Context(), err)
		if e.Status >= 500 && r.Context().Err() == nil {
			a.cfg.Logger.Error("request failed", "path", rt.path, "who", who.Name, "error", err)
		}
		writeError(w, e)
	})
}

// errSent says that an answer was begun, and only its end is missing.
var errSent = errors.New("the answer was begun")

// Who is whoever asks.
type Who struct {
	Name  string // as it stands in the ledger: staff:kim, token:gw-1
	Role  auth.Role
	Owner bool        // of the data directory, over the unix socket
	Token *auth.Token // nil: came otherwise
}

type whoKey struct{}

func whoOf(r *http.Request) Who {
	who, _ := r.Context().Value(whoKey{}).(Who)
	return who
}

// CookieName is the cookie of a session.
const CookieName = "whosaw_session"

func (a *API) identify(r *http.Request, local bool) (Who, error) {
	if local {
		return Who{Name: "staff:" + peerName(r.Context()), Role: auth.RoleAdmin, Owner: true}, nil
	}
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, secret, _ := strings.Cut(h, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return Who{}, errUnauthorized
		}
		t, err := a.cfg.Auth.Authenticate(r.Context(), strings.TrimSpace(secret))
		if errors.Is(err, auth.ErrUnknown) {
			return Who{}, &Error{Status: http.StatusUnauthorized, Code: CodeUnauthorized, Says: "the token is not known here, was revoked, or has expired", Cure: "make one with whosaw token create"}
		}
		if err != nil {
			return Who{}, err
		}
		return Who{Name: "token:" + t.Name, Role: t.Role, Token: t}, nil
	}
	return a.Visitor(r)
}

// Visitor finds who is at a page: nobody, or the session of its cookie. Requests from other pages, and under names that are not
// ours, are refused.
func (a *API) Visitor(r *http.Request) (Who, error) {
	if err := a.Ours(r); err != nil {
		return Who{}, err
	}
	c, err := r.Cookie(CookieName)
	if err != nil {
		return Who{}, nil
	}
	s, err := a.cfg.Auth.Session(r.Context(), c.Value)
	if errors.Is(err, auth.ErrUnknown) {
		return Who{}, nil
	}
	if err != nil {
		return Who{}, err
	}
	return Who{Name: "staff:" + s.Who, Role: s.Role}, nil
}

// Ours refuses requests that another page made a browser send, and those for a host that is not this server.
func (a *API) Ours(r *http.Request) error {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	known := len(a.cfg.Hosts) == 0
	for _, h := range a.cfg.Hosts {
		known = known || strings.EqualFold(h, host)
	}
	if !known {
		return &Error{Status: http.StatusMisdirectedRequest, Code: CodeForbidden, Says: "this server is not known by that host name", Cure: "use the address it printed at its start, or set url in whosaw.yaml"}
	}
	if err := a.cross.Check(r); err != nil {
		return forbidden("the request comes from another page", "use this server's own pages, or a token")
	}
	return nil
}

func allowed(need access, who Who) error {
	ok := false
	switch need {
	case anyone:
		ok = true
	case senders:
		ok = who.Owner || who.Role.Sends()
	case doors:
		ok = who.Owner || who.Role.Asks()
	case readers:
		ok = who.Role.May(auth.RoleRead)
	case shops:
		ok = who.Owner || who.Role.May(auth.RoleLookup)
	case admins:
		ok = who.Role.May(auth.RoleAdmin)
	case ownerOnly:
		ok = who.Owner
	}
	switch {
	case ok:
		return nil
	case who.Name == "":
		return errUnauthorized
	}
	return forbidden("the role "+string(who.Role)+" may not do this", "use a token with another role: whosaw token create --role")
}

// peerKey is where the unix socket's connection keeps who is at its other end.
type peerKey struct{}

// WithPeer notes the user at the other end of a unix socket's connection, for http.Server.ConnContext.
func WithPeer(ctx context.Context, c net.Conn) context.Context {
	uid, ok := peerID(c)
	if !ok {
		return ctx
	}
	name := fmt.Sprintf("uid-%d", uid)
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil && u.Username != "" {
		name = u.Username
	}
	return context.WithValue(ctx, peerKey{}, name)
}

func peerName(ctx context.Context) string {
	if name, ok := ctx.Value(peerKey{}).(string); ok {
		return name
	}
	return "owner"
}

// limit is the context of a question: over the socket, who waits at the machine's terminal may wait.
func (a *API) limit(r *http.Request) (context.Context, context.CancelFunc) {
	if whoOf(r).Owner {
		return context.WithCancel(r.Context())
	}
	return context.WithTimeoutCause(r.Context(), a.cfg.QueryTimeout, errTooLong)
}

// query begins the work on a question: its turn, its time, its snapshot. end must be called.
func (a *API) query(r *http.Request, zone string) (ctx context.Context, q *pipeline.Question, end func(), err error) {
	loc, err := a.location(zone)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := a.limit(r)
	select {
	case a.turns <- struct{}{}:
	case <-ctx.Done():
		defer cancel()
		if r.Context().Err() == nil {
			return nil, nil, nil, unavailable("other questions are being worked on", "ask again when they are answered")
		}
		return nil, nil, nil, ctx.Err()
	}
	q, err = a.cfg.Live.Ask(scope.Config{Workers: a.cfg.QueryWorkers, Zone: loc, Memory: a.cfg.QueryMemory})
	if err != nil {
		cancel()
		<-a.turns
		return nil, nil, nil, err
	}
	return ctx, q, func() {
		if err := q.Close(); err != nil {
			a.cfg.Logger.Error("let go of a snapshot", "error", err)
		}
		cancel()
		<-a.turns
	}, nil
}

func (a *API) location(name string) (*time.Location, error) {
	if name == "" {
		return a.cfg.Zone, nil
	}
	if loc, ok := a.zones.Load(name); ok {
		return loc.(*time.Location), nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name != path.Clean(name) { // one name a zone, or the map grows with the ways to write it
		return nil, invalid("give a name such as Asia/Seoul, or UTC", "zone: there is no such time zone")
	}
	kept, _ := a.zones.LoadOrStore(name, loc)
	return kept.(*time.Location), nil
}
