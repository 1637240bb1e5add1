package door

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"github.com/whosaw/whosaw/internal/guard"
)

// Server serves the doors that have an address of their own.
type Server struct {
	parts []part
}

type part struct {
	name     string
	listener net.Listener
	serve    func(net.Listener) error
	stop     func(ctx context.Context)
}

// Open opens the addresses of the doors. Close gives them up where Run was never called.
func Open(doors []guard.DoorConfig, j Judge, log *slog.Logger) (*Server, error) {
	s := &Server{}
	for i := range doors {
		d := &doors[i]
		if d.Listen == "" {
			continue
		}
		l, err := listen(d)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("door %s: listen on %s: %w; name another address in guard.doors", d.Name, d.Listen, err), s.Close())
		}
		p := part{name: d.Name, listener: l}
		switch d.Kind {
		case guard.KindEnvoy:
			srv := grpc.NewServer(grpc.MaxRecvMsgSize(MaxBody), grpc.MaxConcurrentStreams(1024), grpc.ConnectionTimeout(10*time.Second))
			authv3.RegisterAuthorizationServer(srv, &envoy{judge: j, door: d})
			p.serve = srv.Serve
			p.stop = func(ctx context.Context) {
				done := make(chan struct{})
				go func() { srv.GracefulStop(); close(done) }()
				select {
				case <-done:
				case <-ctx.Done():
					srv.Stop()
					<-done
				}
			}
		default:
			h := decideHandler(j, d.Name)
			if d.Kind == guard.KindNginx {
				h = nginxHandler(j, d)
			}
			srv := &http.Server{
				Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
				ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
			}
			p.serve = func(l net.Listener) error {
				if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
					return err
				}
				return nil
			}
			p.stop = func(ctx context.Context) {
				if err := srv.Shutdown(ctx); err != nil {
					srv.Close()
				}
			}
		}
		s.parts = append(s.parts, p)
		log.Info("a door is open", "door", d.Name, "kind", string(d.Kind), "address", l.Addr().String())
	}
	return s, nil
}

// Address is where a door listens; "" if it has no address of its own.
func (s *Server) Address(name string) string {
	for _, p := range s.parts {
		if p.name == name {
			return p.listener.Addr().String()
		}
	}
	return ""
}

func listen(d *guard.DoorConfig) (net.Listener, error) {
	path, ok := strings.CutPrefix(d.Listen, "unix:")
	if !ok {
		return net.Listen("tcp", d.Listen)
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode()&fs.ModeSocket == 0:
		return nil, errors.New("there is a file of that name, which is no socket")
	case err == nil: // of a server that was killed
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, errors.New("another process listens there")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, d.Mode()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Run serves until ctx ends or a door fails; then what is under way has a moment to end.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, len(s.parts))
	for _, p := range s.parts {
		go func() {
			err := p.serve(p.listener)
			if err != nil && ctx.Err() == nil {
				err = fmt.Errorf("door %s: %w", p.name, err)
			} else {
				err = nil
			}
			failed <- err
		}()
	}
	var err error
	running := len(s.parts)
	if running > 0 {
		select {
		case <-ctx.Done():
		case err = <-failed:
			running--
		}
	} else {
		<-ctx.Done()
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, p := range s.parts {
		p.stop(grace)
	}
	for range running {
		err = errors.Join(err, <-failed)
	}
	return err
}

// Close gives up the addresses.
func (s *Server) Close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, p := range s.parts {
		if err := p.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
