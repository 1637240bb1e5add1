package ingest

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/whosaw/whosaw"
)

// fault says why a line is rejected. Its text is counted by and shown, so it holds no part of the line.
func fault(member, reason, hint string) *whosaw.RecordError {
	return &whosaw.RecordError{Member: member, Reason: reason, Hint: hint}
}

// asFault brings any parser's error into the form that is counted. An error of another type would be a
// mistake of ours; its text could hold a value, so it is not shown.
func asFault(err error) *whosaw.RecordError {
	var f *whosaw.RecordError
	if errors.As(err, &f) {
		return f
	}
	return fault("", "the line cannot be read", "look at it in the reject file")
}

// The faults of lines as such, whatever their format.
var (
	faultNUL = fault("", "NUL bytes in the line",
		"the log was cut or pre-allocated while it was written (logrotate's copytruncate does that); take the lines from another copy")
	faultTooLong = fault("", "the line is longer than "+sizeText(whosaw.MaxLine),
		"no record needs that; check that the file is a log and that its lines end with line feeds")
	faultOurs = fault("type", "verdict, decision and act are written by whosaw alone",
		"leave them out: what a log says of judgements and acts is not evidence of them")
	faultHalf = fault("", "cut at the end of the file: half-written?",
		"the writer was in the middle of it; read the file again later")
	faultNotJSON = fault("", "not a JSON object", "each line must be one whole JSON object")
	faultDeep    = fault("", "JSON nested too deep", fmt.Sprintf("at most %d levels", maxDepth))
	faultDocCut  = fault("", "the JSON document ends early: its closing bracket is missing",
		"the file is cut; fetch it again. What was complete before is kept")
	faultElement = fault("", "an element of the JSON array is not an object", "each element must be one record")
)

// sizeText says a size the way people do.
func sizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// clean gives s with each byte that is not UTF-8 written as \xHH, the way web servers' logs do. It is for
// what describes a request (path, agent); an id that is not UTF-8 rejects its line instead.
func clean(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		if c == utf8.RuneError && n == 1 {
			const hex = "0123456789ABCDEF"
			b.WriteString(`\x`)
			b.WriteByte(hex[s[i]>>4])
			b.WriteByte(hex[s[i]&15])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}
