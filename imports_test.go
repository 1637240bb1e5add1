package whosaw_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/whosaw/whosaw"

// importTable says what each package may import beside the standard library: packages of this module by
// their path in it ("" is the root), libraries by their module. Tests may import more. The data's
// way is catalog, ingest, ledger, detect, scope: imports run against it, so a later package may import an
// earlier one and never the other way round.
var importTable = map[string][]string{
	"":                   {},
	"guard":              {"internal/presented"},
	"internal/presented": {},
	"internal/answer":    {},
	"internal/proxy":     {"", "guard", "internal/answer", "internal/catalog", "internal/presented"},
	"internal/catalog":   {"", "internal/answer", "internal/hint", "github.com/cespare/xxhash/v2", "github.com/goccy/go-yaml"},
	"internal/ingest":    {"", "internal/catalog", "internal/hint", "github.com/cespare/xxhash/v2", "github.com/goccy/go-yaml", "github.com/klauspost/compress"},
	"internal/ledger":    {"", "github.com/cespare/xxhash/v2", "github.com/klauspost/compress", "golang.org/x/sys"},
	"internal/snapshot":  {},
	"internal/near":      {},
	"internal/reference": {"", "internal/near", "internal/snapshot", "github.com/cespare/xxhash/v2"},
	"internal/issued":    {"internal/reference", "internal/snapshot"},
	"internal/rules":     {"", "github.com/goccy/go-yaml"},
	"internal/detect":    {"", "internal/catalog", "internal/issued", "internal/near", "internal/reference", "internal/rules", "internal/snapshot", "github.com/cespare/xxhash/v2"},
	"internal/index":     {"", "internal/issued", "internal/ledger", "golang.org/x/sys"},
	"internal/retention": {"", "internal/ledger", "internal/index"},
	"internal/scope":     {"", "internal/catalog", "internal/reference", "internal/ledger", "internal/index", "internal/near"},
	"internal/auth":      {"internal/store/sqlite"},
	"internal/keys":      {"", "internal/reference", "internal/ledger", "internal/store/sqlite"},
	"internal/config":    {"internal/alarm", "internal/detect", "internal/follow", "internal/guard", "internal/hint", "internal/ingest", "internal/jetstream", "internal/ledger", "internal/notice", "internal/regime", "github.com/goccy/go-yaml"},
	"internal/api": {
		"", "internal/alarm", "internal/auth", "internal/catalog", "internal/detect", "internal/ingest", "internal/keys", "internal/ledger", "internal/pipeline", "internal/rehearsal", "internal/rules", "internal/reference",
		"internal/retention", "internal/regime", "internal/incident", "internal/notice", "internal/scope", "internal/guard", "internal/door", "internal/store/sqlite", "github.com/prometheus/client_golang", "golang.org/x/sys",
	},
	"internal/meter": {"internal/detect", "github.com/cespare/xxhash/v2"},
	"internal/console": {
		"", "internal/alarm", "internal/api", "internal/auth", "internal/detect", "internal/figure", "internal/incident", "internal/guard", "internal/keys", "internal/meter",
		"internal/notice", "internal/pipeline", "internal/regime", "internal/scope", "internal/store/sqlite",
	},
	"internal/doctor":    {"", "internal/catalog", "internal/reference", "internal/detect", "internal/ledger", "internal/figure"},
	"internal/pipeline":  {"", "internal/snapshot", "internal/catalog", "internal/ingest", "internal/ledger", "internal/detect", "internal/index", "internal/scope", "internal/doctor"},
	"internal/follow":    {"", "internal/catalog", "internal/ingest", "internal/pipeline", "internal/store/sqlite"},
	"internal/jetstream": {"", "internal/catalog", "internal/ingest", "internal/pipeline", "github.com/nats-io/nats.go"},
	"internal/report":    {"", "internal/figure", "internal/hint"},
	"internal/figure":    {},
	"internal/hint":      {},
	"internal/draw":      {},
	"internal/incident":  {"", "internal/figure", "internal/scope", "internal/regime", "internal/store/sqlite", "github.com/klauspost/compress"},
	"internal/notice":    {"", "internal/figure", "internal/incident", "internal/store/sqlite", "github.com/goccy/go-yaml", "github.com/wneessen/go-mail"},
	"internal/public":    {"", "internal/incident"},
	"internal/regime":    {"internal/figure", "github.com/goccy/go-yaml"},
	"internal/post":      {"github.com/klauspost/compress"},
	"internal/sim":       {"internal/draw", "github.com/goccy/go-yaml"},

	// Imported by tests, and therefore by nothing here.
	"internal/browsertest": {"github.com/chromedp/cdproto", "github.com/chromedp/chromedp"},

	// A service that is watched. It stands on what any service would: the public packages.
	"internal/shop": {"", "guard", "github.com/go-jose/go-jose/v4", "golang.org/x/crypto", "modernc.org/sqlite"},

	// The guard: it follows the ledger, and hands nothing to what judges afterwards.
	"internal/guard": {"", "internal/catalog", "internal/presented", "internal/reference", "internal/rules", "internal/store/sqlite", "github.com/cespare/xxhash/v2", "github.com/go-jose/go-jose/v4"},

	"internal/door": {
		"", "internal/guard", "internal/presented", "github.com/envoyproxy/go-control-plane/envoy", "google.golang.org/grpc", "google.golang.org/genproto/googleapis/rpc",
	},

	// The server's.
	"internal/store/sqlite": {"github.com/pressly/goose/v3", "modernc.org/sqlite"},
	"internal/alarm":        {"", "internal/figure", "internal/report", "internal/store/sqlite", "github.com/wneessen/go-mail"},

	"internal/joint":     {"", "internal/catalog", "internal/ledger", "internal/detect", "internal/scope", "internal/pipeline"},
	"internal/rehearsal": {"", "internal/catalog", "internal/ledger", "internal/detect", "internal/rules", "internal/scope"},

	"internal/drill": {
		"", "internal/catalog", "internal/ledger", "internal/detect", "internal/scope", "internal/pipeline", "internal/report", "internal/figure",
		"internal/sim",
	},
	"internal/server": {
		"", "internal/alarm", "internal/api", "internal/auth", "internal/catalog", "internal/config", "internal/console", "internal/detect", "internal/door", "internal/follow", "internal/guard",
		"internal/incident", "internal/ingest", "internal/jetstream", "internal/keys", "internal/ledger", "internal/meter", "internal/notice", "internal/pipeline", "internal/public", "internal/rules", "internal/store/sqlite",
	},
	"internal/demo": {
		"", "guard", "internal/alarm", "internal/api", "internal/auth", "internal/catalog", "internal/config", "internal/console", "internal/draw", "internal/figure", "internal/guard", "internal/incident", "internal/ingest",
		"internal/keys", "internal/notice", "internal/pipeline", "internal/proxy", "internal/regime", "internal/scope", "internal/server", "internal/shop", "github.com/emersion/go-smtp",
	},
	"cmd/whosaw": {
		"", "guard", "internal/demo", "internal/presented", "internal/proxy", "internal/server", "internal/catalog", "internal/ingest", "internal/ledger", "internal/detect", "internal/index", "internal/retention", "internal/scope", "internal/doctor",
		"internal/joint", "internal/pipeline", "internal/report", "internal/figure", "internal/sim", "internal/post", "internal/drill", "internal/incident", "internal/notice", "internal/regime", "internal/rehearsal", "internal/rules",
		"internal/alarm", "internal/api", "internal/auth", "internal/config", "internal/keys", "internal/guard", "internal/hint", "internal/store/sqlite",
		"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term",
	},
}

// TestImportTable reads the files themselves: a test that ran `go list` would stay cached as passing.
func TestImportTable(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bench") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if pkg == "." {
			pkg = ""
		}
		seen[pkg] = true
		allowed, ok := importTable[pkg]
		if !ok {
			t.Errorf("package %q is not in the import table: add a line that says what it may import", pkg)
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !permitted(name, allowed) {
				t.Errorf("%s imports %s: the import table does not allow it", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range importTable {
		if !seen[pkg] {
			t.Errorf("the import table has %q, which is no package: remove the line", pkg)
		}
	}
}

func permitted(name string, allowed []string) bool {
	if name == module {
		return slices.Contains(allowed, "")
	}
	if own, ok := strings.CutPrefix(name, module+"/"); ok {
		return slices.Contains(allowed, own)
	}
	if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(allowed, func(a string) bool {
		return a != "" && !strings.HasPrefix(a, "internal/") && (name == a || strings.HasPrefix(name, a+"/"))
	})
}

// TestCalm: what is tested without the race detector has nothing that it could see.
func TestCalm(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^CALM := (.+)$`).FindSubmatch(makefile)
	if line == nil {
		t.Fatal("the Makefile has no line CALM := ...")
	}
	for _, pkg := range strings.Fields(string(line[1])) {
		files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s is no package: %v", pkg, err)
		}
		for _, path := range files {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%s starts a goroutine: take %s out of CALM in the Makefile", path, pkg)
				case *ast.ImportSpec:
					if name := n.Path.Value; name == `"sync"` || name == `"sync/atomic"` || name == `"net/http"` {
						t.Errorf("%s imports %s, so others share what it has: take %s out of CALM in the Makefile", path, name, pkg)
					}
				case *ast.SelectorExpr:
					if n.Sel.Name == "Parallel" {
						t.Errorf("%s has tests run beside each other: take %s out of CALM in the Makefile", path, pkg)
					}
				}
				return true
			})
		}
	}
}
