package ledger

import (
	"net/netip"
	"strconv"

	"github.com/whosaw/whosaw"
)

// Columns is a set of columns to load.
type Columns uint32

// The columns of accesses. Seq and Time are always loaded.
const (
	ColRealm Columns = 1 << iota
	ColSource
	ColRoute
	ColFields
	ColMasked
	ColStatus
	ColOutcome
	ColPrincipal
	ColCredential
	ColKey
	ColClient
	ColIP
	ColCountry
	ColASN
	ColAgent
	ColTLS
	ColSubjects
	ColOthers
	ColRest // id, position, reason, bytes, request: what no filter reads

	ColAll Columns = 1<<iota - 1
)

// Strings is a column of strings: row i has Dict[Codes[i]]. Dict[0] is "", which stands for missing.
type Strings struct {
	Dict  []string
	Codes []uint32
}

// At gives the value of row i, "" if missing.
func (s *Strings) At(i int) string { return s.Dict[s.Codes[i]] }

// Addrs is a column of addresses. Dict[0] is the zero Addr: missing.
type Addrs struct {
	Dict  []netip.Addr
	Codes []uint32
}

// At gives the address of row i.
func (a *Addrs) At(i int) netip.Addr { return a.Dict[a.Codes[i]] }

// Sets is a column of sets of names. Dict[0] is nil: missing. An empty set that was stated is
// an empty slice that is not nil, under another code.
type Sets struct {
	Dict  [][]string
	Codes []uint32
}

// At gives the set of row i.
func (s *Sets) At(i int) []string { return s.Dict[s.Codes[i]] }

// SubjectID is a subject within one chunk: below 1<<63 it is the integer id itself (canonical
// decimal, no leading zero), else SubjectID &^ (1<<63) indexes Chunk.SubjectStrings.
type SubjectID uint64

// SubjectString marks a SubjectID that indexes Chunk.SubjectStrings.
const SubjectString SubjectID = 1 << 63

// Chunk holds accesses in sequence order, by columns. A chunk is immutable and may be shared.
// Columns that were not asked for are empty.
type Chunk struct {
	N    int
	Seq  []uint64
	Time []int64 // milliseconds since 1970 UTC

	Realm, Source, Route, Principal, Credential, Key, Client, Country, Agent, TLS Strings

	IP             Addrs
	Fields, Masked Sets
	ASN            []uint32
	Status         []uint16
	Outcome        []uint8 // whosaw.Outcome as stated
	Others         []int64

	// Row i names the subjects SubjectIDs[SubjectStart[i]:SubjectStart[i+1]].
	SubjectStart   []uint32
	SubjectIDs     []SubjectID
	SubjectStrings []string

	ID, Reason, Request Strings
	Bytes, Position     []int64
}

// Record rebuilds row i of a chunk that was loaded with ColAll. The record shares memory with the
// chunk, which never changes.
func (c *Chunk) Record(i int) whosaw.Record {
	r := whosaw.Record{
		ID:         c.ID.value(i),
		Time:       c.Time[i],
		Realm:      c.Realm.value(i),
		Source:     c.Source.value(i),
		Position:   valueAt(c.Position, i),
		Others:     valueAt(c.Others, i),
		Route:      c.Route.value(i),
		Fields:     c.Fields.Dict[valueAt(c.Fields.Codes, i)],
		Masked:     c.Masked.Dict[valueAt(c.Masked.Codes, i)],
		Status:     int(valueAt(c.Status, i)),
		Outcome:    whosaw.Outcome(valueAt(c.Outcome, i)),
		Principal:  c.Principal.value(i),
		Credential: c.Credential.value(i),
		Key:        c.Key.value(i),
		Client:     c.Client.value(i),
		IP:         c.IP.Dict[valueAt(c.IP.Codes, i)],
		Country:    c.Country.value(i),
		ASN:        valueAt(c.ASN, i),
		Agent:      c.Agent.value(i),
		TLS:        c.TLS.value(i),
		Reason:     c.Reason.value(i),
		Bytes:      valueAt(c.Bytes, i),
		Request:    c.Request.value(i),
	}
	if ids := c.SubjectIDs[c.SubjectStart[i]:c.SubjectStart[i+1]]; len(ids) > 0 {
		r.Subjects = make([]string, len(ids))
		for j, id := range ids {
			r.Subjects[j] = c.Subject(id)
		}
	}
	return r
}

// Subject gives the subject's id as the source wrote it.
func (c *Chunk) Subject(id SubjectID) string {
	if id < SubjectString {
		return strconv.FormatUint(uint64(id), 10)
	}
	return c.SubjectStrings[id&^SubjectString]
}

// valueAt gives the value of a row in a column that may be left short where its rows are missing.
func valueAt[T any](column []T, i int) T {
	if i < len(column) {
		return column[i]
	}
	var zero T
	return zero
}

func (s *Strings) value(i int) string { return s.Dict[valueAt(s.Codes, i)] }

// cut gives the first n rows.
func (c *Chunk) cut(n int) *Chunk {
	if n >= c.N {
		return c
	}
	k := *c
	k.N = n
	k.Seq, k.Time = first(c.Seq, n), first(c.Time, n)
	for _, s := range k.stringColumns() {
		s.Codes = first(s.Codes, n)
	}
	k.IP.Codes, k.Fields.Codes, k.Masked.Codes = first(c.IP.Codes, n), first(c.Fields.Codes, n), first(c.Masked.Codes, n)
	k.ASN, k.Status, k.Outcome = first(c.ASN, n), first(c.Status, n), first(c.Outcome, n)
	k.Others, k.Bytes, k.Position = first(c.Others, n), first(c.Bytes, n), first(c.Position, n)
	if len(c.SubjectStart) > 0 {
		k.SubjectStart = first(c.SubjectStart, n+1)
		k.SubjectIDs = first(c.SubjectIDs, int(k.SubjectStart[n]))
	}
	return &k
}

// first gives the first n values of a column, or fewer if it is shorter.
func first[T any](column []T, n int) []T {
	n = min(n, len(column))
	return column[:n:n]
}

func (c *Chunk) stringColumns() [13]*Strings {
	return [...]*Strings{
		&c.Realm, &c.Source, &c.Route, &c.Principal, &c.Credential, &c.Key, &c.Client,
		&c.Country, &c.Agent, &c.TLS, &c.ID, &c.Reason, &c.Request,
	}
}

// only gives the chunk with the columns asked for, each in full length.
func (c *Chunk) only(cols Columns) *Chunk {
	k := &Chunk{N: c.N, Seq: first(c.Seq, c.N), Time: first(c.Time, c.N)}
	var zeros []uint32
	full := func(codes []uint32) []uint32 {
		if len(codes) >= c.N {
			return first(codes, c.N)
		}
		if zeros == nil {
			zeros = make([]uint32, c.N)
		}
		return zeros
	}
	from, to := c.stringColumns(), k.stringColumns()
	for i, col := range [...]Columns{
		ColRealm, ColSource, ColRoute, ColPrincipal, ColCredential, ColKey, ColClient,
		ColCountry, ColAgent, ColTLS, ColRest, ColRest, ColRest,
	} {
		if cols&col != 0 {
			*to[i] = Strings{from[i].Dict, full(from[i].Codes)}
		}
	}
	if cols&ColIP != 0 {
		k.IP = Addrs{c.IP.Dict, full(c.IP.Codes)}
	}
	if cols&ColFields != 0 {
		k.Fields = Sets{c.Fields.Dict, full(c.Fields.Codes)}
	}
	if cols&ColMasked != 0 {
		k.Masked = Sets{c.Masked.Dict, full(c.Masked.Codes)}
	}
	if cols&ColASN != 0 {
		k.ASN = filledUp(c.ASN, c.N)
	}
	if cols&ColStatus != 0 {
		k.Status = filledUp(c.Status, c.N)
	}
	if cols&ColOutcome != 0 {
		k.Outcome = filledUp(c.Outcome, c.N)
	}
	if cols&ColOthers != 0 {
		k.Others = filledUp(c.Others, c.N)
	}
	if cols&ColSubjects != 0 {
		k.SubjectStart, k.SubjectIDs, k.SubjectStrings = c.SubjectStart, c.SubjectIDs, c.SubjectStrings
	}
	if cols&ColRest != 0 {
		k.Bytes, k.Position = filledUp(c.Bytes, c.N), filledUp(c.Position, c.N)
	}
	return k
}

// filledUp gives a column its full length.
func filledUp[T any](column []T, n int) []T {
	if len(column) >= n {
		return first(column, n)
	}
	return make([]T, n)
}
