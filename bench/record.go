package main

import (
	"strconv"
	"unsafe"

	"github.com/whosaw/whosaw"
)

// batchSize is how many records whosaw is handed at once, as its importer does.
const batchSize = 8192

// text holds the strings of the accesses that do not depend on one of them alone.
type text struct {
	agents [agents]string
	fields [1 << len(fieldNames)][]string // by mask, made for the masks of routes
}

func newText() *text {
	t := &text{}
	for i := range t.agents {
		n := strconv.Itoa
		t.agents[i] = "Mozilla/5.0 (Linux; Android " + n(i%15) + "; SM-" + n(i*37%997) + ") AppleWebKit/537.36 Chrome/" + n(100+i%40) + ".0." + n(i) + ".0 Mobile Safari/537.36"
	}
	t.fields[0] = []string{}
	for _, r := range routes {
		if t.fields[r.fields] == nil {
			t.fields[r.fields] = fieldsOf(r.fields)
		}
	}
	return t
}

// fieldsOf gives the names of a mask.
func fieldsOf(mask uint16) []string {
	var names []string
	for bit, name := range fieldNames {
		if mask>>bit&1 == 1 {
			names = append(names, name)
		}
	}
	return names
}

// batch is records whose strings lie in one buffer.
type batch struct {
	*text
	records  []whosaw.Record
	subjects []string
	buf      []byte
}

func newBatch(t *text) *batch {
	return &batch{text: t, records: make([]whosaw.Record, 0, batchSize), subjects: make([]string, batchSize), buf: make([]byte, 0, 96*batchSize)}
}

func (b *batch) reset() {
	clear(b.records)
	b.records, b.buf = b.records[:0], b.buf[:0]
}

// kept gives what was appended to the buffer since start as a string. The buffer never moves.
func (b *batch) kept(start int) string { return unsafe.String(&b.buf[start], len(b.buf)-start) }

func (b *batch) number(prefix string, n uint64) string {
	start := len(b.buf)
	b.buf = strconv.AppendUint(append(b.buf, prefix...), n, 10)
	return b.kept(start)
}

// token appends 16 hex digits.
func (b *batch) token(n uint64) string {
	start := len(b.buf)
	b.buf = appendToken(b.buf, n)
	return b.kept(start)
}

func appendToken(b []byte, n uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[n>>shift&15])
	}
	return b
}

func (b *batch) subject(n uint64) []string {
	at := len(b.records)
	b.subjects[at] = b.number("", n)
	return b.subjects[at : at+1 : at+1]
}

// access appends access i.
func (b *batch) access(i int64, a *access) {
	b.records = append(b.records, whosaw.Record{
		Time: a.ts, Source: "gateway", Position: i * 384, Route: routes[a.route].name, Status: int(a.status),
		Subjects: b.subject(uint64(a.customer)), Fields: b.fields[a.fields],
		Principal: b.number(kindNames[a.principal>>32], a.principal&(1<<32-1)), Credential: b.token(a.token), Key: keyNames[a.key],
		IP: addr(a.ip), Country: countries[a.country], ASN: uint32(a.asn), Agent: b.agents[a.agent],
	})
}

// issuance appends the record of a token given out; n counts them.
func (b *batch) issuance(n int64, is issuance) {
	r := whosaw.Record{
		Type: whosaw.TypeIssuance, Time: is.ts, Source: "login", Position: n * 160,
		Credential: b.token(is.token), Key: keyNames[is.key], Ref: &whosaw.Reference{},
	}
	if is.principal>>32 == kindCustomer {
		r.Subjects = b.subject(is.principal)
	} else {
		r.Principal = b.number(kindNames[is.principal>>32], is.principal&(1<<32-1))
	}
	b.records = append(b.records, r)
}

// stream makes all records, those of a day's log-ins before its accesses, in batches. Batches that
// come back through the returned give are used again.
func (s *shop) stream(stop <-chan struct{}) (batches <-chan *batch, give func(*batch)) {
	const ahead = 4
	full, free := make(chan *batch, ahead), make(chan *batch, ahead+2)
	t := newText()
	for range cap(free) {
		free <- newBatch(t)
	}
	go func() {
		defer close(full)
		b := <-free
		next := func() bool {
			if len(b.records) < batchSize {
				return true
			}
			select {
			case full <- b:
			case <-stop:
				return false
			}
			b = <-free
			b.reset()
			return true
		}
		issued, day := int64(0), int64(-1)
		var a access
		for i := range s.n {
			s.at(i, &a)
			for day < (a.ts-startMS)/dayMS {
				day++
				running := true
				s.issuances(day, func(is issuance) {
					if running {
						b.issuance(issued, is)
						issued++
						running = next()
					}
				})
				if !running {
					return
				}
			}
			b.access(i, &a)
			if !next() {
				return
			}
		}
		full <- b
	}()
	return full, func(b *batch) { free <- b }
}
