package follow

import (
	"regexp"
	"strings"
)

// What rotation puts into a name: logrotate's numbers and dates, cronolog's and rotatelogs' dates and seconds. A number in
// front of the extension (worker.1.log) is not among them: that is how several writers name their own logs, and to take two logs for
// generations of one would mix their positions.
var (
	packedEnd = regexp.MustCompile(`\.(gz|zst|zstd|bz2|xz|lz4|Z)$`)
	numberEnd = regexp.MustCompile(`\.[0-9]{1,4}$`)
	oldEnd    = regexp.MustCompile(`\.(old|bak|prev)$`)
	secondEnd = regexp.MustCompile(`[-.][0-9]{10}$`)
	dateAt    = regexp.MustCompile(`[-._](19|20)[0-9]{2}([-_.]?)(0[1-9]|1[0-2])([-_.]?)([0-2][0-9]|3[01])([-_.T]?[0-2][0-9]([-_.:]?[0-5][0-9]){0,2})?(\.[A-Za-z][A-Za-z0-9_]*)?$`)
	dateOnly  = regexp.MustCompile(`^[-._](19|20)[0-9]{2}([-_.]?)(0[1-9]|1[0-2])([-_.]?)([0-2][0-9]|3[01])([-_.T]?[0-2][0-9]([-_.:]?[0-5][0-9]){0,2})?`)
)

// stem gives a log's name without what rotation and compression add, and whether there was anything of that.
func stem(name string) (string, bool) {
	was := name
	name = packedEnd.ReplaceAllString(name, "")
	for range 2 { // access.log-20260102.1
		switch {
		case numberEnd.MatchString(name):
			name = numberEnd.ReplaceAllString(name, "")
		case oldEnd.MatchString(name):
			name = oldEnd.ReplaceAllString(name, "")
		case dateAt.MatchString(name):
			at := dateAt.FindStringIndex(name)[0]
			name = name[:at] + dateOnly.ReplaceAllString(name[at:], "")
		case secondEnd.MatchString(name):
			name = secondEnd.ReplaceAllString(name, "")
		}
	}
	if name == "" || strings.Trim(name, ".") == "" {
		return was, false
	}
	return name, name != was
}

func hasMeta(path string) bool { return strings.ContainsAny(path, `*?[\`) }
