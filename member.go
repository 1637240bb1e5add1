package whosaw

import "math/bits"

// member numbers the members of records, in the order in which they are written.
type member uint8

const (
	mType member = iota
	mID
	mTime
	mRealm
	mSubject
	mSubjects
	mState
	mInto
	mPerson
	mOf
	mKind
	mOthers
	mRoute
	mMethod
	mPath
	mFields
	mMasked
	mStatus
	mOutcome
	mPrincipal
	mCredential
	mKey
	mClient
	mIP
	mCountry
	mASN
	mAgent
	mTLS
	mReason
	mBytes
	mRequest
	mSince
	mFrom
	mUntil
	mExpires
	mLastLogin
	mContacts
	mKeys
	mPrincipals
	mReaders
	mUse
	mLag
	mLost
	mCount
	mNote
	memberCount
)

var memberNames = [memberCount]string{
	"type", "id", "time", "realm", "subject", "subjects", "state", "into", "person", "of", "kind", "others", "route",
	"method", "path", "fields", "masked", "status", "outcome", "principal", "credential", "key", "client", "ip",
	"country", "asn", "agent", "tls", "reason", "bytes", "request", "since", "from", "until", "expires",
	"last_login", "contacts", "keys", "principals", "readers", "use", "lag", "lost", "count", "note",
}

func (m member) String() string { return memberNames[m] }

// memberHeads holds each name as it stands in most lines: in quotes, with its colon.
var memberHeads = func() (heads [memberCount]string) {
	for m, name := range memberNames {
		heads[m] = `"` + name + `":`
	}
	return heads
}()

var memberByName = func() map[string]member {
	names := make(map[string]member, memberCount)
	for m, name := range memberNames {
		names[name] = member(m)
	}
	return names
}()

// members is a set of members.
type members uint64

func setOf(list ...member) (s members) {
	for _, m := range list {
		s |= 1 << m
	}
	return s
}

func (s members) has(m member) bool { return s>>m&1 != 0 }

// take takes the first member out of the set.
func (s *members) take() member {
	m := member(bits.TrailingZeros64(uint64(*s)))
	*s &= *s - 1
	return m
}

// What the values of members are.
var (
	ownMembers  = setOf(mState, mInto, mPerson, mOf, mKind, mSince, mFrom, mUntil, mExpires, mLastLogin, mContacts, mKeys, mPrincipals, mReaders, mUse, mLag, mLost, mCount, mNote) // of Reference
	textMembers = setOf(mID, mRealm, mState, mInto, mPerson, mOf, mKind, mRoute, mMethod, mPath, mPrincipal, mCredential, mKey, mClient, mCountry, mAgent, mTLS, mReason, mRequest, mUse, mNote)
	timeMembers = setOf(mSince, mFrom, mUntil, mExpires, mLastLogin)
	listMembers = setOf(mSubjects, mFields, mMasked, mContacts, mKeys, mPrincipals, mReaders)
)

var (
	anyType     = setOf(mType, mID, mTime, mRealm)
	accessOnly  = setOf(mSubject, mSubjects, mOthers, mRoute, mMethod, mPath, mFields, mMasked, mStatus, mOutcome, mPrincipal, mCredential, mKey, mClient, mIP, mCountry, mASN, mAgent, mTLS, mReason, mBytes, mRequest)
	ownRecord   = (anyType | accessOnly | ownMembers) &^ setOf(mMethod, mPath)
	typeMembers = [...]members{
		TypeAccess:   anyType | accessOnly,
		TypeIssuance: anyType | setOf(mCredential, mKey, mSubject, mSubjects, mPrincipal, mClient, mIP, mExpires),
		TypeSubject:  anyType | setOf(mSubject, mSubjects, mState, mInto, mSince, mLastLogin, mContacts),
		TypePerson:   anyType | setOf(mPerson, mState, mSince, mKeys, mPrincipals),
		TypeKey:      anyType | setOf(mKey, mState, mKind, mInto, mPerson, mPrincipal, mIP, mRequest, mSince, mUntil, mReaders, mUse, mNote),
		TypeReason:   anyType | setOf(mSubject, mSubjects, mPrincipal, mKind, mFrom, mUntil),
		TypeChange:   anyType | setOf(mKind, mFrom, mUntil, mNote),
		TypeFeed:     anyType | setOf(mOf, mKey, mClient, mRoute, mFrom, mUntil, mLag, mLost),
		TypeVerdict:  ownRecord,
		TypeDecision: ownRecord,
		TypeAct:      ownRecord,
	}
)

// The values of members that are words of the contract.
var (
	subjectStates = []string{"active", "withdrawn", "merged", "canary"}
	personStates  = []string{"active", "left"}
	keyStates     = []string{"active", "retired", "revoked"}
	keyKinds      = []string{"created", "read", "exported", "used", "rotated", "disposed"}
	reasonKinds   = []string{"order", "delivery", "ticket", "job"}
	changeKinds   = []string{"campaign", "release", "forced_logout", "migration"}
	feedsOf       = []string{"issuance", "subject", "reason"}
)

// text gives the place of a text member. r.Ref must be there for a member of Reference.
func (r *Record) text(m member) *string {
	switch m {
	case mID:
		return &r.ID
	case mRealm:
		return &r.Realm
	case mRoute:
		return &r.Route
	case mMethod:
		return &r.Method
	case mPath:
		return &r.Path
	case mPrincipal:
		return &r.Principal
	case mCredential:
		return &r.Credential
	case mKey:
		return &r.Key
	case mClient:
		return &r.Client
	case mCountry:
		return &r.Country
	case mAgent:
		return &r.Agent
	case mTLS:
		return &r.TLS
	case mReason:
		return &r.Reason
	case mRequest:
		return &r.Request
	case mState:
		return &r.Ref.State
	case mInto:
		return &r.Ref.Into
	case mPerson:
		return &r.Ref.Person
	case mOf:
		return &r.Ref.Of
	case mKind:
		return &r.Ref.Kind
	case mUse:
		return &r.Ref.Use
	case mNote:
		return &r.Ref.Note
	}
	panic("BUG: no text member " + m.String())
}

// instant gives the place of a time member of Reference.
func (r *Record) instant(m member) *int64 {
	switch m {
	case mSince:
		return &r.Ref.Since
	case mFrom:
		return &r.Ref.From
	case mUntil:
		return &r.Ref.Until
	case mExpires:
		return &r.Ref.Expires
	case mLastLogin:
		return &r.Ref.LastLogin
	}
	panic("BUG: no time member " + m.String())
}

// list gives the place of a list member.
func (r *Record) list(m member) *[]string {
	switch m {
	case mSubjects:
		return &r.Subjects
	case mFields:
		return &r.Fields
	case mMasked:
		return &r.Masked
	case mContacts:
		return &r.Ref.Contacts
	case mKeys:
		return &r.Ref.Keys
	case mPrincipals:
		return &r.Ref.Principals
	case mReaders:
		return &r.Ref.Readers
	}
	panic("BUG: no list member " + m.String())
}

// ParseType reads the name of a type; "" is an access.
func ParseType(s string) (Type, bool) {
	if s == "" {
		return TypeAccess, true
	}
	for i, name := range typeNames {
		if s == name {
			return Type(i), true
		}
	}
	return 0, false
}

// ParseOutcome reads the name of an outcome; "" is OutcomeUnstated.
func ParseOutcome(s string) (Outcome, bool) {
	for i, name := range outcomeNames {
		if s == name {
			return Outcome(i), true
		}
	}
	return 0, false
}
