// Package layers holds the dependency rules of the repository, as a test.
package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

type pkg struct {
	ImportPath string
	Imports    []string
	Doc        string
	GoFiles    []string
}

// name is the package's path in this module.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Doc,GoFiles", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestDependenciesGoDown(t *testing.T) {
	for _, p := range list(t) {
		ruled := false
		for _, r := range mayImport {
			if !r.from.match(p.name()) {
				continue
			}
			ruled = true
			for _, imp := range p.Imports {
				if inside, ok := strings.CutPrefix(imp, module); ok && !r.allow.match(inside) {
					t.Errorf("%s imports %s: %s", p.name(), inside, r.reason)
				}
			}
		}
		if !ruled && len(p.GoFiles) > 0 {
			t.Errorf("no rule says what %s may import", p.name())
		}
	}
}

func TestSomeAreImportedBySomeOnly(t *testing.T) {
	anyone := patterns{"bench/...", "test/..."}
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			inside := strings.TrimPrefix(imp, module)
			for _, r := range importedBy {
				if r.what.match(inside) && !r.by.match(p.name()) && !anyone.match(p.name()) {
					t.Errorf("%s imports %s: %s", p.name(), inside, r.reason)
				}
			}
		}
	}
}

func TestAPIImportsTheStandardLibraryOnly(t *testing.T) {
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			if host, _, _ := strings.Cut(imp, "/"); p.name() == "api" && strings.Contains(host, ".") {
				t.Errorf("api imports %s: other programs must not get it with api", imp)
			}
		}
	}
}

// A rule about a package that is gone guards nothing.
func TestRulesAreAboutPackages(t *testing.T) {
	var names []string
	for _, p := range list(t) {
		names = append(names, p.name())
	}
	some := func(p pattern) bool {
		for _, name := range names {
			if p.match(name) {
				return true
			}
		}
		return p == "os/exec"
	}
	check := func(ps ...pattern) {
		for _, p := range ps {
			if !some(p) {
				t.Errorf("%s is in the rules and matches no package", p)
			}
		}
	}
	for _, r := range mayImport {
		check(append(r.allow, r.from)...)
	}
	for _, r := range importedBy {
		check(r.what...)
		check(r.by...)
	}
}

func TestPatterns(t *testing.T) {
	for _, tc := range []struct {
		p    pattern
		pkg  string
		want bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/b/c", false},
		{"a/b", "a/bc", false},
		{"a/b/*", "a/b", false},
		{"a/b/*", "a/b/c", true},
		{"a/b/*", "a/b/c/d", true},
		{"a/b/*", "a/bc", false},
		{"a/b/...", "a/b", true},
		{"a/b/...", "a/b/c", true},
		{"a/b/...", "a/bc", false},
	} {
		if tc.p.match(tc.pkg) != tc.want {
			t.Errorf("%s matches %s: %v", tc.p, tc.pkg, !tc.want)
		}
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	for _, p := range list(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no doc comment", p.ImportPath)
		}
	}
}
