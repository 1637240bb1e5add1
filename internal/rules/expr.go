package rules

import (
	"fmt"
	"strconv"
	"strings"
)

// expand replaces each <…> in a text for the n-th repetition: <a|b|c> takes turns, anything else is a sum over n, as in
// <1000+n*7> or <n%5>.
func expand(text string, n int64) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "<")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		inner, after, closed := strings.Cut(rest, ">")
		if !closed {
			return "", fmt.Errorf("%q: < without its >", text)
		}
		if turns := strings.Split(inner, "|"); len(turns) > 1 {
			b.WriteString(turns[n%int64(len(turns))])
		} else {
			v, err := evaluate(inner, n)
			if err != nil {
				return "", fmt.Errorf("<%s>: %w", inner, err)
			}
			b.WriteString(strconv.FormatInt(v, 10))
		}
		text = after
	}
}

// evaluate works out whole numbers with n, + - * / % and brackets.
func evaluate(text string, n int64) (int64, error) {
	s := &sum{text: strings.ReplaceAll(text, " ", ""), n: n}
	v, err := s.terms()
	if err == nil && s.at < len(s.text) {
		err = fmt.Errorf("%q is too much: write whole numbers, n, + - * / %% and brackets", s.text[s.at:])
	}
	return v, err
}

type sum struct {
	text  string
	at    int
	n     int64
	depth int
}

func (s *sum) next(ops string) byte {
	if s.at < len(s.text) && strings.IndexByte(ops, s.text[s.at]) >= 0 {
		s.at++
		return s.text[s.at-1]
	}
	return 0
}

func (s *sum) terms() (int64, error) {
	v, err := s.factors()
	for err == nil {
		op := s.next("+-")
		if op == 0 {
			break
		}
		var w int64
		if w, err = s.factors(); op == '-' {
			w = -w
		}
		v += w
	}
	return v, err
}

func (s *sum) factors() (int64, error) {
	v, err := s.value()
	for err == nil {
		op := s.next("*/%")
		if op == 0 {
			break
		}
		var w int64
		if w, err = s.value(); err != nil {
			break
		}
		switch {
		case op == '*':
			v *= w
		case w == 0:
			return 0, fmt.Errorf("a division by zero")
		case op == '/':
			v /= w
		default:
			v %= w
		}
	}
	return v, err
}

// maxDepth bounds brackets within brackets.
const maxDepth = 32

func (s *sum) value() (int64, error) {
	switch {
	case s.next("n") != 0:
		return s.n, nil
	case s.next("(") != 0:
		if s.depth++; s.depth > maxDepth {
			return 0, fmt.Errorf("too many brackets")
		}
		v, err := s.terms()
		s.depth--
		if err == nil && s.next(")") == 0 {
			err = fmt.Errorf("a bracket is not closed")
		}
		return v, err
	}
	from := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	v, err := strconv.ParseInt(s.text[from:s.at], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("a whole number or n is missing at %q", s.text[from:])
	}
	return v, nil
}
