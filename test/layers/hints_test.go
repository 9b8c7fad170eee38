package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// hintAt is the place of the hint among a call's arguments.
var hintAt = map[string]int{"fault.New": 1, "api.NewError": 2}

// A hint is shown below an error: it is a sentence, or ends in a command to type.
func TestHintsAreSentences(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../../internal", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for n := range ast.Preorder(file) {
			hint, whole := hintOf(n)
			if hint == "" {
				continue
			}
			seen++
			if unicode.IsLower(rune(hint[0])) || whole && !strings.HasSuffix(hint, ".") && !strings.Contains(hint, ": ") {
				t.Errorf("%s: the hint %q is no sentence", files.Position(n.Pos()), hint)
			}
		}
		return nil
	})
	if err != nil || seen < 100 {
		t.Errorf("saw %d hints, %v", seen, err)
	}
}

// hintOf returns the text that a node's hint begins with, and whether that is
// all of it; "" where there is none.
func hintOf(n ast.Node) (text string, whole bool) {
	var hint ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.SelectorExpr); ok {
			room, _ := f.X.(*ast.Ident)
			if room == nil {
				return "", false
			}
			if at, ok := hintAt[room.Name+"."+f.Sel.Name]; ok && at < len(n.Args) {
				hint = n.Args[at]
			}
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Hint" {
			hint = n.Value
		}
	}
	for whole = true; ; whole = false {
		sum, ok := hint.(*ast.BinaryExpr)
		if !ok {
			break
		}
		hint = sum.X
	}
	lit, ok := hint.(*ast.BasicLit)
	if !ok {
		return "", false
	}
	text, _ = strconv.Unquote(lit.Value) // the parser has read it
	return text, whole
}
