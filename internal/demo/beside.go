package demo

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"

	"github.com/whosaw/whosaw/internal/server"
)

// What the shop sends mail as, and to whom at the shop alarms and samples of notices go.
const (
	mailDomain = "haneul-market.example"
	noticeFrom = "notice@" + mailDomain
	alarmFrom  = "whosaw@" + mailDomain
	officeMail = "privacy@" + mailDomain
	sampleMail = "test@" + mailDomain
)

// jurisdictions are those whose laws the shop looks at: it is at home in the first, and delivers to the second.
var jurisdictions = []string{"KR", "EU"}

// openBeside opens what the server is told of: the shop's look-up of contacts, the mail room, a key that signs mail, and an address for the public pages.
func (w *world) openBeside() (public net.Listener, err error) {
	w.secret = rand.Text()
	if w.contactsURL, err = w.front(w.shop.Contacts(w.secret)); err != nil {
		return nil, err
	}
	if w.room, err = openMailroom(filepath.Join(w.dir, "mail"), w.cfg.Now, w.log); err != nil {
		return nil, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for mail: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("make a key for mail: %w", err)
	}
	for name, data := range map[string][]byte{
		"contacts.secret": []byte(w.secret), "dkim.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	} {
		if err := server.WriteWhole(filepath.Join(w.dir, name), data); err != nil {
			return nil, err
		}
	}
	if public, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listen for the public pages: %w", err)
	}
	w.noticeURL = named("http://" + public.Addr().String())
	return public, nil
}

// besides is what stands of it in whosaw.yaml.
func (w *world) besides() string {
	relay := w.room.address()
	return fmt.Sprintf(`incident:
  jurisdictions: [%s, %s]
  open: {detectors: [%s]}
alarm:
  channels:
    - {name: privacy-office, mail: {host: 127.0.0.1, port: %d, security: none, from: %s, to: [%s]}}
notice:
  organisation: {en: Haneul Market, ko: 하늘마켓}
  address: %s/notice
  languages: [en, ko]
  lookup: {url: "%s/contacts", books_url: "%[8]s/books", secret_file: contacts.secret}
  mail:
    host: 127.0.0.1
    port: %[4]d
    security: none
    from: Haneul Market <%[9]s>
    dkim: {domain: %[10]s, selector: demo, key_file: dkim.pem}
public: {listen: "127.0.0.1:0", url: "%[7]s", organisation: Haneul Market, forwarded: true}
`, jurisdictions[0], jurisdictions[1], bestDetector, relay.Port, alarmFrom, officeMail, w.noticeURL, w.contactsURL, noticeFrom, mailDomain)
}

// servePublic puts the address that people know before the server's public pages, as a proxy of the house does.
func (w *world) servePublic(l net.Listener) error {
	to, err := url.Parse(w.srv.PublicURL())
	if err != nil {
		return errors.Join(fmt.Errorf("find the public pages: %w", err), l.Close())
	}
	w.serve(l, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() },
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, err error) {
			w.log.Debug("the public pages did not answer", "error", err)
			rw.WriteHeader(http.StatusBadGateway)
		},
	})
	return nil
}
