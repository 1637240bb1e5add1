package detect_test

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

func keyRecord(t int64, key string, ref whosaw.Reference) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeKey, Time: t, Key: key, Ref: &ref}
}

func person(t int64, name, state string) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypePerson, Time: t, Ref: &whosaw.Reference{Person: name, State: state}}
}

func policyAct(t int64, text string) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeAct, Time: t, Ref: &whosaw.Reference{Kind: detect.KeyPolicyAct, Note: text}}
}

// hours adds an honest access every half hour: the log's clock.
func (w *world) hours(from, to int64) {
	for t := from; t < to; t += hour / 2 {
		r := get(t, 7, true)
		r.Principal, r.Key = "customer:7", "main"
		w.add(r)
	}
}

// TestKeyPolicy: each breach is raised once, when its time has come by the log's clock, and accuses no access.
func TestKeyPolicy(t *testing.T) {
	w := newWorld(1)
	w.add(policyAct(start, `{"longest_life_hours":240,"no_human_readers":true,"owner":true,"rotate_within_hours":12,"dispose_within_hours":48}`))
	w.add(keyRecord(start, "backup", whosaw.Reference{State: "active", Person: "lee", Readers: []string{"service:mint"}}))
	w.add(keyRecord(start, "orphan", whosaw.Reference{State: "active"}))
	w.add(keyRecord(start+hour, "old", whosaw.Reference{State: "retired", Person: "park"}))
	w.add(keyRecord(start+day, "backup", whosaw.Reference{Kind: "exported", Readers: []string{"kim"}}))
	w.add(person(start+2*day, "kim", "left"))
	w.add(person(start+3*day, "lee", "left"))
	w.add(keyRecord(start+8*day, "backup", whosaw.Reference{State: "retired", Kind: "rotated", Into: "backup-2"}))
	w.add(keyRecord(start+9*day, "backup", whosaw.Reference{Kind: "disposed"}))
	w.hours(start, start+14*day)
	rs := w.sorted()
	_, fs := run(detect.Config{}, rs)
	want := map[string]int64{ // says, and when it is a breach
		`Key "backup" could be read by a person since`:       start + day,
		`Key "orphan" has no owner on record`:                start + day,
		`Key "old" was taken out of use`:                     start + 2*day + hour,
		`Key "backup" could be read by a person who left on`: start + 2*day + 12*hour,
		`Key "backup" belongs to a person who left on`:       start + 3*day,
		`Key "orphan" has been in use since`:                 start + 10*day,
	}
	for _, f := range by(fs, "key_policy") {
		found := false
		for says, at := range want {
			if strings.HasPrefix(f.Says, says) {
				found = true
				delete(want, says)
				if int64(f.Time) != at || rs[f.at].Time < at || rs[f.at].Time > at+hour || len(f.Filter) != 0 || f.Filter == nil || f.Accesses != 0 {
					t.Errorf("%s: at %d, raised %d later; %+v", f.Says, f.Time, rs[f.at].Time-at, f.Finding)
				}
			}
		}
		if !found {
			t.Errorf("twice, or not expected: %s", f.Says)
		}
		if strings.Contains(f.Says, "kim") || strings.Contains(f.Says, "lee") {
			t.Errorf("a person is named: %s", f.Says)
		}
	}
	for says := range want {
		t.Errorf("not raised: %s", says)
	}
	// In batches, and cut behind any finding, the findings are the same.
	e := detect.New(detect.Config{}, nil)
	var batched []whosaw.Finding
	e.ObserveBatch(rs, func(i int) uint64 { return uint64(i + 1) }, func(_ int, f whosaw.Finding) { batched = append(batched, f) })
	for i, f := range fs {
		_, again := run(detect.Config{}, rs[:f.at+1])
		if d := gocmp.Diff(f.Finding, again[i].Finding); d != "" || gocmp.Diff(f.Finding, batched[i]) != "" {
			t.Errorf("cut behind it, or in a batch: %s", d)
		}
	}
	if _, fs := run(detect.Config{}, rs[1:]); len(by(fs, "key_policy")) > 0 {
		t.Errorf("without a policy: %v", fs)
	}
}

// TestOffboarded: the first use of what was a leaver's is a finding, and only the first.
func TestOffboarded(t *testing.T) {
	w := newWorld(1)
	w.hours(start, start+12*day)
	w.add(keyRecord(start, "backup", whosaw.Reference{State: "active", Readers: []string{"kim"}}))
	w.add(whosaw.Record{Type: whosaw.TypePerson, Time: start + day, Ref: &whosaw.Reference{Person: "kim", State: "active", Principals: []string{"staff:ksy"}}})
	for i := range 20 {
		r := get(start+2*day+int64(i)*hour, i, true)
		r.Principal = "staff:ksy"
		w.add(r)
	}
	w.add(person(start+4*day, "kim", "left"))
	for i := range 5 {
		r := get(start+9*day+int64(i)*minute, 100+i, true)
		r.Principal, r.Key = fmt.Sprintf("customer:%d", 100+i), "backup"
		w.attack(r)
		r = get(start+10*day+int64(i)*minute, 200+i, true)
		r.Principal = "staff:ksy"
		w.attack(r)
	}
	w.add(whosaw.Record{Type: whosaw.TypeKey, Time: start + 11*day, Key: "main", Principal: "staff:ksy", Ref: &whosaw.Reference{Kind: "used"}})
	got := caught(t, w, "offboarded")
	rs := w.sorted()
	if len(got) != 3 {
		t.Fatalf("%d findings: %v", len(got), got)
	}
	for i, want := range []struct {
		unit string
		at   int64
	}{{"key:backup", start + 9*day}, {"principal:staff:ksy", start + 10*day}, {"key:main", start + 11*day}} {
		if got[i].Unit != want.unit || rs[got[i].at].Time != want.at {
			t.Errorf("%s at %d, want %+v: %s", got[i].Unit, rs[got[i].at].Time-start, want, got[i].Says)
		}
	}
	back := newWorld(1)
	back.add(person(start, "kim", "left"))
	back.add(person(start+day, "kim", "active"))
	r := get(start+2*day, 7, true)
	r.Principal = "staff:kim"
	back.add(r)
	quiet(t, back)
}
