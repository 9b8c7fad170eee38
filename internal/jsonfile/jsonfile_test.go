package jsonfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteAndRead(t *testing.T) {
	dir := t.TempDir()
	for _, write := range []func(string, string, any) error{Write, WriteStatus} {
		for _, v := range []string{"one", "another"} {
			if err := write(dir, "a.json", v); err != nil {
				t.Fatal(err)
			}
			var got string
			if err := Read(dir, "a.json", &got); err != nil || got != v {
				t.Errorf("%q, %v", got, err)
			}
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if st, err := os.Stat(filepath.Join(dir, "a.json")); err != nil || st.Mode() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	var v any
	if err := Read(dir, "none", &v); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for name, text := range map[string]string{"cut": `{"a":`, "huge": `"` + strings.Repeat("x", MaxBytes) + `"`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Read(dir, name, &v); err == nil || !strings.Contains(err.Error(), "reading "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What cannot be written changes nothing, and leaves nothing.
	if err := Write(dir, "sub/x", 1); err == nil {
		t.Error("written into nowhere")
	}
	if err := Write(dir, "chan", make(chan int)); err == nil {
		t.Error("a channel was written")
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, "taken", 1); err == nil {
		t.Error("a directory was replaced")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("%q", left)
	}
}
