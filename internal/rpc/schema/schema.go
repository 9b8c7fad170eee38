// Package schema describes the protocol: it reads the types and comments of
// package api and the table api.Methods, and writes docs/rpc.md and the JSON
// that "banger rpc schema" prints.
package schema

//go:generate go run ./gen ../../..

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
)

// Schema is the protocol.
type Schema struct {
	Protocol int      `json:"protocol"`
	Methods  []Method `json:"methods"`
	Errors   []Error  `json:"errors"`
	Types    []Type   `json:"types"`
}

// Method is a method; Params and Result are names of types.
type Method struct {
	Name    string `json:"name"`
	Server  string `json:"server"`
	Stream  bool   `json:"stream,omitempty"`
	Params  string `json:"params"`
	Result  string `json:"result"`
	Summary string `json:"summary"`
}

// Error is a kind of error with its JSON-RPC code.
type Error struct {
	Kind string `json:"kind"`
	Code int    `json:"code"`
}

// Type is an object with fields, or a string with values.
type Type struct {
	Name   string  `json:"name"`
	Doc    string  `json:"doc"`
	Fields []Field `json:"fields,omitempty"`
	Values []Value `json:"values,omitempty"`
}

// Field is a field of an object.
type Field struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Optional bool   `json:"optional,omitempty"`
	Doc      string `json:"doc,omitempty"`
}

// Value is one of a string type's values.
type Value struct {
	Value string `json:"value"`
	Doc   string `json:"doc,omitempty"`
}

// Files are the generated files by their path below the repository's root.
func Files(root string) (map[string][]byte, error) {
	s, err := Read(filepath.Join(root, "api"))
	if err != nil {
		return nil, err
	}
	encoded, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encoding the schema: %w", err)
	}
	return map[string][]byte{
		"docs/rpc.md":           s.Markdown(),
		"internal/cli/rpc.json": append(encoded, '\n'),
	}, nil
}

// Read reads the schema from the source of package api in dir.
func Read(dir string) (*Schema, error) {
	src := source{specs: map[string]*ast.TypeSpec{}, docs: map[string]string{}, values: map[string][]Value{}}
	names, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("reading package api: %w", err)
		}
		src.add(file)
	}
	s := &Schema{Protocol: api.ProtocolVersion}
	for _, m := range api.Methods() {
		params, result := reflect.TypeOf(m.Params).Name(), reflect.TypeOf(m.Result).Name()
		s.Methods = append(s.Methods, Method{m.Name, string(m.Server), m.Stream, params, result, m.Summary})
		src.use(s, params)
		src.use(s, result)
	}
	src.use(s, "Error")
	for _, v := range src.values["Kind"] {
		s.Errors = append(s.Errors, Error{v.Value, rpc.Code(api.Kind(v.Value))})
	}
	slices.SortFunc(s.Types, func(a, b Type) int { return strings.Compare(a.Name, b.Name) })
	return s, src.err
}
