package notice_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
)

// Who was told is kept while it may be asked for, goes when its time is over, and leaves counts and true codes behind.
func TestRetain(t *testing.T) {
	w := newWorld(t)
	w.many(4)
	w.cfg.KeepDays = 100
	w.open()
	n := w.made(notice.Spec{})
	file := filepath.Join(w.dir, "notice", "1.db")
	later := time.Now()
	retain := func(apply bool, before time.Time, holds []uint64, want string) {
		t.Helper()
		w.stop()
		w.now = func() time.Time { return later }
		w.open()
		out, err := w.book.Retain(t.Context(), "staff:lee", before, holds, apply)
		check(t, err)
		if len(out) != 1 || want == "" && out[0].Kept != "" || !strings.Contains(out[0].Kept, want) || out[0].Bytes == 0 || out[0].People != 4 {
			t.Fatalf("%+v, want kept because %q", out, want)
		}
		if _, err := os.Stat(file); (err == nil) == (apply && want == "") {
			t.Errorf("apply %t, kept because %q: the file is there: %t", apply, want, err == nil)
		}
	}
	future := later.AddDate(2, 0, 0)
	retain(true, future, nil, "has not ended")
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	w.until(n.Number, inState(notice.Done))
	code := codeLine.FindString(parseMail(t, w.sink.mails()[0].raw).text)
	retain(true, future, nil, "not closed")
	_, err := w.inc.Record(t.Context(), n.Incident, "staff:kim", incident.Closed, incident.Body{Note: "over"})
	check(t, err)
	retain(true, future, nil, "notice.keep_days")
	later = later.AddDate(0, 0, 99)
	retain(true, future, nil, "notice.keep_days")
	later = later.AddDate(0, 0, 2)
	retain(true, time.Now().AddDate(0, 0, -1), nil, "it ended at") // a longer age was asked for
	retain(true, future, []uint64{7}, "legal hold 7")
	retain(false, future, nil, "")
	retain(true, future, nil, "")

	now, err := w.book.Notice(t.Context(), n.Number)
	check(t, err)
	if now.Purged == nil || now.People != 4 || now.Outcomes["sent"] != 4 || now.State != notice.Done {
		t.Errorf("%+v", now)
	}
	if _, err := w.book.Person(t.Context(), n.Number, notice.Person{ID: "1"}); err == nil || !strings.Contains(err.Error(), "removed by retention") {
		t.Errorf("a person who was removed: %v", err)
	}
	if g, err := w.book.Genuine(t.Context(), code); err != nil || g.Notice != n.Number || g.Sample {
		t.Errorf("a true code: %v %+v", err, g)
	}
	in, err := w.inc.Incident(t.Context(), n.Incident)
	check(t, err)
	if last := in.Timeline[len(in.Timeline)-1]; last.Title != "who was told was removed" || last.Who != "staff:lee" || *last.Count != 4 {
		t.Errorf("on record is %+v", last)
	}
	// A crash after the record: the file is still there, and goes at the next start, or the next retention.
	check(t, os.WriteFile(file, nil, 0o600))
	out, err := w.book.Retain(t.Context(), "staff:lee", future, nil, true)
	check(t, err)
	if _, err := os.Stat(file); len(out) != 0 || err == nil {
		t.Errorf("%+v, the file is there: %t", out, err == nil)
	}
}
