package ingest_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

// checkParsed holds what every parser promises: an accepted line is a valid record in the form that Decode gives, and
// an error is one that may be shown.
func checkParsed(t *testing.T, r whosaw.Record, err error) {
	t.Helper()
	if err != nil {
		if _, ok := err.(*whosaw.RecordError); !ok {
			t.Fatalf("error of type %T", err)
		}
		return
	}
	v := r.Clone()
	if err := v.Validate(testNow); err != nil {
		t.Fatalf("accepted, but not valid: %v", err)
	}
	if d := cmp.Diff(r, v, cmpopts.EquateComparable(ip(""))); d != "" {
		t.Fatalf("not in the form that Decode gives:\n%s", d)
	}
}

func FuzzCombined(f *testing.F) {
	f.Add(`203.0.113.7 - kim ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "cu\"rl\x22" more`)
	f.Add(`a, b c [x] ` + when + ` "\x16\x03" 400 - "`)
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ingest.ParseLine(ingest.FormatCombined, "", line, testNow)
		checkParsed(t, r, err)
	})
}

func FuzzPresets(f *testing.F) {
	f.Add(0, `{"time_iso8601":"2026-05-17T10:05:03+00:00","remote_addr":"203.0.113.7","request":"GET /u HTTP/1.1","status":"200","body_bytes_sent":1}`)
	f.Add(1, `{"start_time":"2026-05-17T10:05:03.000Z","method":"GET","path":"/u","response_code":200}`)
	f.Add(2, `{"StartUTC":"2026-05-17T10:05:03Z","RequestPath":"/u\u0041","DownstreamStatus":200}`)
	f.Add(3, `{"ts":1779012303.0004,"request":{"client_ip":"::1","headers":{"User-Agent":["curl\ud83d\ude00"]}},"status":200}`)
	formats := []string{ingest.FormatNginx, ingest.FormatEnvoy, ingest.FormatTraefik, ingest.FormatCaddy}
	f.Fuzz(func(t *testing.T, n int, line string) {
		r, err := ingest.ParseLine(formats[uint(n)%4], "", line, testNow)
		checkParsed(t, r, err)
	})
}

func FuzzMapped(f *testing.F) {
	f.Add(`{"ts":1779012303000,"http":{"method":"GET","url":"/orders","status":200},"customer":[7,"8"],"shown":"a, b","masked":["c"],"geo":{"cc":"kr","asn":"AS1"}}`)
	f.Add(`{"ts":1e3,"size":1.0,"others":-0,"user.id":"\x41"}`)
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ingest.ParseLine("", shopMapping+"jwt: auth\n", line, testNow)
		checkParsed(t, r, err)
	})
}

func FuzzMappingFile(f *testing.F) {
	f.Add(shopMapping)
	f.Add("version: 1\ntime: {member: [a, b], layout: '2006'}\njwt: {member: t, prefix: x}\n")
	f.Fuzz(func(t *testing.T, text string) { _ = ingest.CheckMapping(text) })
}

func FuzzCloudTrail(f *testing.F) {
	f.Add(`{"eventID":"e","eventTime":"2026-05-17T10:05:03Z","eventSource":"s3.amazonaws.com","eventName":"CopyObject","requestParameters":{"key":"k","bucketName":"b","x-amz-copy-source":"a/b?c"}}`)
	f.Add(`{"@timestamp":"2026-05-17T10:05:03Z","eventSource":"s","eventName":"n","errorCode":"NoSuchKey","userIdentity":{"type":"AssumedRole","arn":"a:assumed-role/b/c"}}`)
	f.Add(`{"eventTime":"2026-05-17T10:05:03Z","eventSource":"kms.amazonaws.com","eventName":"ReEncrypt","resources":[{"ARN":"x"},{"ARN":"arn:aws:kms:ap-northeast-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}]}`)
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ingest.ParseKeyLine(&house, ingest.FormatCloudTrail, "", line, testNow)
		checkParsed(t, r, err)
	})
}

func FuzzVault(f *testing.F) {
	f.Add(`{"time":"2026-05-17T10:05:03Z","type":"response","auth":{"display_name":"ldap-kim"},"request":{"id":"r","operation":"read","path":"transit/export/signing-key/backup/1","mount_type":"transit","remote_address":"10.0.0.7"}}`)
	f.Add(`{"time":"2026-05-17T10:05:03Z","type":"response","error":"permission denied","auth":{"entity_id":"e"},"request":{"operation":"delete","path":"/secret//metadata/auth/backup/","namespace":{"path":"ns/"}}}`)
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ingest.ParseKeyLine(&house, ingest.FormatVault, "", line, testNow)
		checkParsed(t, r, err)
	})
}

// FuzzSplit cuts any bytes into lines and elements: nothing is lost, positions are right, and it does not matter how
// the bytes arrive.
func FuzzSplit(f *testing.F) {
	f.Add([]byte(recs(0, 3)+"\xef\xbb\xbf\n \r\n\x00\n{}"), false)
	f.Add([]byte("["+rec(1)+", "+rec(2)+"]"), true)
	f.Add([]byte(`{"Records":[{"a":"\"}"},{}], "a":[`), false)
	f.Add([]byte("\xef\xbb\xbf{}\n[7,{}\n,x]{\"Records\" : [ ] } tail\n{\"a"), true)
	f.Fuzz(func(t *testing.T, data []byte, stopped bool) {
		end := io.EOF
		if stopped {
			end = ingest.ErrStop
		}
		for _, elements := range []bool{false, true} {
			whole := ingest.Split(&drip{s: string(data), step: len(data) + 1, end: end}, elements)
			if d := cmp.Diff(whole, ingest.Split(&drip{s: string(data), end: end}, elements)); d != "" {
				t.Fatalf("dripping, elements %v:\n%s", elements, d)
			}
			for i, p := range whole {
				if p.Position > int64(len(data)) || !bytes.HasPrefix(data[p.Position:], []byte(p.Text)) {
					t.Fatalf("position %d is not where the line is", p.Position)
				}
				if i > 0 && p.Position < whole[i-1].Position+int64(len(whole[i-1].Text)) {
					t.Fatalf("piece %d begins inside the one before", i)
				}
				if p.Text == "" && p.Reason == "" {
					t.Fatal("an empty line")
				}
			}
			if stopped && (len(whole) == 0 || !whole[len(whole)-1].Cut) {
				t.Fatal("what stopped the reading is not told")
			}
			if !elements {
				checkLines(t, data, whole, stopped)
			}
		}
	})
}

// checkLines compares with a splitter that is too simple to be wrong.
func checkLines(t *testing.T, data []byte, got []ingest.Piece, stopped bool) {
	t.Helper()
	starts := lineStarts(data)
	if stopped {
		// The unfinished last line is what was cut; it is there even if it is empty.
		starts[int64(bytes.LastIndexByte(data, '\n')+1)] = true
		if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) && bytes.IndexByte(data, '\n') < 0 {
			delete(starts, 3)
		}
	}
	if len(got) != len(starts) {
		t.Fatalf("%d lines, want %d", len(got), len(starts))
	}
	for _, p := range got {
		if !starts[p.Position] {
			t.Fatalf("no line begins at %d", p.Position)
		}
		if n := bytes.Count(data[:p.Position], []byte("\n")); int64(n) != p.Feeds {
			t.Fatalf("line number %d, want %d", p.Feeds+1, n+1)
		}
	}
}

// TestReadAnything gives mutilated logs to the whole reader: every line is counted once.
func TestReadAnything(t *testing.T) {
	seeds := []struct{ format, text string }{
		{ingest.FormatRecords, recs(0, 30)},
		{ingest.FormatRecords, "[" + strings.ReplaceAll(strings.TrimSpace(recs(0, 30)), "\n", ",") + "]"},
		{ingest.FormatCombined, strings.Repeat("203.0.113.7 - - "+when+` "GET /users/7 HTTP/1.1" 200 1 "-" "curl"`+"\n", 30)},
		{ingest.FormatCloudTrail, `{"Records":[` + strings.Repeat(`{"eventTime":"2026-05-17T10:05:03Z","eventSource":"s","eventName":"n"},`, 30) + `]}`},
		{ingest.FormatEnvoy, strings.Repeat(`{"start_time":"2026-05-17T10:05:03.000Z","method":"GET","path":"/u","response_code":200}`+"\n", 30)},
	}
	const marks = "{}[],:\"\\ \n\r\x00\xff-7a"
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		seed := seeds[rnd.IntN(len(seeds))]
		data := []byte(seed.text)
		for range rnd.IntN(20) {
			at := rnd.IntN(len(data))
			switch rnd.IntN(4) {
			case 0:
				data = append(data[:at], data[min(len(data), at+rnd.IntN(40)):]...)
			case 1:
				data = slices.Insert(data, at, marks[rnd.IntN(len(marks))])
			default:
				data[at] = marks[rnd.IntN(len(marks))]
			}
			if len(data) == 0 {
				data = append(data, ' ')
			}
		}
		text := string(data)
		if rnd.IntN(3) == 0 {
			text = gz(text)
		}
		got := stdin(t, ingest.Options{Format: seed.format}, text)
		if !looksLikeElements(seed.format, data) && got.Lines != int64(len(lineStarts(data))) {
			t.Fatalf("%s: %d lines, want %d", seed.format, got.Lines, len(lineStarts(data)))
		}
		for i := range got.records {
			if p := got.records[i].Position; p < 0 || p >= int64(len(data)) || p > 0 && seed.format != ingest.FormatCombined && !bytes.Contains(data[p:min(len(data), int(p)+9)], []byte("{")) {
				t.Fatalf("%s: no line begins at %d", seed.format, p)
			}
		}
	}
}

// lineStarts finds the lines that are not blank.
func lineStarts(data []byte) map[int64]bool {
	starts := map[int64]bool{}
	at := 0
	for i, line := range strings.SplitAfter(string(data), "\n") {
		start := at
		at += len(line)
		if text, ok := strings.CutPrefix(line, "\xef\xbb\xbf"); ok && i == 0 {
			line, start = text, start+3
		}
		if strings.Trim(line, " \t\r\n\v\f") != "" {
			starts[int64(start)] = true
		}
	}
	return starts
}

// looksLikeElements is generous: the count of elements is not checked here.
func looksLikeElements(format string, data []byte) bool {
	s := strings.TrimLeft(strings.TrimPrefix(string(data), "\xef\xbb\xbf"), " \t\r\n")
	return format != ingest.FormatCombined && (strings.HasPrefix(s, "[") || strings.HasPrefix(s, "{") && strings.Contains(s, `"Records"`))
}

// FuzzBody: whatever is sent, lines add up, nothing panics, and no reject repeats its line in the reason.
func FuzzBody(f *testing.F) {
	f.Add([]byte("{\"time\":1790000000000,\"subject\":1}\nnope\n\n{\"type\":\"issuance\"}"), "")
	f.Add([]byte(`127.0.0.1 - - [02/Mar/2026:00:00:00 +0000] "GET /c/1 HTTP/1.1" 200 5 "-" "x"`), ingest.FormatCombined)
	f.Add([]byte("\x1f\x8b\x08\x00"), ingest.FormatRecords)
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"), ingest.FormatNginx)
	f.Fuzz(func(t *testing.T, data []byte, format string) {
		s, err := ingest.NewStream(ingest.StreamOptions{Source: "s", Format: format})
		if err != nil {
			return
		}
		err = s.DecodeBody(t.Context(), 1795000000000, bytes.NewReader(data), 1<<22, func(b *ingest.Batch) error {
			n := int64(len(b.Rejects))
			for i := range b.Records {
				if !ingest.Derived(&b.Records[i]) {
					n++
				}
				if b.Records[i].Position < 0 {
					t.Errorf("position %d", b.Records[i].Position)
				}
			}
			if n != b.Lines {
				t.Errorf("%d lines, %d accounted for", b.Lines, n)
			}
			return nil
		})
		if err != nil && !ingest.IsBodyError(err) {
			t.Errorf("error that is not the sender's: %v", err)
		}
	})
}
