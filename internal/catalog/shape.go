package catalog

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/whosaw/whosaw"
)

const (
	maxShapeSegments = 16
	maxStatic        = 40  // longer segments are ids
	maxRuleID        = 128 // longer values are no customer ids
)

// reading is what the rules make of a path: its shape and the customers it names. It is reused.
type reading struct {
	shape    []byte
	subjects ids
	rank     uint8 // of subjects; 0: none
	asset    bool  // a file that is the same for everybody
	holes    []hole
	memo     map[string]traits // of segments that are no ids
}

// traits are what the rules see in one segment.
type traits struct {
	stem, ext                 string // without and with its file ending
	id, word, verb, versioned bool
	noun                      noun
}

// maxMemo bounds the memory for segments; it changes speed only.
const maxMemo = 4096

// traits looks at a segment, or remembers it.
func (r *reading) traits(text string) traits {
	if allDigits(text) {
		return traits{stem: text, id: true}
	}
	if t, ok := r.memo[text]; ok {
		return t
	}
	stem, ext := cutExtension(text)
	t := traits{
		stem: stem, ext: ext, id: idLike(stem), word: isWord(stem), verb: isVerb(stem), versioned: isVersion(stem), noun: nounOf(stem),
	}
	if !t.id && len(r.memo) < maxMemo {
		if r.memo == nil {
			r.memo = map[string]traits{}
		}
		text = strings.Clone(text)
		t.stem, t.ext = text[:len(stem)], text[len(stem):]
		r.memo[text] = t
	}
	return t
}

func allDigits(s string) bool {
	if s == "" || len(s) > maxStatic {
		return false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// hole is a segment that became a placeholder.
type hole struct {
	segment int
	label   string
	text    string // what was there
}

// read applies the rules to a path. They look at this path alone.
func (r *reading) read(method string, t *target) {
	r.shape = append(append(r.shape[:0], method...), ' ')
	r.subjects.reset()
	r.holes, r.rank, r.asset = r.holes[:0], 0, false
	if len(t.segs) == 0 {
		r.shape = append(r.shape, '/')
	}
	var before noun // a person noun right before this segment
	var verb noun   // a person noun and a verb before it
	for i := range t.segs {
		seg := &t.segs[i]
		if i == maxShapeSegments {
			r.shape = append(r.shape, "/{rest...}"...)
		}
		keep := i < maxShapeSegments
		w := r.traits(seg.text)
		label := ""
		switch {
		case before.label != "" && w.versioned:
			if keep {
				r.static(seg)
			}
			continue // /users/v2/7: the noun still waits
		case before.label != "" && !w.word:
			label = before.label
			if w.ext == "" || w.id {
				r.person(before, w.stem)
			}
		case verb.label != "" && !w.word:
			label = verb.label
			if w.id {
				r.person(verb, w.stem)
			}
		case w.id:
			label = "id"
		}
		if keep {
			if label == "" {
				r.static(seg)
			} else {
				r.placeholder(label, w.ext)
				r.holes = append(r.holes, hole{i, label, w.stem})
			}
		}
		waiting := before
		before, verb = noun{}, noun{}
		if label == "" {
			before = w.noun
			if waiting.label != "" && w.verb && (before.label == "" || before.rank == 0 && waiting.rank > 0) {
				before, verb = noun{}, waiting
			}
		}
	}
	if t.long && len(t.segs) <= maxShapeSegments {
		r.shape = append(r.shape, "/{rest...}"...)
	}
	if len(t.segs) > 0 && !operations[method] {
		code, media := fileKind(t.segs[len(t.segs)-1].text)
		if code {
			r.subjects.reset()
			r.rank = 0
		}
		r.asset = code || media && r.rank == 0
	}
	if r.rank == 0 && !r.asset && t.query != "" {
		r.params(t.query)
	}
}

// person takes the customers that a segment behind a noun names: one, or a list of ids.
func (r *reading) person(n noun, text string) {
	if n.rank == 0 || r.rank != 0 && n.rank > r.rank || !eachRuleID(text, nil) {
		return
	}
	r.subjects.reset()
	eachRuleID(text, r.subjects.add)
	r.rank = n.rank
}

// params takes the customers that the query names.
func (r *reading) params(query string) {
	eachParam(query, func(name, value string) bool {
		p, ok := personParams[plainName(name)]
		if !ok || r.rank != 0 && p.rank > r.rank || isWord(value) || p.bare && !idLike(value) || !eachRuleID(value, nil) {
			return true
		}
		if p.rank != r.rank {
			r.subjects.reset()
			r.rank = p.rank
		}
		eachRuleID(value, r.subjects.add)
		return true
	})
}

// eachRuleID calls fn with the customers' ids in a text: the text itself, or the parts of a list that look
// like ids. Other parts are passed over, so that a stray one hides nobody.
func eachRuleID(text string, fn func(id string)) (any bool) {
	if strings.IndexByte(text, ',') < 0 {
		if any = isRuleID(text); any && fn != nil {
			fn(text)
		}
		return any
	}
	for part := range strings.SplitSeq(text, ",") {
		if isRuleID(part) && idLike(part) {
			if any = true; fn == nil {
				return true
			}
			fn(part)
		}
	}
	return any
}

func (r *reading) static(s *segment) {
	r.shape = append(append(r.shape, '/'), s.text...)
}

func (r *reading) placeholder(label, ext string) {
	r.shape = append(append(append(r.shape, '/', '{'), label...), '}')
	r.shape = append(r.shape, ext...)
}

// ids is a list of distinct ids in the order they came.
type ids struct {
	list []string
	seen map[string]struct{} // of a long list
}

// longList is how many ids are looked through one by one.
const longList = 16

func (s *ids) reset() { s.list, s.seen = s.list[:0], nil }

// addAll adds a text, or the parts of a list. What cannot be kept whole is left out: see invariant 4.
func (s *ids) addAll(text string, list bool) {
	if list {
		for part := range strings.SplitSeq(text, ",") {
			s.add(part)
		}
		return
	}
	s.add(text)
}

func (s *ids) add(id string) {
	if id == "" || len(id) > whosaw.MaxSubject || !utf8.ValidString(id) {
		return
	}
	if s.seen == nil {
		if slices.Contains(s.list, id) {
			return
		}
		if s.list = append(s.list, id); len(s.list) > longList {
			s.seen = make(map[string]struct{}, 2*len(s.list))
			for _, id := range s.list {
				s.seen[id] = struct{}{}
			}
		}
		return
	}
	if _, ok := s.seen[id]; !ok {
		s.seen[id] = struct{}{}
		s.list = append(s.list, id)
	}
}

// plainName gives a parameter's name in lower case without what joins its words.
func plainName(s string) string {
	if len(s) > 32 {
		return ""
	}
	var b [32]byte
	n := 0
	for _, c := range []byte(s) {
		switch {
		case isLetter(c):
			b[n] = c | 0x20
		case isDigit(c):
			b[n] = c
		case c == '_' || c == '-' || c == '.' || c == '[' || c == ']':
			continue
		default:
			return ""
		}
		n++
	}
	return string(b[:n])
}

// idLike reports whether a segment could be an id or a name rather than a word of the application. Where
// it errs it should err this way: a word too many becomes a placeholder, and no person stays in a route.
func idLike(stem string) bool {
	if len(stem) > maxStatic || stem == "" {
		return true
	}
	letters, digits, upper, turns, vowels, dot := 0, 0, 0, 0, 0, false
	last := byte(0)
	for i := 0; i < len(stem); i++ {
		c := stem[i]
		switch {
		case isLetter(c):
			letters++
			if c < 'a' {
				upper++
				if 'a' <= last && last <= 'z' {
					turns++
				}
			}
			if strings.IndexByte("aeiouyAEIOUY", c) >= 0 {
				vowels++
			}
		case isDigit(c):
			digits++
		case c == '.' && i > 0:
			dot = true
		case c == '.' || c == '_' || c == '-':
		default:
			return true // also '@', '=', '~', braces and every byte of a non-ASCII letter
		}
		last = c
	}
	switch {
	case letters == 0:
		return true // numbers, dates, versions, and punctuation that says nothing
	case digits > 0:
		return !isVersion(stem)
	case dot:
		return !isServiceName(stem)
	case letters >= 12 && vowels*7 < letters:
		return true
	}
	// Random letters change case far more often than camelCase does.
	return letters >= 12 && upper > 0 && upper < letters && turns*4 > letters
}

// isVersion reports whether a segment with digits is a word all the same: v2, oauth2, 2fa.
func isVersion(s string) bool {
	if len(s) > 12 {
		return false
	}
	s = strings.ToLower(s)
	if fixed[s] {
		return true
	}
	word := strings.TrimRight(s, "0123456789")
	n := len(s) - len(word)
	return n >= 1 && n <= 3 && counted[word] && (n <= 2 || word == "sha" || word == "rfc")
}

// isServiceName reports whether a dotted name is one of a remote procedure: shop.v1.CustomerService.
func isServiceName(s string) bool {
	last := s[strings.LastIndexByte(s, '.')+1:]
	if last == "" || last[0] < 'A' || last[0] > 'Z' {
		return false
	}
	for _, end := range []string{"Service", "Svc", "API", "Api", "Servlet", "Controller", "Resource"} {
		if strings.HasSuffix(last, end) {
			return true
		}
	}
	return false
}

// isRuleID reports whether the rules take a text for a customer's id. Attack strings behind a person noun
// are not customers; a catalog that names the place takes every text.
func isRuleID(s string) bool {
	if s == "" || len(s) > maxRuleID || !utf8.ValidString(s) || isWord(s) {
		return false
	}
	alnum, letters := false, false
	for _, c := range s {
		switch {
		case c == '@' || c == '.' || c == '_' || c == '-' || c == '+' || c == ':' || c == '~' || c == '=':
		case unicode.IsDigit(c):
			alnum = true
		case unicode.IsLetter(c):
			alnum, letters = true, true
		default:
			return false
		}
	}
	return alnum && s[0] != ':' && (letters || s[0] != '-')
}

// nounOf gives the person noun that a segment ends with: users, super-users, getUser.
func nounOf(stem string) noun {
	if len(stem) > maxStatic {
		return noun{}
	}
	start := len(stem)
	for start > 0 && isLetter(stem[start-1]) {
		start--
		if stem[start] < 'a' && start > 0 && 'a' <= stem[start-1] && stem[start-1] <= 'z' {
			break
		}
	}
	var b [maxStatic]byte
	n := copy(b[:], stem[start:])
	for i := range b[:n] {
		b[i] |= 0x20
	}
	return nouns[string(b[:n])]
}

// isWord reports whether a segment is made of known words: settings, reset-password, orderHistory.
func isWord(s string) bool {
	if s == "" || len(s) > maxStatic {
		return false
	}
	var b [maxStatic]byte
	n := 0
	for i := 0; i <= len(s); i++ {
		boundary := i == len(s) || s[i] == '-' || s[i] == '_' ||
			i > 0 && 'A' <= s[i] && s[i] <= 'Z' && 'a' <= s[i-1] && s[i-1] <= 'z'
		if boundary && n > 0 {
			if !words[string(b[:n])] && !(n < len(s) && isVersion(string(b[:n]))) {
				return false
			}
			n = 0
		}
		if i == len(s) || s[i] == '-' || s[i] == '_' {
			continue
		}
		if !isLetter(s[i]) && !isDigit(s[i]) {
			return false
		}
		b[n] = s[i]
		if isLetter(s[i]) {
			b[n] |= 0x20
		}
		n++
	}
	return s[len(s)-1] != '-' && s[len(s)-1] != '_'
}

func isVerb(stem string) bool {
	if verbs[stem] {
		return true
	}
	return strings.ContainsAny(stem, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && verbs[strings.ToLower(stem)]
}

// cutExtension cuts known file endings off: "imchat.tar.gz" is "imchat" and ".tar.gz".
func cutExtension(s string) (stem, ext string) {
	stem = s
	for range 3 {
		i := strings.LastIndexByte(stem, '.')
		if i <= 0 || len(stem)-i > 12 || !extensions[strings.ToLower(stem[i+1:])] {
			break
		}
		stem = stem[:i]
	}
	return stem, s[len(stem):]
}

// fileKind reports what the ending of a path's last segment says of it.
func fileKind(segment string) (code, media bool) {
	i := strings.LastIndexByte(segment, '.')
	if i < 0 || len(segment)-i > 12 {
		return false, false
	}
	ext := strings.ToLower(segment[i+1:])
	return codeFiles[ext], mediaFiles[ext]
}
