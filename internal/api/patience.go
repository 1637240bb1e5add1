package api

import (
	"io"
	"net/http"
	"time"
)

// defaultIdle is how long the other end of a request may neither send nor take anything in the middle of it.
const defaultIdle = 30 * time.Second

// writePiece is what the other end must take within idle.
const writePiece = 64 << 10

// Patient gives senders of bodies and readers of answers all the time they need as long as something moves, and lets go of those who
// stand still: they would hold a turn, or a connection, for ever. How long the handler itself works does not matter.
func (a *API) Patient(h http.Handler) http.Handler { return patient(h, a.cfg.Idle) }

func patient(h http.Handler, idle time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.SetWriteDeadline(time.Time{}) // that of the request before on this connection
		if r.Body != nil && r.Body != http.NoBody {
			_ = rc.SetReadDeadline(time.Now().Add(idle)) // of a body that is left unread the server reads the rest
			own := *r                                    // the server looks at the request's own body afterwards
			r = &own
			r.Body = &patientBody{r.Body, rc, idle, r.ProtoMajor > 1}
		}
		h.ServeHTTP(&patientWriter{w, rc, idle}, r)
	})
}

type patientBody struct {
	io.ReadCloser
	rc     *http.ResponseController
	idle   time.Duration
	stream bool // HTTP/2, where a deadline that passes between two reads ends the stream
}

func (p *patientBody) Read(b []byte) (int, error) {
	_ = p.rc.SetReadDeadline(time.Now().Add(p.idle)) // where it cannot be set, the server's own limits hold
	n, err := p.ReadCloser.Read(b)
	if err == io.EOF || p.stream {
		// Behind the body the server watches whether the connection is alive: a deadline would end the request.
		_ = p.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

type patientWriter struct {
	http.ResponseWriter
	rc   *http.ResponseController
	idle time.Duration
}

// Unwrap is for http.ResponseController.
func (p *patientWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *patientWriter) Write(b []byte) (n int, err error) {
	for {
		piece := b[n:min(len(b), n+writePiece)]
		_ = p.rc.SetWriteDeadline(time.Now().Add(p.idle))
		m, err := p.ResponseWriter.Write(piece)
		if n += m; err != nil || n == len(b) {
			return n, err
		}
	}
}
