package console_test

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
)

// TestSubject asks who saw a customer's data, in clicks from a scope's list.
func TestSubject(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 2, busy: 3, theft: 21 * time.Minute, pace: 280 * time.Millisecond})
	b := s.open()
	b.look(1440, false)
	b.Visit("/findings/1")
	b.Shows("customers were shown")
	b.Key("s")
	b.Shows("1 – 20 of")
	id := b.Eval(`document.querySelector("#list tbody td").innerText.trim()`)
	b.Click(`#list tbody button`)
	b.Shows("Subject " + id)
	b.Shows("claims to be customer:" + id)
	b.Shows("never issued")
	for _, l := range looks {
		b.look(l.width, l.dark)
		b.Reload()
		b.Shows("Subject " + id)
		b.clean("subject-"+l.name, "id:"+id, "forged-")
	}
	b.look(1440, false)
	b.Reload()
	b.Shows("Every access")
	b.Key("x")
	b.Shows("All accesses")

	// An honest customer, by the form.
	b.Key("u")
	b.Shows("That you looked is recorded")
	b.Type("#subject", s.honest+"\r")
	b.Shows("All of it is explained")
	b.clean("subject-honest", "id:"+s.honest)
}

// shown gives accesses to a customer, a minute from each other, the last of them age ago.
func shown(s *site, customer, route, field string, n int, age time.Duration) (list []whosaw.Record) {
	for i := range n {
		list = append(list, whosaw.Record{
			Time: s.now().Add(-age - time.Duration(i)*time.Minute).UnixMilli(), Source: "a", ID: fmt.Sprint(customer, field, i), Route: route, Status: 200, Fields: []string{field},
			Subjects: []string{customer}, Principal: "staff:cc-1",
		})
	}
	return list
}

var more = regexp.MustCompile(`hx-get="([^"]+/more\?[^"]+)"`)

// TestSubjectColumns: what stands below a field's name is of that field, in the year and on each page of accesses.
func TestSubjectColumns(t *testing.T) {
	s := newSite(t)
	s.signIn()
	s.take("a", append(shown(s, "77", "GET /a", "name", 35, time.Hour), shown(s, "77", "GET /b", "address", 10, 100*24*time.Hour)...))
	_, text := s.page("POST", "/subject", url.Values{"subject": {"77"}})
	year, rows, _ := strings.Cut(text, `aria-labelledby="h-every"`)
	_, year, _ = strings.Cut(year, `aria-labelledby="h-year"`)
	if head, cells := strings.Count(year, `<th scope="col" class="n">`), strings.Count(year, `<td class="n"`); head != 3 || cells != 3 {
		t.Errorf("the year has %d columns of figures and %d figures, want 3 of both", head, cells)
	}
	if n := strings.Count(rows, `<th scope="col" class="d">`); n != 1 {
		t.Errorf("the first page has %d columns of fields, want 1", n)
	}
	next := more.FindStringSubmatch(rows)
	if next == nil {
		t.Fatal("there is no next page")
	}
	_, text = s.page("GET", html.UnescapeString(next[1]), nil)
	if head, rows := strings.Count(text, `<th scope="col" class="d">`), strings.Count(text, "data-row"); head != 2 || rows != 15 {
		t.Errorf("the next page names %d fields over %d rows, want 2 over 15", head, rows)
	}
}

// TestSubjectOld: an access that nothing explains is not said to be explained because it is older than the year that is summed up.
func TestSubjectOld(t *testing.T) {
	s := newSite(t)
	s.signIn()
	s.take("a", shown(s, "78", "GET /a", "name", 3, 400*24*time.Hour))
	_, text := s.page("POST", "/subject", url.Values{"subject": {"78"}})
	if n := strings.Count(text, "none on record"); n != 3 {
		t.Errorf("%d of 3 old accesses are said to have no reason on record", n)
	}
}
