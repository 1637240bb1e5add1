package jetstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/whosaw/whosaw/internal/jetstream"
)

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// reads makes sure that a line arrives under a configuration.
func reads(t *testing.T, c jetstream.Config, owner ...nats.Option) {
	t.Helper()
	client := connect(t, c.Servers[0], owner...)
	makeStream(t, client)
	publish(t, client, "access.a", line("a"))
	sink := newLedger()
	run(t, c, sink)
	sink.has(t, "a")
}

func TestPasswordThatIsMended(t *testing.T) {
	s := newServer(t, server.Options{Users: []*server.User{{Username: "whosaw", Password: "right"}}})
	dir := t.TempDir()
	c := jetstream.Config{Servers: []string{s.ClientURL()}, User: "whosaw", PasswordFile: put(t, filepath.Join(dir, "password"), "wrong\n")}
	client := connect(t, s.ClientURL(), nats.UserInfo("whosaw", "right"))
	makeStream(t, client)
	publish(t, client, "access.a", line("a"))
	sink := newLedger()
	cons, _ := run(t, c, sink)
	eventually(t, "the refusal", func() bool {
		st := cons.Status()
		return !st.Reading && strings.Contains(st.Error, "NATS refuses the user: check credentials")
	})
	put(t, c.PasswordFile, "right\n")
	sink.has(t, "a")
}

func TestToken(t *testing.T) {
	s := newServer(t, server.Options{Authorization: "secret-token"})
	reads(t, jetstream.Config{Servers: []string{s.ClientURL()}, TokenFile: put(t, filepath.Join(t.TempDir(), "token"), "secret-token")}, nats.Token("secret-token"))
}

func TestNKey(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := user.PublicKey()
	seed, _ := user.Seed()
	s := newServer(t, server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}})
	file := put(t, filepath.Join(t.TempDir(), "seed"), string(seed)+"\n")
	reads(t, jetstream.Config{Servers: []string{s.ClientURL()}, NKey: file}, nats.Nkey(public, user.Sign))

	put(t, file, "no seed")
	_, err = jetstream.New(jetstream.Options{Config: jetstream.Config{Servers: []string{s.ClientURL()}, Stream: "ACCESS", NKey: file}})
	if err == nil || !strings.Contains(err.Error(), "does not hold a user's seed") {
		t.Errorf("a file without a seed: %v", err)
	}
}

// A .creds file belongs to a server that takes its users from an operator's accounts.
func TestCredentials(t *testing.T) {
	operator, _ := nkeys.CreateOperator()
	account, _ := nkeys.CreateAccount()
	user, _ := nkeys.CreateUser()
	operatorKey, _ := operator.PublicKey()
	accountKey, _ := account.PublicKey()
	userKey, _ := user.PublicKey()
	claims := jwt.NewAccountClaims(accountKey)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	accountJWT, err := claims.Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	userJWT, err := jwt.NewUserClaims(userKey).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	seed, _ := user.Seed()
	creds, err := jwt.FormatUserConfig(userJWT, seed)
	if err != nil {
		t.Fatal(err)
	}
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(accountKey, accountJWT); err != nil {
		t.Fatal(err)
	}
	system, _ := nkeys.CreateAccount() // JetStream is not there without it
	systemKey, _ := system.PublicKey()
	systemJWT, err := jwt.NewAccountClaims(systemKey).Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	if err := resolver.Store(systemKey, systemJWT); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, server.Options{TrustedKeys: []string{operatorKey}, SystemAccount: systemKey, AccountResolver: resolver})
	file := put(t, filepath.Join(t.TempDir(), "whosaw.creds"), string(creds))
	reads(t, jetstream.Config{Servers: []string{s.ClientURL()}, Credentials: file}, nats.UserCredentials(file))
}

// certificates makes an authority, and files of it and of a certificate for 127.0.0.1 of its making.
func certificates(t *testing.T) (ca, cert, key string, pair tls.Certificate, pool *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	made := func(c, parent *x509.Certificate, by *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if by == nil {
			by = own
		}
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &own.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return der, own
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, rootKey := made(root, root, nil)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	leafDER, leafKey := made(leaf, root, rootKey)
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	ca = put(t, filepath.Join(dir, "ca.pem"), text("CERTIFICATE", rootDER))
	cert = put(t, filepath.Join(dir, "cert.pem"), text("CERTIFICATE", leafDER))
	key = put(t, filepath.Join(dir, "key.pem"), text("PRIVATE KEY", keyDER))
	if pair, err = tls.LoadX509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(text("CERTIFICATE", rootDER)))
	return ca, cert, key, pair, pool
}

func TestTLS(t *testing.T) {
	ca, cert, key, pair, pool := certificates(t)
	s := newServer(t, server.Options{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert},
		TLSVerify: true,
	})
	url := strings.Replace(s.ClientURL(), "nats://", "tls://", 1)
	cons, stop := run(t, jetstream.Config{Servers: []string{url}}, newLedger())
	eventually(t, "an unknown authority to be refused", func() bool {
		st := cons.Status()
		return !st.Reading && strings.Contains(st.Error, "certificate")
	})
	stop()
	reads(t, jetstream.Config{Servers: []string{url}, CA: ca, Certificate: cert, Key: key}, nats.RootCAs(ca), nats.ClientCert(cert, key))
}

func TestCheck(t *testing.T) {
	servers := []string{"nats://127.0.0.1:4222"}
	for _, c := range []struct {
		name string
		c    jetstream.Config
		want string // "" is right
	}{
		{"least", jetstream.Config{Servers: servers, Stream: "A"}, ""},
		{"types", jetstream.Config{Servers: servers, Stream: "A", Types: []string{"access", "issuance"}}, ""},
		{"no stream", jetstream.Config{Servers: servers}, "no stream: name it"},
		{"no servers", jetstream.Config{Stream: "A"}, "servers: give at least one"},
		{"password in the address", jetstream.Config{Servers: []string{"nats://u:hunter2@h:4222"}, Stream: "A"}, "give user and password_file"},
		{"scheme", jetstream.Config{Servers: []string{"http://h:4222"}, Stream: "A"}, "must begin with nats://"},
		{"address", jetstream.Config{Servers: []string{"h:4222"}, Stream: "A"}, "write it as nats://HOST:PORT"},
		{"dots", jetstream.Config{Servers: servers, Stream: "A.b"}, "a name has no spaces, dots"},
		{"type", jetstream.Config{Servers: servers, Stream: "A", Types: []string{"verdict"}}, `record type "verdict"`},
		{"format", jetstream.Config{Servers: servers, Stream: "A", Format: "xml"}, `format "xml": give one of`},
		{"mapping", jetstream.Config{Servers: servers, Stream: "A", Format: "mapping"}, "name the mapping file"},
		{"two ways", jetstream.Config{Servers: servers, Stream: "A", NKey: "/a", TokenFile: "/b"}, "not several"},
		{"half a user", jetstream.Config{Servers: servers, Stream: "A", User: "a"}, "go together"},
		{"half a certificate", jetstream.Config{Servers: servers, Stream: "A", Key: "/a"}, "go together"},
		{"batch", jetstream.Config{Servers: servers, Stream: "A", Batch: 1 << 20}, "batch: give 1 to 10000"},
		{"ack", jetstream.Config{Servers: servers, Stream: "A", AckWait: 1}, "ack_wait: give at least 1s"},
		{"message", jetstream.Config{Servers: servers, Stream: "A", MaxMessage: 1 << 40}, "max_message: give at most"},
		{"subject", jetstream.Config{Servers: servers, Stream: "A", Subjects: []string{""}}, "subjects: one is empty"},
	} {
		err := c.c.Check()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error holds a secret", c.name)
		}
	}
	a := jetstream.Config{Servers: servers, Stream: "A"}
	if err := jetstream.CheckAll([]jetstream.Config{a, a}); err == nil || !strings.Contains(err.Error(), "the same source") {
		t.Errorf("one stream twice: %v", err)
	}
	a.Credentials = "/nowhere/whosaw.creds"
	if _, err := jetstream.New(jetstream.Options{Config: a}); err == nil || !strings.Contains(err.Error(), "/nowhere/whosaw.creds") {
		t.Errorf("a file that is not there: %v", err)
	}
}
