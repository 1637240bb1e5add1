package ledger

// column numbers a column of a segment. The numbers are stored. A column may be foretold by
// those with smaller numbers only, so that reading one never runs in a circle.
type column uint8

const (
	columnReferences column = 1 // records that are not accesses, as they are
	columnTime       column = 2
	columnRealm      column = 3
	columnSource     column = 4
	columnPosition   column = 5
	columnSubjects   column = 6 // how many subjects a row names
	columnSubject    column = 7 // the subjects of all rows
	columnPrincipal  column = 8
	columnCredential column = 9
	columnIP         column = 10
	columnASN        column = 11
	columnCountry    column = 12
	columnAgent      column = 13
	columnTLS        column = 14
	columnClient     column = 15
	columnKey        column = 16
	columnRoute      column = 17
	columnStatus     column = 18
	columnOutcome    column = 19
	columnFields     column = 20
	columnMasked     column = 21
	columnOthers     column = 22
	columnBytes      column = 23
	columnID         column = 24
	columnReason     column = 25
	columnRequest    column = 26

	columns = 27
)

// coded reports whether the column's rows are codes of a dictionary.
func (c column) coded() bool {
	switch c {
	case columnReferences, columnTime, columnPosition, columnSubjects, columnOthers, columnBytes:
		return false
	}
	return c > 0 && c < columns
}

// paged reports whether the column's dictionary lies in pages, of which one can be read without the others: what the index does
// not have of a record.
func (c column) paged() bool {
	switch c {
	case columnCredential, columnID, columnReason, columnRequest:
		return true
	}
	return false
}

// ways lists how the rows of a column may be foretold, to be tried when it is written. They are
// what logs show: a customer keeps credential, address and program, an address its network, a
// route its fields.
var ways = [columns][]foretold{
	columnRealm:  {{way: foretellLast}},
	columnSource: {{way: foretellLast}},
	columnPrincipal: {
		{way: foretellOwn},
		{way: foretellLast},
	},
	columnCredential: {
		{way: foretellBy, a: columnPrincipal},
		{way: foretellBy, a: columnSubject},
	},
	columnIP: {
		{way: foretellBy, a: columnPrincipal},
		{way: foretellBy, a: columnCredential},
	},
	columnASN:     {{way: foretellBy, a: columnIP}},
	columnCountry: {{way: foretellBy, a: columnIP}, {way: foretellBy, a: columnASN}},
	columnAgent: {
		{way: foretellBy, a: columnPrincipal},
		{way: foretellBy, a: columnIP},
	},
	columnTLS:     {{way: foretellBy, a: columnAgent}},
	columnClient:  {{way: foretellLast}, {way: foretellBy, a: columnPrincipal}},
	columnKey:     {{way: foretellLast}, {way: foretellBy, a: columnPrincipal}},
	columnRoute:   {{way: foretellLast}, {way: foretellBy, a: columnPrincipal}},
	columnStatus:  {{way: foretellBy, a: columnRoute}, {way: foretellBy, a: columnSubject}},
	columnOutcome: {{way: foretellBy, a: columnStatus}, {way: foretellByTwo, a: columnRoute, b: columnStatus}},
	columnFields:  {{way: foretellBy, a: columnRoute}, {way: foretellByTwo, a: columnRoute, b: columnStatus}},
	columnMasked:  {{way: foretellBy, a: columnRoute}, {way: foretellBy, a: columnFields}},
	columnReason:  {{way: foretellBy, a: columnPrincipal}},
}

// A column lies in one or two sections of the file.
const (
	sectionRows = 0
	sectionDict = 1
)

// section numbers a section of a segment.
func (c column) section(kind uint8) uint8 { return uint8(c)<<1 | kind }
