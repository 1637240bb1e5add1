package whosaw_test

import (
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
)

// TestEmptySubjectIsMissing: nginx writes "" for a header that the service did not set.
func TestEmptySubjectIsMissing(t *testing.T) {
	const now = 1795000000000
	var d whosaw.Decoder
	var r whosaw.Record
	if err := d.Decode([]byte(`{"time":"2026-03-02T10:00:00Z","route":"GET /search","subject":"","key":""}`), now, &r); err != nil || r.HasSubjects() || r.Key != "" {
		t.Errorf("decode: %v, %d subjects", err, len(r.Subjects))
	}
	err := d.Decode([]byte(`{"type":"subject","time":"2026-03-02T10:00:00Z","subject":"","state":"active"}`), now, &r)
	if err == nil || !strings.Contains(err.Error(), "subject") {
		t.Errorf("a subject record without its subject: %v", err)
	}
}

// TestVisitorsBytesDoNotRejectTheLine: nginx's escape=json writes the bytes of an agent and a path as they came.
func TestVisitorsBytesDoNotRejectTheLine(t *testing.T) {
	const now = 1795000000000
	var d whosaw.Decoder
	var r whosaw.Record
	line := "{\"time\":\"2026-03-02T10:00:00Z\",\"path\":\"/me/\xc3\x28?q=\xff\",\"method\":\"GET\",\"agent\":\"a\xff\\\"\xfeé\",\"subject\":7}"
	if err := d.Decode([]byte(line), now, &r); err != nil {
		t.Fatal(err)
	}
	if r.Agent != `a\xFF"\xFEé` || r.Path != `/me/\xC3(?q=\xFF` || r.Subjects[0] != "7" {
		t.Errorf("agent %q, path %q", r.Agent, r.Path)
	}
	for _, bad := range []string{
		"{\"time\":\"2026-03-02T10:00:00Z\",\"agent\":\"\xff\",\"subject\":\"\xfe\"}",
		"{\"time\":\"2026-03-02T10:00:00Z\",\"note\xff\":1}",
	} {
		if err := d.Decode([]byte(bad), now, &r); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("an id that is not UTF-8: %v", err)
		}
	}
}
