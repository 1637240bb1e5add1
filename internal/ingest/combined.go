package ingest

import (
	"net/netip"
	"strings"

	"github.com/whosaw/whosaw"
)

// noRequest is the route of what came in but was no HTTP request: bytes of TLS on a plain port, time-outs
// before the first byte ("-"), CONNECT. Such lines are accepted and show nothing.
const noRequest = "(no request)"

// userPrefix begins the principal of a log that names its user without saying what kind of user it is.
const userPrefix = "user:"

// The faults of combined lines.
var (
	faultNoTime = fault("", "there is no time in brackets",
		`a line is: host ident user [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 2326 "referer" "agent"`)
	faultBadTime = fault("time", "cannot be read",
		"give it as [10/Oct/2000:13:55:36 -0700] or in RFC 3339")
	faultNoRequest = fault("", "there is no request in quotes after the time",
		"the line is cut, or the log has another format: write a mapping, or use combined")
	faultOpenRequest = fault("", "the closing quote of the request is missing",
		"the line is cut; take it from another copy of the log")
	faultOpenQuote = fault("", "the closing quote is missing after the size",
		"the line is cut; take it from another copy of the log")
	faultOpenReferer = fault("", "the closing quote of the referer is missing",
		"the line is cut; take it from another copy of the log")
	faultOpenAgent = fault("", "the closing quote of the agent is missing",
		"the line is cut; take it from another copy of the log")
	faultNoStatus  = fault("", "the line ends before the status", "the line is cut; take it from another copy of the log")
	faultNoSize    = fault("", "the line ends before the size", "the line is cut; take it from another copy of the log")
	faultBadStatus = fault("status", "is not a number of three digits", "the log has another format: write a mapping, or use combined")
	faultBadSize   = fault("bytes", "is not a number that can be a size", "the log has another format: write a mapping, or use combined")
)

// A combinedParser reads lines of the combined and the common log format of Apache and nginx.
type combinedParser struct {
	// Consecutive lines share their second: the last time text and what it means.
	timeText string
	time     int64
}

func (p *combinedParser) parse(line string, now int64, r *whosaw.Record) error {
	host, user, at, err := p.head(line, r)
	if err != nil {
		return err
	}
	if err := whosaw.CheckTime(r.Time, now); err != nil {
		return err
	}
	r.IP = host
	if user != "" && user != "-" && user != `""` {
		r.Principal = userPrefix + unescapeLog(user)
	}
	// The request.
	for at < len(line) && line[at] == ' ' {
		at++
	}
	if at >= len(line) || line[at] != '"' {
		return faultNoRequest
	}
	end, escaped := closingQuote(line, at+1)
	if end < 0 {
		return faultOpenRequest
	}
	req := line[at+1 : end]
	if escaped {
		req = unescapeLog(req)
	}
	setRequest(r, req)
	return p.tail(line[end+1:], r)
}

// head reads up to the closing bracket of the time; at is the offset behind it.
func (p *combinedParser) head(line string, r *whosaw.Record) (ip netip.Addr, user string, at int, err error) {
	open := -1
	for from := 0; ; {
		i := strings.IndexByte(line[from:], '[')
		if i < 0 {
			if open >= 0 {
				return ip, "", 0, faultBadTime
			}
			return ip, "", 0, faultNoTime
		}
		i += from
		from = i + 1
		// A bracket may also begin an IPv6 address or stand in a user's name.
		end := strings.IndexByte(line[i:], ']')
		if i > 0 && line[i-1] != ' ' || end < 0 {
			continue
		}
		open = i
		text := line[i+1 : i+end]
		if text != p.timeText || text == "" {
			ms, ok := parseLogTime(text)
			if !ok {
				if quote := strings.IndexByte(line, '"'); quote >= 0 && quote < i {
					return ip, "", 0, faultBadTime // a bracket inside the request: no use to look on
				}
				continue
			}
			p.timeText, p.time = text, ms
		}
		r.Time = p.time
		at = i + end + 1
		break
	}
	ip, user = parseHost(strings.TrimRight(line[:open], " "))
	return ip, user, at, nil
}

// parseHost reads what stands before the time: host ident user. A virtual host may stand before them, the
// host may be a list (X-Forwarded-For in its place), and a user's name may have spaces.
func parseHost(s string) (ip netip.Addr, user string) {
	host, rest, _ := strings.Cut(s, " ")
	if strings.HasSuffix(host, ",") {
		n := len(host)
		for strings.HasSuffix(s[:n], ",") {
			next := strings.IndexByte(s[min(n+1, len(s)):], ' ')
			if next < 0 {
				n = len(s)
				break
			}
			n += 1 + next
		}
		host, rest = s[:n], strings.TrimPrefix(s[n:], " ")
	}
	ip, ok := lastPublic(host)
	if !ok && rest != "" {
		second, after, more := strings.Cut(rest, " ")
		if more && strings.Contains(after, " ") {
			if second, ok := address(second); ok {
				ip, rest = second, after
			}
		}
	}
	_, user, _ = strings.Cut(rest, " ") // behind ident
	return ip, user
}

// tail reads status, size, and the quoted strings after them: referer, agent. What else is there is ignored.
func (p *combinedParser) tail(s string, r *whosaw.Record) error {
	status, rest := token(s)
	if status == "" {
		return faultNoStatus
	}
	if !parseStatus(status, &r.Status) {
		return faultBadStatus
	}
	size, after := token(rest)
	switch {
	case size == "":
		return faultNoSize
	case size[0] == '"':
		after = rest // a format without the size
	case size != "-":
		n, ok := digits(size)
		if !ok || n > whosaw.MaxNumber {
			return faultBadSize
		}
		r.Bytes = n
	}
	return quoted(after, r)
}

// quoted finds referer and agent among what follows the size.
func quoted(s string, r *whosaw.Record) error {
	var first string
	var escFirst bool
	for n := 0; ; n++ {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			if n == 1 && !isReferer(first) {
				r.Agent = agent(first, escFirst)
			}
			return nil
		}
		end, escaped := closingQuote(s, i+1)
		switch {
		case end >= 0:
		case n == 1:
			return faultOpenAgent
		case n == 0 && isReferer(s[i+1:]):
			return faultOpenReferer
		case n == 0:
			return faultOpenQuote
		default:
			return nil // beyond the agent nothing is read
		}
		text := s[i+1 : end]
		switch n {
		case 0:
			first, escFirst = text, escaped
		case 1:
			r.Agent = agent(text, escaped)
			return nil
		}
		s = s[end+1:]
	}
}

// isReferer tells a referer from an agent where only one of them is logged.
func isReferer(s string) bool {
	return s == "-" || s == "" || s[0] == '/' || strings.HasPrefix(s, "http:") || strings.HasPrefix(s, "https:")
}

func agent(s string, escaped bool) string {
	if s == "-" {
		return ""
	}
	if escaped {
		return unescapeLog(s)
	}
	return clean(s)
}

// token cuts the next word.
func token(s string) (word, rest string) {
	i := 0
	for i < len(s) && s[i] == ' ' {
		i++
	}
	s = s[i:]
	if i = strings.IndexByte(s, ' '); i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

// closingQuote finds the quote that ends the text beginning at i: not escaped, and at the end of a word, since
// some servers write quotes inside an agent as they are. escaped tells that the text has backslashes.
func closingQuote(s string, i int) (end int, escaped bool) {
	start := i
	for {
		q := strings.IndexByte(s[i:], '"')
		if q < 0 {
			return -1, false
		}
		q += i
		slashes := 0
		for q-slashes > start && s[q-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 && (q+1 == len(s) || s[q+1] == ' ') {
			return q, strings.IndexByte(s[start:q], '\\') >= 0
		}
		i = q + 1
	}
}

// setRequest takes a request line apart. The version at its end may be missing (HTTP/0.9) and the path may have
// spaces.
func setRequest(r *whosaw.Record, req string) {
	method, path, ok := strings.Cut(req, " ")
	if !ok || !isMethod(method) {
		r.Route = noRequest
		return
	}
	if i := strings.LastIndexByte(path, ' '); i >= 0 && strings.HasPrefix(path[i+1:], "HTTP/") {
		path = path[:i]
	} else if strings.HasPrefix(path, "HTTP/") {
		path = ""
	}
	setTarget(r, method, path)
}

// setTarget sets method and path from a request's target: a path, "*", or a URL as proxies get it.
func setTarget(r *whosaw.Record, method, target string) {
	if i := strings.Index(target, "://"); i > 0 && i <= len("https") {
		rest := target[i+3:]
		if slash := strings.IndexAny(rest, "/?"); slash < 0 {
			target = "/"
		} else if target = rest[slash:]; target[0] == '?' {
			target = "/" + target
		}
	}
	if target != "*" && (target == "" || target[0] != '/') {
		r.Route = noRequest
		return
	}
	r.Method, r.Path = method, clean(target)
}

func isMethod(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return true
}

// parseStatus reads three digits; "-" and "000" are a request that got no answer.
func parseStatus(s string, status *int) bool {
	if s == "-" || s == "0" || s == "000" {
		return true
	}
	if len(s) != 3 || s[0] < '1' || s[0] > '9' || s[1]-'0' > 9 || s[2]-'0' > 9 {
		return false
	}
	*status = int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	return true
}

// digits reads a non-negative number.
func digits(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int64(d)
	}
	return n, true
}

// unescapeLog resolves what Apache and nginx escape: \" \\ and \xHH. Control characters stay escaped, so that
// nothing in a record draws on a terminal, and so do bytes that are not UTF-8.
func unescapeLog(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return clean(s)
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		switch s[i+1] {
		case '"', '\\':
			b = append(b, s[i+1])
			i++
			continue
		case 'x':
			if h, ok := hexDigits(s, i+2, 2); ok && h >= ' ' && h != 0x7f {
				b = append(b, byte(h))
				i += 3
				continue
			}
		}
		b = append(b, '\\')
	}
	return clean(string(b))
}
