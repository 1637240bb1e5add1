package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// postfix is Debian's mail server with a configuration, a queue and a log of its own in a temporary directory, on 127.0.0.1. Its master must be started
// as root, since it changes to the account postfix itself: without that the tests that need it are skipped, and fail under WHOSAW_STRICT=1.
type postfix struct {
	dir  string
	port int
	pid  int
	stop func() time.Duration // ends it and gives the processor time that it and its programs took
}

// postfixMaster is where Debian has the program that starts the others.
const postfixMaster = "/usr/lib/postfix/sbin/master"

func needPostfix(tb testing.TB) {
	tb.Helper()
	why := ""
	if _, err := os.Stat(postfixMaster); err != nil {
		why = "no postfix here: scripts/tools installs it"
	} else if os.Getuid() != 0 {
		why = "postfix's master wants to be started as root"
	}
	if why == "" {
		return
	}
	if os.Getenv("WHOSAW_STRICT") != "" {
		tb.Fatal(why)
	}
	tb.Skip(why)
}

// startPostfix starts a postfix that takes mail on a free port, with STARTTLS, and gives it on to transport, as in smtp:[127.0.0.1]:2525 or discard:.
func startPostfix(tb *testing.T, cert, key, transport string) *postfix {
	tb.Helper()
	needPostfix(tb)
	// A directory that the account postfix can reach, with a short path: postfix puts sockets into it.
	dir, err := os.MkdirTemp("", "wp")
	fatal(tb, err)
	tb.Cleanup(func() { os.RemoveAll(dir) })
	fatal(tb, os.Chmod(dir, 0o755))
	port := freePort(tb)
	p := &postfix{dir: dir, port: port}
	conf := filepath.Join(dir, "conf")
	for _, d := range []string{conf, filepath.Join(dir, "queue"), filepath.Join(dir, "data")} {
		fatal(tb, os.Mkdir(d, 0o755))
	}
	fatal(tb, exec.Command("chown", "postfix", filepath.Join(dir, "data")).Run())
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = relay.test
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = may
smtpd_tls_cert_file = %[2]s
smtpd_tls_key_file = %[3]s
default_transport = %[4]s
smtp_destination_concurrency_limit = 20
smtp_tls_security_level = none
notify_classes =
`, dir, cert, key, transport)
	master := fmt.Sprintf(`127.0.0.1:%d inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`, port)
	fatal(tb, os.WriteFile(filepath.Join(conf, "main.cf"), []byte(main), 0o644))
	fatal(tb, os.WriteFile(filepath.Join(conf, "master.cf"), []byte(master), 0o644))
	// The queue's directories come from the check that postfix makes before a start.
	if out, err := exec.Command("/usr/sbin/postfix", "-c", conf, "check").CombinedOutput(); err != nil {
		tb.Fatalf("postfix check: %v\n%s", err, out)
	}
	var said bytes.Buffer
	cmd := exec.Command(postfixMaster, "-c", conf, "-d")
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it is the head of its programs
	fatal(tb, cmd.Start())
	p.pid = cmd.Process.Pid
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	var once sync.Once
	p.stop = func() time.Duration {
		once.Do(func() {
			_ = syscall.Kill(p.pid, syscall.SIGTERM) // the master stops its programs
			select {
			case <-exited:
			case <-time.After(20 * time.Second):
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
				<-exited
			}
		})
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	tb.Cleanup(func() { p.stop() })
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			c.Close()
			return p
		}
		if time.Now().After(deadline) {
			tb.Fatalf("postfix does not answer: %v\n%s\n%s", err, said.String(), p.log())
		}
		<-tick.C
	}
}

func (p *postfix) log() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

func fatal(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
