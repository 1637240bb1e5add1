package ledger

import "github.com/whosaw/whosaw"

// span is a closed range of times or positions. A span without anything in it has min > max.
type span struct{ min, max int64 }

func (s *span) take(n int64, first bool) {
	if first {
		*s = span{n, n}
		return
	}
	s.min, s.max = min(s.min, n), max(s.max, n)
}

func (s span) has(n int64) bool { return s.min <= n && n <= s.max }

// spans says what a part covers, so that most questions can pass it by.
type spans struct {
	records int
	time    span // of event times
	withID  int  // records that have an id
	idTime  span // of those
	sources []sourceSpan
	index   map[string]int // into sources
	last    int            // the source that came last
}

// sourceSpan is what a part holds of one source.
type sourceSpan struct {
	source         string
	records        int
	time, position span
}

func (s *spans) take(r *whosaw.Record) {
	s.time.take(r.Time, s.records == 0)
	s.records++
	if r.ID != "" {
		s.idTime.take(r.Time, s.withID == 0)
		s.withID++
	}
	if s.last >= len(s.sources) || s.sources[s.last].source != r.Source {
		i, ok := s.index[r.Source]
		if !ok {
			if s.index == nil {
				s.index = map[string]int{}
			}
			i = len(s.sources)
			name := string([]byte(r.Source))
			s.sources = append(s.sources, sourceSpan{source: name})
			s.index[name] = i
		}
		s.last = i
	}
	of := &s.sources[s.last]
	of.time.take(r.Time, of.records == 0)
	of.position.take(r.Position, of.records == 0)
	of.records++
}

// mayHold reports whether the part may hold a record of this identity.
func (s *spans) mayHold(r *whosaw.Record) bool {
	if r.ID != "" {
		return s.withID > 0 && s.idTime.has(r.Time)
	}
	if s.records == 0 || !s.time.has(r.Time) {
		return false
	}
	i, ok := s.last, s.last < len(s.sources) && s.sources[s.last].source == r.Source
	if !ok {
		i, ok = s.index[r.Source]
	}
	return ok && s.sources[i].time.has(r.Time) && s.sources[i].position.has(r.Position)
}
