package schema

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

const root = "../../.."

func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is not what package api says; run: make generate", path)
		}
	}
}

func TestEverythingIsDescribed(t *testing.T) {
	s, err := Read(filepath.Join(root, "api"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, typ := range s.Types {
		known[typ.Name] = true
		if typ.Doc == "" {
			t.Errorf("the type %s has no comment", typ.Name)
		}
	}
	seen := map[string]bool{}
	for _, m := range s.Methods {
		if !known[m.Params] || !known[m.Result] || m.Summary == "" || seen[m.Name] {
			t.Errorf("the method %+v is not fully described, or twice", m)
		}
		seen[m.Name] = true
	}
	if len(s.Errors) != 9 {
		t.Errorf("%d kinds of errors, want 9", len(s.Errors))
	}
}
