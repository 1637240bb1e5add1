package alarm

import (
	"fmt"
	"net/netip"
	"strings"
)

// ocsfVersion is the version of the schema the events are written for. Later ones of the same major number read them.
const ocsfVersion = "1.5.0"

// ocsf is a Detection Finding (class 2004) of the Open Cybersecurity Schema Framework: the members the schema requires,
// those it recommends and we know, and the rest of the message as evidence.
type ocsf struct {
	ActivityID   int            `json:"activity_id"`
	ActivityName string         `json:"activity_name"`
	CategoryUID  int            `json:"category_uid"`
	CategoryName string         `json:"category_name"`
	ClassUID     int            `json:"class_uid"`
	ClassName    string         `json:"class_name"`
	TypeUID      int            `json:"type_uid"`
	TypeName     string         `json:"type_name"`
	Time         int64          `json:"time"`
	EndTime      int64          `json:"end_time"`
	SeverityID   int            `json:"severity_id"`
	Severity     string         `json:"severity"`
	StatusID     int            `json:"status_id"`
	Status       string         `json:"status"`
	IsAlert      bool           `json:"is_alert"`
	Message      string         `json:"message"`
	Metadata     ocsfMetadata   `json:"metadata"`
	FindingInfo  ocsfFinding    `json:"finding_info"`
	Evidences    []ocsfEvidence `json:"evidences"`
}

type ocsfMetadata struct {
	Version string      `json:"version"`
	UID     string      `json:"uid"`
	Product ocsfProduct `json:"product"`
	Labels  []string    `json:"labels,omitempty"`
}

type ocsfProduct struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
	Version    string `json:"version,omitempty"`
}

type ocsfFinding struct {
	UID         string        `json:"uid"`
	Title       string        `json:"title"`
	Desc        string        `json:"desc"`
	CreatedTime int64         `json:"created_time"`
	LastSeen    int64         `json:"last_seen_time"`
	SrcURL      string        `json:"src_url,omitempty"`
	Types       []string      `json:"types,omitempty"`
	Analytic    *ocsfAnalytic `json:"analytic,omitempty"`
	Attacks     []ocsfAttack  `json:"attacks,omitempty"`
}

type ocsfAnalytic struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type"`
}

type ocsfAttack struct {
	Technique    *ocsfTechnique `json:"technique"`
	SubTechnique *ocsfTechnique `json:"sub_technique,omitempty"`
}

type ocsfTechnique struct {
	UID string `json:"uid"`
}

type ocsfEvidence struct {
	Data        *Message      `json:"data"`
	SrcEndpoint *ocsfEndpoint `json:"src_endpoint,omitempty"`
	VerdictID   int           `json:"verdict_id,omitempty"`
	Verdict     string        `json:"verdict,omitempty"`
}

type ocsfEndpoint struct {
	IP string `json:"ip"`
}

func (m *Message) ocsf(version string) ([]byte, error) {
	e := ocsf{
		ActivityID: 1, ActivityName: "Create", CategoryUID: 2, CategoryName: "Findings", ClassUID: 2004,
		ClassName: "Detection Finding", TypeUID: 200401, TypeName: "Detection Finding: Create",
		Time: int64(m.RaisedAt), EndTime: int64(m.Seen), StatusID: 1, Status: "New", IsAlert: !m.Test, Message: m.Says,
		Metadata: ocsfMetadata{Version: ocsfVersion, UID: m.ID,
			Product: ocsfProduct{Name: "whosaw", VendorName: "whosaw", Version: version}},
		FindingInfo: ocsfFinding{UID: m.of(), Title: m.Title, Desc: m.Says, CreatedTime: int64(m.RaisedAt),
			LastSeen: int64(m.Seen), SrcURL: m.Link},
		Evidences: []ocsfEvidence{{Data: m}},
	}
	e.SeverityID, e.Severity = ocsfSeverity(m.Severity)
	if m.Kind != "" && m.Kind != kindNote {
		e.ActivityID, e.ActivityName, e.TypeUID, e.TypeName = 2, "Update", 200402, "Detection Finding: Update"
	}
	if m.Test {
		e.Metadata.Labels = []string{"test"}
		e.Evidences[0].VerdictID, e.Evidences[0].Verdict = 6, "Test"
	} else {
		e.FindingInfo.Analytic = &ocsfAnalytic{Name: m.Detector, TypeID: 1, Type: "Rule"}
		if m.tested() {
			e.FindingInfo.Analytic.TypeID, e.FindingInfo.Analytic.Type = 3, "Statistical"
		}
	}
	switch {
	case m.Technique == "":
	case strings.HasPrefix(m.Technique, "T"): // MITRE ATT&CK
		whole, _, sub := strings.Cut(m.Technique, ".")
		a := ocsfAttack{Technique: &ocsfTechnique{UID: whole}}
		if sub {
			a.SubTechnique = &ocsfTechnique{UID: m.Technique}
		}
		e.FindingInfo.Attacks = []ocsfAttack{a}
	default: // OWASP
		e.FindingInfo.Types = []string{m.Technique}
	}
	if value, ok := strings.CutPrefix(m.Unit, "ip:"); ok {
		if ip, err := netip.ParseAddr(value); err == nil {
			e.Evidences[0].SrcEndpoint = &ocsfEndpoint{IP: ip.String()}
		}
	}
	b, err := marshal(&e)
	if err != nil {
		return nil, fmt.Errorf("write OCSF finding %s: %w", m.ID, err)
	}
	return b, nil
}

// tested reports whether the finding is the end of a test. Others are single facts: their statistic is 1 of 1.
func (m *Message) tested() bool {
	return m.Threshold > 0 && !(m.Threshold == 1 && m.Statistic == 1)
}

func ocsfSeverity(s Severity) (id int, name string) {
	switch s {
	case Critical:
		return 5, "Critical"
	case High:
		return 4, "High"
	case Medium:
		return 3, "Medium"
	}
	return 1, "Informational"
}
