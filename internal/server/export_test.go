package server

import "context"

// SeePosted looks whether posted notices can be read, as the server does each minute.
func (s *Server) SeePosted(ctx context.Context) error { return s.seePosted(ctx) }
