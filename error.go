package whosaw

// RecordError says why a record was rejected. It holds names and cures, never a value of the
// record, so it may be logged and shown.
type RecordError struct {
	Member string // the member at fault; "" for the line as a whole
	Reason string
	Hint   string // the cure, "" if the reason says it
}

// Error gives "member time: looks like seconds; give milliseconds or RFC 3339".
func (e *RecordError) Error() string {
	s := e.Reason
	if e.Member != "" {
		s = "member " + e.Member + ": " + s
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// fault makes a RecordError.
func fault(member, reason, hint string) error {
	return &RecordError{Member: member, Reason: reason, Hint: hint}
}

// list joins names for an error: "a, b or c".
func list(names []string) string {
	var s string
	for i, n := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			s += " or "
		default:
			s += ", "
		}
		s += n
	}
	return s
}
