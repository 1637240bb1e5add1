package alarm

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/whosaw/whosaw"
)

// The types of CloudEvents sent. A change that breaks a reader gets a new number.
const (
	typeFinding = "io.whosaw.finding.v1"
	typeTest    = "io.whosaw.test.v1"

	typeDeadline = "io.whosaw.deadline.v1"
)

// cloudEvent is a CloudEvents 1.0 envelope in structured JSON.
type cloudEvent struct {
	SpecVersion     string      `json:"specversion"`
	ID              string      `json:"id"`
	Source          string      `json:"source"`
	Type            string      `json:"type"`
	Subject         string      `json:"subject,omitempty"`
	Time            whosaw.Time `json:"time"`
	DataContentType string      `json:"datacontenttype"`
	Data            *Message    `json:"data"`
}

func (m *Message) cloudEvent(source string) ([]byte, error) {
	e := cloudEvent{SpecVersion: "1.0", ID: m.ID, Source: source, Type: typeFinding, Subject: m.Unit,
		Time: m.RaisedAt, DataContentType: "application/json", Data: m}
	switch {
	case m.Test:
		e.Type = typeTest
	case m.Kind == kindNote:
		e.Type = typeDeadline
	}
	b, err := marshal(&e)
	if err != nil {
		return nil, fmt.Errorf("write cloud event %s: %w", m.ID, err)
	}
	return b, nil
}

// marshal writes JSON for programs, not for pages: < and > stay as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
