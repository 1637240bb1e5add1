package ingest

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/whosaw/whosaw"
)

// The members of a CloudTrail event that are read, by slot.
const (
	ctID = iota
	ctTime
	ctIndexed // the time as log shippers write it
	ctName
	ctSource
	ctError
	ctAgent
	ctIP
	ctRequest
	ctType
	ctUser
	ctARN
	ctInvoker
	ctAccount
	ctPrincipal
	ctAccessKey
	ctIssuer
	ctOnBehalf
	ctBucket
	ctKey
	ctCopySource
	ctBytes
	ctResource
	ctResource2
	ctKeyID
	ctSecretID
	ctParameter
	ctNewKey
	ctSlots
)

var cloudTrailNames = [ctSlots]string{
	"eventID", "eventTime", "@timestamp", "eventName", "eventSource", "errorCode", "userAgent", "sourceIPAddress", "requestID",
	"userIdentity.type", "userIdentity.userName", "userIdentity.arn", "userIdentity.invokedBy", "userIdentity.accountId",
	"userIdentity.principalId", "userIdentity.accessKeyId", "userIdentity.sessionContext.sessionIssuer.userName",
	"userIdentity.onBehalfOf.userId", "requestParameters.bucketName", "requestParameters.key",
	"requestParameters.x-amz-copy-source", "additionalEventData.bytesTransferredOut",
	"resources.0.ARN", "resources.1.ARN", "requestParameters.keyId", "requestParameters.secretId", "requestParameters.name",
	"responseElements.keyMetadata.arn",
}

var cloudTrailTree = func() *path {
	var p path
	for slot, name := range cloudTrailNames {
		p.add(name, slot)
	}
	return &p
}()

// objectReads are the S3 events that hand an object to the caller, by the request that they are to a catalog. The
// copies are among them: reading a bucket by copying it elsewhere is reading it. HEAD shows no content.
var objectReads = map[string]string{
	"GetObject": "GET", "SelectObjectContent": "GET", "GetObjectTorrent": "GET", "CopyObject": "GET", "UploadPartCopy": "GET",
	"HeadObject": "HEAD",
}

// A cloudTrailParser reads CloudTrail events.
type cloudTrailParser struct {
	keys *keyPlaces
	vals [ctSlots]value
}

func (p *cloudTrailParser) text(slot int) string {
	s, _ := p.vals[slot].text()
	if p.vals[slot].kind == 'n' {
		s = p.vals[slot].raw
	}
	return s
}

func (p *cloudTrailParser) parse(line string, now int64, r *whosaw.Record) error {
	clear(p.vals[:])
	if twice, err := capture(line, cloudTrailTree, p.vals[:]); err != nil {
		return err.fault()
	} else if twice >= 0 {
		return fault(cloudTrailNames[twice], "is there twice", "a JSON object must have each member once")
	}
	name, source := p.text(ctName), p.text(ctSource)
	if name == "" || source == "" {
		return fault("", "no CloudTrail event: eventName or eventSource is missing", "such lines are not from CloudTrail; leave them out")
	}
	when := p.text(ctTime)
	if when == "" {
		when = p.text(ctIndexed)
	}
	if when == "" {
		return fault("eventTime", "is missing", "every CloudTrail event has it; fetch the file again")
	}
	ms, ok := parseRFC3339(when)
	if !ok {
		return fault("eventTime", "cannot be read", "CloudTrail writes it as 2006-01-02T15:04:05Z")
	}
	r.ID, r.Time = p.text(ctID), ms
	r.Principal = p.principal()
	r.Credential = p.text(ctAccessKey)
	r.Agent = clean(strings.TrimSuffix(strings.TrimPrefix(p.text(ctAgent), "["), "]"))
	if a, err := netip.ParseAddr(p.text(ctIP)); err == nil { // else a service's name
		r.IP = plain(a)
	}
	r.Request = p.text(ctRequest)
	if r.Status = 200; p.vals[ctError].kind == 's' && p.text(ctError) != "" {
		r.Status = errorStatus(p.text(ctError))
	}
	whole, _, _ := strings.Cut(p.text(ctBytes), ".")
	if n, ok := digits(whole); ok {
		r.Bytes = n
	}
	p.route(r, source, name)
	if r.Status == 200 && p.keys != nil {
		if k, did := p.touched(source, name); k != nil {
			if who := p.reader(r.Principal); tells(did, who) {
				keyRecord(r, k, did, who)
			}
		}
	}
	return r.Validate(now)
}

// route names the event. Reads of objects become paths, so that the catalog can find whose data the object holds.
func (p *cloudTrailParser) route(r *whosaw.Record, source, name string) {
	method := objectReads[name]
	object := ""
	if bucket, key := p.text(ctBucket), p.text(ctKey); bucket != "" && key != "" {
		object = bucket + "/" + escapeKey(key)
	}
	if strings.HasSuffix(name, "Copy") || strings.HasPrefix(name, "Copy") { // what is read is the source: bucket/key, escaped
		object, _, _ = strings.Cut(strings.TrimPrefix(p.text(ctCopySource), "/"), "?")
		if strings.HasPrefix(object, "arn:") || !strings.Contains(object, "/") {
			object = ""
		}
	}
	if source != "s3.amazonaws.com" || method == "" || object == "" {
		r.Route = source + ":" + name
		return
	}
	r.Method, r.Path = method, "/"+clean(object)
}

// escapeKey writes an object's key as a path: what a path gives a meaning of its own is escaped.
func escapeKey(key string) string {
	key = clean(key)
	if !strings.ContainsAny(key, "%?#; ") {
		return key
	}
	var b strings.Builder
	for i := range len(key) {
		switch c := key[i]; c {
		case '%', '?', '#', ';', ' ':
			const hex = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// objectAsSubject lets the key stand in for the subject of an access to an object, where there is no catalog to say
// whose data it is and the rules have found nobody in it. The key then leaves the route. path is the raw path.
func objectAsSubject(r *whosaw.Record, path string) {
	method, _, _ := strings.Cut(r.Route, " ")
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || len(r.Subjects) > 0 {
		return
	}
	r.Route = method + " /" + bucket + "/{key...}"
	if key = unescapeKey(key); key != "" && len(key) <= whosaw.MaxSubject && utf8.ValidString(key) {
		r.Subjects = []string{key}
	}
}

// unescapeKey gives the key back that a path was made of.
func unescapeKey(key string) string {
	if strings.IndexByte(key, '%') < 0 {
		return key
	}
	b := make([]byte, 0, len(key))
	for i := 0; i < len(key); i++ {
		if key[i] == '%' {
			if h, ok := hexDigits(key, i+1, 2); ok {
				b = append(b, byte(h))
				i += 2
				continue
			}
		}
		b = append(b, key[i])
	}
	return string(b)
}

// principal says who the event names: roles and services as services, people with an account of their own as staff.
func (p *cloudTrailParser) principal() string {
	user := p.text(ctUser)
	switch kind := p.text(ctType); kind {
	case "AssumedRole", "Role":
		if role := p.text(ctIssuer); role != "" {
			return "service:" + role
		}
		// arn:aws:sts::123456789012:assumed-role/ROLE/SESSION
		if _, rest, ok := strings.Cut(p.text(ctARN), ":assumed-role/"); ok {
			role, _, _ := strings.Cut(rest, "/")
			return "service:" + role
		}
		return prefixed("service:", p.text(ctPrincipal))
	case "IAMUser", "SAMLUser", "WebIdentityUser", "FederatedUser", "IdentityCenterUser":
		if user == "" {
			user = p.text(ctOnBehalf)
		}
		if user == "" && kind == "FederatedUser" {
			user = p.text(ctIssuer)
		}
		if user == "" {
			_, user, _ = strings.Cut(p.text(ctARN), "user/")
		}
		if user == "" {
			user = p.text(ctPrincipal)
		}
		return prefixed("staff:", user)
	case "Root":
		return "staff:root"
	case "AWSService":
		return prefixed("service:", p.text(ctInvoker))
	default: // AWSAccount, and kinds to come
		account := p.text(ctAccount)
		if account == "ANONYMOUS_PRINCIPAL" || account == "anonymous" {
			return "" // a public bucket: nobody was named
		}
		if account == "" {
			account = p.text(ctPrincipal)
		}
		return prefixed("service:", account)
	}
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// errorStatus gives the HTTP status that S3 and other services send with an error code.
func errorStatus(code string) int {
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(code, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("NoSuch", "NotFound"):
		return 404
	case has("AccessDenied", "Unauthorized", "Forbidden", "AllAccessDisabled", "InvalidAccessKey", "SignatureDoesNotMatch", "ExpiredToken",
		"InvalidToken", "AuthFailure", "NotSignedUp", "AccountProblem", "RequestTimeTooSkewed"):
		return 403
	case has("SlowDown", "Throttl", "LimitExceeded", "TooManyRequests"):
		return 429
	case has("NotModified"):
		return 304
	case has("PreconditionFailed"):
		return 412
	case has("InvalidRange"):
		return 416
	case has("Internal"):
		return 500
	case has("Unavailable"):
		return 503
	}
	return 400
}

// keyDeeds are the events that show, use or change key material. Decrypting what a key under KMS encrypts is reading it; encrypting it
// anew for another key is taking a copy along.
var keyDeeds = map[string]string{
	"kms.amazonaws.com:Decrypt": keyRead, "kms.amazonaws.com:ReEncrypt": keyExported, "kms.amazonaws.com:Sign": keyUsed,
	"kms.amazonaws.com:GenerateMac": keyUsed, "kms.amazonaws.com:CreateKey": keyCreated, "kms.amazonaws.com:RotateKey": keyRotated,
	"kms.amazonaws.com:RotateKeyOnDemand": keyRotated, "kms.amazonaws.com:ScheduleKeyDeletion": keyDisposed,
	"kms.amazonaws.com:DeleteKey": keyDisposed, "payment-cryptography.amazonaws.com:ExportKey": keyExported,
	"secretsmanager.amazonaws.com:GetSecretValue": keyRead, "secretsmanager.amazonaws.com:BatchGetSecretValue": keyRead,
	"secretsmanager.amazonaws.com:PutSecretValue": keyRotated, "secretsmanager.amazonaws.com:RotateSecret": keyRotated,
	"secretsmanager.amazonaws.com:DeleteSecret": keyDisposed, "ssm.amazonaws.com:GetParameter": keyRead, "ssm.amazonaws.com:DeleteParameter": keyDisposed,
}

// touched says which key an event is about, and what was done to it.
func (p *cloudTrailParser) touched(source, name string) (*KeyPlace, string) {
	did := keyDeeds[source+":"+name]
	if did == "" {
		return nil, ""
	}
	for _, slot := range []int{ctResource, ctResource2, ctKeyID, ctSecretID, ctParameter, ctNewKey} {
		if at := strings.Trim(p.text(slot), "/"); at != "" {
			if k := p.keys.aws[at]; k != nil {
				return k, did
			}
		}
	}
	return nil, ""
}

// reader names who did it as readers of keys are named: a person of the house, or service:NAME. People who assume a role are known by
// the session's name where the mapping has it, and under single sign-on, where that is the person.
func (p *cloudTrailParser) reader(principal string) string {
	_, rest, _ := strings.Cut(p.text(ctARN), ":assumed-role/")
	role, session, _ := strings.Cut(rest, "/")
	if known := p.keys.person(p.text(ctARN), session, p.text(ctUser), p.text(ctOnBehalf)); known != "" {
		return known
	}
	if strings.HasPrefix(role, "AWSReservedSSO_") && session != "" {
		return clean(session)
	}
	if person, ok := strings.CutPrefix(principal, "staff:"); ok {
		return person
	}
	return principal
}
