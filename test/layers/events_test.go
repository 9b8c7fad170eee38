package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var eventType = regexp.MustCompile(`^(vm|op|daemon)\.[a-z_]+$`)

// Every type of event is in the list that api.Event has of them. What looks like
// one and is a constant is a method or the kind of an operation.
func TestEventsAreListed(t *testing.T) {
	told, constants := map[string]string{}, map[string]bool{}
	for _, root := range []string{"../../api", "../../internal"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GenDecl:
					if n.Tok == token.CONST {
						maps.Copy(constants, literals(n))
						return false
					}
				case *ast.BasicLit:
					if s, _ := strconv.Unquote(n.Value); eventType.MatchString(s) {
						told[s] = files.Position(n.Pos()).String()
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	doc, err := os.ReadFile("../../api/event.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, word := range regexp.MustCompile(`[a-z]+\.[a-z_]+`).FindAllString(string(doc), -1) {
		listed[word] = true
	}
	events := 0
	for name, at := range told {
		if constants[name] {
			continue
		}
		if events++; !listed[name] {
			t.Errorf("%s: the event %q is not listed in api/event.go", at, name)
		}
	}
	if events < 20 {
		t.Errorf("only %d events were found", events)
	}
}

// literals are the strings in a declaration.
func literals(d ast.Node) map[string]bool {
	all := map[string]bool{}
	for n := range ast.Preorder(d) {
		if lit, ok := n.(*ast.BasicLit); ok {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				all[s] = true
			}
		}
	}
	return all
}
