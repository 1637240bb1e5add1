package follow_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/follow"
	"github.com/whosaw/whosaw/internal/ingest"
)

func TestLinesAsTheyCome(t *testing.T) {
	r := newRig(t)
	r.start() // before there is a log
	r.write("access.log", lines(0, 3))
	r.sink.has(t, 0, 3)
	half := line(3)
	r.write("access.log", half[:20])
	r.status("the half line to be looked at", func(s follow.LogStatus) bool { return s.Behind == 20 })
	r.write("access.log", half[20:]+lines(4, 10))
	r.sink.has(t, 0, 10)
	r.halt()
	r.write("access.log", lines(10, 20))
	r.start()
	r.sink.has(t, 0, 20)
	if n := r.sink.repeated(); n != 0 {
		t.Errorf("%d lines were read twice although the stop was graceful", n)
	}
	r.status("nothing behind", func(s follow.LogStatus) bool {
		return s.Live && s.Behind == 0 && s.Lines == 10 && s.Newest == start.UnixMilli()+19000 && len(s.Problems) == 0
	})
}

func TestRenameAndCreate(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(0, 10))
	r.start()
	r.sink.has(t, 0, 10)
	r.rename("access.log", "access.log.1")
	r.write("access.log.1", lines(10, 12)) // the writer has not reopened yet
	r.write("access.log", lines(12, 20))
	r.sink.has(t, 0, 20)
	r.write("access.log.1", lines(20, 21)) // nor now
	r.sink.has(t, 0, 21)
	r.clock.forward(time.Hour)
	r.status("the rotated file to be finished", func(s follow.LogStatus) bool { return s.Files == 2 && s.Behind == 0 })
	r.write("access.log.1", lines(21, 22)) // long after
	r.sink.has(t, 0, 22)
	if n := r.sink.repeated(); n != 0 {
		t.Errorf("%d repeats", n)
	}
}

func TestDeletedAndCreated(t *testing.T) {
	r := newRig(t)
	w, err := os.Create(r.path("access.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	write := func(s string) {
		if _, err := w.WriteString(s); err != nil {
			t.Fatal(err)
		}
	}
	write(lines(0, 10))
	r.start()
	r.sink.has(t, 0, 10)
	r.remove("access.log")
	r.status("the log to be gone", func(s follow.LogStatus) bool { return !s.Live })
	write(lines(10, 20)) // into the file without a name
	r.sink.has(t, 0, 20)
	r.write("access.log", lines(20, 30)) // often with the same inode number
	write(lines(30, 35))
	r.sink.has(t, 0, 35)
}

// A file system gives the number of a file that was removed to the next one. Only content tells that it is another.
func TestSameInodeOtherContent(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(0, 100))
	r.start()
	r.sink.has(t, 0, 100)
	r.halt()
	if err := os.WriteFile(r.path("access.log"), []byte(lines(100, 250)), 0o600); err != nil { // same inode, longer than before
		t.Fatal(err)
	}
	r.start()
	r.sink.has(t, 0, 250)
}

// Once the number of a removed file came back for one of the same size, and that was taken for read.
func TestRotatedFileWithTheSizeOfAnother(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(100, 200))
	r.start()
	r.sink.has(t, 100, 200)
	r.rename("access.log", "access.log.1")
	r.write("access.log", lines(200, 201))
	r.sink.has(t, 100, 201)
	r.clock.forward(time.Hour)
	r.status("the rotated file to be finished", func(s follow.LogStatus) bool { return s.Behind == 0 && s.Files == 2 })
	if err := os.WriteFile(r.path("access.log.1"), []byte(lines(201, 301)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.sink.has(t, 100, 301)
}

func TestCopyTruncate(t *testing.T) {
	for _, packed := range []bool{false, true} {
		r := newRig(t)
		r.write("access.log", lines(0, 100))
		r.start()
		r.sink.has(t, 0, 100)
		r.halt()
		r.write("access.log", lines(100, 150)) // not read before the rotation
		r.run("cp", "access.log", "access.log.1")
		if err := os.Truncate(r.path("access.log"), 0); err != nil {
			t.Fatal(err)
		}
		if packed {
			r.run("gzip", "access.log.1")
		}
		r.write("access.log", lines(150, 300))
		r.older("access.log.1"+map[bool]string{true: ".gz"}[packed], time.Minute)
		r.start()
		r.sink.has(t, 0, 300)
		if n := r.sink.repeated(); n != 0 {
			t.Errorf("packed %v: %d repeats", packed, n)
		}
	}
}

// The copy lacks what came between the copying and the truncation. What was read of that before is kept; positions go on.
func TestCopyTruncateAfterTheCopy(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(0, 100))
	r.start()
	r.sink.has(t, 0, 100)
	r.run("cp", "access.log", "access.log.1")
	r.write("access.log", lines(100, 110))
	r.sink.has(t, 0, 110)
	if err := os.Truncate(r.path("access.log"), 0); err != nil {
		t.Fatal(err)
	}
	r.write("access.log", lines(110, 120))
	r.sink.has(t, 0, 120)
	r.clock.forward(time.Hour)
	r.status("all to be read", func(s follow.LogStatus) bool { return s.Behind == 0 && s.Unfinished == 0 })
	if n := r.sink.repeated(); n != 0 {
		t.Errorf("%d repeats", n)
	}
}

// A writer that does not append goes on at its old offset: the file begins with a hole.
func TestCopyTruncateSparse(t *testing.T) {
	r := newRig(t)
	w, err := os.Create(r.path("access.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	n := 0
	write := func(count int) {
		if _, err := w.WriteString(lines(n, n+count)); err != nil {
			t.Fatal(err)
		}
		n += count
	}
	r.start()
	for round := range 4 {
		write(100)
		if round != 1 { // and once it is rotated before it is read
			r.sink.has(t, 0, n)
		} else {
			r.halt()
		}
		for i := 3; i > 0; i-- {
			from, to := "access.log."+string(rune('0'+i)), "access.log."+string(rune('1'+i))
			if _, err := os.Stat(r.path(from)); err == nil {
				r.rename(from, to)
			}
		}
		r.run("cp", "access.log", "access.log.1")
		if err := os.Truncate(r.path("access.log"), 0); err != nil {
			t.Fatal(err)
		}
		if round == 1 {
			r.older("access.log.1", time.Minute)
			r.start()
		}
	}
	write(100)
	r.sink.has(t, 0, n)
	r.sink.mu.Lock()
	defer r.sink.mu.Unlock()
	if len(r.sink.rejects) > 0 {
		t.Errorf("rejected: %v", r.sink.rejects)
	}
}

func TestRotatedWhileDown(t *testing.T) {
	r := newRig(t)
	r.write("access.log.3", lines(9000, 9100)) // before whosaw was there: not wanted
	r.older("access.log.3", 24*time.Hour)
	r.write("access.log", lines(0, 200))
	r.start()
	r.sink.has(t, 0, 200)
	r.halt()
	r.run("gzip", "access.log.3")
	r.write("access.log", lines(200, 300))
	r.rename("access.log", "access.log.2")
	r.run("gzip", "access.log.2")
	r.older("access.log.2.gz", 3*time.Minute)
	// another came and went while we were down
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.write("access.log.1.zst", string(z.EncodeAll([]byte(lines(300, 400)), nil)))
	r.older("access.log.1.zst", 2*time.Minute)
	r.write("access.log", lines(400, 500))
	r.start()
	r.sink.has(t, 0, 500)
	if n := r.sink.repeated(); n != 0 {
		t.Errorf("%d repeats", n)
	}
	r.halt()
	r.rename("access.log.2.gz", "access.log.4.gz")
	r.rename("access.log.1.zst", "access.log.5.zst")
	r.start()
	r.status("nothing to be read again", func(s follow.LogStatus) bool { return s.Files == 4 && s.Behind == 0 })
	if n := r.sink.repeated(); n != 0 {
		t.Errorf("%d repeats after names changed", n)
	}
}

// A writer that was not told of the rotation writes on and on into the rotated file.
func TestRotatedFileThatIsNeverQuiet(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(0, 200))
	r.start()
	r.sink.has(t, 0, 200)
	r.halt()
	r.rename("access.log", "access.log.1")
	r.write("access.log", "")
	r.start()
	n := 200
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		r.write("access.log.1", lines(n, n+1))
		n++
		r.sink.mu.Lock()
		seen := r.sink.count["201"] > 0
		r.sink.mu.Unlock()
		if seen {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a rotated file that grows is not read")
		}
	}
	r.sink.has(t, 0, n)
	if r.sink.repeated() > 0 {
		t.Error("it was read from its beginning")
	}
}

func TestCompressedWhileItIsWritten(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(0, 100))
	r.start()
	r.sink.has(t, 0, 100)
	r.halt()
	r.write("access.log", lines(100, 3000))
	r.rename("access.log", "access.log.1")
	r.run("gzip", "-k", "access.log.1")
	whole, err := os.ReadFile(r.path("access.log.1.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r.remove("access.log.1")
	if err := os.WriteFile(r.path("access.log.1.gz"), whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	r.older("access.log.1.gz", time.Minute) // stalled
	r.start()
	r.status("the half file to be told", func(s follow.LogStatus) bool {
		return len(s.Problems) == 1 && strings.Contains(s.Problems[0].Reason, "ends early")
	})
	if err := os.WriteFile(r.path("access.log.1.gz"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	r.older("access.log.1.gz", time.Minute)
	r.clock.forward(time.Minute)
	r.sink.has(t, 0, 3000)
	r.status("no problem left", func(s follow.LogStatus) bool { return len(s.Problems) == 0 && s.Behind == 0 })
}

func TestLastLineWithoutLineFeed(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(0, 10)+strings.TrimSuffix(line(10), "\n"))
	r.start()
	r.sink.has(t, 0, 10)
	r.rename("access.log", "access.log.1")
	r.write("access.log", lines(11, 12))
	r.sink.wait(t, "the next generation", func() bool { return r.sink.count["11"] == 1 })
	r.clock.forward(29 * time.Second)
	r.write("access.log", lines(12, 13))
	r.sink.wait(t, "a later round", func() bool { return r.sink.count["12"] == 1 })
	r.sink.mu.Lock()
	taken := r.sink.count["10"] != 0
	r.sink.mu.Unlock()
	if taken {
		t.Error("the last line was taken before it was certain")
	}
	r.clock.forward(10 * time.Second)
	r.sink.has(t, 0, 13)
}

func TestTruncatedAndGrownAgain(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(0, 100))
	r.start()
	r.sink.has(t, 0, 100)
	w, err := os.OpenFile(r.path("access.log"), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.WriteString(lines(100, 400)); err != nil { // longer than it was, before anybody looks
		t.Fatal(err)
	}
	r.sink.has(t, 0, 400)
	if err := w.Truncate(int64(len(lines(100, 300)))); err != nil { // cut to a part that was read
		t.Fatal(err)
	}
	r.status("it to be read from its beginning", func(s follow.LogStatus) bool { return s.Repeats == 200 })
	r.write("access.log", lines(400, 410))
	r.sink.has(t, 0, 410)
}

func TestSymbolicLink(t *testing.T) {
	r := newRig(t, func(c *follow.Config) {
		dir := strings.TrimSuffix(c.Path, "access.log")
		c.Path, c.Rotated = dir+"current", []string{dir + "app-*.log"}
	})
	r.write("app-2026-03-01.log", lines(0, 10))
	if err := os.Symlink("app-2026-03-01.log", r.path("current")); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.sink.has(t, 0, 10)
	r.halt()
	r.write("app-2026-03-01.log", lines(10, 20))
	r.older("app-2026-03-01.log", time.Minute)
	r.write("app-2026-03-02.log", lines(20, 30))
	r.remove("current")
	if err := os.Symlink("app-2026-03-02.log", r.path("current")); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.sink.has(t, 0, 30)
}

func TestNamedByDate(t *testing.T) {
	r := newRig(t, func(c *follow.Config) {
		c.Path = strings.TrimSuffix(c.Path, "access.log") + "access-*.log"
	})
	r.write("access-2026-03-01.log", lines(0, 10))
	r.older("access-2026-03-01.log", time.Minute)
	r.start()
	r.sink.has(t, 0, 10)
	r.write("access-2026-03-02.log", lines(10, 20))
	r.sink.has(t, 0, 20)
	for id := range r.sink.by {
		if id.source != "web/access.log" {
			t.Fatalf("source %q", id.source)
		}
	}
}

func TestPatternOfSeveralLogs(t *testing.T) {
	r := newRig(t, func(c *follow.Config) {
		c.Path, c.Source = strings.TrimSuffix(c.Path, "access.log")+"*.log", ""
	})
	r.write("a.log", lines(0, 10))
	r.write("b.log", lines(10, 20))
	r.write("b.txt", lines(90, 99))
	r.start()
	r.sink.has(t, 0, 20)
	r.rename("b.log", "b.log.1")
	r.write("b.log", lines(20, 30))
	r.write("c.log", lines(30, 40))
	r.sink.has(t, 0, 40)
	sources := map[string]int{}
	for id := range r.sink.by {
		sources[id.source]++
	}
	if sources["a.log"] != 10 || sources["b.log"] != 20 || sources["c.log"] != 10 {
		t.Error(sources)
	}
}

func TestPatternOfDirectories(t *testing.T) {
	r := newRig(t, func(c *follow.Config) {
		c.Path = strings.TrimSuffix(c.Path, "access.log") + "*/access.log"
	})
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(r.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	same := line(0) // the same line at the same place of two logs is two accesses
	r.write("a/access.log", same)
	r.write("b/access.log", same)
	r.start()
	r.sink.wait(t, "both", func() bool { return r.sink.count["0"] == 2 })
	for id := range r.sink.by {
		if id.source != "web/a/access.log" && id.source != "web/b/access.log" {
			t.Errorf("source %s", id.source)
		}
	}
}

func TestTypes(t *testing.T) {
	for _, types := range [][]string{nil, {"access"}} {
		r := newRig(t, func(c *follow.Config) { c.Types = types })
		r.write("access.log", lines(0, 3))
		r.start()
		r.sink.has(t, 0, 3)
		if got := r.sink.types.Has(whosaw.TypeIssuance); got != (types == nil) || !r.sink.types.Has(whosaw.TypeAccess) {
			t.Errorf("types %v: issuances may come: %v", types, got)
		}
	}
}

func TestFrom(t *testing.T) {
	r := newRig(t, func(c *follow.Config) { c.From = follow.FromEnd })
	half := line(10)
	r.write("access.log", lines(0, 10)+half[:10])
	r.start()
	r.status("the end to be reached", func(s follow.LogStatus) bool { return s.Offset == int64(len(lines(0, 10))) })
	r.write("access.log", half[10:]+lines(11, 20))
	r.sink.has(t, 10, 20)
	r.halt()
	r.write("access.log", lines(20, 30))
	r.start()
	r.sink.has(t, 10, 30)

	r = newRig(t, func(c *follow.Config) { c.From = follow.FromAll })
	r.write("access.log.1", lines(0, 10))
	r.run("gzip", "access.log.1")
	r.older("access.log.1.gz", time.Hour)
	r.write("access.log", lines(10, 20))
	r.start()
	r.sink.has(t, 0, 20)
}

func TestLongLine(t *testing.T) {
	r := newRig(t)
	long := `{"x":"` + strings.Repeat("x", 3*whosaw.MaxLine) + `"}` + "\n"
	r.write("access.log", lines(0, 5)+long[:2*whosaw.MaxLine])
	r.start()
	r.sink.has(t, 0, 5)
	r.write("access.log", long[2*whosaw.MaxLine:]+lines(5, 10))
	r.sink.has(t, 0, 10)
	r.sink.mu.Lock()
	rejects := r.sink.rejects
	r.sink.mu.Unlock()
	if len(rejects) != 1 || !strings.Contains(rejects[0].Reason, "longer than 1 MiB") || rejects[0].Position != int64(len(lines(0, 5))) || rejects[0].Line != 6 {
		t.Errorf("rejects: %+v", rejects)
	}
	r.halt()
	r.write("access.log", lines(10, 15))
	r.start()
	r.sink.has(t, 0, 15)
}

// While the ledger takes nothing, lines wait where they are, and the status says why.
func TestLedgerThatFails(t *testing.T) {
	r := newRig(t)
	r.sink.fail = errors.New("no space left on the device of the ledger")
	r.write("access.log", lines(0, 1000))
	r.start()
	r.status("the reason", func(s follow.LogStatus) bool { return strings.Contains(s.Waiting, "no space left") && s.Behind > 0 })
	r.halt()
	r.start()
	r.sink.mu.Lock()
	r.sink.fail = nil
	r.sink.mu.Unlock()
	r.sink.has(t, 0, 1000)
	r.status("no reason", func(s follow.LogStatus) bool { return s.Waiting == "" })
}

func TestWhatIsNoFile(t *testing.T) {
	r := newRig(t)
	if err := os.Mkdir(r.path("access.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.status("the problem", func(s follow.LogStatus) bool {
		return len(s.Problems) == 1 && s.Problems[0].Reason == "it is not a file"
	})
	r.remove("access.log")
	r.write("access.log", lines(0, 3))
	r.sink.has(t, 0, 3)
	r.status("no problem", func(s follow.LogStatus) bool { return len(s.Problems) == 0 && s.Live })
}

func TestNoPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	r := newRig(t)
	r.write("access.log", lines(0, 3))
	if err := os.Chmod(r.path("access.log"), 0); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.status("the problem", func(s follow.LogStatus) bool {
		return len(s.Problems) == 1 && strings.Contains(s.Problems[0].Reason, "permission denied") && !s.Live
	})
	if err := os.Chmod(r.path("access.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.sink.has(t, 0, 3)
}

func TestGoneBeforeItWasRead(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(0, 100))
	r.start()
	r.sink.has(t, 0, 100)
	r.halt()
	r.remove("access.log") // with what may have come after
	r.write("access.log", lines(100, 110))
	r.start()
	r.sink.has(t, 0, 110)
	r.clock.forward(time.Hour)
	r.status("the loss to be told", func(s follow.LogStatus) bool {
		return s.Unfinished == 1 && strings.Contains(s.Error, "gone before they were read") && s.Since > 0
	})
}

// A ledger that takes its time is no error, but the status says that lines wait.
func TestLedgerThatIsBusy(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(0, 3))
	r.start()
	r.sink.has(t, 0, 3)
	r.status("following", func(s follow.LogStatus) bool { return s.State == "following" && s.Error == "" })
	r.sink.mu.Lock()
	gate := make(chan struct{})
	r.sink.gate = gate
	r.sink.mu.Unlock()
	r.write("access.log", lines(3, 6))
	gate <- struct{}{} // it has the batch
	r.clock.forward(time.Minute)
	if s := r.f.Status()[0]; s.State != "waiting" || s.Error != "the ledger is busy" || s.Since == 0 {
		t.Errorf("%+v", s)
	}
	close(gate)
	r.sink.has(t, 0, 6)
	r.status("following", func(s follow.LogStatus) bool { return s.State == "following" && s.Error == "" })
}

// What `whosaw investigate --source web` gives of a rotated file is what was followed.
func TestSameIdentityAsAnImport(t *testing.T) {
	r := newRig(t)
	r.write("access.log", "\xef\xbb\xbf"+lines(0, 50)+"\n\n"+lines(50, 70))
	r.start()
	r.sink.has(t, 0, 70)
	r.rename("access.log", "access.log.1")
	r.run("gzip", "access.log.1")
	plan, err := ingest.NewPlan(t.Context(), []string{r.path("access.log.1.gz")}, ingest.Options{Source: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	n := 0
	_, err = ingest.Read(t.Context(), plan, ingest.Options{Source: "web"}, func(records []whosaw.Record) error {
		for i := range records {
			if _, ok := r.sink.by[identity{records[i].Source, records[i].Position, records[i].Time}]; !ok {
				t.Errorf("position %d is not known", records[i].Position)
			}
			n++
		}
		return nil
	})
	if err != nil || n != 70 {
		t.Fatal(n, err)
	}
}

func TestGenerationsAreForgotten(t *testing.T) {
	r := newRig(t)
	r.start()
	const rounds = 30
	for i := range rounds {
		r.write("access.log", lines(i*10, i*10+10))
		r.sink.has(t, 0, i*10+10)
		r.remove("access.log")
	}
	r.halt()
	count := func() (n int) {
		if err := r.state.Read().QueryRowContext(context.Background(), "SELECT count(*) FROM follow_generation").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if count() < 2 {
		t.Fatalf("%d generations are remembered", count())
	}
	r.clock.forward(31 * 24 * time.Hour)
	r.write("access.log", lines(rounds*10, rounds*10+10))
	r.start()
	r.sink.has(t, 0, rounds*10+10)
	r.halt()
	if n := count(); n != 1 {
		t.Errorf("%d generations are remembered", n)
	}
}

// Nothing of a line is stored beside the ledger.
func TestStateHoldsNoText(t *testing.T) {
	r := newRig(t)
	r.write("access.log", lines(0, 100))
	r.start()
	r.sink.has(t, 0, 100)
	r.halt()
	for _, name := range []string{r.state.Path(), r.state.Path() + "-wal"} {
		data, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("GET /me")) {
			t.Errorf("%s holds text of the log", name)
		}
	}
}
