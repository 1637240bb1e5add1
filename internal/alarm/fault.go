package alarm

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Fault is why a channel could not tell a message, or what it has to say about one that it told.
type Fault struct {
	Kind  FaultKind
	Err   error         // without secrets: it is kept, logged and shown
	After time.Duration // the other side asked not to be tried before; 0: it did not
}

// FaultKind says what to do about a fault.
type FaultKind int

// The kinds of faults.
const (
	Retry   FaultKind = iota // nobody is there, or not now: the channel waits, then tries again
	Refused                  // this message will not be taken as things are: others go before it
	Told                     // it was taken, but not by all who should
)

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

func retry(format string, args ...any) error {
	return &Fault{Kind: Retry, Err: fmt.Errorf(format, args...)}
}

func refused(format string, args ...any) error {
	return &Fault{Kind: Refused, Err: fmt.Errorf(format, args...)}
}

// faultOf gives the fault in an error. What is not one is worth a retry.
func faultOf(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{Kind: Retry, Err: err}
}

// network takes from an error of the network what may be shown: which step failed and why, never a URL (a hook's path is its
// password) nor a byte the other side sent.
func network(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var dns *net.DNSError
	var op *net.OpError
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("no answer in time")
	case errors.Is(err, context.Canceled):
		return errors.New("stopped while sending")
	case errors.As(err, &unknown):
		return errors.New("the server's certificate is signed by nobody known: name its authority with ca_file")
	case errors.As(err, &host):
		return errors.New("the server's certificate is for another name")
	case errors.As(err, &invalid):
		return errors.New("the server's certificate is not valid now")
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return errors.New("the server's name is not known to DNS")
		}
		return errors.New("DNS gave no answer")
	case errors.As(err, &op):
		var sys interface{ Error() string } = op.Err
		var errno *os.SyscallError
		if errors.As(op.Err, &errno) {
			sys = errno.Err
		}
		return fmt.Errorf("%s: %s", op.Op, sys.Error())
	}
	if strings.HasPrefix(err.Error(), "tls:") || strings.HasPrefix(err.Error(), "remote error: tls:") {
		return errors.New("TLS was not agreed on")
	}
	return errors.New("the connection broke")
}
