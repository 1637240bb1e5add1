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
