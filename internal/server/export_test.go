package server

import "context"

// PublicURL is where the public pages are served.
func (s *Server) PublicURL() string {
	return s.everybody.scheme + "://" + s.everybody.listener.Addr().String()
}

// SeePosted looks whether posted notices can be read, as the server does each minute.
func (s *Server) SeePosted(ctx context.Context) error { return s.seePosted(ctx) }
