package follow_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/follow"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

var torture = flag.Duration("follow.torture", 5*time.Second, "how long each torture test writes, rotates and kills")

const childEnv = "WHOSAW_FOLLOW_CHILD" // DIR: this process is the follower that is killed

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child follows DIR/log/access.log until it is killed, and keeps what it reads in DIR/out.
func child(dir string) error {
	state, err := sqlite.Open(context.Background(), filepath.Join(dir, "state.db"))
	if err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(dir, "out"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(out)
	if err != nil {
		return err
	}
	if err := out.Truncate(int64(bytes.LastIndexByte(data, '\n') + 1)); err != nil { // what was not acknowledged
		return err
	}
	f, err := follow.New(follow.Options{
		Logs: []follow.Config{{
			Path: filepath.Join(dir, "log", "access.log"), Source: "web", Format: "records", Poll: 10 * time.Millisecond, Settle: time.Second,
		}},
		Sink: fileSink{out}, State: state,
	})
	if err != nil {
		return err
	}
	return f.Run(context.Background())
}

type fileSink struct{ f *os.File }

func (s fileSink) Take(ctx context.Context, b *ingest.Batch, from pipeline.Sender) (pipeline.Outcome, error) {
	if rand.IntN(50) == 0 {
		return pipeline.Outcome{}, errors.New("no space left on the ledger's disk")
	}
	var buf []byte
	for i := range b.Records {
		r := &b.Records[i]
		buf = fmt.Appendf(buf, "+ %d %d %s\n", r.Position, r.Time, r.Request)
	}
	for _, x := range b.Rejects {
		buf = fmt.Appendf(buf, "- %d 0 rejected\n", x.Position)
	}
	_, err := s.f.Write(buf)
	return pipeline.Outcome{Lines: b.Lines}, err
}

// shop is a log that is written and rotated.
type shop struct {
	t   *testing.T
	dir string
	rnd *rand.Rand

	mu    sync.Mutex // held while a line is written, and while a rotation must not see half of one
	file  *os.File
	next  int
	risky map[string]bool // lines that the rotation itself may lose
}

func (s *shop) log(name string) string { return filepath.Join(s.dir, "log", name) }

func (s *shop) check(err error) {
	if err != nil {
		s.t.Error(err)
	}
}

func (s *shop) open() {
	f, err := os.OpenFile(s.log("access.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	s.check(err)
	s.file = f
}

// write appends some lines, each in two writes.
func (s *shop) write(n int) {
	for range n {
		s.mu.Lock()
		text := fmt.Sprintf(`{"time":%d,"subject":"%d","route":"GET /me","request":"%d"}`+"\n", start.UnixMilli()+int64(s.next), s.next, s.next)
		s.next++
		cut := len(text) * (s.next % 7) / 7
		_, err := s.file.WriteString(text[:cut])
		s.check(err)
		_, err = s.file.WriteString(text[cut:])
		s.check(err)
		s.mu.Unlock()
	}
}

// shift moves the rotated files on by one and compresses some, the way logrotate does.
func (s *shop) shift(count int) {
	for i := count; i > 0; i-- {
		for _, end := range []string{"", ".gz"} {
			err := os.Rename(s.log(fmt.Sprintf("access.log.%d%s", i, end)), s.log(fmt.Sprintf("access.log.%d%s", i+1, end)))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				s.t.Error(err)
			}
		}
	}
	if name := s.log(fmt.Sprintf("access.log.%d", 2+s.rnd.IntN(3))); s.rnd.IntN(3) > 0 {
		if _, err := os.Stat(name); err == nil {
			s.pack(name)
		}
	}
}

func (s *shop) pack(name string) {
	info, err := os.Stat(name)
	s.check(err)
	data, err := os.ReadFile(name)
	s.check(err)
	f, err := os.Create(name + ".gz")
	s.check(err)
	z := gzip.NewWriter(f)
	for len(data) > 0 { // in pieces, so that half files are seen
		n := min(len(data), 32<<10)
		_, err := z.Write(data[:n])
		s.check(err)
		data = data[n:]
	}
	s.check(z.Close())
	s.check(f.Close())
	s.check(os.Chtimes(name+".gz", info.ModTime(), info.ModTime()))
	s.check(os.Remove(name))
}

// rename rotates by rename and create; the writer goes on with the old file for a while.
func (s *shop) rename(count int, pause func()) {
	s.shift(count)
	s.check(os.Rename(s.log("access.log"), s.log("access.log.1")))
	pause()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check(s.file.Close())
	s.open()
}

// copyTruncate rotates by copying. What is written between the end of the copy and the truncation is in no file any more.
func (s *shop) copyTruncate(count int, pause func()) {
	s.shift(count)
	data, err := os.ReadFile(s.log("access.log"))
	s.check(err)
	s.check(os.WriteFile(s.log("access.log.1"), data, 0o600))
	pause()
	s.mu.Lock()
	defer s.mu.Unlock()
	whole, err := os.ReadFile(s.log("access.log"))
	s.check(err)
	from := bytes.LastIndexByte(data, '\n') + 1 // of the line that the copy has half of
	for _, l := range bytes.Split(whole[from:], []byte("\n")) {
		if _, after, ok := bytes.Cut(l, []byte(`"request":"`)); ok {
			s.risky[string(bytes.TrimRight(after, `"}`))] = true
		}
	}
	s.check(s.file.Truncate(0))
}

// run writes at full speed while it rotates and kills at random, then lets the last follower come to the end.
func (s *shop) run(rotate func(count int, pause func())) (kills, rotations int) {
	s.check(os.Mkdir(s.log(""), 0o700))
	s.open()
	s.write(10)
	first := s.child() // what was rotated before a log is followed for the first time is not wanted
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if _, _, read := s.result(); read >= 10 {
			break
		}
	}
	s.check(first.Process.Kill())
	first.Wait() // killed
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wait := func(most time.Duration) {
		t := time.NewTimer(time.Duration(rand.Int64N(int64(most))))
		defer t.Stop()
		select {
		case <-t.C:
		case <-stop:
		}
	}
	running := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	wg.Go(func() {
		for running() {
			s.write(1 + rand.IntN(60))
			wait(4 * time.Millisecond)
		}
	})
	wg.Go(func() {
		for running() {
			wait(300 * time.Millisecond)
			rotations++
			rotate(rotations, func() { wait(20 * time.Millisecond) })
		}
	})
	end := time.Now().Add(*torture)
	for time.Now().Before(end) {
		c := s.child()
		wait(600 * time.Millisecond)
		s.check(c.Process.Kill())
		c.Wait() // killed
		kills++
		wait(100 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	s.check(s.file.Close())
	return kills, rotations
}

func (s *shop) child() *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childEnv+"="+s.dir)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// result is what the followers read, as a ledger would have kept it.
func (s *shop) result() (count map[string]int, rejects map[string]bool, read int) {
	f, err := os.Open(filepath.Join(s.dir, "out"))
	if err != nil {
		return nil, nil, 0
	}
	defer f.Close()
	count, rejects = map[string]int{}, map[string]bool{}
	known := map[[2]string]string{}
	for in := bufio.NewScanner(f); in.Scan(); {
		var kind, position, when, request string
		if n, _ := fmt.Sscan(in.Text(), &kind, &position, &when, &request); n != 4 {
			continue // the last one, half
		}
		if kind == "-" {
			rejects[position] = true
			continue
		}
		read++
		id := [2]string{position, when}
		if was, ok := known[id]; ok && was != request {
			s.t.Errorf("position %s holds line %s and line %s", position, was, request)
		} else if !ok {
			known[id] = request
			count[request]++
		}
	}
	return count, rejects, read
}

func (s *shop) finish(kills, rotations int) {
	c := s.child()
	defer func() {
		s.check(c.Process.Kill())
		c.Wait() // killed
	}()
	complete := func() (missing int) {
		count, _, _ := s.result()
		for n := range s.next {
			if name := fmt.Sprint(n); count[name] == 0 && !s.risky[name] {
				missing++
			}
		}
		return missing
	}
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(200 * time.Millisecond); complete() > 0 && time.Now().Before(deadline); <-tick.C {
	}
	count, rejects, read := s.result()
	missing, lost := 0, 0
	for n := range s.next {
		name := fmt.Sprint(n)
		switch c := count[name]; {
		case c > 1:
			s.t.Errorf("line %d is there %d times", n, c)
		case c == 0 && s.risky[name]:
			lost++
		case c == 0:
			if missing++; missing <= 5 {
				s.t.Errorf("line %d is missing", n)
			}
		}
	}
	if missing > 0 {
		s.t.Errorf("%d of %d lines are missing", missing, s.next)
	}
	s.t.Logf("%d lines, %d rotations, %d kills; %d lines were read again and known; the rotation itself could lose %d lines and lost %d; %d rejected",
		s.next, rotations, kills, read-len(count), len(s.risky), lost, len(rejects))
	if len(s.risky) == 0 && len(rejects) > 0 {
		s.t.Errorf("rejected: %v", rejects)
	}
	if kills < 3 || rotations < 3 {
		s.t.Error("too few kills or rotations to mean anything: the machine is too slow, or -follow.torture too short")
	}
}

func newShop(t *testing.T) *shop {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	return &shop{t: t, dir: t.TempDir(), rnd: rand.New(rand.NewPCG(1, 2)), risky: map[string]bool{}}
}

func TestTortureRename(t *testing.T) {
	s := newShop(t)
	s.finish(s.run(s.rename))
}

func TestTortureCopyTruncate(t *testing.T) {
	s := newShop(t)
	s.finish(s.run(s.copyTruncate))
}
