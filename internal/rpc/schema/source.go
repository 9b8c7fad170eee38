package schema

import (
	"fmt"
	"go/ast"
	"go/types"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// source is what the source of package api says.
type source struct {
	specs  map[string]*ast.TypeSpec
	docs   map[string]string
	values map[string][]Value
	err    error // the first thing that cannot be described
}

func (s *source) add(file *ast.File) {
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				s.specs[spec.Name.Name] = spec
				s.docs[spec.Name.Name] = text(spec.Doc, decl.Doc)
			case *ast.ValueSpec:
				s.addValue(spec)
			}
		}
	}
}

func (s *source) addValue(spec *ast.ValueSpec) {
	typ, ok := spec.Type.(*ast.Ident)
	if !ok || len(spec.Values) != 1 {
		return
	}
	lit, ok := spec.Values[0].(*ast.BasicLit)
	if !ok {
		return
	}
	if v, err := strconv.Unquote(lit.Value); err == nil {
		s.values[typ.Name] = append(s.values[typ.Name], Value{v, text(spec.Comment, spec.Doc)})
	}
}

// text joins the first comment that there is into one line.
func text(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if t := strings.Join(strings.Fields(g.Text()), " "); t != "" {
			return t
		}
	}
	return ""
}

// use adds a type, and the types of its fields, to the schema.
func (s *source) use(to *Schema, name string) {
	spec := s.specs[name]
	if spec == nil || slices.ContainsFunc(to.Types, func(t Type) bool { return t.Name == name }) {
		return
	}
	t := Type{Name: name, Doc: s.docs[name], Values: s.values[name]}
	st, ok := spec.Type.(*ast.StructType)
	if !ok {
		to.Types = append(to.Types, t)
		return
	}
	for _, f := range st.Fields.List {
		field, used := s.field(name, f)
		t.Fields = append(t.Fields, field)
		defer s.use(to, used)
	}
	to.Types = append(to.Types, t)
}

func (s *source) field(of string, f *ast.Field) (field Field, used string) {
	tag := ""
	if f.Tag != nil {
		tag = reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json")
	}
	name, options, _ := strings.Cut(tag, ",")
	if name == "" && s.err == nil {
		s.err = fmt.Errorf("a field of api.%s has no JSON name", of)
	}
	typ, used := describe(f.Type)
	return Field{Name: name, Type: typ, Optional: options != "", Doc: text(f.Comment, f.Doc)}, used
}

// describe names a field's type as JSON has it, and the type of api in it.
func describe(e ast.Expr) (name, used string) {
	switch e := e.(type) {
	case *ast.StarExpr:
		return describe(e.X)
	case *ast.ArrayType:
		if types.ExprString(e.Elt) == "byte" {
			return "string in base64", ""
		}
		name, used = describe(e.Elt)
		return "array of " + name, used
	case *ast.MapType:
		name, used = describe(e.Value)
		return "object of " + name, used
	}
	switch name := types.ExprString(e); name {
	case "string", "bool":
		return name, ""
	case "time.Time":
		return "time", ""
	case "json.RawMessage", "any":
		return "any", ""
	case "float64":
		return "number", ""
	case "int", "int64", "uint64", "uint32", "uint16":
		return "integer", ""
	default:
		return name, name
	}
}
