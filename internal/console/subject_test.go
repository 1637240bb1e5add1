package console_test

import (
	"testing"
	"time"
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
