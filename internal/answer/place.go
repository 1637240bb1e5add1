package answer

import (
	"errors"
	"fmt"
	"strings"
)

// Spec says where an answer has what.
type Spec struct {
	root   node
	fields []string // by number
}

// node is a step of the places that begin alike.
type node struct {
	members map[string]*node
	any     *node // *: any member
	element *node // []: any element
	subject bool
	other   bool
	fields  []int // numbers
}

// AddSubject adds a place of a customer id.
func (s *Spec) AddSubject(place string) error {
	n, err := s.step(place)
	if err == nil {
		n.subject = true
	}
	return err
}

// AddOthers adds a place of which each occurrence is an entry of somebody who is no customer.
func (s *Spec) AddOthers(place string) error {
	n, err := s.step(place)
	if err == nil {
		n.other = true
	}
	return err
}

// AddField adds a place where a field is shown.
func (s *Spec) AddField(field, place string) error {
	n, err := s.step(place)
	if err != nil {
		return err
	}
	i := 0
	for i < len(s.fields) && s.fields[i] != field {
		i++
	}
	if i == len(s.fields) {
		s.fields = append(s.fields, field)
	}
	n.fields = append(n.fields, i)
	return nil
}

var errPlace = errors.New("write the names of members with dots between, [] behind a list and * for any member, as in orders[].buyer.id")

// step walks a place, and makes what is missing.
func (s *Spec) step(place string) (*node, error) {
	n := &s.root
	if place == "" || len(place) > 1024 {
		return nil, errPlace
	}
	for i, part := range strings.Split(place, ".") {
		name := strings.TrimRight(part, "[]")
		lists := part[len(name):]
		if strings.ReplaceAll(lists, "[]", "") != "" || name == "" && (i > 0 || lists == "") {
			return nil, fmt.Errorf("place %q: %w", place, errPlace)
		}
		switch name {
		case "": // the document is a list
		case "*":
			if n.any == nil {
				n.any = &node{}
			}
			n = n.any
		default:
			if n.members == nil {
				n.members = map[string]*node{}
			}
			if n.members[name] == nil {
				n.members[name] = &node{}
			}
			n = n.members[name]
		}
		for range len(lists) / 2 {
			if n.element == nil {
				n.element = &node{}
			}
			n = n.element
		}
	}
	return n, nil
}
